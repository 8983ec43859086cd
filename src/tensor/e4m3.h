// E4M3, the 8-bit float with 4 bits of exponent (bias 7) and 3 of mantissa: OCP 8-bit Floating Point
// Specification (OFP8) revision 1.0, 5.1. Largest 448, smallest normal 2^-6, smallest subnormal 2^-9; no
// infinities; 0x7F and 0xFF are NaN. It is no element type of a model file, so dtype.h does not list it.
#pragma once

#include <bit>
#include <cstdint>

namespace mneme::tensor {

struct E4M3 {
  uint8_t bits;
};
static_assert(sizeof(E4M3) == 1);

inline constexpr float kE4M3Max = 448.0f;

// Exact. As an f32 whose exponent field holds E4M3's, the magnitude is 2^120 too small (127 - 7), subnormals
// included.
inline float to_f32(E4M3 x) {
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x80u) << 24, rest = x.bits & 0x7Fu;
  if (rest == 0x7F) return std::bit_cast<float>(sign | 0x7FC00000u);
  const float magnitude = std::bit_cast<float>(rest << 20) * 0x1p120f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

// Round to nearest even, saturating: what lies beyond 448, infinities too, becomes 448 of its sign. NaN stays
// NaN. Below the smallest normal the unit is 2^-9, which is the last bit of an f32 near 2^14.
inline E4M3 to_e4m3(float x) {
  const auto u = std::bit_cast<uint32_t>(x);
  const uint32_t sign = (u >> 24) & 0x80u, magnitude = u & 0x7FFFFFFFu;
  uint32_t code = 0;
  if (magnitude > 0x7F800000u) {
    code = 0x7F;
  } else if (magnitude >= 0x43E00000u) {  // 448
    code = 0x7E;
  } else if (magnitude >= 0x3C800000u) {  // 2^-6
    code = ((magnitude + 0x7FFFFu + ((magnitude >> 20) & 1u)) >> 20) - (120u << 3);
  } else {
    code = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0x1p14f) - 0x46800000u;
  }
  return {static_cast<uint8_t>(sign | code)};
}

}  // namespace mneme::tensor
