// passkey and multi_needle: a key and its value in one sentence, in noise.
#include <string>
#include <vector>

#include "tasks/haystack.h"
#include "tasks/recital.h"
#include "tasks/values.h"
#include "tasks/wordings.h"

namespace mneme::tasks {
namespace {

struct Needle {
  std::string key;
  std::string value;
  std::string_view type;  // "number"
};

// One that says its value first where the request has a share of those.
std::string record_wording(Draft& draft) {
  return draft.of_some_order(
      [&] { return any_wording(draft, Slot::kNeedleRecord); },
      [](const std::string& wording) { return wording.find("{value}") < wording.find("{key}"); });
}

std::string sentence(std::string_view wording, const Needle& needle) {
  return fill(wording, {{"type", needle.type}, {"key", needle.key}, {"value", needle.value}});
}

// Keys are made so that no text has them by chance; in a sentence or two a plain word or a name will do, as
// people ask who try a model out.
std::string needle_key(Draft& draft) {
  constexpr size_t kLittleText = 400;  // bytes
  if (draft.makes_up(draft.request.context_bytes < kLittleText ? 0.8f : 0.15f)) return plain_key(draft);
  return fresh_key(draft, draft.chance(0.7f) ? ValueKind::kWords : any_key_kind(draft));
}

// Which of held-out's wordings, for tables of results: "sentence3h"; train has no end of them.
std::string form_of(std::string_view stem, const Draft& draft, std::string_view wording) {
  if (draft.train()) return std::string(stem);
  const auto all = wordings(Slot::kNeedleRecord, draft.request.language, draft.request.split);
  size_t index = 0;
  while (index + 1 < all.size() && all[index] != wording) ++index;
  return std::string(stem) + std::to_string(index) + "h";
}

// No more needles than could have room.
size_t needles_at_most(const Draft& draft, size_t wanted) {
  return std::min(wanted, draft.request.context_bytes / 24 + 1);
}

void ask_for(Draft& draft, const Needle& needle, const Record& record) {
  const std::string wording = any_wording(draft, Slot::kNeedleQuestion);
  draft.ask(sentence(wording, needle), needle.value, record.range,
            recital(record.text, needle.key, needle.value));
}

}  // namespace

void make_passkey(Draft& draft) {
  std::vector<Needle> needles;
  std::vector<Record> records;
  const std::string first_wording = record_wording(draft);
  const size_t count = needles_at_most(draft, draft.questions());
  for (size_t i = 0; i < count; ++i) {
    const ValueKind kind = any_value_kind(draft);
    const std::string key = needle_key(draft);
    needles.push_back({key, fresh_value(draft, kind), noun_for(kind, draft.request.language)});
    const std::string wording = i == 0 ? first_wording : record_wording(draft);
    records.push_back({sentence(wording, needles.back()), true});
  }
  draft.sample.form = form_of("sentence", draft, first_wording);
  bury(draft, records, {.before = any_preamble(draft), .own_lines = draft.chance(0.3f)});
  for (size_t i = 0; i < count; ++i) {
    if (records[i].kept) ask_for(draft, needles[i], records[i]);
  }
}

void make_multi_needle(Draft& draft) {
  // One wording for all, so that only the key tells them apart.
  const std::string wording = record_wording(draft);
  const ValueKind kind = any_value_kind(draft);
  const ValueKind key_kind = any_key_kind(draft);
  const std::string_view type = noun_for(kind, draft.request.language);
  const size_t negatives = draft.between(1, 3);
  const size_t count = needles_at_most(draft, draft.questions());
  std::vector<Needle> needles;
  std::vector<Record> records;
  for (size_t i = 0; i < count; ++i) {
    const std::string key = fresh_key(draft, key_kind);
    for (size_t k = 0; k <= negatives; ++k) {
      const std::string own = k == 0 ? key : fresh_neighbour(draft, key);
      needles.push_back({own, fresh_value(draft, kind), type});
      records.push_back({sentence(wording, needles.back()), k == 0});
    }
  }
  draft.sample.form = form_of("sentence", draft, wording);
  bury(draft, records, {.before = any_preamble(draft), .own_lines = draft.chance(0.5f)});
  for (size_t i = 0; i < needles.size(); ++i) {
    if (records[i].asked && records[i].kept) ask_for(draft, needles[i], records[i]);
  }
}

}  // namespace mneme::tasks
