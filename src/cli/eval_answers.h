// What `eval recall` and `eval ruler` have in common: the grid's flags, one run or two over the same samples,
// the file of answers, reports.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/eval.h"
#include "cli/options.h"
#include "mneme/eval.h"

namespace mneme::cli {

struct AnswersArguments {
  ModelArguments model;
  AgainstArguments against;
  std::vector<std::string> depths{"any"};
  std::string language = "en";
  std::string out, plot;
  bool json = false;
};

// A kind of evaluation, once its flags are known.
struct AnswersKind {
  std::string name;  // "recall"
  std::span<const std::string_view> tasks;
  bool has_parts = false;          // scores between 0 and 1
  nlohmann::ordered_json options;  // beside the grid's: what changes the samples or how they are put
  std::function<Result<EvalReport>(Engine&, const EvalEvents&)> run;
};

// `tasks` are those the kind knows.
void add_answers_options(CLI::App& kind, AnswersArguments& arguments, EvalGrid& grid,
                         std::span<const std::string_view> tasks);
// Flags whose words are not the grid's: tasks (all), languages (both), depths (any).
void settle_grid(const AnswersArguments& arguments, std::span<const std::string_view> tasks, EvalGrid& grid);
// The exit status.
int eval_answers(const AnswersArguments& arguments, const EvalGrid& grid, const AnswersKind& kind);

}  // namespace mneme::cli
