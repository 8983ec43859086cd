#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <string>
#include <vector>

#include "core/rng.h"
#include "tensor/dequantize.h"
#include "tensor/quantize.h"

namespace mneme::tensor {
namespace {

// step: bound on the error of one value, as a share of the largest magnitude in its block of 256: half a step
// of the widest sub-block plus what rounding its scale and min costs; where the extreme sits on the level -n
// (Q4_0, Q5_0, Q3_K, Q6_K), a whole step for a value of opposite sign, n - 1 being the last level there: 1/4
// + 1/32 for Q3_K. rms: relative rms error on Gaussian values, with some air.
struct Bound {
  DType type;
  float step;
  double rms;
};

constexpr Bound kBounds[] = {
    {DType::kF32, 0, 0},           {DType::kF16, 0x1p-11f, 3e-4}, {DType::kBF16, 0x1p-8f, 2.4e-3},
    {DType::kQ8_0, 0.005f, 0.006}, {DType::kQ4_0, 0.126f, 0.10},  {DType::kQ4_1, 0.07f, 0.09},
    {DType::kQ5_0, 0.064f, 0.05},  {DType::kQ5_1, 0.036f, 0.045}, {DType::kIQ4_NL, 0.12f, 0.09},
    {DType::kQ2_K, 0.42f, 0.36},   {DType::kQ3_K, 0.282f, 0.22},  {DType::kQ4_K, 0.09f, 0.09},
    {DType::kQ5_K, 0.05f, 0.045},  {DType::kQ6_K, 0.04f, 0.025},
};

void PrintTo(const Bound& bound, std::ostream* out) { *out << dtype_info(bound.type).name; }

std::string name_of(const testing::TestParamInfo<Bound>& info) {
  return std::string(dtype_info(info.param.type).name);
}

std::vector<float> back_and_forth(DType type, std::span<const float> values) {
  std::vector<float> out(values.size());
  dequantize(type, quantize(type, values), out);
  return out;
}

// Sum of 12 uniforms: near enough to Gaussian, and the same everywhere.
std::vector<float> gaussian(size_t count, float deviation, uint64_t seed) {
  core::Rng rng(seed);
  std::vector<float> out(count);
  for (float& x : out) {
    float sum = -6;
    for (int i = 0; i < 12; ++i) sum += rng.next_unit();
    x = sum * deviation;
  }
  return out;
}

class QuantizeForTest : public testing::TestWithParam<Bound> {};
INSTANTIATE_TEST_SUITE_P(Types, QuantizeForTest, testing::ValuesIn(kBounds), name_of);

TEST_P(QuantizeForTest, ErrorsAreBounded) {
  const auto [type, step, rms_max] = GetParam();
  for (const float deviation : {0.02f, 1.0f, 300.0f}) {
    const std::vector<float> x = gaussian(256 * 40, deviation, 11);
    const std::vector<float> y = back_and_forth(type, x);
    double error = 0;
    double norm = 0;
    for (size_t block = 0; block < x.size(); block += 256) {
      float largest = 0;
      for (size_t i = block; i < block + 256; ++i) largest = std::max(largest, std::abs(x[i]));
      for (size_t i = block; i < block + 256; ++i) {
        ASSERT_LE(std::abs(x[i] - y[i]), step * largest)
            << "value " << i << ": " << x[i] << " became " << y[i];
        error += std::pow(double{x[i]} - double{y[i]}, 2);
        norm += std::pow(double{x[i]}, 2);
      }
    }
    EXPECT_LE(std::sqrt(error / norm), rms_max) << "deviation " << deviation;
    RecordProperty("relative_rms", std::to_string(std::sqrt(error / norm)));
  }
}

TEST_P(QuantizeForTest, ZeroStaysZero) {
  for (const float y : back_and_forth(GetParam().type, std::vector<float>(512))) ASSERT_EQ(y, 0.0f);
}

// One value only, at every place of a block: nothing may land elsewhere.
TEST_P(QuantizeForTest, AValueStaysInItsPlace) {
  const auto [type, step, rms_max] = GetParam();
  for (size_t place = 0; place < 256; ++place) {
    for (const float value : {-1.0f, 1.0f}) {
      std::vector<float> x(256);
      x[place] = value;
      const std::vector<float> y = back_and_forth(type, x);
      for (size_t i = 0; i < 256; ++i) ASSERT_NEAR(y[i], x[i], step) << "place " << place;
    }
  }
}

TEST_P(QuantizeForTest, LargeMagnitudesStayFinite) {
  const auto [type, step, rms_max] = GetParam();
  std::vector<float> x(256);
  for (size_t i = 0; i < 256; ++i) x[i] = (i % 3 == 0 ? -60000.0f : 60000.0f) * (i % 7 == 0 ? 0.5f : 1.0f);
  const std::vector<float> y = back_and_forth(type, x);
  for (size_t i = 0; i < 256; ++i) ASSERT_NEAR(y[i], x[i], step * 60000);
}

// So small that the f16 scale is subnormal (or 0): the result stays within a few units of 2^-24 times the
// largest quant.
TEST_P(QuantizeForTest, SubnormalScalesStaySane) {
  const DType type = GetParam().type;
  for (const float deviation : {1e-4f, 1e-6f, 1e-9f, 1e-30f}) {
    const std::vector<float> x = gaussian(256, deviation, 5);
    const std::vector<float> y = back_and_forth(type, x);
    for (size_t i = 0; i < 256; ++i) {
      ASSERT_TRUE(std::isfinite(y[i]));
      ASSERT_LE(std::abs(y[i]), 6 * deviation * 2 + 128 * 32 * 0x1p-24f);
    }
  }
}

TEST_P(QuantizeForTest, RepeatsExactly) {
  const DType type = GetParam().type;
  const std::vector<float> x = gaussian(512, 1, 3);
  EXPECT_EQ(quantize(type, x), quantize(type, x));
  EXPECT_EQ(quantize(type, x).size(), row_bytes(type, 512));
}

}  // namespace
}  // namespace mneme::tensor
