// Answerers that know everything, nothing, or no end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/byte_text_for_test.h"
#include "engine/eval_run.h"

namespace mneme::engine {

// Says the true answer, unless told otherwise; keeps what it was asked.
class FakeAnswerer final : public Answerer {
 public:
  static std::string joined(const std::vector<std::string>& all) {
    std::string text;
    for (const std::string& one : all) text += (text.empty() ? "" : ", ") + one;
    return text;
  }
  Result<void> check_fits(size_t tokens) const override {
    if (tokens <= fits_max) return {};
    return core::fail("too long");
  }
  void begin_context() override { prompts.clear(); }
  Result<GenerateReport> answer(const EvalPrompt& prompt, const GenerateEvents& events) override {
    ++asked;
    if (events.on_prefill) events.on_prefill(prompt.tokens.size(), prompt.tokens.size());
    const bool cancelled = events.cancelled();
    GenerateReport report;
    report.reason = cancelled ? StopReason::kCancelled : reason;
    report.message = "the budget is used up";
    report.text = wrong ? "I do not know" : joined(prompt.expected);
    report.prompt_tokens = prompt.tokens.size();
    report.generated_tokens = 3;
    report.prefill_s = 0.5;
    report.decode_s = 0.25;
    prompts.push_back(ByteText().decode(prompt.tokens, true));
    if (prompt.answer_tokens_max < static_cast<int>(joined(prompt.expected).size())) ++cut_short;
    return report;
  }

  size_t fits_max = SIZE_MAX;
  bool wrong = false;
  StopReason reason = StopReason::kEnd;
  int asked = 0;
  int cut_short = 0;                 // answers that had no room, at a byte a token
  std::vector<std::string> prompts;  // of the context
};

}  // namespace mneme::engine
