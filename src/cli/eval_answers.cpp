#include "cli/eval_answers.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "cli/eval_file.h"
#include "cli/eval_tables.h"
#include "cli/input.h"
#include "cli/report.h"

namespace mneme::cli {

using Json = nlohmann::ordered_json;

namespace {

std::optional<double> parse_depth(const std::string& text) {
  if (text == "any") return kAnyDepth;
  char* end = nullptr;
  const double depth = std::strtod(text.c_str(), &end);
  const bool whole = end != text.c_str() && *end == '\0';
  return whole && depth >= 0 && depth <= 1 ? std::optional(depth) : std::nullopt;
}

std::string check_depth(const std::string& text) {
  return parse_depth(text) ? "" : "'" + text + "' is no depth: write a number from 0 to 1, or any";
}

CLI::Validator task_of(std::span<const std::string_view> tasks) {
  return CLI::Validator(
      [tasks](const std::string& text) {
        if (text == "all" || std::find(tasks.begin(), tasks.end(), text) != tasks.end()) return std::string();
        std::string all = "all";
        for (const std::string_view task : tasks) all += ", " + std::string(task);
        return "'" + text + "' is no task; the tasks are " + all;
      },
      "TASK");
}

std::string gap_text(const EvalGap& gap) {
  std::string what = format("%zu tokens", gap.length);
  if (!gap.task.empty()) what = gap.task + " " + gap.language + ", " + what;
  if (gap.depth >= 0) what += " at depth " + depth_text(gap.depth);
  return "left out: " + what + ": " + gap.reason;
}

std::string work_text(const EvalWork& work) {
  std::string text = format("context %d of %d: %s %s, %zu tokens", work.context, work.contexts,
                            std::string(work.task).c_str(), std::string(work.language).c_str(), work.length);
  if (work.depth >= 0) text += " at depth " + depth_text(work.depth);
  if (work.tokens_all > 0) text += format(", read %zu of %zu", work.tokens, work.tokens_all);
  if (work.questions > 0)
    text += format("; %d answers, %.1f %% so far", work.questions, 100 * work.score / work.questions);
  return text;
}

// What the answers depend on: a model is known by its name and size, wherever it lies.
Json model_json(const ModelArguments& model) {
  std::error_code unknown;
  const auto bytes = std::filesystem::file_size(model.path, unknown);
  Json json = {{"file", std::filesystem::path(model.path).filename().string()},
               {"bytes", unknown ? Json(nullptr) : Json(bytes)}};
  if (model.attention != "exact") {
    json["attention"] = model.attention;
    json["target_error"] = model.target_error;
  }
  if (model.prefill != "auto") {
    json["prefill"] = model.prefill;
    json["target_error"] = model.target_error;
  }
  return json;
}

Json options_json(const AnswersArguments& arguments, const EvalGrid& grid, const AnswersKind& kind) {
  Json depths = Json::array();
  for (const double depth : grid.depths) depths.push_back(depth < 0 ? Json("any") : Json(depth));
  Json json = {{"kind", kind.name},           {"model", model_json(arguments.model)},
               {"tasks", grid.tasks},         {"languages", grid.languages},
               {"lengths", grid.lengths},     {"depths", depths},
               {"questions", grid.questions}, {"samples", grid.samples},
               {"text", grid.text_paths},     {"seed", grid.seed}};
  json.update(kind.options);
  if (arguments.against.asked()) {
    json["against"] = model_json(arguments.against.other(arguments.model));
    json["against"].update(arguments.against.changes());
  }
  return json;
}

Json report_head(const AnswersArguments& arguments, const EvalGrid& grid, const AnswersKind& kind) {
  Json json = options_json(arguments, grid, kind);
  json["model"] = arguments.model.path;
  if (arguments.against.asked()) json["against"] = arguments.against.text();
  return json;
}

class Evaluation {
 public:
  Evaluation(const AnswersArguments& arguments, const AnswersKind& kind, AnswerFile& file)
      : arguments_(&arguments), kind_(&kind), file_(&file) {}

  Result<EvalReport> run(Side side);
  bool interrupted() const { return interrupt_.asked(); }

 private:
  const AnswersArguments* arguments_;
  const AnswersKind* kind_;
  AnswerFile* file_;
  Interrupt interrupt_;
  std::set<std::string> said_;  // what holds for a task as a whole is said for its first cell
};

Result<EvalReport> Evaluation::run(Side side) {
  const bool first = side == Side::kA;
  auto engine = open_engine(first ? arguments_->model : arguments_->against.other(arguments_->model));
  if (!engine) return tl::unexpected(engine.error());
  const std::string name = !arguments_->against.asked() ? "" : first ? "A: " : "B: ";
  LongProgress progress;
  EvalEvents events;
  events.known = file_->known(side);
  events.cancelled = [&] { return interrupt_.asked() || !file_->ok(); };
  events.on_answer = [&](const EvalAnswer& answer) { file_->write(side, answer); };
  events.on_gap = [&](const EvalGap& gap) {
    progress.clear();
    if (said_.insert(gap.task + ": " + gap.reason).second) note(gap_text(gap));
  };
  events.on_work = [&](const EvalWork& work) {
    if (progress.due()) progress.show(name + work_text(work));
  };
  auto report = kind_->run(**engine, events);
  progress.clear();
  note_warnings(**engine);
  if (!file_->ok()) return tl::unexpected(file_->error());
  return report;
}

// Both runs as one picture: B's tasks beside A's.
std::string plot_svg(const AnswersArguments& arguments, const AnswersKind& kind, const EvalReport& a,
                     const EvalReport* b) {
  std::vector<EvalAnswer> answers = a.answers;
  std::string title = kind.name + ": " + std::filesystem::path(arguments.model.path).filename().string();
  if (b != nullptr) {
    title += " (A) and " + arguments.against.text();
    for (EvalAnswer& answer : answers) answer.task = "A " + answer.task;
    for (EvalAnswer answer : b->answers) {
      answer.task = "B " + answer.task;
      answers.push_back(std::move(answer));
    }
  }
  return score_svg(answers, title);
}

int write_pair(const AnswersArguments& arguments, const EvalGrid& grid, const AnswersKind& kind,
               const EvalReport& a, const EvalReport& b) {
  auto rows = compare(a.answers, b.answers, grid.seed);
  if (!rows) return fail(rows.error());
  Output output;
  if (arguments.json) {
    Json json = report_head(arguments, grid, kind);
    json["a"] = answers_json(a);
    json["b"] = answers_json(b);
    json["comparison"] = comparison_json(*rows);
    output.write(json_text(json));
  } else {
    output.write("A: " + arguments.model.path + "\n" + answers_text(grid, a, kind.has_parts) +
                 "\nB: " + arguments.against.text() + "\n" + answers_text(grid, b, kind.has_parts) + "\n" +
                 comparison_text(*rows, grid.seed));
  }
  return output.ok() ? kDone : fail(output.error());
}

int write_one(const AnswersArguments& arguments, const EvalGrid& grid, const AnswersKind& kind,
              const EvalReport& report) {
  Output output;
  if (arguments.json) {
    Json json = report_head(arguments, grid, kind);
    json.update(answers_json(report));
    output.write(json_text(json));
  } else if (!report.rows.empty()) {
    output.write(answers_text(grid, report, kind.has_parts));
  }
  if (!output.ok()) return fail(output.error());
  return report.rows.empty() && !report.cancelled ? kFailed : kDone;
}

}  // namespace

void add_answers_options(CLI::App& kind, AnswersArguments& arguments, EvalGrid& grid,
                         std::span<const std::string_view> tasks) {
  add_model_options(kind, arguments.model);
  add_storage_options(kind, arguments.model, false);
  kind.add_option("--lengths", grid.lengths, "tokens of a context with its first question, with commas")
      ->delimiter(',')
      ->check(CLI::Range(size_t{16}, size_t{1} << 30))
      ->capture_default_str();
  kind.add_option("--depths", arguments.depths,
                  "where the answers lie, from 0 (the beginning) to 1 (the end), with commas; any: anywhere")
      ->delimiter(',')
      ->check(CLI::Validator(check_depth, "DEPTH"))
      ->capture_default_str();
  kind.add_option("--tasks", grid.tasks, "tasks, with commas; all; a wrong one lists them")
      ->delimiter(',')
      ->check(task_of(tasks))
      ->capture_default_str();
  kind.add_option("--questions", grid.questions, "questions of a context")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  kind.add_option("--samples", grid.samples, "contexts of each task, language, length and depth")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  kind.add_option("--language", arguments.language, "of questions and contexts")
      ->check(CLI::IsMember({"en", "zh", "both"}))
      ->capture_default_str();
  kind.add_option("--text", grid.text_paths,
                  "file or folder of text that contexts are made of; repeatable; built-in sentences if not "
                  "given")
      ->allow_extra_args(false);
  kind.add_option("--seed", grid.seed, "same seed, same samples")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  kind.add_option("--out", arguments.out,
                  "file for every answer as it comes, a line of JSON each; with the same options a run goes "
                  "on where the one before stopped");
  kind.add_option("--plot", arguments.plot,
                  "SVG file: score by length, and by depth and length for tasks that have a depth")
      ->check(CLI::Validator(check_file_to_write, "FILE"));
  kind.add_flag("--json", arguments.json, "as JSON");
  add_against_options(kind, arguments.against, "a second run over the same samples, compared pair by pair");
}

void settle_grid(const AnswersArguments& arguments, std::span<const std::string_view> tasks, EvalGrid& grid) {
  if (std::find(grid.tasks.begin(), grid.tasks.end(), "all") != grid.tasks.end())
    grid.tasks.assign(tasks.begin(), tasks.end());
  grid.languages = {arguments.language};
  if (arguments.language == "both") grid.languages = {"en", "zh"};
  grid.depths.clear();
  for (const std::string& depth : arguments.depths) grid.depths.push_back(*parse_depth(depth));
}

int eval_answers(const AnswersArguments& arguments, const EvalGrid& grid, const AnswersKind& kind) {
  check_storage(arguments.model);
  auto file = AnswerFile::open(arguments.out, options_json(arguments, grid, kind));
  if (!file) return fail(file.error());
  Evaluation evaluation(arguments, kind, *file);
  auto a = evaluation.run(Side::kA);
  if (!a) return fail(a.error());
  std::optional<EvalReport> b;
  if (arguments.against.asked() && !evaluation.interrupted() && !a->answers.empty()) {
    auto report = evaluation.run(Side::kB);
    if (!report) return fail(report.error());
    b = std::move(*report);
  }
  if (evaluation.interrupted()) note("interrupted: what was measured until then");
  if (!arguments.plot.empty()) {
    auto plotted = write_text(arguments.plot, plot_svg(arguments, kind, *a, b ? &*b : nullptr));
    if (!plotted) return fail(plotted.error());
  }
  if (b && !b->answers.empty()) return write_pair(arguments, grid, kind, *a, *b);
  return write_one(arguments, grid, kind, *a);
}

}  // namespace mneme::cli
