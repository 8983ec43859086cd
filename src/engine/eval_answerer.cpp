// A model as what answers, and what its contexts are made of.
#include <algorithm>

#include "engine/eval_run.h"
#include "engine/eval_text.h"
#include "kv/block.h"

namespace mneme::engine {

using core::fail;
using core::pass;

namespace {

class EngineAnswerer final : public Answerer {
 public:
  explicit EngineAnswerer(Engine& engine) : engine_(&engine) {}

  Result<void> check_fits(size_t tokens) const override {
    if (engine_->tiers().on) return {};  // the disk is the limit
    const uint64_t needed = engine_->info().kv_bytes(tokens);
    if (needed <= engine_->kv_bytes_max()) return {};
    return fail("{} MiB of keys and values are needed, the budget is {} MiB (raise --kv)", (needed >> 20) + 1,
                engine_->kv_bytes_max() >> 20);
  }
  void begin_context() override {
    session_.reset();  // its blocks are free before the next one takes any
    session_ = engine_->new_session();
  }
  Result<GenerateReport> answer(const EvalPrompt& prompt, const GenerateEvents& events) override {
    session_->truncate(common_prefix(session_->tokens(), prompt.tokens));
    auto appended = session_->append(prompt.tokens.subspan(session_->tokens().size()));
    if (!appended) return pass(appended);
    GenerateOptions options;
    options.tokens_max = prompt.answer_tokens_max;
    options.sampling.temperature = 0;
    return generate(*engine_, *session_, options, events);
  }

 private:
  Engine* engine_;
  std::unique_ptr<Session> session_;
};

}  // namespace

std::unique_ptr<Answerer> make_answerer(Engine& engine) { return std::make_unique<EngineAnswerer>(engine); }

Result<std::unique_ptr<tasks::TextSource>> open_source(const EvalGrid& grid, const Text& text) {
  if (!grid.text_paths.empty()) return load_documents(grid.text_paths, text);
  size_t longest = 0;
  for (const size_t length : grid.lengths) longest = std::max(longest, length);
  const size_t bytes = std::clamp<size_t>(longest * 4, size_t{1} << 18, size_t{1} << 23);
  return std::make_unique<tasks::SyntheticText>(grid.seed, bytes);
}

}  // namespace mneme::engine
