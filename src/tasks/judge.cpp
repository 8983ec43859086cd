#include <set>

#include "tasks/json.h"
#include "tasks/tasks.h"
#include "tasks/utf8.h"

namespace mneme::tasks {
namespace {

// Names between commas, blanks and their Chinese kin.
std::set<std::string_view> names_of(std::string_view text) {
  constexpr std::string_view kSeparators[] = {",", " ", "\n", "\t", "\r", "，", "、"};
  std::set<std::string_view> names;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    size_t separator = 0;
    for (const std::string_view one : kSeparators) {
      if (text.substr(at, one.size()) == one) separator = one.size();
    }
    if (separator == 0) {
      ++at;
      continue;
    }
    if (at > begin) names.insert(text.substr(begin, at - begin));
    at += separator;
    begin = at;
  }
  if (begin < text.size()) names.insert(text.substr(begin));
  return names;
}

bool same_json(std::string_view expected, std::string_view output) {
  const auto canonical = canonical_json(output);
  return canonical && canonical == canonical_json(expected);
}

}  // namespace

bool correct(const Sample& sample, size_t turn, std::string_view output) {
  if (turn >= sample.turns.size() || sample.turns[turn].role != Role::kAssistant) return false;
  const std::string_view expected = sample.turns[turn].text;
  // No stop token ends a continuation: what goes on beyond the asked bytes is not wrong. Its blanks count.
  if (sample.layout == Layout::kContinuation) return output.substr(0, expected.size()) == expected;
  const std::string_view given = trimmed(output);
  switch (sample.task) {
    case TaskKind::kVariableTracking:
    case TaskKind::kSeveral:
    case TaskKind::kFrequentWords: return names_of(given) == names_of(expected);
    case TaskKind::kExtraction:
    case TaskKind::kToolCall: return same_json(expected, given);
    default: return given == trimmed(expected);
  }
}

std::optional<bool> has_right_keys(const Sample& sample, size_t turn, std::string_view output) {
  if (sample.task != TaskKind::kExtraction && sample.task != TaskKind::kToolCall) return std::nullopt;
  if (turn >= sample.turns.size()) return false;
  const auto shape = json_shape(trimmed(output));
  return shape && shape == json_shape(sample.turns[turn].text);
}

}  // namespace mneme::tasks
