#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "core/rng.h"
#include "mneme/sampling.h"

namespace mneme {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

SamplingOptions plain() {
  SamplingOptions options;
  options.temperature = 1;
  options.top_k = 0;
  options.top_p = 1;
  options.min_p = 0;
  return options;
}

SamplingOptions greedy() {
  SamplingOptions options;
  options.temperature = 0;
  return options;
}

// What may be drawn, found by drawing often.
std::vector<TokenId> drawn(const SamplingOptions& options, const std::vector<float>& logits,
                           const std::vector<TokenId>& history = {}, int draws = 3000) {
  Sampler sampler(options);
  std::map<TokenId, int> counts;
  for (int i = 0; i < draws; ++i) ++counts[sampler.next(logits, history)];
  std::vector<TokenId> ids;
  for (const auto& [id, count] : counts) ids.push_back(id);
  return ids;
}

// The documented steps, written without any shortcut: sort everything, keep a prefix. Gives the kept ids in
// order.
std::vector<TokenId> kept_by_definition(const SamplingOptions& options, std::vector<float> logits) {
  std::vector<TokenId> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto at = [&](TokenId id) { return logits[static_cast<size_t>(id)]; };
  std::erase_if(ids, [&](TokenId id) { return std::isnan(at(id)) || at(id) == -kInfinity; });
  std::stable_sort(ids.begin(), ids.end(), [&](TokenId a, TokenId b) { return at(a) > at(b); });
  if (options.top_k > 0 && ids.size() > static_cast<size_t>(options.top_k)) {
    ids.resize(static_cast<size_t>(options.top_k));
  }
  const auto weight = [&](TokenId id) { return std::exp(double{at(id)} - double{at(ids.front())}); };
  double total = 0;
  for (const TokenId id : ids) total += weight(id);
  double mass = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0 && options.top_p < 1 && mass >= options.top_p * total) {
      ids.resize(i);
      break;
    }
    mass += weight(ids[i]);
  }
  while (weight(ids.back()) < options.min_p) ids.pop_back();
  return ids;
}

TEST(Sampler, GreedyTakesTheLowestIdAmongEquals) {
  Sampler sampler(greedy());
  EXPECT_EQ(sampler.next(std::vector<float>{1, 3, 2, 3}, {}), 1);
  EXPECT_EQ(sampler.next(std::vector<float>{-1, -1}, {}), 0);
}

TEST(Sampler, NanAndMinusInfinityAreNeverDrawn) {
  Sampler sampler(greedy());
  EXPECT_EQ(sampler.next(std::vector<float>{kNan, -kInfinity, -5, kNan}, {}), 2);
  EXPECT_EQ(drawn(plain(), {kNan, 0, -kInfinity, 0, kNan}), (std::vector<TokenId>{1, 3}));
}

TEST(Sampler, NothingToDrawGivesZero) {
  for (const float temperature : {0.0f, 1.0f}) {
    for (const int top_k : {0, 2}) {
      SamplingOptions options;
      options.temperature = temperature;
      options.top_k = top_k;
      Sampler sampler(options);
      EXPECT_EQ(sampler.next(std::vector<float>{-kInfinity, kNan, -kInfinity}, {}), 0);
      EXPECT_EQ(sampler.next({}, {}), 0);
    }
  }
}

TEST(Sampler, PlusInfinityWins) {
  EXPECT_EQ(drawn(plain(), {0, kInfinity, 100}), (std::vector<TokenId>{1}));
  SamplingOptions options = plain();
  options.logit_bias = {{0, kInfinity}};
  EXPECT_EQ(drawn(options, {-3, 5, 9}), (std::vector<TokenId>{0}));
}

TEST(Sampler, BiasAddsForbidsAndIgnoresUnknownIds) {
  SamplingOptions options = greedy();
  options.logit_bias = {{2, -kInfinity}, {0, 1.5f}, {-1, 5.0f}, {99, 5.0f}};
  Sampler sampler(options);
  EXPECT_EQ(sampler.next(std::vector<float>{1, 2, 9}, {}), 0);
  EXPECT_EQ(sampler.next(std::vector<float>{1, 2, kInfinity}, {}), 0) << "forbidden stays forbidden";
}

TEST(Sampler, RepetitionPenaltyDividesPositiveAndMultipliesNegative) {
  SamplingOptions options = greedy();
  options.repetition_penalty = 2;
  Sampler sampler(options);
  const std::vector<TokenId> seen{0};
  EXPECT_EQ(sampler.next(std::vector<float>{3, 2}, seen), 1);
  EXPECT_EQ(sampler.next(std::vector<float>{5, 2}, seen), 0);
  EXPECT_EQ(sampler.next(std::vector<float>{-1, -1.5f}, seen), 1);
  EXPECT_EQ(sampler.next(std::vector<float>{-1, -2.5f}, seen), 0);
}

TEST(Sampler, PresenceCountsOnceFrequencyEachTime) {
  SamplingOptions presence = greedy();
  presence.presence_penalty = 1;
  SamplingOptions frequency = greedy();
  frequency.frequency_penalty = 1;
  const std::vector<TokenId> thrice{0, 0, 0, 77, -4};  // ids outside the vocabulary are passed over
  const std::vector<float> logits{2.5f, 1};
  EXPECT_EQ(Sampler(presence).next(logits, thrice), 0);
  EXPECT_EQ(Sampler(frequency).next(logits, thrice), 1);
}

TEST(Sampler, PenaltyWindowLooksBackThatFar) {
  SamplingOptions options = greedy();
  options.presence_penalty = 10;
  const std::vector<TokenId> history{0, 1, 1};
  const std::vector<float> logits{2, 3, 1};
  options.penalty_window = 2;
  EXPECT_EQ(Sampler(options).next(logits, history), 0);
  options.penalty_window = -1;
  EXPECT_EQ(Sampler(options).next(logits, history), 2);
  options.penalty_window = 0;
  EXPECT_EQ(Sampler(options).next(logits, history), 1);
  options.penalty_window = 100;
  EXPECT_EQ(Sampler(options).next(logits, history), 2);
}

TEST(Sampler, CountsDoNotLeakIntoTheNextToken) {
  SamplingOptions options = greedy();
  options.frequency_penalty = 1;
  Sampler sampler(options);
  const std::vector<TokenId> history{0};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(sampler.next(std::vector<float>{2.5f, 1}, history), 0);
}

TEST(Sampler, BiasComesBeforePenalties) {
  SamplingOptions options = greedy();
  options.logit_bias = {{0, 4}};
  options.repetition_penalty = 4;
  // (1 + 4) / 4 = 1.25 against 2; penalties first would give 1 / 4 + 4 = 4.25.
  EXPECT_EQ(Sampler(options).next(std::vector<float>{1, 2}, std::vector<TokenId>{0}), 1);
}

TEST(Sampler, TopKKeepsTheLowerIdsAmongEquals) {
  SamplingOptions options = plain();
  options.top_k = 3;
  EXPECT_EQ(drawn(options, {1, 1, 2, 1, 1}), (std::vector<TokenId>{0, 1, 2}));
  options.top_k = 50;
  EXPECT_EQ(drawn(options, {1, 1, 2}), (std::vector<TokenId>{0, 1, 2}));
}

TEST(Sampler, TopPKeepsTheSmallestSufficientSet) {
  SamplingOptions options = plain();
  const std::vector<float> logits{std::log(0.1f), std::log(0.5f), std::log(0.3f), std::log(0.1f)};
  options.top_p = 0.45f;
  EXPECT_EQ(drawn(options, logits), (std::vector<TokenId>{1}));
  options.top_p = 0.7f;
  EXPECT_EQ(drawn(options, logits), (std::vector<TokenId>{1, 2}));
  options.top_p = 0.85f;
  EXPECT_EQ(drawn(options, logits), (std::vector<TokenId>{0, 1, 2}));
  options.top_p = 0;
  EXPECT_EQ(drawn(options, logits), (std::vector<TokenId>{1}));
}

TEST(Sampler, TopPIsOfWhatTopKLeft) {
  SamplingOptions options = plain();
  const std::vector<float> logits{std::log(0.4f), std::log(0.3f), std::log(0.2f), std::log(0.1f)};
  options.top_k = 2;  // 4/7 and 3/7 of what is left
  options.top_p = 0.55f;
  EXPECT_EQ(drawn(options, logits), (std::vector<TokenId>{0}));
  options.top_k = 0;
  EXPECT_EQ(drawn(options, logits), (std::vector<TokenId>{0, 1}));
}

TEST(Sampler, MinPIsRelativeToTheBest) {
  SamplingOptions options = plain();
  const std::vector<float> logits{std::log(0.5f), std::log(0.26f), std::log(0.2f), std::log(0.04f)};
  options.min_p = 0.5f;
  EXPECT_EQ(drawn(options, logits), (std::vector<TokenId>{0, 1}));
  options.min_p = 0.1f;
  EXPECT_EQ(drawn(options, logits), (std::vector<TokenId>{0, 1, 2}));
}

TEST(Sampler, TemperatureComesAfterTheFilters) {
  SamplingOptions options = plain();
  options.min_p = 0.5f;
  options.temperature = 100;  // before the filters it would let both in
  EXPECT_EQ(drawn(options, {0, -1}), (std::vector<TokenId>{0}));
  options.min_p = 0.3f;
  EXPECT_EQ(drawn(options, {0, -1}), (std::vector<TokenId>{0, 1}));
  options.temperature = 1e-30f;
  EXPECT_EQ(drawn(options, {0, -1}), (std::vector<TokenId>{0}));
}

TEST(Sampler, DrawsWithTheProbabilitiesOfSoftmax) {
  SamplingOptions options = plain();
  options.temperature = 0.7f;
  const std::vector<float> logits{0.3f, -1.0f, 1.2f, 0.0f, -0.4f};
  std::vector<double> expected;
  for (const float logit : logits) expected.push_back(std::exp(logit / 0.7));
  const double total = std::accumulate(expected.begin(), expected.end(), 0.0);
  constexpr int kDraws = 200'000;
  Sampler sampler(options);
  std::vector<int> counts(logits.size());
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(sampler.next(logits, {}))];
  for (size_t i = 0; i < logits.size(); ++i) {
    const double p = expected[i] / total;
    EXPECT_NEAR(counts[i] / double{kDraws}, p, 5 * std::sqrt(p * (1 - p) / kDraws)) << i;  // 5 standard
                                                                                           // deviations
  }
}

TEST(Sampler, SameSeedSameStream) {
  SamplingOptions options;
  options.seed = 42;
  core::Rng rng(7);
  std::vector<float> logits(1000);
  Sampler a(options);
  Sampler b(options);
  options.seed = 43;
  Sampler c(options);
  int different = 0;
  for (int i = 0; i < 200; ++i) {
    for (float& logit : logits) logit = rng.next_unit();
    const TokenId token = a.next(logits, {});
    EXPECT_EQ(token, b.next(logits, {}));
    different += token != c.next(logits, {}) ? 1 : 0;
  }
  EXPECT_GT(different, 100);
}

// The fast selection against the definition, over sizes around its buffer and many ties.
TEST(Sampler, KeepsWhatTheDefinitionKeeps) {
  core::Rng rng(11);
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(round);
    std::vector<float> logits(1 + rng.next_below(6000));
    const bool ties = rng.next_below(2) == 0;
    for (float& logit : logits) {
      logit = rng.next_unit() * 12 - 6;
      if (ties) logit = std::round(logit);
      if (rng.next_below(50) == 0) logit = kNan;
    }
    logits[rng.next_below(static_cast<uint32_t>(logits.size()))] = 5;
    SamplingOptions options = plain();
    options.seed = rng.next_u32();
    if (rng.next_below(2) == 0) options.top_k = 1 + static_cast<int>(rng.next_below(2000));
    if (rng.next_below(2) == 0) options.top_p = rng.next_unit();
    if (rng.next_below(2) == 0) options.min_p = rng.next_unit() * 0.2f;
    const auto kept = kept_by_definition(options, logits);
    // A temperature so high that all that was kept is equally likely: draws reach the whole set, and nothing
    // else.
    options.temperature = 1e30f;
    const int draws = static_cast<int>(std::min<size_t>(20 * kept.size(), 100));
    Sampler sampler(options);
    const std::vector<TokenId> set = [&] {
      auto sorted = kept;
      std::sort(sorted.begin(), sorted.end());
      return sorted;
    }();
    std::map<TokenId, int> seen;
    for (int i = 0; i < draws; ++i) ++seen[sampler.next(logits, {})];
    for (const auto& [id, count] : seen) EXPECT_TRUE(std::binary_search(set.begin(), set.end(), id)) << id;
    if (kept.size() <= 5) {
      EXPECT_EQ(seen.size(), kept.size());
    }
  }
}

// What is not allowed is never drawn, whatever else is asked for; what is allowed is drawn as before.
TEST(Sampler, AllowedTokensOnly) {
  core::Rng rng(21);
  for (int round = 0; round < 300; ++round) {
    const size_t size = 1 + rng.next_below(300);
    std::vector<float> logits(size);
    for (float& x : logits) x = 20 * rng.next_unit() - 10;
    std::vector<uint64_t> allowed((size + 63) / 64);
    std::vector<float> kept(size, -kInfinity);
    const uint32_t rarity = 1 + rng.next_below(20);
    for (size_t i = 0; i < size; ++i) {
      if (rng.next_below(20) >= rarity) continue;
      allowed[i / 64] |= uint64_t{1} << (i % 64);
      kept[i] = logits[i];
    }
    SamplingOptions options;
    options.temperature = round % 3 == 0 ? 0.0f : 1.5f;
    options.top_k = round % 2 == 0 ? 0 : 5;
    options.seed = static_cast<uint64_t>(round);
    Sampler sampler(options), other(options);
    const auto token = sampler.next_allowed(logits, {}, allowed);
    const bool none = std::all_of(allowed.begin(), allowed.end(), [](uint64_t x) { return x == 0; });
    ASSERT_EQ(token.has_value(), !none) << "round " << round;
    if (token) {
      ASSERT_EQ(*token, other.next(kept, {})) << "round " << round;
    }
    SamplingOptions biased = options;
    biased.repetition_penalty = 2;
    const std::vector<TokenId> history = {0};
    for (size_t i = 0; i < size; i += 3) biased.logit_bias.emplace_back(static_cast<TokenId>(i), 100.0f);
    const auto second = Sampler(biased).next_allowed(logits, history, allowed);
    if (second) {
      ASSERT_TRUE(allowed[static_cast<size_t>(*second) / 64] >> (*second % 64) & 1) << "round " << round;
    }
  }
  // Forbidden by its bias, and nothing else is allowed; a mask that is too short.
  const std::vector<float> two = {1, 2};
  const std::vector<uint64_t> first = {1};
  SamplingOptions forbidden;
  forbidden.logit_bias = {{0, -kInfinity}};
  EXPECT_EQ(Sampler(forbidden).next_allowed(two, {}, first), std::nullopt);
  EXPECT_EQ(Sampler(plain()).next_allowed(two, {}, {}), std::nullopt);
}

}  // namespace
}  // namespace mneme
