#include "attention/selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/rng.h"

namespace mneme::attention {
namespace {

double error_of(const BlockError& error, Treatment how) {
  return how == Treatment::kEstimated  ? double{error.estimated}
         : how == Treatment::kEightBit ? double{error.eight_bit}
                                       : 0.0;
}
int cost_of(const BlockError& error, Treatment how) {
  return how == Treatment::kEstimated ? 0 : how == Treatment::kEightBit ? 1 : 1 + int(error.full_cost);
}

struct Chosen {
  double error = 0;
  int cost = 0;
};

Chosen choose(const std::vector<BlockError>& blocks, double allowed) {
  StepHistogram histogram;
  for (const BlockError& b : blocks) histogram.add(b);
  const Threshold threshold = histogram.threshold(allowed);
  Chosen chosen;
  for (const BlockError& b : blocks) {
    const Treatment how = threshold.treat(b);
    chosen.error += error_of(b, how);
    chosen.cost += cost_of(b, how);
  }
  return chosen;
}

// The least cost of all 3^n ways.
int least_cost(const std::vector<BlockError>& blocks, double allowed) {
  int ways = 1;
  for (size_t i = 0; i < blocks.size(); ++i) ways *= 3;
  int least = std::numeric_limits<int>::max();
  for (int way = 0; way < ways; ++way) {
    double error = 0;
    int cost = 0, rest = way;
    for (const BlockError& b : blocks) {
      const auto how = static_cast<Treatment>(rest % 3);
      rest /= 3;
      error += error_of(b, how), cost += cost_of(b, how);
    }
    if (error <= allowed) least = std::min(least, cost);
  }
  return least;
}

std::vector<BlockError> random_blocks(core::Rng& rng, int count, float octaves, float kappa,
                                      float full_cost) {
  std::vector<BlockError> blocks;
  for (int i = 0; i < count; ++i) {
    const float estimated = std::exp2(-octaves * rng.next_unit());
    blocks.push_back({estimated, estimated * kappa * rng.next_unit(), full_cost});
  }
  return blocks;
}

TEST(Selection, StaysBelowWhatIsAllowedAndNearTheLeastCost) {
  core::Rng rng(3);
  for (const auto& [kappa, full_cost] :
       {std::pair{0.01f, 1.0f}, {0.3f, 1.0f}, {1.5f, 1.0f}, {0.01f, 16.0f}, {0.3f, 5.0f}, {1.5f, 16.0f}}) {
    for (int round = 0; round < 20; ++round) {
      const auto blocks = random_blocks(rng, 9, 12, kappa, full_cost);
      double total = 0;
      for (const BlockError& b : blocks) total += double{b.estimated};
      const double allowed = total * std::pow(double{rng.next_unit()}, 3);
      const Chosen chosen = choose(blocks, allowed);
      EXPECT_LE(chosen.error, allowed * (1 + 1e-6));
      // Lagrange: no worse than the best set of so small an error, by more than the one block that is split
      // between two multipliers and the two that may share its bin.
      EXPECT_LE(chosen.cost, least_cost(blocks, allowed) + 2 * (1 + int(full_cost)))
          << "kappa " << kappa << " cost " << full_cost << " round " << round;
    }
  }
}

TEST(Selection, IsOptimalForTheErrorItLeaves) {
  core::Rng rng(4);
  for (int round = 0; round < 40; ++round) {
    // far apart: no two in a bin
    const auto blocks = random_blocks(rng, 9, 40, 0.1f, round % 2 == 0 ? 1.0f : 16.0f);
    const Chosen chosen = choose(blocks, 1e-3 * double{rng.next_unit()});
    EXPECT_EQ(chosen.cost, least_cost(blocks, chosen.error * (1 + 1e-9))) << round;
  }
}

TEST(Selection, Edges) {
  const std::vector<BlockError> blocks{{4, 1}, {0, 0}, {1e-30f, 1e-35f}, {1, 2}};
  EXPECT_EQ(choose(blocks, 100).cost, 0) << "all of it is allowed";
  const Chosen none = choose(blocks, -1);
  EXPECT_EQ(none.error, 0) << "nothing is allowed";
  EXPECT_EQ(none.cost, 8);
  // As good in 8 bits as estimated: never in 8 bits.
  for (const double allowed : {-1.0, 0.5, 1.5, 3.5})
    EXPECT_EQ(choose({{1, 1, 16}, {2, 2, 16}}, allowed).cost % 17, 0) << allowed;
  const float inf = std::numeric_limits<float>::infinity();
  StepHistogram histogram;
  histogram.add({inf, inf});
  EXPECT_EQ(histogram.threshold(1).treat({inf, inf}), Treatment::kFull);
  EXPECT_EQ(histogram.threshold(1).treat({std::nanf(""), 0}), Treatment::kFull);
}

// Errors whose worth others have said: the threshold goes by the worth, what is left by the errors.
TEST(Selection, WorthOfAnotherThanItsError) {
  StepHistogram histogram;
  histogram.add(0.0f, 3.0f);
  histogram.add(1e-6f, 5.0f);
  histogram.add(2.0f, 7.0f);
  const auto left = [&](double allowed) { return histogram.left_at(histogram.threshold(allowed)); };
  EXPECT_EQ(left(2.9), 0);
  EXPECT_EQ(histogram.threshold(2.9).bin, 0u) << "not even what is worth nothing may be left out";
  EXPECT_EQ(histogram.threshold(2.9).treat({0, 0}), Treatment::kFull);
  EXPECT_EQ(left(3), 3);
  EXPECT_EQ(histogram.threshold(3).treat({0, 0}), Treatment::kEstimated);
  EXPECT_EQ(left(14.9), 8);
  EXPECT_EQ(left(15), 15);
  histogram.add(1.0f, std::nanf(""));
  EXPECT_EQ(left(100), 8) << "what is not known is not left out";
  EXPECT_EQ(histogram.threshold(100).treat({1, 0}), Treatment::kEightBit);
}

}  // namespace
}  // namespace mneme::attention
