// mneme eval recall: what a model finds, quotes and extracts in contexts of given lengths.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "cli/eval.h"
#include "cli/options.h"
#include "cli/report.h"
#include "mneme/eval.h"

namespace mneme::cli {

namespace {

struct RecallArguments {
  ModelArguments model;
  RecallOptions options;
  std::vector<std::string> depths{"any"};
  std::string language = "en";
  std::string split = "held-out";
  std::string samples_out;
  bool json = false;
};

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

std::string check_task(const std::string& text) {
  const auto tasks = recall_tasks();
  if (text == "all" || std::find(tasks.begin(), tasks.end(), text) != tasks.end()) return "";
  std::string all = "all";
  for (const std::string_view task : tasks) all += ", " + std::string(task);
  return "'" + text + "' is no task; the tasks are " + all;
}

std::string depth_text(double depth) { return depth < 0 ? "any" : format("%.4g", depth); }

nlohmann::ordered_json depth_json(double depth) {
  return depth < 0 ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(depth);
}

double percent(int part, int all) { return all > 0 ? 100.0 * part / all : 0; }

// The rows that `wanted` says yes to, as one.
template <class Wanted>
RecallRow sum_of(const RecallReport& report, Wanted wanted) {
  RecallRow sum;
  for (const RecallRow& row : report.rows) {
    if (!wanted(row)) continue;
    sum.contexts += row.contexts;
    sum.questions += row.questions;
    sum.correct += row.correct;
    sum.prefill_tokens += row.prefill_tokens;
    sum.prefill_s += row.prefill_s;
    sum.decode_tokens += row.decode_tokens;
    sum.decode_s += row.decode_s;
  }
  return sum;
}

nlohmann::ordered_json row_json(const RecallRow& row) {
  nlohmann::ordered_json json;
  json["task"] = row.task;
  json["language"] = row.language;
  json["form"] = row.form;
  json["length"] = row.length;
  json["depth"] = depth_json(row.depth);
  json["contexts"] = row.contexts;
  json["questions"] = row.questions;
  json["correct"] = row.correct;
  json["prefill_tokens"] = row.prefill_tokens;
  json["prefill_seconds"] = row.prefill_s;
  json["prefill_tokens_per_second"] = per_second(row.prefill_tokens, row.prefill_s);
  json["decode_tokens_per_second"] = per_second(row.decode_tokens, row.decode_s);
  return json;
}

std::string json_report(const Engine& engine, const RecallArguments& arguments, const RecallReport& report) {
  nlohmann::ordered_json json;
  json["model"] = engine.info().path;
  json["split"] = arguments.split;
  json["seed"] = arguments.options.seed;
  json["rows"] = nlohmann::ordered_json::array();
  for (const RecallRow& row : report.rows) json["rows"].push_back(row_json(row));
  json["left_out"] = nlohmann::ordered_json::array();
  for (const RecallGap& gap : report.gaps) {
    json["left_out"].push_back({{"task", gap.task},
                                {"language", gap.language},
                                {"length", gap.length},
                                {"depth", depth_json(gap.depth)},
                                {"reason", gap.reason}});
  }
  json["cancelled"] = report.cancelled;
  return json_text(json);
}

std::string line_text(const std::string& task, const std::string& language, size_t length,
                      const RecallRow& sum) {
  const int contexts = std::max(sum.contexts, 1);
  return format("%-18s %-4s %8zu %8zu %8.1f %6d %10s %10.1f %10.1f\n", task.c_str(), language.c_str(), length,
                sum.prefill_tokens / static_cast<size_t>(contexts), percent(sum.correct, sum.questions),
                sum.questions, duration_text(sum.prefill_s / contexts).c_str(),
                per_second(sum.prefill_tokens, sum.prefill_s), per_second(sum.decode_tokens, sum.decode_s));
}

// By task and length, all depths together.
std::string length_table(const RecallOptions& options, const RecallReport& report) {
  std::string text = format("%-18s %-4s %8s %8s %8s %6s %10s %10s %10s\n", "task", "lang", "length", "tokens",
                            "exact %", "n", "prefill", "tok/s", "decode/s");
  for (const size_t length : options.lengths) {
    int lines = 0;
    for (const std::string& task : options.tasks) {
      for (const std::string& language : options.languages) {
        const RecallRow sum = sum_of(report, [&](const RecallRow& row) {
          return row.task == task && row.language == language && row.length == length;
        });
        if (sum.questions == 0) continue;
        ++lines;
        text += line_text(task, language, length, sum);
      }
    }
    const RecallRow all = sum_of(report, [&](const RecallRow& row) { return row.length == length; });
    if (lines > 1) text += line_text("all", "", length, all);
  }
  return text;
}

// Of one task, in one language: exact % by length and depth.
std::string depth_table(const RecallOptions& options, const RecallReport& report, const std::string& task,
                        const std::string& language) {
  std::string lines;
  for (const size_t length : options.lengths) {
    std::string line = format("%8zu", length);
    int questions = 0;
    for (const double depth : options.depths) {
      const RecallRow sum = sum_of(report, [&](const RecallRow& row) {
        return row.task == task && row.language == language && row.length == length && row.depth == depth;
      });
      questions += sum.questions;
      line += sum.questions > 0 ? format(" %7.1f", percent(sum.correct, sum.questions)) : format(" %7s", "-");
    }
    if (questions > 0) lines += line + "\n";
  }
  if (lines.empty()) return "";
  std::string head = format("\n%s %s: exact %% by length and depth\n%8s", task.c_str(), language.c_str(), "");
  for (const double depth : options.depths) head += format(" %7s", depth_text(depth).c_str());
  return head + "\n" + lines;
}

std::string text_report(const RecallOptions& options, const RecallReport& report) {
  std::string text = length_table(options, report);
  if (options.depths.size() < 2) return text;
  for (const std::string& task : options.tasks) {
    for (const std::string& language : options.languages) {
      text += depth_table(options, report, task, language);
    }
  }
  return text;
}

std::string gap_text(const RecallGap& gap) {
  std::string what = format("%zu tokens", gap.length);
  if (!gap.task.empty()) what = gap.task + " " + gap.language + ", " + what;
  if (gap.depth >= 0) what += " at depth " + depth_text(gap.depth);
  return "left out: " + what + ": " + gap.reason;
}

std::string work_text(const RecallWork& work) {
  std::string text = format("context %d of %d: %s %s, %zu tokens", work.context, work.contexts,
                            std::string(work.task).c_str(), std::string(work.language).c_str(), work.length);
  if (work.depth >= 0) text += " at depth " + depth_text(work.depth);
  if (work.tokens_all > 0) text += format(", read %zu of %zu", work.tokens, work.tokens_all);
  return text + format("; %d of %d exact so far", work.correct, work.questions);
}

// Questions and answers, a line of JSON each, for looking at failures. What the file held before is kept
// until there is something to write.
class SampleFile {
 public:
  // An empty path: none.
  explicit SampleFile(const std::string& path) : path_(path) {
    if (!path.empty()) file_.reset(std::fopen(path.c_str(), "ab"));
    ok_ = path.empty() || file_ != nullptr;
    if (!ok_) error_ = std::strerror(errno);
  }
  bool ok() const { return ok_; }
  Error error() const { return {path_ + ": " + error_}; }

  // Written at once: what was measured stays, whatever happens later.
  void write(const RecallAnswer& answer) {
    if (!file_ || !ok_) return;
    if (!std::exchange(started_, true)) file_.reset(std::freopen(path_.c_str(), "wb", file_.release()));
    nlohmann::ordered_json json;
    json["task"] = answer.task;
    json["language"] = answer.language;
    json["form"] = answer.form;
    json["length"] = answer.length;
    json["depth"] = depth_json(answer.depth);
    json["sample"] = answer.sample;
    json["question_index"] = answer.question_index;
    json["context_tokens"] = answer.context_tokens;
    json["evidence_depth"] = depth_json(answer.evidence_depth);
    json["question"] = answer.question;
    json["expected"] = answer.expected;
    json["given"] = answer.given;
    json["stop"] = stop_name(answer.stop);
    json["correct"] = answer.correct;
    const std::string line = json_text(json, -1);
    ok_ = file_ && std::fwrite(line.data(), 1, line.size(), file_.get()) == line.size() &&
          std::fflush(file_.get()) == 0;
    if (!ok_) error_ = std::strerror(errno);
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string path_, error_;
  std::unique_ptr<std::FILE, Close> file_;
  bool ok_ = true;
  bool started_ = false;
};

void settle(RecallArguments& arguments) {
  RecallOptions& options = arguments.options;
  options.held_out = arguments.split == "held-out";
  if (std::find(options.tasks.begin(), options.tasks.end(), "all") != options.tasks.end()) {
    options.tasks.assign(recall_tasks().begin(), recall_tasks().end());
  }
  options.languages = {arguments.language};
  if (arguments.language == "both") options.languages = {"en", "zh"};
  options.depths.clear();
  for (const std::string& depth : arguments.depths) options.depths.push_back(*parse_depth(depth));
}

int eval_recall(RecallArguments& arguments) {
  settle(arguments);
  auto engine = open_engine(arguments.model);
  if (!engine) return fail(engine.error());
  SampleFile samples(arguments.samples_out);
  if (!samples.ok()) return fail(samples.error());

  const Interrupt interrupt;
  LongProgress progress;
  RecallEvents events;
  events.cancelled = [&] { return interrupt.asked() || !samples.ok(); };
  events.on_answer = [&](const RecallAnswer& answer) { samples.write(answer); };
  std::set<std::string> said;  // what holds for a task as a whole is said for its first cell
  events.on_gap = [&](const RecallGap& gap) {
    progress.clear();
    if (said.insert(gap.task + ": " + gap.reason).second) note(gap_text(gap));
  };
  events.on_work = [&](const RecallWork& work) {
    if (progress.due()) progress.show(work_text(work));
  };
  auto report = recall(**engine, arguments.options, events);
  progress.clear();
  if (!report) return fail(report.error());
  if (interrupt.asked()) note("interrupted: what was measured until then");
  Output output;
  if (arguments.json) {
    output.write(json_report(**engine, arguments, *report));
  } else if (!report->rows.empty()) {
    output.write(text_report(arguments.options, *report));
  }
  if (!output.ok()) return fail(output.error());
  if (!samples.ok()) return fail(samples.error());
  return report->rows.empty() && !report->cancelled ? kFailed : kDone;
}

}  // namespace

void add_eval_recall(CLI::App& verb, int& status) {
  auto arguments = std::make_shared<RecallArguments>();
  RecallOptions& options = arguments->options;
  CLI::App& kind = *verb.add_subcommand("recall", "what a model finds, quotes and extracts in long contexts");
  add_model_options(kind, arguments->model);
  kind.add_option("--lengths", options.lengths, "tokens of a context with its first question, with commas")
      ->delimiter(',')
      ->check(CLI::Range(size_t{16}, size_t{1} << 30))
      ->capture_default_str();
  kind.add_option("--depths", arguments->depths,
                  "where the answers lie, from 0 (the beginning) to 1 (the end), with commas; any: anywhere")
      ->delimiter(',')
      ->check(CLI::Validator(check_depth, "DEPTH"))
      ->capture_default_str();
  kind.add_option("--tasks", options.tasks, "tasks, with commas; all; a wrong one lists them")
      ->delimiter(',')
      ->check(CLI::Validator(check_task, "TASK"))
      ->capture_default_str();
  kind.add_option("--questions", options.questions, "questions of a context, one after the other")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  kind.add_option("--samples", options.samples, "contexts of each task, language, length and depth")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  kind.add_option("--language", arguments->language, "of questions and contexts")
      ->check(CLI::IsMember({"en", "zh", "both"}))
      ->capture_default_str();
  kind.add_option("--split", arguments->split,
                  "held-out: wordings, formats and words that no training sample has; or train")
      ->check(CLI::IsMember({"held-out", "train"}))
      ->capture_default_str();
  kind.add_option("--text", options.text_paths,
                  "file or folder of text that contexts are made of; repeatable; built-in sentences if not "
                  "given")
      ->allow_extra_args(false);
  kind.add_option("--seed", options.seed, "same seed, same samples")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  kind.add_option("--samples-out", arguments->samples_out,
                  "file for every question with its expected and given answer, a line of JSON each");
  kind.add_flag("--json", arguments->json, "as JSON");
  kind.callback([arguments, &status] { status = eval_recall(*arguments); });
}

}  // namespace mneme::cli
