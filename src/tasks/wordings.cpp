#include "tasks/wordings.h"

#include <array>

#include "core/error.h"

namespace mneme::tasks {
namespace {

using Table = std::array<const Wordings*, kSlots>;

Table table_of(const std::vector<Wordings>& written) {
  Table table{};
  for (const Wordings& one : written) table[static_cast<size_t>(one.slot)] = &one;
  return table;
}

}  // namespace

std::span<const std::string_view> wordings(Slot slot, Language language, Split split) {
  static const Table english = table_of(wordings_written_english());
  static const Table chinese = table_of(wordings_written_chinese());
  const Wordings* one = (language == Language::kEnglish ? english : chinese)[static_cast<size_t>(slot)];
  MNEME_CHECK(one != nullptr, "slot {}", static_cast<int>(slot));
  return split == Split::kTrain ? one->train : one->held_out;
}

std::string_view any_wording(Draft& draft, Slot slot) {
  return draft.any_of(wordings(slot, draft.request.language, draft.request.split));
}

std::string fill(std::string_view wording, Fields fields) {
  std::string text;
  while (!wording.empty()) {
    const size_t open = wording.find('{');
    text += wording.substr(0, open);
    if (open == std::string_view::npos) break;
    wording.remove_prefix(open);
    const size_t close = wording.find('}');
    const std::string_view name = close == std::string_view::npos ? "" : wording.substr(1, close - 1);
    bool found = false;
    for (const auto& [field, value] : fields) {
      if (found || field != name) continue;
      text += value;
      found = true;
    }
    if (!found) text += '{';
    wording.remove_prefix(found ? close + 1 : 1);
  }
  return text;
}

}  // namespace mneme::tasks
