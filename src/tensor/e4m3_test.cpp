#include "tensor/e4m3.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/rng.h"
#include "tensor/convert.h"

namespace mneme::tensor {
namespace {

// The definition (OFP8 5.1), in double: an independent oracle. The NaN codes are not asked.
double by_definition(int code) {
  const int exponent = (code >> 3) & 15, mantissa = code & 7;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

// The nearest of the 127 magnitudes by distance, ties to the even code, saturating.
int nearest_by_search(double magnitude) {
  static const std::vector<double> values = [] {
    std::vector<double> all;
    for (int code = 0; code < 0x7F; ++code) all.push_back(by_definition(code));
    return all;
  }();
  const auto above = std::lower_bound(values.begin(), values.end(), magnitude);
  if (above == values.end()) return 0x7E;
  const int code = static_cast<int>(above - values.begin());
  if (code == 0) return 0;
  const double up = *above - magnitude, down = magnitude - values[static_cast<size_t>(code - 1)];
  if (up == down) return code % 2 == 0 ? code : code - 1;
  return up < down ? code : code - 1;
}

int encode_by_search(float x) {
  const int sign = std::signbit(x) ? 0x80 : 0;
  return sign | (std::isnan(x) ? 0x7F : nearest_by_search(std::abs(double{x})));
}

TEST(E4M3, EveryCodeWidensAsDefinedAndComesBack) {
  for (int code = 0; code < 256; ++code) {
    const float wide = to_f32(E4M3{static_cast<uint8_t>(code)});
    ASSERT_EQ(std::signbit(wide), code >= 0x80) << code;
    ASSERT_EQ(to_e4m3(wide).bits, code);
    if ((code & 0x7F) == 0x7F) {
      ASSERT_TRUE(std::isnan(wide)) << code;
    } else {
      ASSERT_EQ(wide, by_definition(code)) << code;
    }
  }
  EXPECT_EQ(to_f32(E4M3{0x7E}), kE4M3Max);
}

TEST(E4M3, EveryBf16IsRoundedToTheNearest) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float x = to_f32(Bf16{static_cast<uint16_t>(bits)});
    ASSERT_EQ(to_e4m3(x).bits, encode_by_search(x)) << x;
  }
}

TEST(E4M3, TiesAndTheirNeighboursInF32) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (int code = 0; code < 0x7E; ++code) {
    const auto tie = static_cast<float>((by_definition(code) + by_definition(code + 1)) / 2);
    for (const float x : {tie, std::nextafter(tie, kInfinity), std::nextafter(tie, 0.0f)}) {
      ASSERT_EQ(to_e4m3(x).bits, encode_by_search(x)) << x;
      ASSERT_EQ(to_e4m3(-x).bits, encode_by_search(-x)) << x;
    }
  }
  for (const float x : {448.0f, 463.9f, 464.0f, 480.0f, 1e30f, kInfinity, 1e-40f, 0.0f}) {
    ASSERT_EQ(to_e4m3(x).bits, encode_by_search(x)) << x;
    ASSERT_EQ(to_e4m3(-x).bits, encode_by_search(-x)) << x;
  }
}

TEST(E4M3, AnyF32IsRoundedToTheNearest) {
  constexpr uint64_t kSeed = 41;
  core::Rng rng(kSeed);
  for (int i = 0; i < 300000; ++i) {
    // exponents around E4M3's own
    const uint32_t exponent = 110 + rng.next_below(30);
    const uint32_t rest = rng.next_u32() & 0x807FFFFFu;
    const auto x = std::bit_cast<float>(rest | exponent << 23);
    ASSERT_EQ(to_e4m3(x).bits, encode_by_search(x)) << x << " seed " << kSeed;
  }
}

}  // namespace
}  // namespace mneme::tensor
