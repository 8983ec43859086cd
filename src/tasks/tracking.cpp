// variable_tracking and frequent_words, after RULER (Hsieh et al. 2024).
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tasks/haystack.h"
#include "tasks/values.h"
#include "tasks/wordings.h"

namespace mneme::tasks {
namespace {

struct Assignment {
  std::string_view id;
  std::string_view value;  // {to} {value}
  std::string_view copy;   // {to} {from}
};

constexpr Assignment kEnglish[] = {{"ruler", "VAR {to} = {value}", "VAR {to} = VAR {from}"},
                                   {"let", "let {to} = {value};", "let {to} = {from};"},
                                   {"walrus", "{to} := {value}", "{to} := {from}"},
                                   {"set", "Set {to} to {value}.", "Set {to} to the value of {from}."},
                                   {"shell", "{to}={value}", "{to}=${from}"}};
constexpr Assignment kEnglishHeldOut[] = {{"move", "MOV {to}, {value}", "MOV {to}, {from}"},
                                          {"same", "{to} holds {value}.", "{to} holds the same as {from}."},
                                          {"arrow", "{to} <- {value}", "{to} <- {from}"}};
constexpr Assignment kChinese[] = {{"ruler", "变量 {to} = {value}", "变量 {to} = 变量 {from}"},
                                   {"let", "令 {to} = {value}；", "令 {to} = {from}；"},
                                   {"walrus", "{to} := {value}", "{to} := {from}"},
                                   {"set", "把 {to} 设为 {value}。", "把 {to} 设为 {from} 的值。"}};
constexpr Assignment kChineseHeldOut[] = {{"hold", "{to} 存着 {value}。", "{to} 与 {from} 存的一样。"},
                                          {"arrow", "{to} <- {value}", "{to} <- {from}"}};

Assignment any_assignment(Draft& draft) {
  if (draft.train()) return draft.english() ? draft.any_of(kEnglish) : draft.any_of(kChinese);
  return draft.english() ? draft.any_of(kEnglishHeldOut) : draft.any_of(kChineseHeldOut);
}

struct Chain {
  std::string value;
  std::vector<std::string> names;
  size_t first = 0;  // its first record
};

Chain add_chain(Draft& draft, const Assignment& form, size_t links, std::vector<Record>& records) {
  Chain chain{fresh_digits(draft, 5), {}, records.size()};
  // In the order of the assignments, wherever they lie.
  std::vector<double> places;
  for (size_t i = 0; i < links; ++i) places.push_back(draft.rng.next_unit());
  std::sort(places.begin(), places.end());
  for (size_t i = 0; i < links; ++i) {
    const std::string name = fresh_capitals(draft, 5);
    const std::string text = i == 0 ? fill(form.value, {{"to", name}, {"value", chain.value}})
                                    : fill(form.copy, {{"to", name}, {"from", chain.names[draft.below(i)]}});
    chain.names.push_back(name);
    records.push_back({text, true, places[i]});
  }
  return chain;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

}  // namespace

void make_variable_tracking(Draft& draft) {
  const Assignment form = any_assignment(draft);
  draft.sample.form = form.id;
  const size_t links = draft.between(2, 5);
  // A chain that does not fit whole is not laid: its names would be half an answer.
  const size_t statement = 40;
  const size_t chains = std::min(draft.questions(), draft.request.context_bytes / (links * statement));
  std::vector<Record> records;
  std::vector<Chain> all;
  for (size_t i = 0; i < chains; ++i) all.push_back(add_chain(draft, form, links, records));
  bury(draft, records, {.before = any_preamble(draft)});
  for (const Chain& chain : all) {
    if (!records[chain.first + links - 1].kept) continue;
    std::string told;
    for (size_t i = chain.first; i < chain.first + links; ++i) told += records[i].text + '\n';
    told.pop_back();
    draft.ask(fill(any_wording(draft, Slot::kVariableQuestion), {{"value", chain.value}}),
              joined(chain.names), records[chain.first].range, std::move(told));
  }
}

namespace {

std::string coded_word(Draft& draft) {
  if (!draft.english()) {
    const std::string adjective = word(draft, WordClass::kAdjective);
    return adjective + word(draft, WordClass::kNoun);
  }
  std::string text(draft.between(4, 7), 'a');
  do {
    for (char& c : text) c = static_cast<char>('a' + draft.below(26));
  } while (!belongs(text, draft.request.split));
  return text;
}

// Coded words so that the first three are clearly apart, then a tail: counts fall as 1/rank^1.5 (RULER draws
// from a zeta distribution; exact counts have no ties). Returns indices of words, in random order.
std::vector<size_t> draw_words(Draft& draft, std::vector<std::string>& words, size_t bytes) {
  std::vector<size_t> order;
  const size_t each = draft.english() ? 7 : 13;
  const size_t total = bytes / each;
  words.clear();
  for (size_t rank = 0, left = total; left > 0 && rank < 2000; ++rank) {
    words.push_back(fresh(draft, [&] { return coded_word(draft); }));
    const double share = 0.38 /
                         ((static_cast<double>(rank) + 1.0) * std::sqrt(static_cast<double>(rank) + 1.0));
    const size_t rest = rank < 3 ? 4 - rank : 1;  // at least: 4, 3, 2, then 1 each
    const size_t count = std::min(left,
                                  std::max(rest, static_cast<size_t>(share * static_cast<double>(total))));
    order.insert(order.end(), count, rank);
    left -= count;
  }
  draft.shuffle(order);
  return order;
}

}  // namespace

void make_frequent_words(Draft& draft) {
  draft.sample.form = "coded_words";
  std::string& context = draft.sample.context;
  const size_t all = draft.request.context_bytes;
  const size_t room = all > kContextEnd.size() ? all - kContextEnd.size() : 0;
  const std::string preamble = any_preamble(draft);
  if (preamble.size() < room / 4) context = preamble;
  std::vector<std::string> words;
  std::vector<size_t> counts;
  // Words that no longer fit are not laid, so the counts are those of what lies there.
  for (const size_t rank : draw_words(draft, words, room - context.size())) {
    const std::string& one = words[rank];
    if (context.size() + one.size() + 1 > room) continue;
    context += one;
    context += ' ';
    counts.resize(words.size());
    ++counts[rank];
  }
  // The shortfall of long words, in words of one time.
  for (std::string one = coded_word(draft); context.size() + one.size() + 1 <= room;
       one = coded_word(draft)) {
    if (!draft.used.insert(one).second) continue;
    context += one + ' ';
  }
  if (all >= context.size() + kContextEnd.size()) context += kContextEnd;
  std::vector<std::string> top;
  for (size_t i = 0; i < 3 && i + 1 < counts.size() && counts[i] > counts[i + 1]; ++i)
    top.push_back(words[i]);
  for (size_t asked = 0; asked < draft.questions() && top.size() > asked && top.size() == 3; ++asked) {
    const size_t count = 3 - asked;
    const std::vector<std::string> first(top.begin(), top.begin() + static_cast<ptrdiff_t>(count));
    const Slot slot = count == 1 ? Slot::kMostFrequent : Slot::kFrequentQuestion;
    draft.ask(fill(any_wording(draft, slot), {{"count", std::to_string(count)}}), joined(first));
  }
}

}  // namespace mneme::tasks
