// compare(): two runs over the same samples.
#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "core/error.h"
#include "engine/statistics.h"
#include "mneme/eval.h"

namespace mneme {

using core::fail;
using engine::Cluster;

namespace {

struct Pair {
  const EvalAnswer* a;
  const EvalAnswer* b;
};

using Place = std::tuple<std::string, std::string, size_t, double, int, int>;

Place place_of(const EvalAnswer& answer) {
  return {answer.task, answer.language, answer.length, answer.depth, answer.sample, answer.question_index};
}

Result<std::vector<Pair>> pairs_of(std::span<const EvalAnswer> a, std::span<const EvalAnswer> b) {
  std::map<Place, const EvalAnswer*> of_b;
  for (const EvalAnswer& answer : b) of_b[place_of(answer)] = &answer;
  std::vector<Pair> pairs;
  for (const EvalAnswer& answer : a) {
    const auto found = of_b.find(place_of(answer));
    if (found == of_b.end()) continue;
    const EvalAnswer& other = *found->second;
    if (other.question != answer.question || other.expected != answer.expected) {
      return fail(
          "{} {} at {} tokens, context {}: A and B were asked different questions, because their "
          "vocabularies make contexts of another size; only runs over the same samples can be compared",
          answer.task, answer.language, answer.length, answer.sample);
    }
    pairs.push_back({&answer, &other});
  }
  if (pairs.empty()) return fail("A and B have no answer to the same question");
  return pairs;
}

// Of the pairs that `wanted` says yes to; nothing where there is none.
template <class Wanted>
std::optional<EvalDifference> difference_of(std::span<const Pair> pairs, uint64_t seed, Wanted wanted) {
  EvalDifference sum;
  std::map<std::tuple<std::string, std::string, size_t, double, int>, Cluster> contexts;
  bool differ = false;
  for (const auto& [a, b] : pairs) {
    if (!wanted(*a)) continue;
    ++sum.answers;
    sum.score_a += a->score;
    sum.score_b += b->score;
    if (a->correct && !b->correct) ++sum.only_a;
    if (b->correct && !a->correct) ++sum.only_b;
    differ = differ || a->score != b->score;
    Cluster& context = contexts[{a->task, a->language, a->length, a->depth, a->sample}];
    context.sum += b->score - a->score;
    ++context.count;
  }
  if (sum.answers == 0) return std::nullopt;
  const auto n = static_cast<double>(sum.answers);
  sum.score_a /= n;
  sum.score_b /= n;
  sum.difference = sum.score_b - sum.score_a;
  sum.contexts = contexts.size();
  sum.mcnemar_p = engine::mcnemar_p(sum.only_a, sum.only_b);
  std::vector<Cluster> clusters;
  for (const auto& [key, context] : contexts) clusters.push_back(context);
  sum.interval = differ ? engine::bootstrap_mean(clusters, seed)
                        : engine::interval_without_differences(sum.answers);
  return sum;
}

template <class T>
void add_once(std::vector<T>& all, const T& one) {
  if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
}

}  // namespace

Result<std::vector<EvalDifference>> compare(std::span<const EvalAnswer> a, std::span<const EvalAnswer> b,
                                            uint64_t seed) {
  auto pairs = pairs_of(a, b);
  if (!pairs) return core::pass(pairs);
  std::vector<size_t> lengths;
  std::vector<std::tuple<std::string, std::string>> kinds;
  for (const Pair& pair : *pairs) {
    add_once(lengths, pair.a->length);
    add_once(kinds, {pair.a->task, pair.a->language});
  }
  std::vector<EvalDifference> rows;
  const auto add = [&](const std::string& task, const std::string& language, size_t length) {
    auto row = difference_of(*pairs, seed, [&](const EvalAnswer& answer) {
      return (task.empty() || (answer.task == task && answer.language == language)) &&
             (length == 0 || answer.length == length);
    });
    if (!row) return;
    row->task = task;
    row->language = language;
    row->length = length;
    rows.push_back(*std::move(row));
  };
  for (const size_t length : lengths) {
    for (const auto& [task, language] : kinds) add(task, language, length);
    if (kinds.size() > 1 && lengths.size() > 1) add("", "", length);
  }
  add("", "", 0);
  return rows;
}

}  // namespace mneme
