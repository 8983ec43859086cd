// mneme eval recall: what a model finds, quotes and extracts in contexts of given lengths.
#include <memory>

#include "cli/eval_answers.h"

namespace mneme::cli {

namespace {

struct RecallArguments {
  AnswersArguments answers;
  RecallOptions options;
  std::string split = "held-out";
};

int eval_recall(RecallArguments& arguments) {
  RecallOptions& options = arguments.options;
  options.held_out = arguments.split == "held-out";
  settle_grid(arguments.answers, recall_tasks(), options);
  AnswersKind kind{"recall", recall_tasks(), false, {{"split", arguments.split}}, {}};
  kind.run = [&](Engine& engine, const EvalEvents& events) { return recall(engine, options, events); };
  return eval_answers(arguments.answers, options, kind);
}

}  // namespace

void add_eval_recall(CLI::App& verb, int& status) {
  auto arguments = std::make_shared<RecallArguments>();
  CLI::App& kind = *verb.add_subcommand("recall", "what a model finds, quotes and extracts in long contexts");
  add_answers_options(kind, arguments->answers, arguments->options, recall_tasks());
  kind.add_option("--split", arguments->split,
                  "held-out: wordings, formats and words that no training sample has; or train")
      ->check(CLI::IsMember({"held-out", "train"}))
      ->capture_default_str();
  kind.callback([arguments, &status] { status = eval_recall(*arguments); });
}

}  // namespace mneme::cli
