// extraction: a record in prose, asked for as JSON with given keys.
#include <string>
#include <vector>

#include "tasks/haystack.h"
#include "tasks/json.h"
#include "tasks/lines.h"
#include "tasks/open.h"
#include "tasks/recital.h"
#include "tasks/schemas.h"
#include "tasks/utf8.h"
#include "tasks/values.h"
#include "tasks/wordings.h"

namespace mneme::tasks {
namespace {

constexpr size_t kAnswerMax = 120;

struct Entity {
  const Schema* schema;
  std::vector<FieldValue> values;  // one a field
};

Entity make_entity(Draft& draft, const Schema& schema) {
  Entity entity{&schema, {}};
  for (const SchemaField& field : schema.fields) {
    const bool subject = entity.values.empty();
    FieldValue value = any_field(draft, field.type);
    if (subject) value.text = fresh(draft, [&] { return any_field(draft, field.type).text; });
    entity.values.push_back(std::move(value));
  }
  return entity;
}

std::string prose_of(Draft& draft, const Entity& entity) {
  const auto& v = entity.values;
  return fill(expand(draft, draft.any_of(entity.schema->sentences)),
              {{"a", v[0].text}, {"b", v[1].text}, {"c", v[2].text}, {"d", v[3].text}});
}

// The sentence from its subject on, where all that may be asked for stands behind it; else all of it, led to
// from the subject.
std::string told_of(std::string_view sentence, const Entity& entity) {
  const std::string_view whole = trimmed(sentence);
  const std::string& subject = entity.values[0].text;
  const size_t at = whole.find(subject);
  if (at == std::string_view::npos) return std::string(whole);
  for (const FieldValue& value : entity.values) {
    if (whole.find(value.text) < at) return recital_back(subject, whole);
  }
  return std::string(whole.substr(at));
}

// A name the field may have in JSON; sometimes with a word that no list has beside it, so that names are read
// from the question and not known by heart.
std::string key_of(Draft& draft, const SchemaField& field) {
  const std::string key(draft.any_of(field.keys));
  if (!draft.makes_up(0.9f) || is_chinese(key)) return key;
  const std::string other = text_word(draft, Language::kEnglish);
  const bool in_front = draft.chance(0.4f);
  if (draft.chance(0.7f)) return in_front ? other + '_' + key : key + '_' + other;
  return in_front ? other + capitalised(key) : key + capitalised(other);
}

void ask_for(Draft& draft, const Entity& entity, Range evidence) {
  // Two to four of the fields in random order; fewer where the answer would be long.
  std::vector<size_t> order = {0, 1, 2, 3};
  draft.shuffle(order);
  order.resize(draft.between(2, 4));
  std::string keys, answer;
  for (const size_t i : order) {
    const std::string key = key_of(draft, entity.schema->fields[i]);
    const std::string member = quoted_json(key) + ": " + json_of(entity.values[i]);
    if (!answer.empty() && answer.size() + member.size() + 3 > kAnswerMax) break;
    keys += (keys.empty() ? "" : draft.english() ? ", " : "、") + key;
    answer += (answer.empty() ? "{" : ", ") + member;
  }
  answer += '}';
  const std::string wording = any_wording(draft, Slot::kExtractQuestion);
  draft.ask(fill(wording, {{"subject", entity.values[0].text}, {"keys", keys}}), answer, evidence,
            told_of(draft.text_of(evidence), entity));
}

}  // namespace

void make_extraction(Draft& draft) {
  std::vector<Entity> entities;
  std::vector<Record> records;
  const size_t count = std::min(draft.questions(), draft.request.context_bytes / 40 + 1);
  const Schema main = draft.makes_up(0.75f)
                          ? open_schema(draft)
                          : draft.any_of(schemas(draft.request.language, draft.request.split));
  draft.sample.form = main.id;
  for (size_t i = 0; i < count; ++i) {
    const Schema& own = draft.chance(0.6f)
                            ? main
                            : draft.any_of(schemas(draft.request.language, draft.request.split));
    entities.push_back(make_entity(draft, own));
    records.push_back({prose_of(draft, entities.back()), true});
    // A record of the same schema that is not asked.
    if (draft.chance(0.5f)) {
      entities.push_back(make_entity(draft, own));
      records.push_back({prose_of(draft, entities.back()), false});
    }
  }
  bury(draft, records, {.before = any_preamble(draft), .own_lines = draft.chance(0.5f)});
  for (size_t i = 0; i < records.size(); ++i) {
    if (records[i].asked && records[i].kept) ask_for(draft, entities[i], records[i].range);
  }
}

}  // namespace mneme::tasks
