#include "tensor/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace mneme::tensor {
namespace {

F16 half_of(uint32_t bits) { return {static_cast<uint16_t>(bits)}; }

// The definition, in double: an independent oracle for widening.
double f16_by_definition(uint32_t bits) {
  const int exponent = static_cast<int>((bits >> 10) & 31);
  const double mantissa = bits & 0x3FF;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24)
                                         : std::ldexp(1024 + mantissa, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(ConvertF16, EveryFiniteValueWidensAsDefinedAndComesBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7C00) == 0x7C00) continue;
    const float wide = to_f32(half_of(bits));
    ASSERT_EQ(wide, f16_by_definition(bits)) << bits;
    ASSERT_EQ(std::signbit(wide), (bits & 0x8000) != 0) << bits;
    ASSERT_EQ(to_f16(wide).bits, bits);
  }
}

// Between each pair of neighbours, subnormals included: the half-way point goes to the even one, a hair to
// either side to the nearer one. Half-way points of f16 are exact in f32.
TEST(ConvertF16, RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    const float low = to_f32(half_of(bits));
    const float high = to_f32(half_of(bits + 1));
    const float middle = (low + high) / 2;
    const uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    ASSERT_EQ(to_f16(middle).bits, even) << bits;
    ASSERT_EQ(to_f16(-middle).bits, even | 0x8000) << bits;
    ASSERT_EQ(to_f16(std::nextafter(middle, 0.0f)).bits, bits);
    ASSERT_EQ(to_f16(std::nextafter(middle, 1e9f)).bits, bits + 1);
  }
}

TEST(ConvertF16, Ends) {
  EXPECT_EQ(to_f16(65504.0f).bits, 0x7BFF);
  EXPECT_EQ(to_f16(65519.996f).bits, 0x7BFF);
  EXPECT_EQ(to_f16(65520.0f).bits, 0x7C00);
  EXPECT_EQ(to_f16(-1e30f).bits, 0xFC00);
  EXPECT_EQ(to_f16(std::numeric_limits<float>::infinity()).bits, 0x7C00);
  EXPECT_EQ(to_f16(0x1p-25f).bits, 0);  // a tie, to even
  EXPECT_EQ(to_f16(std::nextafter(0x1p-25f, 1.0f)).bits, 1);
  EXPECT_EQ(to_f16(std::numeric_limits<float>::denorm_min()).bits, 0);
  EXPECT_EQ(to_f16(-0.0f).bits, 0x8000);
  EXPECT_TRUE(std::isinf(to_f32(half_of(0x7C00))));
}

TEST(ConvertF16, NanStaysNan) {
  for (const uint32_t bits : {0x7F800001u, 0x7FC00000u, 0x7FFFFFFFu, 0xFF801000u}) {
    const F16 half = to_f16(std::bit_cast<float>(bits));
    EXPECT_TRUE(std::isnan(to_f32(half))) << bits;
    EXPECT_EQ(half.bits >> 15, bits >> 31);
  }
  EXPECT_TRUE(std::isnan(to_f32(half_of(0xFC01))));
}

TEST(ConvertBf16, EveryValueComesBackAndNanStaysNan) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float wide = to_f32(Bf16{static_cast<uint16_t>(bits)});
    if (std::isnan(wide)) {
      ASSERT_TRUE(std::isnan(to_f32(to_bf16(wide))));
    } else {
      ASSERT_EQ(to_bf16(wide).bits, bits);
    }
  }
  EXPECT_TRUE(std::isnan(to_f32(to_bf16(std::bit_cast<float>(0x7F800001u)))));
}

TEST(ConvertBf16, RoundsToNearestEven) {
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3F808000u)).bits, 0x3F80);  // a tie, to even
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3F818000u)).bits, 0x3F82);
  EXPECT_EQ(to_bf16(std::bit_cast<float>(0x3F808001u)).bits, 0x3F81);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()).bits, 0x7F80);
}

}  // namespace
}  // namespace mneme::tensor
