// ruler(): the samples of ruler.h, each question alone behind its context.
#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/eval_fit.h"
#include "engine/eval_prompt.h"
#include "engine/eval_run.h"
#include "tasks/ruler.h"

namespace mneme::engine {

using core::fail;
using core::pass;
using tasks::RulerQuestion;
using tasks::RulerSample;

namespace {

constexpr uint64_t kRulerSeed = 0x52554C4552;  // its tasks' numbers are not recall's

// How a question becomes a prompt.
struct RulerPrompts {
  const Text* text;
  bool chat;
  bool answer_prefix;

  Result<std::vector<TokenId>> make(const RulerSample& sample, const RulerQuestion& question) const {
    std::string prompt = sample.context + question.text;
    if (chat) {
      const ChatMessage message{"user", std::move(prompt)};
      auto rendered = text->render_chat({&message, 1}, {});
      if (!rendered) return pass(rendered);
      prompt = std::move(*rendered);
    } else {
      prompt += '\n';
    }
    if (answer_prefix) prompt += question.answer_prefix;
    return text->encode(prompt, {.add_bos_eos = !chat, .parse_specials = chat});
  }
};

class RulerSheet final : public EvalSheet {
 public:
  RulerSheet(RulerPrompts prompts, tasks::RulerTask task, Fitted<RulerSample> fitted)
      : prompts_(prompts), task_(task), fitted_(std::move(fitted)) {}

  size_t questions() const override { return sample().questions.size(); }
  EvalQuestion question(size_t index) const override {
    const RulerQuestion& asked = sample().questions[index];
    EvalQuestion question{{}, asked.text, asked.expected};
    if (!tasks::has_depth(task_) || asked.evidence.empty()) return question;
    double sum = 0;
    for (const tasks::Range& range : asked.evidence) sum += static_cast<double>(range.begin);
    question.evidence_depth = sum / static_cast<double>(asked.evidence.size() * sample().context.size());
    return question;
  }
  Result<std::vector<TokenId>> prompt(size_t index, std::span<const std::string>) const override {
    if (index == 0) return fitted_.prompt;
    return prompts_.make(sample(), sample().questions[index]);
  }
  // RULER's, or what the vocabulary needs for the answer if that is more.
  int answer_tokens_max(size_t index) const override {
    size_t tokens = 0;
    for (const std::string& one : sample().questions[index].expected)
      tokens += 2 + prompts_.text->encode(one, {.add_bos_eos = false, .parse_specials = false}).size();
    return std::max(tasks::answer_tokens_max(task_), static_cast<int>(tokens + tokens / 4)) +
           thought_tokens_max(*prompts_.text);
  }
  double score(size_t index, std::string_view given) const override {
    return tasks::ruler_score(sample().questions[index].expected, given);
  }

 private:
  const RulerSample& sample() const { return fitted_.sample; }

  RulerPrompts prompts_;
  tasks::RulerTask task_;
  Fitted<RulerSample> fitted_;
};

class RulerFamily final : public EvalFamily {
 public:
  RulerFamily(const Text& text, const tasks::TextSource& source, const RulerOptions& options)
      : source_(&source),
        options_(&options),
        prompts_{&text,
                 options.style == PromptStyle::kByModel ? text.has_chat_template()
                                                        : options.style == PromptStyle::kChat,
                 options.answer_prefix} {}

  bool knows(std::string_view task) const override { return tasks::parse_ruler_task(task).has_value(); }
  bool has_depth(std::string_view task) const override {
    return tasks::has_depth(*tasks::parse_ruler_task(task));
  }
  Result<std::unique_ptr<EvalSheet>> make(const EvalCell& cell, int sample) const override;

 private:
  std::vector<double> places(const EvalCell& cell, uint64_t task, int sample) const;

  const tasks::TextSource* source_;
  const RulerOptions* options_;
  RulerPrompts prompts_;
};

// Where no depth is asked for: multiples of the golden ratio from a seeded start, which spread evenly however
// many there are.
std::vector<double> RulerFamily::places(const EvalCell& cell, uint64_t task, int sample) const {
  constexpr double kGolden = 0.6180339887498949;
  const auto count = static_cast<size_t>(options_->questions);
  if (cell.depth >= 0) return std::vector<double>(count, cell.depth);
  const double start = core::Rng(seed_of(*options_, cell, task, -1)).next_unit();
  std::vector<double> places;
  for (size_t i = 0; i < count; ++i) {
    const double at = start + kGolden * static_cast<double>(static_cast<size_t>(sample) * count + i);
    places.push_back(at - std::floor(at));
  }
  return places;
}

Result<std::unique_ptr<EvalSheet>> RulerFamily::make(const EvalCell& cell, int sample) const {
  const tasks::RulerTask task = *tasks::parse_ruler_task(cell.task);
  const uint64_t number = kRulerSeed + static_cast<uint64_t>(task);
  const uint64_t seed = seed_of(*options_, cell, number, sample);
  tasks::RulerRequest request;
  request.language = cell.language;
  request.places = places(cell, number, sample);
  request.together = cell.depth >= 0;
  const auto make = [&](size_t bytes, uint64_t draw) -> Result<std::optional<Fitted<RulerSample>>> {
    request.context_bytes = bytes;
    core::Rng rng(seed + draw);
    RulerSample made = tasks::generate_ruler(task, request, *source_, rng);
    if (made.questions.empty()) return std::nullopt;
    auto prompt = prompts_.make(made, made.questions[0]);
    if (!prompt) return pass(prompt);
    return Fitted<RulerSample>{std::move(made), std::move(*prompt)};
  };
  auto best = fit<RulerSample>(cell.length, bytes_per_token(*prompts_.text, *source_, cell.language), make);
  if (!best) return pass(best);
  if (!best->has_value()) return fail("no sample of {} fits {} tokens", cell.task, cell.length);
  return std::make_unique<RulerSheet>(prompts_, task, std::move(**best));
}

}  // namespace

Result<EvalReport> ruler_over(Answerer& answerer, const Text& text, const tasks::TextSource& source,
                              const RulerOptions& options, const EvalEvents& events) {
  return run_eval(answerer, RulerFamily(text, source, options), options, events);
}

}  // namespace mneme::engine

namespace mneme {

std::span<const std::string_view> ruler_tasks() {
  static const auto names = [] {
    std::vector<std::string_view> all;
    for (const tasks::RulerTask task : tasks::all_ruler_tasks()) all.push_back(tasks::name(task));
    return all;
  }();
  return names;
}

Result<EvalReport> ruler(Engine& engine, const RulerOptions& options, const EvalEvents& events) {
  auto source = engine::open_source(options, engine.text());
  if (!source) return core::pass(source);
  return engine::ruler_over(*engine::make_answerer(engine), engine.text(), **source, options, events);
}

}  // namespace mneme
