#include "tasks/tasks.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "tasks/draft.h"

namespace mneme::tasks {
namespace {

struct TaskRow {
  TaskKind kind;
  std::string_view name;
  void (*make)(Draft&);
};

constexpr TaskRow kRows[] = {
    {TaskKind::kPasskey, "passkey", make_passkey},
    {TaskKind::kMultiNeedle, "multi_needle", make_multi_needle},
    {TaskKind::kKeyValue, "key_value", make_key_value},
    {TaskKind::kParaphrase, "paraphrase", make_paraphrase},
    {TaskKind::kQuoteLine, "quote_line", make_quote_line},
    {TaskKind::kCopy, "copy", make_copy},
    {TaskKind::kSymbolDefinition, "symbol_definition", make_symbol_definition},
    {TaskKind::kVariableTracking, "variable_tracking", make_variable_tracking},
    {TaskKind::kFrequentWords, "frequent_words", make_frequent_words},
    {TaskKind::kExtraction, "extraction", make_extraction},
    {TaskKind::kToolCall, "tool_call", make_tool_call},
    {TaskKind::kFillInMiddle, "fill_in_middle", make_fill_in_middle},
    {TaskKind::kSvg, "svg", make_svg},
    {TaskKind::kGrounded, "grounded", make_grounded},
    {TaskKind::kSeveral, "several", make_several},
};

constexpr auto kKinds = [] {
  std::array<TaskKind, std::size(kRows)> kinds{};
  for (size_t i = 0; i < kinds.size(); ++i) kinds[i] = kRows[i].kind;
  return kinds;
}();

const TaskRow& row_of(TaskKind task) {
  const auto found = std::find_if(std::begin(kRows), std::end(kRows),
                                  [&](auto& row) { return row.kind == task; });
  MNEME_CHECK(found != std::end(kRows), "task {}", static_cast<int>(task));
  return *found;
}

}  // namespace

Sample generate(TaskKind task, const Request& request, const TextSource& source, core::Rng& rng) {
  const TaskRow& row = row_of(task);
  Draft draft{request, source, rng, {}, {}};
  draft.sample.task = task;
  draft.sample.language = request.language;
  draft.sample.split = request.split;
  draft.sample.context.reserve(request.context_bytes);
  row.make(draft);
  return std::move(draft.sample);
}

std::span<const TaskKind> all_tasks() { return kKinds; }

std::string_view name(TaskKind task) { return row_of(task).name; }

std::optional<TaskKind> parse_task(std::string_view name) {
  for (const TaskRow& row : kRows) {
    if (row.name == name) return row.kind;
  }
  return std::nullopt;
}

std::string_view name(Language language) { return language == Language::kEnglish ? "en" : "zh"; }
std::string_view name(Split split) { return split == Split::kTrain ? "train" : "held_out"; }

}  // namespace mneme::tasks
