// several: all values that a text has for one key, or those of several keys.
#include <string>
#include <vector>

#include "tasks/haystack.h"
#include "tasks/recital.h"
#include "tasks/values.h"
#include "tasks/wordings.h"

namespace mneme::tasks {
namespace {

constexpr size_t kPartsMax = 4;  // values of an answer

struct Part {
  std::string key, value;
  size_t record;
};

// What one question asks for: the parts of a key, or of keys in the question's order.
struct Several {
  std::vector<Part> parts;
  bool of_one_key;
};

// "a, b and c", "a、b和c".
std::string keys_text(Draft& draft, const std::vector<Part>& parts) {
  const std::string_view between = draft.english() ? ", " : "、";
  const std::string_view last = !draft.english() ? "和" : draft.chance(0.5f) ? ", and " : " and ";
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += i + 1 == parts.size() ? last : between;
    text += parts[i].key;
  }
  return text;
}

// The records' sentences, each said from its key on, and their values.
void ask_for(Draft& draft, Several several, std::string_view type, const std::vector<Record>& records) {
  std::erase_if(several.parts, [&](const Part& part) { return !records[part.record].kept; });
  if (several.parts.size() < 2) return;
  if (several.of_one_key) {  // as they come in the text
    std::sort(several.parts.begin(), several.parts.end(), [&](const Part& a, const Part& b) {
      return records[a.record].range.begin < records[b.record].range.begin;
    });
  }
  std::string answer, told;
  for (const Part& part : several.parts) {
    answer += (answer.empty() ? "" : draft.english() ? ", " : "，") + part.value;
    told += (told.empty() ? "" : "\n") + recital(records[part.record].text, part.key, part.value);
  }
  const Slot slot = several.of_one_key ? Slot::kAllValuesQuestion : Slot::kSeveralKeysQuestion;
  const std::string question = fill(
      any_wording(draft, slot),
      {{"type", type}, {"key", several.parts[0].key}, {"keys", keys_text(draft, several.parts)}});
  draft.ask(question, answer, records[several.parts[0].record].range, told);
}

}  // namespace

void make_several(Draft& draft) {
  const std::string wording = any_wording(draft, Slot::kNeedleRecord);
  const ValueKind kind = any_value_kind(draft), key_kind = any_key_kind(draft);
  const std::string_view type = noun_for(kind, draft.request.language);
  std::vector<Record> records;
  const auto add = [&](const std::string& key) {
    Part part{key, fresh_value(draft, kind), records.size()};
    records.push_back({fill(wording, {{"type", type}, {"key", key}, {"value", part.value}}), true});
    return part;
  };
  std::vector<Several> all;
  const size_t room = draft.request.context_bytes / 40 + 2;  // no more records than could have room
  const bool of_one_key = draft.chance(0.5f);
  draft.sample.form = of_one_key ? "values" : "keys";
  while (all.size() < draft.questions() && records.size() < room) {
    Several several{{}, of_one_key};
    std::string key = fresh_key(draft, key_kind);
    for (size_t left = draft.between(2, kPartsMax); left > 0; --left) {
      several.parts.push_back(add(key));
      if (!of_one_key) key = fresh_key(draft, key_kind);
    }
    // A record that is easily taken for one of them.
    add(fresh_neighbour(draft, several.parts[0].key));
    all.push_back(std::move(several));
  }
  bury(draft, records, {.before = any_preamble(draft), .own_lines = draft.chance(0.5f)});
  for (const Several& several : all) ask_for(draft, several, type, records);
}

}  // namespace mneme::tasks
