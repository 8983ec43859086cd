#include "model/rope_frequencies.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/rope.h"

namespace mneme::model {
namespace {

RopeConfig config_of(RopeScaling scaling) {
  RopeConfig c;
  c.base = 10000;
  c.dims = 64;
  c.scaling = scaling;
  c.factor = 4;
  c.context_original = 4096;
  return c;
}

TEST(RopeFrequencies, PlainAndLinear) {
  const auto plain = rope_frequencies(config_of(RopeScaling::kNone), {});
  ASSERT_EQ(plain.frequencies.size(), 32u);
  EXPECT_FLOAT_EQ(plain.frequencies[0], 1.0f);
  EXPECT_FLOAT_EQ(plain.frequencies[16], 0.01f);
  EXPECT_EQ(plain.scale, 1.0f);
  const auto linear = rope_frequencies(config_of(RopeScaling::kLinear), {});
  for (size_t i = 0; i < 32; ++i) EXPECT_FLOAT_EQ(linear.frequencies[i], plain.frequencies[i] / 4);
}

// Fast pairs (more than 32 turns in the original context) stay, slow ones (under one turn) are stretched.
TEST(RopeFrequencies, YarnKeepsFastAndStretchesSlowPairs) {
  const auto plain = rope_frequencies(config_of(RopeScaling::kNone), {});
  const auto yarn = rope_frequencies(config_of(RopeScaling::kYarn), {});
  for (size_t i = 0; i < 32; ++i) {
    const double turns = 4096 * double{plain.frequencies[i]} / (2 * std::numbers::pi);
    if (turns > 45) {
      EXPECT_FLOAT_EQ(yarn.frequencies[i], plain.frequencies[i]) << i;
    }
    if (turns < 0.7) {
      EXPECT_FLOAT_EQ(yarn.frequencies[i], plain.frequencies[i] / 4) << i;
    }
    EXPECT_LE(yarn.frequencies[i], plain.frequencies[i] * 1.0001f);
    EXPECT_GE(yarn.frequencies[i], plain.frequencies[i] / 4.0001f);
  }
  EXPECT_FLOAT_EQ(yarn.scale, 1.0f + 0.1f * std::log(4.0f));
}

TEST(RopeFrequencies, Llama3RuleAndDivisors) {
  const auto plain = rope_frequencies(config_of(RopeScaling::kNone), {});
  const auto scaled = rope_frequencies(config_of(RopeScaling::kLlama3), {});
  EXPECT_FLOAT_EQ(scaled.frequencies[0], plain.frequencies[0]);
  EXPECT_FLOAT_EQ(scaled.frequencies[31], plain.frequencies[31] / 4);
  for (size_t i = 1; i < 32; ++i) EXPECT_LT(scaled.frequencies[i], scaled.frequencies[i - 1]);
  // Divisors in the file carry the rule already: it must not be applied twice.
  const std::vector<float> divisors(32, 2.0f);
  const auto divided = rope_frequencies(config_of(RopeScaling::kLlama3), divisors);
  for (size_t i = 0; i < 32; ++i) EXPECT_FLOAT_EQ(divided.frequencies[i], plain.frequencies[i] / 2);
}

// A rotation keeps lengths, and the product of two rotated vectors depends on the distance of their positions
// only.
TEST(Rope, DependsOnDistanceOnly) {
  const auto rope = rope_frequencies(config_of(RopeScaling::kNone), {});
  const auto turned_product = [&](int p, int q, bool interleaved) {
    std::vector<float> a(64), b(64), table(64);
    for (size_t i = 0; i < 64; ++i)
      a[i] = std::sin(static_cast<float>(i)), b[i] = std::cos(3 * static_cast<float>(i));
    kernels::rope_table(p, rope.frequencies, 1, table);
    kernels::rope_apply(a.data(), 64, interleaved, table.data());
    kernels::rope_table(q, rope.frequencies, 1, table);
    kernels::rope_apply(b.data(), 64, interleaved, table.data());
    double sum = 0;
    for (size_t i = 0; i < 64; ++i) sum += double{a[i]} * b[i];
    return sum;
  };
  for (const bool interleaved : {false, true}) {
    EXPECT_NEAR(turned_product(5, 3, interleaved), turned_product(1000005, 1000003, interleaved), 1e-4);
    EXPECT_GT(std::abs(turned_product(5, 3, interleaved) - turned_product(9, 3, interleaved)), 0.1);
  }
}

}  // namespace
}  // namespace mneme::model
