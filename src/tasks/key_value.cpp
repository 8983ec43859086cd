// key_value: a table of records that are nearly the same, filling the context by itself or standing in noise.
#include <string>
#include <vector>

#include "tasks/haystack.h"
#include "tasks/open.h"
#include "tasks/recital.h"
#include "tasks/record_formats.h"
#include "tasks/values.h"
#include "tasks/wordings.h"

namespace mneme::tasks {
namespace {

struct Entry {
  std::string key;
  std::string value;
  Range range{};
};

struct Table {
  std::string text;
  std::vector<Entry> entries;  // ranges in text
};

std::string two_digits(size_t number) {
  return {static_cast<char>('0' + number / 10), static_cast<char>('0' + number % 10)};
}

std::string render(Draft& draft, const RecordFormat& format, const Entry& entry) {
  const std::string prose = format.id == "prose" ? fill(any_wording(draft, Slot::kProseRecord),
                                                        {{"key", entry.key}, {"value", entry.value}})
                                                 : std::string();
  return fill(format.record, {{"key", entry.key},
                              {"value", entry.value},
                              {"prose", prose},
                              {"noise", std::to_string(draft.below(1000))},
                              {"day", two_digits(draft.between(10, 28))},
                              {"minute", two_digits(draft.below(60))},
                              {"second", two_digits(draft.below(60))}});
}

// Families of keys: one, then neighbours of it.
Table make_table(Draft& draft, const RecordFormat& format, size_t bytes_max) {
  Table table;
  const ValueKind key_kind = any_key_kind(draft);
  const ValueKind value_kind = any_value_kind(draft);
  const size_t fixed = format.open.size() + format.close.size();
  if (fixed > bytes_max) return table;
  table.text = format.open;
  std::string key;
  for (size_t family = 0;; --family) {
    if (family == 0) {
      key = fresh_key(draft, key_kind);
      family = draft.between(1, 5);
      table.entries.push_back({key, fresh_value(draft, value_kind)});
    } else {
      table.entries.push_back({fresh_neighbour(draft, key), fresh_value(draft, value_kind)});
    }
    Entry& entry = table.entries.back();
    const std::string record = render(draft, format, entry);
    if (table.text.size() + record.size() + format.close.size() > bytes_max) break;
    entry.range = {table.text.size(), table.text.size() + record.size()};
    table.text += record;
  }
  table.entries.pop_back();
  table.text += format.close;
  return table;
}

void ask_about(Draft& draft, const Entry& entry, size_t offset) {
  const Range range{entry.range.begin + offset, entry.range.end + offset};
  const std::string_view record = draft.text_of(range);
  const bool value_first = record.find(entry.value) < record.find(entry.key);
  const bool by_value = draft.of_some_order([&] { return draft.chance(0.15f); },
                                            [&](bool asks_by_value) { return asks_by_value != value_first; });
  const std::string wording = any_wording(draft, by_value ? Slot::kKeyQuestion : Slot::kValueQuestion);
  const std::string &named = by_value ? entry.value : entry.key, &wanted = by_value ? entry.key : entry.value;
  draft.ask(fill(wording, {{"key", entry.key}, {"value", entry.value}}), wanted, range,
            recital(draft.text_of(range), named, wanted));
}

}  // namespace

void make_key_value(Draft& draft) {
  std::string& context = draft.sample.context;
  const RecordFormat format = draft.makes_up(0.5f) ? open_record_format(draft)
                                                   : draft.any_of(record_formats(draft.request.split));
  draft.sample.form = format.id;
  const size_t all = draft.request.context_bytes;
  const size_t room = all > kContextEnd.size() ? all - kContextEnd.size() : 0;
  // With a depth, a whole table: its records have depths of their own.
  const bool in_noise = draft.request.depth < 0 && room >= 1000 && draft.chance(0.3f);
  size_t offset = 0;
  Table table;
  if (in_noise) {
    table = make_table(draft, format, draft.between(room / 8, room / 2));
    std::vector<Record> records = {{table.text, true}};
    bury(draft, records, {.before = any_preamble(draft)});
    offset = records[0].range.begin;
  } else {
    const std::string preamble = any_preamble(draft);
    if (preamble.size() < room / 4) context = preamble;
    offset = context.size();
    table = make_table(draft, format, room - offset);
    context += table.text;
    if (context.size() <= room && all >= kContextEnd.size()) context += kContextEnd;
  }
  for (const size_t i : choose_asked(draft, table.entries.size(), draft.questions())) {
    ask_about(draft, table.entries[i], offset);
  }
}

}  // namespace mneme::tasks
