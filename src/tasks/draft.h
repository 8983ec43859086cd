// What every task's generator works on: the request, the source, the generator of numbers, and the sample so
// far.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tasks/tasks.h"

namespace mneme::tasks {

struct Draft {
  const Request& request;
  const TextSource& source;
  core::Rng& rng;
  Sample sample;
  // Words of the source's text, in its order (open.h).
  struct Stretch {
    std::vector<std::string> words;
    size_t uses = 0;
  };
  std::unordered_set<std::string> used;  // keys and values already given out in this sample
  Stretch stretches[2]{};                // of each language

  bool english() const { return request.language == Language::kEnglish; }
  bool train() const { return request.split == Split::kTrain; }
  // No more than kQuestionsMax: each may cost a pass over the context.
  size_t questions() const { return static_cast<size_t>(std::clamp(request.questions, 1, kQuestionsMax)); }
  size_t below(size_t count) {
    return count <= UINT32_MAX ? rng.next_below(static_cast<uint32_t>(count))
                               : static_cast<size_t>(rng.next_unit() * static_cast<double>(count));
  }
  size_t between(size_t low, size_t high) { return low + below(high - low + 1); }  // both ends included
  bool chance(float probability) { return rng.next_unit() < probability; }
  // Whether train makes something up where it could take it from a list.
  bool makes_up(float probability) {
    return train() && chance(probability * static_cast<float>(request.variety));
  }
  // What make() gives that fits the request's share of answers in front of what the question names, by
  // is_backwards(it); as it comes where there is no share, or none that fits.
  template <class Make, class Test>
  auto of_some_order(Make make, Test is_backwards) {
    auto made = make();
    if (!train() || request.backwards < 0) return made;
    const bool wanted = chance(static_cast<float>(request.backwards));
    for (int tries = 0; tries < 40 && is_backwards(made) != wanted; ++tries) made = make();
    return made;
  }
  template <class Range>
  decltype(auto) any_of(const Range& range) {
    return range[below(std::size(range))];
  }
  template <class T>
  void shuffle(std::vector<T>& all) {
    for (size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[below(i)]);
  }
  // A question (in front of the first one stands the context) and its answer.
  void ask(std::string question, std::string answer, Range evidence = {}, std::string recital = {});
  // Of the context.
  std::string_view text_of(Range range) const {
    return std::string_view(sample.context).substr(range.begin, range.size());
  }
};

inline void Draft::ask(std::string question, std::string answer, Range evidence, std::string recital) {
  sample.turns.push_back({Role::kUser, std::move(question), {}, {}});
  sample.turns.push_back({Role::kAssistant, std::move(answer), evidence, std::move(recital)});
}

using Fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

// The wording with each {name} replaced by its field; a name that fields lacks stays as it is.
std::string fill(std::string_view wording, Fields fields);

// The generators; tasks.cpp has the table.
void make_passkey(Draft& draft);
void make_multi_needle(Draft& draft);
void make_key_value(Draft& draft);
void make_paraphrase(Draft& draft);
void make_quote_line(Draft& draft);
void make_copy(Draft& draft);
void make_symbol_definition(Draft& draft);
void make_variable_tracking(Draft& draft);
void make_frequent_words(Draft& draft);
void make_extraction(Draft& draft);
void make_tool_call(Draft& draft);
void make_fill_in_middle(Draft& draft);
void make_svg(Draft& draft);
void make_grounded(Draft& draft);
void make_several(Draft& draft);

}  // namespace mneme::tasks
