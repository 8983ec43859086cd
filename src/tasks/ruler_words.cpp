// vt, cwe and fwe: what is spread over all of a context.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "tasks/haystack.h"
#include "tasks/ruler_draft.h"
#include "tasks/values.h"

namespace mneme::tasks {
namespace {

constexpr size_t kHops = 4;
constexpr size_t kCommonWordCount = 10, kCommonTimesMax = 30, kUncommonTimes = 3;
constexpr size_t kFrequentWordCount = 3;
constexpr double kZeta2 = std::numbers::pi * std::numbers::pi / 6;  // sum of 1 / k^2

std::string coded_word(Draft& draft) {
  return fresh(draft, [&] {
    std::string text(6, 'a');
    for (char& c : text) c = static_cast<char>('a' + draft.below(26));
    return text;
  });
}

std::string begin_with(RulerDraft& ruler, RulerText text) {
  return std::string(ruler_text(text, ruler.request.language));
}

// How many bytes of the context are for words, with the preamble and the end taken off.
size_t room_for_words(const RulerDraft& ruler) {
  const size_t taken = ruler.draft.sample.context.size() + kContextEnd.size();
  return ruler.request.context_bytes - std::min(ruler.request.context_bytes, taken);
}

size_t digits_of(size_t number) { return std::to_string(number).size(); }

// "12. word ", the word's number from 1.
size_t entry_bytes(size_t number, const std::string& word) { return digits_of(number) + 3 + word.size(); }

}  // namespace

void make_ruler_variables(RulerDraft& ruler) {
  Draft& draft = ruler.draft;
  const Language language = ruler.request.language;
  struct Chain {
    std::string value;
    std::vector<std::string> names;
    size_t first;  // its first record
  };
  std::vector<Record> records;
  std::vector<Chain> chains;
  for (size_t i = 0; i < ruler.request.places.size(); ++i) {
    Chain& chain = chains.emplace_back(Chain{fresh_digits(draft, 5), {}, records.size()});
    for (size_t hop = 0; hop <= kHops; ++hop) {
      // Each hop somewhere in its own part of the context, so that the chain spans all of it, in order.
      const double place = (static_cast<double>(hop) + draft.rng.next_unit()) / (kHops + 1);
      const std::string to = fresh_capitals(draft, 5);
      const std::string text = hop == 0 ? fill(ruler_text(RulerText::kVariableValue, language),
                                               {{"to", to}, {"value", chain.value}})
                                        : fill(ruler_text(RulerText::kVariableCopy, language),
                                               {{"to", to}, {"from", chain.names.back()}});
      chain.names.push_back(to);
      records.push_back({text, false, place});
    }
  }
  bury(draft, records, {.before = begin_with(ruler, RulerText::kVariablePreamble), .prose = true});
  for (const Chain& chain : chains) {
    const auto own = std::span(records).subspan(chain.first, chain.names.size());
    if (!std::all_of(own.begin(), own.end(), [](const Record& one) { return one.kept; })) continue;
    const std::string count = std::to_string(chain.names.size());
    const Fields fields = {{"value", chain.value}, {"count", count}};
    RulerQuestion question{fill(ruler_text(RulerText::kVariableQuestion, language), fields),
                           fill(ruler_text(RulerText::kVariablePrefix, language), fields),
                           chain.names,
                           {}};
    for (const Record& record : own) question.evidence.push_back(record.range);
    ruler.questions.push_back(std::move(question));
  }
}

// RULER's figures: ten words 30 times each, the others 3 times; a short list has the ten less often.
void make_ruler_common_words(RulerDraft& ruler) {
  Draft& draft = ruler.draft;
  std::string& context = draft.sample.context;
  context = begin_with(ruler, RulerText::kCommonPreamble);
  const size_t room = room_for_words(ruler);
  const size_t each = draft.english() ? 20 : 22;  // bytes of an entry, about
  const size_t times = std::min(room / each / (2 * kCommonWordCount), kCommonTimesMax);
  if (times < 2) return;
  const size_t uncommon_times = times > 2 * kUncommonTimes ? kUncommonTimes : 1;
  std::vector<std::string> list, common;
  size_t bytes = 0;
  // False where the word has no room as often as that.
  const auto add = [&](const std::string& word, size_t count) {
    size_t cost = 0;
    for (size_t i = 1; i <= count; ++i) cost += entry_bytes(list.size() + i, word);
    if (bytes + cost > room) return false;
    bytes += cost;
    list.insert(list.end(), count, word);
    return true;
  };
  while (common.size() < kCommonWordCount) {
    common.push_back(fresh_ruler_word(draft));
    if (!add(common.back(), times)) return;
  }
  while (add(fresh_ruler_word(draft), uncommon_times)) continue;
  draft.shuffle(list);
  for (size_t i = 0; i < list.size(); ++i) {
    context += std::to_string(i + 1);
    ((context += ". ") += list[i]) += ' ';
  }
  context += kContextEnd;
  const std::string count = std::to_string(kCommonWordCount);
  const Language language = ruler.request.language;
  ruler.questions.push_back({fill(ruler_text(RulerText::kCommonQuestion, language), {{"count", count}}),
                             fill(ruler_text(RulerText::kCommonPrefix, language), {{"count", count}}),
                             common,
                             {}});
}

// RULER: the word of rank k appears N / (k^2 zeta(2)) times; rank 1 is dots, ranks 2 to 4 are asked for.
// Here the counts are exact, so there are no ties; what is left of the context is dots.
void make_ruler_frequent_words(RulerDraft& ruler) {
  Draft& draft = ruler.draft;
  std::string& context = draft.sample.context;
  context = begin_with(ruler, RulerText::kFrequentPreamble);
  const size_t room = room_for_words(ruler);
  const std::string dots = "...";
  const size_t word_bytes = draft.english() ? 7 : 13;  // with the blank behind it
  const double mean =
      (static_cast<double>(dots.size()) + 1 + (kZeta2 - 1) * static_cast<double>(word_bytes)) / kZeta2;
  const double total = static_cast<double>(room) / mean;
  std::vector<std::string> list, asked;
  size_t bytes = 0;
  size_t before = SIZE_MAX;  // the count of the rank before
  for (size_t rank = 2;; ++rank) {
    const auto count = static_cast<size_t>(total / (kZeta2 * static_cast<double>(rank * rank)));
    if (count == 0 || bytes + count * (word_bytes + 2) > room) break;
    const std::string word = draft.english() ? coded_word(draft) : fresh_ruler_word(draft);
    if (rank < 2 + kFrequentWordCount) asked.push_back(word);
    if (rank <= 2 + kFrequentWordCount && count == before) return;  // too short to tell them apart
    before = count;
    list.insert(list.end(), count, word);
    bytes += count * (word.size() + 1);
  }
  if (asked.size() < kFrequentWordCount) return;
  for (; bytes + dots.size() + 1 <= room; bytes += dots.size() + 1) list.push_back(dots);
  draft.shuffle(list);
  for (const std::string& word : list) (context += word) += ' ';
  context += kContextEnd;
  const Language language = ruler.request.language;
  ruler.questions.push_back({std::string(ruler_text(RulerText::kFrequentQuestion, language)),
                             std::string(ruler_text(RulerText::kFrequentPrefix, language)),
                             asked,
                             {}});
}

}  // namespace mneme::tasks
