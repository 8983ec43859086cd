#include "tasks/ruler.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "tasks/haystack.h"
#include "tasks/ruler_draft.h"
#include "tasks/values.h"

namespace mneme::tasks {
namespace {

struct TaskRow {
  RulerTask task;
  std::string_view name;
  int tokens_max;
  void (*make)(RulerDraft&);
};

constexpr int kNeedleTokens = 128;

constexpr TaskRow kRows[] = {
    {RulerTask::kNiahSingle1, "niah_single_1", kNeedleTokens, make_ruler_niah},
    {RulerTask::kNiahSingle2, "niah_single_2", kNeedleTokens, make_ruler_niah},
    {RulerTask::kNiahSingle3, "niah_single_3", kNeedleTokens, make_ruler_niah},
    {RulerTask::kNiahMultikey1, "niah_multikey_1", kNeedleTokens, make_ruler_niah},
    {RulerTask::kNiahMultikey2, "niah_multikey_2", kNeedleTokens, make_ruler_niah},
    {RulerTask::kNiahMultikey3, "niah_multikey_3", kNeedleTokens, make_ruler_niah},
    {RulerTask::kNiahMultivalue, "niah_multivalue", kNeedleTokens, make_ruler_niah},
    {RulerTask::kNiahMultiquery, "niah_multiquery", kNeedleTokens, make_ruler_niah},
    {RulerTask::kVariableTracking, "vt", 30, make_ruler_variables},
    {RulerTask::kCommonWords, "cwe", 120, make_ruler_common_words},
    {RulerTask::kFrequentWords, "fwe", 50, make_ruler_frequent_words},
};

constexpr auto kTasks = [] {
  std::array<RulerTask, std::size(kRows)> tasks{};
  for (size_t i = 0; i < tasks.size(); ++i) tasks[i] = kRows[i].task;
  return tasks;
}();

const TaskRow& row_of(RulerTask task) {
  const auto found = std::find_if(std::begin(kRows), std::end(kRows),
                                  [&](auto& row) { return row.task == task; });
  MNEME_CHECK(found != std::end(kRows), "task {}", static_cast<int>(task));
  return *found;
}

bool is_repeated(RulerTask task) {
  return task == RulerTask::kNiahSingle1 || task == RulerTask::kVariableTracking;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

}  // namespace

std::string fresh_ruler_word(Draft& draft) {
  // Two words make some 3,000 names; three make more than any context holds.
  constexpr size_t kTwoWordsEnough = 1200;
  return fresh(draft, [&] {
    const std::string_view joint = draft.english() ? "-" : "";
    std::string text = word(draft, WordClass::kAdjective);
    if (draft.used.size() > kTwoWordsEnough) (text += joint) += word(draft, WordClass::kNoun);
    return (text += joint) += word(draft, WordClass::kNoun);
  });
}

RulerSample generate_ruler(RulerTask task, const RulerRequest& request, const TextSource& source,
                           core::Rng& rng) {
  Request common;
  common.split = Split::kHeldOut;
  common.language = request.language;
  common.context_bytes = request.context_bytes;
  Draft draft{common, is_repeated(task) ? repeated_sentences() : source, rng, {}, {}};
  draft.sample.context.reserve(request.context_bytes);
  RulerDraft ruler{task, request, draft};
  row_of(task).make(ruler);
  return {std::move(draft.sample.context), std::move(ruler.questions)};
}

double ruler_score(std::span<const std::string> expected, std::string_view output) {
  const std::string given = lower(output);
  const auto found = std::count_if(expected.begin(), expected.end(), [&](const std::string& one) {
    return given.find(lower(one)) != std::string::npos;
  });
  return expected.empty() ? 0 : static_cast<double>(found) / static_cast<double>(expected.size());
}

std::span<const RulerTask> all_ruler_tasks() { return kTasks; }
std::string_view name(RulerTask task) { return row_of(task).name; }
bool has_depth(RulerTask task) { return row_of(task).make == make_ruler_niah; }
int answer_tokens_max(RulerTask task) { return row_of(task).tokens_max; }

std::optional<RulerTask> parse_ruler_task(std::string_view name) {
  for (const TaskRow& row : kRows) {
    if (row.name == name) return row.task;
  }
  return std::nullopt;
}

}  // namespace mneme::tasks
