#include "tasks/wordings.h"

#include <array>

#include "core/error.h"
#include "tasks/open.h"
#include "tasks/values.h"

namespace mneme::tasks {
namespace {

// Of train's wordings: those made of words that mean nothing, those with a word replaced, and the questions
// with a sentence in front.
constexpr float kOpenShare = 0.35f;
constexpr float kBlurredShare = 0.2f;
constexpr float kPrefaceShare = 0.1f;

// A record's key or value is all that the question needs: whatever else it says, the other one is meant.
bool means_little(Slot slot) {
  return slot == Slot::kNeedleRecord || slot == Slot::kNeedleQuestion || slot == Slot::kValueQuestion ||
         slot == Slot::kKeyQuestion || slot == Slot::kProseRecord;
}

bool is_question(Slot slot) {
  switch (slot) {
    case Slot::kPreamble:
    case Slot::kNeedleRecord:
    case Slot::kProseRecord:
    case Slot::kToolPreamble:
    case Slot::kToolArgument:
    case Slot::kSvgRecord:
    case Slot::kSvgCircle:
    case Slot::kSvgRect:
    case Slot::kSvgLine: return false;
    default: return true;
  }
}

// Nothing where the slot needs words that mean something.
std::string open_wording(Draft& draft, Slot slot) {
  switch (slot) {
    case Slot::kPreamble: return text_clause(draft, draft.between(2, 9)) + (draft.english() ? ":" : "：");
    case Slot::kNeedleRecord:
    case Slot::kProseRecord: return open_record(draft);
    case Slot::kNeedleQuestion:
    case Slot::kValueQuestion: return open_question(draft, "key");
    case Slot::kKeyQuestion: return open_question(draft, "value");
    default: return {};
  }
}

using Table = std::array<const Wordings*, kSlots>;

Table table_of(std::initializer_list<const std::vector<Wordings>*> lists) {
  Table table{};
  for (const auto* written : lists) {
    for (const Wordings& one : *written) table[static_cast<size_t>(one.slot)] = &one;
  }
  return table;
}

}  // namespace

std::span<const std::string_view> wordings(Slot slot, Language language, Split split) {
  static const Table english = table_of({&wordings_written_english(), &more_wordings_english()});
  static const Table chinese = table_of({&wordings_written_chinese()});
  const Wordings* one = (language == Language::kEnglish ? english : chinese)[static_cast<size_t>(slot)];
  MNEME_CHECK(one != nullptr, "slot {}", static_cast<int>(slot));
  return split == Split::kTrain ? one->train : one->held_out;
}

std::string any_wording(Draft& draft, Slot slot) {
  const std::string_view pattern = draft.any_of(wordings(slot, draft.request.language, draft.request.split));
  if (!draft.train()) return expand(draft, pattern);
  const float way = draft.rng.next_unit();
  const auto variety = static_cast<float>(draft.request.variety);
  if (way < kOpenShare * variety) {
    const std::string open = open_wording(draft, slot);
    if (!open.empty()) return open;
  }
  std::string wording = expand(draft, pattern);
  if (means_little(slot) && way > 1 - kBlurredShare * variety) wording = blurred(draft, std::move(wording));
  if (is_question(slot) && draft.chance(kPrefaceShare * variety)) {
    const std::string preface = capitalised(text_clause(draft, draft.between(2, 7)));
    wording = preface + (draft.english() ? ". " : "。") + wording;
  }
  return wording;
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
