#include "tensor/convert.h"

namespace mneme::tensor {

// IEEE 754 binary32 -> binary16, round to nearest even: the 13 lowest mantissa bits go for normal results,
// more for subnormal ones, whose unit is 2^-24. Adding the rounded mantissa to the exponent field lets a
// carry move into the exponent, up to infinity, as the standard asks.
F16 to_f16(float x) {
  const auto u = std::bit_cast<uint32_t>(x);
  const uint32_t sign = (u >> 16) & 0x8000u;
  const uint32_t magnitude = u & 0x7FFFFFFFu;
  uint32_t half = 0;
  if (magnitude > 0x7F800000u) {
    half = 0x7E00u | ((magnitude >> 13) & 0x3FFu);  // quiet NaN, payload kept as far as it fits
  } else if (magnitude >= 0x477FF000u) {
    half = 0x7C00u;  // 65520 is half way between the largest f16 and 2^16: it and all above go to infinity
  } else if (magnitude >= 0x38800000u) {  // 2^-14, the smallest normal f16
    const uint32_t rebiased = magnitude - (112u << 23);
    half = (rebiased + 0xFFFu + ((rebiased >> 13) & 1u)) >> 13;
  } else if (magnitude > 0x33000000u) {         // 2^-25 itself is a tie that goes to the even 0
    const uint32_t exponent = magnitude >> 23;  // 102 to 112
    const uint32_t mantissa = (magnitude & 0x7FFFFFu) | 0x800000u;
    const uint32_t shift = 126u - exponent;  // 14 to 24: mantissa * 2^(exponent - 150) in units of 2^-24
    const uint32_t tie = 1u << (shift - 1);
    half = (mantissa + tie - 1u + ((mantissa >> shift) & 1u)) >> shift;
  }
  return {static_cast<uint16_t>(sign | half)};
}

}  // namespace mneme::tensor
