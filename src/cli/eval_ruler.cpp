// mneme eval ruler: tasks in the style of RULER (Hsieh et al. 2024).
#include <memory>

#include "cli/eval_answers.h"

namespace mneme::cli {

namespace {

struct RulerArguments {
  AnswersArguments answers;
  RulerOptions options;
  std::string style = "auto";
  bool no_answer_prefix = false;
};

int eval_ruler(RulerArguments& arguments) {
  RulerOptions& options = arguments.options;
  if (arguments.style == "chat") options.style = PromptStyle::kChat;
  if (arguments.style == "plain") options.style = PromptStyle::kPlain;
  options.answer_prefix = !arguments.no_answer_prefix;
  settle_grid(arguments.answers, ruler_tasks(), options);
  AnswersKind kind{"ruler",
                   ruler_tasks(),
                   true,
                   {{"prompt", arguments.style}, {"answer_prefix", options.answer_prefix}},
                   {}};
  kind.run = [&](Engine& engine, const EvalEvents& events) { return ruler(engine, options, events); };
  return eval_answers(arguments.answers, options, kind);
}

}  // namespace

void add_eval_ruler(CLI::App& verb, int& status) {
  auto arguments = std::make_shared<RulerArguments>();
  arguments->options.tasks = {"all"};
  CLI::App& kind = *verb.add_subcommand(
      "ruler", "RULER-style tasks: needles, variable tracking, common and frequent words");
  add_answers_options(kind, arguments->answers, arguments->options, ruler_tasks());
  kind.add_option("--prompt", arguments->style,
                  "chat: in the model's chat format; plain: as text to go on with; auto: chat where the file "
                  "has a chat template")
      ->check(CLI::IsMember({"auto", "chat", "plain"}))
      ->capture_default_str();
  kind.add_flag("--no-answer-prefix", arguments->no_answer_prefix,
                "do not begin the answer for the model, as RULER does");
  kind.callback([arguments, &status] { status = eval_ruler(*arguments); });
}

}  // namespace mneme::cli
