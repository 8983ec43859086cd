// The bound of Ops::key_error_bounds from sums over the channels of a block, for every back-end.
//
// Let e = 2^-24, D = head_dim. attend_sealed computes  s = base + sum_c q'[c] code[t, c]  with base = q . m
// in f32 and q' the query times the scale in 16 bits. It differs from q . k by
//   coding     kInt8: |k - m - a code| <= a / 2 and the rounding of k - m, 1 / a and their product, 3 e 127 a
//              kE4M3: |k - m| <= 8 s (1 + 2^-20) and half a unit there
//   q'         kInt8: u = round(q a / w), w = max |q a| / 16319: at most w / 2 + 3 e |q a| times |code|, 127
//              kE4M3: bf16(q 2^e): 2^-9 |q| times |2^e code| <= 8 s (1 + 2^-4)
//   sums       base: chains of D / 8 and 6 roundings over sum |q m|; codes: none in integers, 2 D roundings
//              of bf16 products (2 e each) over sum |q 8.5 s|; to f32 and together 3 more
// What underflows is below 2^-100.
#pragma once

namespace mneme::kernels {
namespace {

struct KeyBoundSums {
  float centres = 0;     // sum |q m|
  float units = 0;       // sum |q| a, or of half a unit at 8 s
  float units_max = 0;   // largest term of that
  float deviations = 0;  // sum |q| s
};

inline constexpr float kRounding = 0x1p-24f;
// What the sums above, and their own combination, may be too small by: (D / 8 + 32) roundings, D <= 4096.
inline constexpr float kBoundSlack = 1.0f + 0x1p-14f;

// Half a unit of E4M3 codes in 2^e at 8 s: s = 2^E (1 + m / 8) has 2^e = 2^(E - 5) and 8 s in [256, 448] 2^e,
// half a unit 16 2^e, for m <= 6; and 2^e = 2^(E - 4), 8 s = 240 2^e, half a unit 8 2^e for m = 7: 2^E / 2.
inline float e4m3_key_half_unit(float s) {
  return 0.5f * __builtin_bit_cast(float, __builtin_bit_cast(unsigned, s) & 0x7F800000u);
}

inline float int8_key_bound(const KeyBoundSums& sums, int head_dim) {
  const auto d = static_cast<float>(head_dim);
  const float coding = sums.units * (0.5f + 3 * 127 * kRounding);
  const float query = 127 * (d * 0.501f / 16319 * sums.units_max + 3 * kRounding * sums.units);
  const float rounding = kRounding * ((d / 8 + 9) * sums.centres + 3 * 127 * sums.units);
  return (coding + query + rounding) * kBoundSlack + 0x1p-90f;
}

inline float e4m3_key_bound(const KeyBoundSums& sums, int head_dim) {
  const auto d = static_cast<float>(head_dim);
  const float coding = sums.units * (1 + 0x1p-18f);
  const float query = 8.5f * 0x1p-9f * (1 + 0x1p-8f) * sums.deviations;
  const float rounding = kRounding * ((d / 8 + 9) * sums.centres + 4 * d * 8.5f * sums.deviations);
  return (coding + query + rounding) * kBoundSlack + 0x1p-90f;
}

}  // namespace
}  // namespace mneme::kernels
