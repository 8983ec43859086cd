#include "engine/plan.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/rng.h"

namespace mneme::engine {
namespace {

std::vector<size_t> plan(const std::vector<size_t>& pending, StepLimits limits) {
  std::vector<size_t> rows;
  plan_step(pending, limits, rows);
  return rows;
}

using Rows = std::vector<size_t>;

TEST(PlanStep, DecodingSessionsGoTogether) { EXPECT_EQ(plan({1, 0, 1, 1}, {512, 512}), (Rows{1, 0, 1, 1})); }

TEST(PlanStep, TheRestOfTheRowsIsPrefillInOrder) {
  EXPECT_EQ(plan({1, 700, 1, 30}, {512, 512}), (Rows{1, 510, 1, 0}));
  EXPECT_EQ(plan({1, 100, 1, 700}, {512, 512}), (Rows{1, 100, 1, 410}));
  EXPECT_EQ(plan({5, 5}, {8, 512}), (Rows{5, 3}));
}

TEST(PlanStep, ACrowdOfDecodersNeverStopsAPrompt) {
  EXPECT_EQ(plan({1, 1, 1, 9}, {2, 512}), (Rows{1, 1, 1, 1}));
  std::vector<size_t> crowd(600, 1);
  crowd.back() = 9;
  const Rows rows = plan(crowd, {512, 512});
  EXPECT_EQ(rows.back(), 1u);
  EXPECT_EQ(std::accumulate(rows.begin(), rows.end(), size_t{0}), 512u);
}

TEST(PlanStep, NothingPendingNothingPlanned) {
  EXPECT_EQ(plan({}, {512, 512}), Rows{});
  EXPECT_EQ(plan({0, 0}, {512, 512}), (Rows{0, 0}));
}

TEST(PlanStep, HoldsItsBoundsAndAlwaysGoesOn) {
  core::Rng rng(5);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<size_t> pending(rng.next_below(12));
    for (size_t& count : pending) count = rng.next_below(3) == 0 ? rng.next_below(40) : rng.next_below(2);
    const StepLimits limits{1 + rng.next_below(16), 16};
    const Rows rows = plan(pending, limits);
    ASSERT_EQ(rows.size(), pending.size());
    size_t sum = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      ASSERT_LE(rows[i], pending[i]);
      if (pending[i] == 1) {
        ASSERT_EQ(rows[i], 1u);
      }
      sum += rows[i];
    }
    ASSERT_LE(sum, limits.rows_max);
    const bool anything = std::accumulate(pending.begin(), pending.end(), size_t{0}) > 0;
    ASSERT_EQ(sum > 0, anything);
  }
}

}  // namespace
}  // namespace mneme::engine
