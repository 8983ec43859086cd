// recall(): the samples of tasks.h as conversations.
#include <utility>

#include "engine/eval_prompt.h"
#include "engine/eval_run.h"

namespace mneme::engine {

using core::pass;

namespace {

class RecallSheet final : public EvalSheet {
 public:
  RecallSheet(const Text& text, Fitted<tasks::Sample> fitted) : text_(&text), fitted_(std::move(fitted)) {}

  size_t questions() const override { return question_count(sample()); }
  EvalQuestion question(size_t index) const override {
    const size_t turn = answer_turn(sample(), index);
    const tasks::Turn& answer = sample().turns[turn];
    EvalQuestion question{sample().form, {}, {answer.text}};
    if (turn > 0) question.text = sample().turns[turn - 1].text;
    if (answer.evidence.size() > 0) {
      question.evidence_depth = static_cast<double>(answer.evidence.begin) /
                                static_cast<double>(sample().context.size());
    }
    return question;
  }
  Result<std::vector<TokenId>> prompt(size_t index, std::span<const std::string> given) const override {
    if (index == 0) return fitted_.prompt;
    return make_prompt(*text_, sample(), given);
  }
  int answer_tokens_max(size_t index) const override {
    const std::string& expected = sample().turns[answer_turn(sample(), index)].text;
    const size_t tokens = text_->encode(expected, {.add_bos_eos = false, .parse_specials = false}).size();
    return static_cast<int>(tokens + tokens / 2 + 16) + thought_tokens_max(*text_);
  }
  double score(size_t index, std::string_view given) const override {
    return tasks::correct(sample(), answer_turn(sample(), index), given) ? 1 : 0;
  }
  std::optional<bool> right_keys(size_t index, std::string_view given) const override {
    return tasks::has_right_keys(sample(), answer_turn(sample(), index), given);
  }

 private:
  const tasks::Sample& sample() const { return fitted_.sample; }

  const Text* text_;
  Fitted<tasks::Sample> fitted_;
};

class RecallFamily final : public EvalFamily {
 public:
  RecallFamily(const Text& text, const tasks::TextSource& source, const RecallOptions& options)
      : text_(&text), source_(&source), options_(&options) {}

  bool knows(std::string_view task) const override { return tasks::parse_task(task).has_value(); }
  bool has_depth(std::string_view) const override { return true; }
  Result<std::unique_ptr<EvalSheet>> make(const EvalCell& cell, int sample) const override {
    const tasks::TaskKind task = *tasks::parse_task(cell.task);
    tasks::Request request;
    request.split = options_->held_out ? tasks::Split::kHeldOut : tasks::Split::kTrain;
    request.language = cell.language;
    request.questions = options_->questions;
    request.depth = cell.depth;
    auto fitted = fit_sample(*text_, task, request, cell.length, *source_,
                             seed_of(*options_, cell, static_cast<uint64_t>(task), sample));
    if (!fitted) return pass(fitted);
    return std::make_unique<RecallSheet>(*text_, std::move(*fitted));
  }

 private:
  const Text* text_;
  const tasks::TextSource* source_;
  const RecallOptions* options_;
};

}  // namespace

Result<EvalReport> recall_over(Answerer& answerer, const Text& text, const tasks::TextSource& source,
                               const RecallOptions& options, const EvalEvents& events) {
  return run_eval(answerer, RecallFamily(text, source, options), options, events);
}

}  // namespace mneme::engine

namespace mneme {

std::span<const std::string_view> recall_tasks() {
  static const auto names = [] {
    std::vector<std::string_view> all;
    for (const tasks::TaskKind task : tasks::all_tasks()) all.push_back(tasks::name(task));
    return all;
  }();
  return names;
}

Result<EvalReport> recall(Engine& engine, const RecallOptions& options, const EvalEvents& events) {
  auto source = engine::open_source(options, engine.text());
  if (!source) return core::pass(source);
  return engine::recall_over(*engine::make_answerer(engine), engine.text(), **source, options, events);
}

}  // namespace mneme
