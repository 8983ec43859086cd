#include "cli/eval_tables.h"

#include <algorithm>

#include "cli/report.h"
#include "cli/terminal.h"

namespace mneme::cli {

using Json = nlohmann::ordered_json;

namespace {

Json depth_json(double depth) { return depth < 0 ? Json(nullptr) : Json(depth); }

double percent(double part, int all) { return all > 0 ? 100.0 * part / all : 0; }

std::string interval_text(const Interval& interval) {
  return format("%.1f..%.1f", 100 * interval.low, 100 * interval.high);
}

// The rows that `wanted` says yes to, as one.
template <class Wanted>
EvalRow sum_of(const EvalReport& report, Wanted wanted) {
  EvalRow sum;
  for (const EvalRow& row : report.rows) {
    if (!wanted(row)) continue;
    sum.contexts += row.contexts;
    sum.questions += row.questions;
    sum.correct += row.correct;
    sum.json_asked += row.json_asked;
    sum.right_keys += row.right_keys;
    sum.score += row.score;
    sum.prefill_tokens += row.prefill_tokens;
    sum.prefill_s += row.prefill_s;
    sum.decode_tokens += row.decode_tokens;
    sum.decode_s += row.decode_s;
  }
  return sum;
}

Json row_json(const EvalRow& row) {
  const Interval interval = share_interval(row.score, static_cast<size_t>(row.questions));
  Json json;
  json["task"] = row.task;
  json["language"] = row.language;
  json["form"] = row.form;
  json["length"] = row.length;
  json["depth"] = depth_json(row.depth);
  json["contexts"] = row.contexts;
  json["questions"] = row.questions;
  json["correct"] = row.correct;
  if (row.json_asked > 0) json["json_asked"] = row.json_asked, json["right_keys"] = row.right_keys;
  json["score"] = row.questions > 0 ? row.score / row.questions : 0;
  json["score_low"] = interval.low;
  json["score_high"] = interval.high;
  json["prefill_tokens"] = row.prefill_tokens;
  json["prefill_seconds"] = row.prefill_s;
  json["prefill_tokens_per_second"] = per_second(row.prefill_tokens, row.prefill_s);
  json["decode_tokens_per_second"] = per_second(row.decode_tokens, row.decode_s);
  return json;
}

std::string head_text(bool has_parts) {
  std::string text = format("%-18s %-4s %8s %8s ", "task", "lang", "length", "tokens");
  if (has_parts) text += format("%8s ", "score %");
  return text + format("%8s %13s %6s %10s %10s %10s\n", "exact %", has_parts ? "score 95 %" : "95 %", "n",
                       "prefill", "tok/s", "decode/s");
}

std::string line_text(const std::string& task, const std::string& language, size_t length, const EvalRow& sum,
                      bool has_parts) {
  const int contexts = std::max(sum.contexts, 1);
  std::string text = format("%-18s %-4s %8zu %8zu ", task.c_str(), language.c_str(), length,
                            sum.prefill_tokens / static_cast<size_t>(contexts));
  if (has_parts) text += format("%8.1f ", percent(sum.score, sum.questions));
  const Interval interval = share_interval(sum.score, static_cast<size_t>(sum.questions));
  return text + format("%8.1f %13s %6d %10s %10.1f %10.1f\n", percent(sum.correct, sum.questions),
                       interval_text(interval).c_str(), sum.questions,
                       duration_text(sum.prefill_s / contexts).c_str(),
                       per_second(sum.prefill_tokens, sum.prefill_s),
                       per_second(sum.decode_tokens, sum.decode_s));
}

std::string length_table(const EvalGrid& grid, const EvalReport& report, bool has_parts) {
  std::string text = head_text(has_parts);
  for (const size_t length : grid.lengths) {
    int lines = 0;
    for (const std::string& task : grid.tasks) {
      for (const std::string& language : grid.languages) {
        const EvalRow sum = sum_of(report, [&](const EvalRow& row) {
          return row.task == task && row.language == language && row.length == length;
        });
        if (sum.questions == 0) continue;
        ++lines;
        text += line_text(task, language, length, sum, has_parts);
      }
    }
    const EvalRow all = sum_of(report, [&](const EvalRow& row) { return row.length == length; });
    if (lines > 1) text += line_text("all", "", length, all, has_parts);
  }
  return text;
}

// Of one task, in one language.
std::string depth_table(const EvalGrid& grid, const EvalReport& report, const std::string& task,
                        const std::string& language, bool has_parts) {
  std::string lines;
  for (const size_t length : grid.lengths) {
    std::string line = format("%8zu", length);
    int questions = 0;
    for (const double depth : grid.depths) {
      const EvalRow sum = sum_of(report, [&](const EvalRow& row) {
        return row.task == task && row.language == language && row.length == length && row.depth == depth;
      });
      questions += sum.questions;
      line += sum.questions > 0 ? format(" %7.1f", percent(sum.score, sum.questions)) : format(" %7s", "-");
    }
    if (questions > 0) lines += line + "\n";
  }
  if (lines.empty()) return "";
  std::string head = format("\n%s %s: %s %% by length and depth\n%8s", task.c_str(), language.c_str(),
                            has_parts ? "score" : "exact", "");
  for (const double depth : grid.depths) head += format(" %7s", depth_text(depth).c_str());
  return head + "\n" + lines;
}

// Of tasks that ask for JSON, by length: how much of it can be read at all.
std::string keys_text(const EvalGrid& grid, const EvalReport& report) {
  std::string text;
  for (const size_t length : grid.lengths) {
    const EvalRow sum = sum_of(report, [&](const EvalRow& row) { return row.length == length; });
    if (sum.json_asked == 0) continue;
    const Interval interval = share_interval(sum.right_keys, static_cast<size_t>(sum.json_asked));
    text += format(
        "%zu tokens: %d of %d answers that are to be JSON are valid and have the asked keys (%.1f %%, "
        "%s)\n",
        length, sum.right_keys, sum.json_asked, percent(sum.right_keys, sum.json_asked),
        interval_text(interval).c_str());
  }
  return text;
}

}  // namespace

std::string depth_text(double depth) { return depth < 0 ? "any" : format("%.4g", depth); }

std::string answers_text(const EvalGrid& grid, const EvalReport& report, bool has_parts) {
  std::string text = length_table(grid, report, has_parts) + keys_text(grid, report);
  if (grid.depths.size() < 2) return text;
  for (const std::string& task : grid.tasks) {
    for (const std::string& language : grid.languages)
      text += depth_table(grid, report, task, language, has_parts);
  }
  return text;
}

Json answers_json(const EvalReport& report) {
  Json json;
  json["rows"] = Json::array();
  for (const EvalRow& row : report.rows) json["rows"].push_back(row_json(row));
  json["left_out"] = Json::array();
  for (const EvalGap& gap : report.gaps) {
    json["left_out"].push_back({{"task", gap.task},
                                {"language", gap.language},
                                {"length", gap.length},
                                {"depth", depth_json(gap.depth)},
                                {"reason", gap.reason}});
  }
  json["cancelled"] = report.cancelled;
  return json;
}

std::string comparison_text(std::span<const EvalDifference> rows, uint64_t seed) {
  std::string text = format("%-18s %-4s %8s %6s %8s %7s %7s %7s %15s %7s %7s %8s\n", "task", "lang", "length",
                            "n", "contexts", "A %", "B %", "B - A", "95 %", "only A", "only B", "p");
  for (const EvalDifference& row : rows) {
    const std::string interval = format("%+.2f..%+.2f", 100 * row.interval.low, 100 * row.interval.high);
    text += format("%-18s %-4s %8s %6zu %8zu %7.2f %7.2f %+7.2f %15s %7zu %7zu %8.4f\n",
                   row.task.empty() ? "all" : row.task.c_str(), row.language.c_str(),
                   row.length == 0 ? "all" : format("%zu", row.length).c_str(), row.answers, row.contexts,
                   100 * row.score_a, 100 * row.score_b, 100 * row.difference, interval.c_str(), row.only_a,
                   row.only_b, row.mcnemar_p);
  }
  return text + format(
                    "B - A in points. 95 %%: paired bootstrap over contexts, 10,000 draws, seed %llu; "
                    "where no pair differs, Tango's score interval.\nonly A, only B: answers wholly "
                    "right in one alone; p: McNemar's exact test of these.\n",
                    static_cast<unsigned long long>(seed));
}

Json comparison_json(std::span<const EvalDifference> rows) {
  Json json = Json::array();
  for (const EvalDifference& row : rows) {
    json.push_back({{"task", row.task.empty() ? Json(nullptr) : Json(row.task)},
                    {"language", row.language.empty() ? Json(nullptr) : Json(row.language)},
                    {"length", row.length == 0 ? Json(nullptr) : Json(row.length)},
                    {"answers", row.answers},
                    {"contexts", row.contexts},
                    {"score_a", row.score_a},
                    {"score_b", row.score_b},
                    {"difference", row.difference},
                    {"low", row.interval.low},
                    {"high", row.interval.high},
                    {"only_a", row.only_a},
                    {"only_b", row.only_b},
                    {"mcnemar_p", row.mcnemar_p}});
  }
  return json;
}

}  // namespace mneme::cli
