// niah_*: needles of RULER's one sentence, in text or among their own kind.
#include <algorithm>
#include <cmath>

#include "tasks/haystack.h"
#include "tasks/ruler_draft.h"
#include "tasks/values.h"

namespace mneme::tasks {
namespace {

struct Kind {
  bool of_needles = false;  // the haystack
  bool uuid_keys = false, uuid_values = false;
  size_t keys = 1, values = 1;  // that a question asks for, and of each key
  size_t others = 0;            // needles that nobody asks for
};

Kind kind_of(RulerTask task) {
  switch (task) {
    case RulerTask::kNiahSingle3: return {.uuid_values = true};
    case RulerTask::kNiahMultikey1: return {.others = 3};
    case RulerTask::kNiahMultikey2: return {.of_needles = true};
    case RulerTask::kNiahMultikey3: return {.of_needles = true, .uuid_keys = true, .uuid_values = true};
    case RulerTask::kNiahMultivalue: return {.values = 4};
    case RulerTask::kNiahMultiquery: return {.keys = 4};
    default: return {};
  }
}

std::string_view type_of(const RulerDraft& ruler, const Kind& kind, bool plural) {
  if (!ruler.draft.english()) return kind.uuid_values ? "编号" : "数字";
  if (plural) return kind.uuid_values ? "uuids" : "numbers";
  return kind.uuid_values ? "uuid" : "number";
}

std::string fresh_ruler_key(RulerDraft& ruler, const Kind& kind) {
  return kind.uuid_keys ? fresh_value(ruler.draft, ValueKind::kUuid) : fresh_ruler_word(ruler.draft);
}

std::string fresh_ruler_value(RulerDraft& ruler, const Kind& kind) {
  return kind.uuid_values ? fresh_value(ruler.draft, ValueKind::kUuid) : fresh_digits(ruler.draft, 7);
}

std::string needle(const RulerDraft& ruler, const Kind& kind, std::string_view key, std::string_view value) {
  return fill(ruler_text(RulerText::kNeedle, ruler.request.language),
              {{"type", type_of(ruler, kind, true)}, {"key", key}, {"value", value}});
}

std::string listed(const RulerDraft& ruler, const std::vector<std::string>& keys) {
  std::string text;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i > 0 && ruler.draft.english()) text += i + 1 == keys.size() ? " and " : ", ";
    if (i > 0 && !ruler.draft.english()) text += "”、“";  // the sentence has the first and the last quote
    text += keys[i];
  }
  return text;
}

// What a question asks for: its records are [first, first + keys * values).
struct Asked {
  std::vector<std::string> keys, values;
  size_t first = 0;
};

void ask(RulerDraft& ruler, const Kind& kind, const Asked& asked, std::span<const Record> records) {
  const bool several = asked.values.size() > 1;
  const std::string keys = listed(ruler, asked.keys);
  const Fields fields = {{"type", type_of(ruler, kind, several)}, {"key", keys}};
  const Language language = ruler.request.language;
  RulerQuestion question;
  question.text = fill(ruler_text(several ? RulerText::kNiahAll : RulerText::kNiahOne, language), fields);
  question.answer_prefix = fill(
      ruler_text(several ? RulerText::kNiahAllPrefix : RulerText::kNiahOnePrefix, language), fields);
  question.expected = asked.values;
  for (size_t i = 0; i < asked.values.size(); ++i)
    question.evidence.push_back(records[asked.first + i].range);
  ruler.questions.push_back(std::move(question));
}

std::string preamble(const RulerDraft& ruler, const Kind& kind) {
  return fill(ruler_text(RulerText::kNiahPreamble, ruler.request.language),
              {{"type", type_of(ruler, kind, true)}});
}

void make_in_text(RulerDraft& ruler, const Kind& kind) {
  std::vector<Record> records;
  std::vector<Asked> all;
  for (const double place : ruler.request.places) {
    Asked& asked = all.emplace_back();
    asked.first = records.size();
    const size_t count = kind.keys * kind.values;
    for (size_t i = 0; i < count; ++i) {
      if (i % kind.values == 0) asked.keys.push_back(fresh_ruler_key(ruler, kind));
      asked.values.push_back(fresh_ruler_value(ruler, kind));
      const double spread = place + static_cast<double>(i) / static_cast<double>(count);
      const double own = ruler.request.together || count == 1 ? place : spread - std::floor(spread);
      records.push_back({needle(ruler, kind, asked.keys.back(), asked.values.back()), false, own});
    }
  }
  for (size_t i = 0; i < kind.others; ++i) {
    const std::string key = fresh_ruler_key(ruler, kind);
    records.push_back({needle(ruler, kind, key, fresh_ruler_value(ruler, kind))});
  }
  bury(ruler.draft, records, {.before = preamble(ruler, kind), .prose = true});
  for (const Asked& asked : all) {
    const auto own = std::span(records).subspan(asked.first, asked.values.size());
    if (std::all_of(own.begin(), own.end(), [](const Record& one) { return one.kept; }))
      ask(ruler, kind, asked, records);
  }
}

void make_of_needles(RulerDraft& ruler, const Kind& kind) {
  std::string& context = ruler.draft.sample.context;
  const size_t all = ruler.request.context_bytes;
  const size_t room = all - std::min(all, kContextEnd.size());
  context = preamble(ruler, kind);
  std::vector<Record> records;
  std::vector<Asked> needles;
  for (;;) {
    const std::string key = fresh_ruler_key(ruler, kind), value = fresh_ruler_value(ruler, kind);
    const std::string text = needle(ruler, kind, key, value);
    if (context.size() + text.size() + 1 > room) break;
    Record& record = records.emplace_back();
    record.range = {context.size(), context.size() + text.size()};
    needles.push_back({{key}, {value}, needles.size()});
    (context += text) += '\n';
  }
  if (context.size() + kContextEnd.size() <= all) context += kContextEnd;
  std::vector<bool> taken(needles.size());
  for (const double place : ruler.request.places) {
    if (ruler.questions.size() == needles.size()) break;
    auto at = static_cast<size_t>(std::llround(place * static_cast<double>(needles.size() - 1)));
    while (taken[at]) at = (at + 1) % needles.size();
    taken[at] = true;
    ask(ruler, kind, needles[at], records);
  }
}

}  // namespace

void make_ruler_niah(RulerDraft& ruler) {
  const Kind kind = kind_of(ruler.task);
  kind.of_needles ? make_of_needles(ruler, kind) : make_in_text(ruler, kind);
}

}  // namespace mneme::tasks
