// paraphrase: records whose questions use other words, among records of the same subject and of the same
// relation.
#include <string>
#include <vector>

#include "tasks/haystack.h"
#include "tasks/open.h"
#include "tasks/recital.h"
#include "tasks/relations.h"
#include "tasks/values.h"

namespace mneme::tasks {

std::span<const Relation> relations(Language language, Split split) {
  return language == Language::kEnglish ? relations_english(split) : relations_chinese(split);
}

namespace {

constexpr float kGappedShare = 0.2f;  // of train's questions

struct Fact {
  const Relation* relation;
  std::string subject;
  std::string value;
  std::string wording;  // of its record: {s} {v}
};

// Projects and people are fresh: a subject has one value for a relation.
std::string fresh_subject(Draft& draft, FieldType type) {
  if (type == FieldType::kPerson) return fresh_person(draft);
  return fresh(draft, [&] {
    std::string name = any_field(draft, type).text;
    // Not in Chinese, where the longer name would contain the shorter one's sentence.
    if (draft.english() && draft.chance(0.3f))
      name = capitalised(word(draft, WordClass::kAdjective)) + ' ' + name;
    return name;
  });
}

Record record_of(Draft& draft, Fact& fact, bool asked) {
  fact.wording = draft.of_some_order(
      [&] { return expand(draft, draft.any_of(fact.relation->records)); },
      [](const std::string& pattern) { return pattern.find("{v}") < pattern.find("{s}"); });
  return {fill(fact.wording, {{"s", fact.subject}, {"v", fact.value}}), asked};
}

// The record's own words with a gap for the value: "Ada Weber lives in what?".
std::string gapped(Draft& draft, const Fact& fact) {
  constexpr std::string_view kGaps[] = {"what", "which", "...", "___", "[?]", "what, exactly,"};
  constexpr std::string_view kChineseGaps[] = {"什么", "哪个", "……", "___", "（？）"};
  const std::string_view gap = draft.english() ? draft.any_of(kGaps) : draft.any_of(kChineseGaps);
  std::string question = fill(fact.wording, {{"s", fact.subject}, {"v", gap}});
  for (const std::string_view end : {".", "。"}) {
    if (question.ends_with(end)) question.resize(question.size() - end.size());
  }
  return question + (draft.english() ? "?" : "？");
}

std::string question_about(Draft& draft, const Fact& fact) {
  if (draft.makes_up(kGappedShare)) return gapped(draft, fact);
  return fill(expand(draft, draft.any_of(fact.relation->questions)), {{"s", fact.subject}});
}

// Another relation that has subjects of this type; the same one where there is no other.
const Relation& other_relation(Draft& draft, const Relation& relation) {
  const auto all = relations(draft.request.language, draft.request.split);
  for (int tries = 0; tries < 16; ++tries) {
    const Relation& other = draft.any_of(all);
    if (other.subject == relation.subject && other.id != relation.id) return other;
  }
  return relation;
}

}  // namespace

void make_paraphrase(Draft& draft) {
  const auto all = relations(draft.request.language, draft.request.split);
  std::vector<Fact> facts;
  std::vector<Record> records;
  const size_t count = std::min(draft.questions(), draft.request.context_bytes / 24 + 1);
  for (size_t i = 0; i < count; ++i) {
    const Relation& relation = draft.any_of(all);
    Fact fact{&relation, fresh_subject(draft, relation.subject), any_field(draft, relation.value).text, {}};
    const std::string subject = fact.subject;
    records.push_back(record_of(draft, fact, true));
    facts.push_back(std::move(fact));
    // The same relation of another subject, and another relation of the same subject.
    Fact twin{&relation, fresh_subject(draft, relation.subject), any_field(draft, relation.value).text, {}};
    records.push_back(record_of(draft, twin, false));
    facts.push_back(std::move(twin));
    const Relation& other = other_relation(draft, relation);
    if (&other == &relation) continue;
    Fact aside{&other, subject, any_field(draft, other.value).text, {}};
    records.push_back(record_of(draft, aside, false));
    facts.push_back(std::move(aside));
  }
  bury(draft, records, {.before = any_preamble(draft), .own_lines = draft.chance(0.3f)});
  for (size_t i = 0; i < records.size(); ++i) {
    if (!records[i].asked || !records[i].kept) continue;
    if (draft.sample.form.empty()) draft.sample.form = facts[i].relation->id;
    draft.ask(question_about(draft, facts[i]), facts[i].value, records[i].range,
              recital(records[i].text, facts[i].subject, facts[i].value));
  }
}

}  // namespace mneme::tasks
