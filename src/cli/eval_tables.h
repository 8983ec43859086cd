// Answers as tables for a person, and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "mneme/eval.h"

namespace mneme::cli {

std::string depth_text(double depth);

// By task and length, all depths together; then, where several depths were asked for, by length and depth.
// With has_parts the score, which is not all or nothing, beside the share of wholly correct answers.
std::string answers_text(const EvalGrid& grid, const EvalReport& report, bool has_parts);
nlohmann::ordered_json answers_json(const EvalReport& report);  // rows, left_out, cancelled

std::string comparison_text(std::span<const EvalDifference> rows, uint64_t seed);
nlohmann::ordered_json comparison_json(std::span<const EvalDifference> rows);

}  // namespace mneme::cli
