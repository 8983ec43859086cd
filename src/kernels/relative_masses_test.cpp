// Masses relative to the heaviest: the oracle against its formula, every back-end against the oracle.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/backends.h"
#include "kernels/sealed_for_test.h"
#include "kernels/select.h"

namespace mneme::kernels {
namespace {

class RelativeMasses : public testing::TestWithParam<const Ops*> {};

TEST_P(RelativeMasses, AreThoseOfTheOracle) {
  for (const int blocks : {1, 3, 16, 31, 32, 50}) {
    const auto count = static_cast<size_t>(blocks), stride = count + 3;
    for (const float spread : {0.0f, 2.0f, 300.0f}) {
      core::Rng rng(kSeed);
      std::vector<float> max(3 * stride, -7.0f), sum = max, top(3), total(3), want_top(3), want_total(3);
      for (size_t i = 0; i < max.size(); ++i) {
        if (i % stride >= count) continue;
        max[i] = 900.0f * static_cast<float>(i / stride) + spread * noise(rng);
        sum[i] = 1 + 63 * rng.next_unit();
      }
      std::vector<float> want_max = max, want_sum = sum;
      GetParam()->relative_masses({3, blocks, max.data(), sum.data(), stride, top.data(), total.data()});
      scalar_ops().relative_masses(
          {3, blocks, want_max.data(), want_sum.data(), stride, want_top.data(), want_total.data()});
      EXPECT_EQ(top, want_top);
      for (size_t r = 0; r < 3; ++r) EXPECT_NEAR(total[r], want_total[r], want_total[r] * 2e-4);
      for (size_t i = 0; i < max.size(); ++i) {
        ASSERT_NEAR(sum[i], want_sum[i], std::abs(want_sum[i]) * 2e-4 + 1e-30) << i;
        ASSERT_NEAR(max[i], want_max[i], std::abs(want_max[i]) * 4e-4 + 1e-30) << i;
        ASSERT_TRUE(i % stride < count || (max[i] == -7.0f && sum[i] == -7.0f));
      }
    }
  }
}

TEST(RelativeMassesScalar, AreTheirFormula) {
  float max[] = {1.0f, 3.0f}, sum[] = {10.0f, 4.0f}, top, total;
  scalar_ops().relative_masses({1, 2, max, sum, 2, &top, &total});
  EXPECT_EQ(top, 3.0f);
  EXPECT_NEAR(sum[0], 10 * std::exp(-2.0), 1e-6);
  EXPECT_NEAR(max[0], 10 * std::exp(-4.0), 1e-6);
  EXPECT_EQ(sum[1], 4.0f);
  EXPECT_EQ(max[1], 4.0f);
  EXPECT_NEAR(total, 4 + 10 * std::exp(-2.0), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Isa, RelativeMasses, testing::ValuesIn(available_ops()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace mneme::kernels
