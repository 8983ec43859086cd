// Sealing and unsealing a block (kernels/sealed.h), for ISA files: the same bits as the oracle, so every sum
// keeps the oracle's order and every multiply-add that is one is written as one.
#pragma once

#include "kernels/backends.h"
#include "kernels/shared/groups.inl"

namespace mneme::kernels {
namespace {

constexpr int kSealVectors = 64 / Simd::kLanes;  // of one channel's tokens
constexpr int kSumVectors = 16 / Simd::kLanes;   // of 16 partial sums

// Two lanes' worth of a bf16 pair.
struct Lanes2 {
  Simd::F even, odd;
};

inline Simd::F tame(Simd::F x) {
  return Simd::min(Simd::max(Simd::nan_to_zero(x), Simd::set1(-kSealMax)), Simd::set1(kSealMax));
}

inline Lanes2 load_tame(const uint16_t* p) {
  const Simd::I pairs = Simd::load_i(p);
  return {tame(Simd::as_f(Simd::shift_left<16>(pairs))),
          tame(Simd::as_f(Simd::and_i32(pairs, static_cast<int>(0xFFFF0000u))))};
}

// 16 partial sums, halves added to halves.
struct Sum16 {
  Simd::F part[kSumVectors];

  Sum16() {
    for (auto& p : part) p = Simd::zero();
  }
  void add(int vector, Simd::F x) { part[vector % kSumVectors] = Simd::add(part[vector % kSumVectors], x); }
  void add_square(int vector, Simd::F x) {
    part[vector % kSumVectors] = Simd::fma(x, x, part[vector % kSumVectors]);
  }
  float total() const {
    return Simd::sum(kSumVectors == 1 ? part[0] : Simd::add(part[0], part[kSumVectors - 1]));
  }
};

inline uint32_t bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }
inline float float_of(uint32_t bits) { return __builtin_bit_cast(float, bits); }
// Round to nearest even; finite.
inline uint16_t bf16_of(float x) {
  const uint32_t u = bits_of(x);
  return static_cast<uint16_t>((u + 0x7FFFu + ((u >> 16) & 1u)) >> 16);
}
inline float inverse_of(uint32_t scale) { return float_of((254 - scale) << 23); }
// The smallest power of two with max <= 448 * 2^.
inline uint32_t scale_of(float max) {
  const uint32_t octave = (bits_of(max) + 0x1FFFFF) >> 23;
  return max == 0 ? 0 : octave > 9 ? octave - 8 : 1;
}

// E4M3 codes of |y| <= 448 (tensor/e4m3.h), in the lanes' lowest bytes.
inline Simd::I e4m3_of(Simd::F y) {
  const Simd::I u = Simd::as_i(y), magnitude = Simd::and_i32(u, 0x7FFFFFFF);
  const Simd::I sign = Simd::and_i32(Simd::shift_right<24>(u), 0x80);
  const Simd::I odd = Simd::and_i32(Simd::shift_right<20>(u), 1);
  const Simd::I biased = Simd::sub_i32(magnitude, static_cast<int>((120u << 23) - 0x7FFFFu));
  const Simd::I normal = Simd::shift_right<20>(Simd::add_i32(biased, odd));
  const Simd::F shifted = Simd::add(Simd::as_f(magnitude), Simd::set1(0x1p14f));
  const Simd::I small = Simd::sub_i32(Simd::as_i(shifted), 0x46800000);
  return Simd::or_(sign, Simd::select_less(Simd::as_f(magnitude), Simd::set1(0x1p-6f), small, normal));
}

// The values of codes in the lanes' lowest bytes, but NaN.
inline Simd::F e4m3_value(Simd::I code) {
  const Simd::I sign = Simd::shift_left<24>(Simd::and_i32(code, 0x80));
  const Simd::F magnitude = Simd::as_f(Simd::shift_left<20>(Simd::and_i32(code, 0x7F)));
  return Simd::as_f(Simd::or_(sign, Simd::as_i(Simd::mul(magnitude, Simd::set1(0x1p120f)))));
}

inline Simd::I bf16_bits(Simd::F x) {
  const Simd::I u = Simd::as_i(x);
  const Simd::I odd = Simd::and_i32(Simd::shift_right<16>(u), 1);
  return Simd::add_i32(Simd::add_i32(u, Simd::set1_i32(0x7FFF)), odd);  // in the upper half
}

// Centres and deviation levels of one pair of channels.
inline void measure_pair(const uint16_t* keys, uint16_t* centres, uint16_t* levels) {
  Lanes2 x[kSealVectors];
  Sum16 even, odd;
  MNEME_UNROLL
  for (int v = 0; v < kSealVectors; ++v) {
    x[v] = load_tame(keys + v * Simd::kLanes * 2);
    even.add(v, x[v].even);
    odd.add(v, x[v].odd);
  }
  centres[0] = bf16_of(even.total() / 64), centres[1] = bf16_of(odd.total() / 64);
  const Simd::F centre_even = Simd::set1(float_of(uint32_t{centres[0]} << 16));
  const Simd::F centre_odd = Simd::set1(float_of(uint32_t{centres[1]} << 16));
  Sum16 squares_even, squares_odd;
  MNEME_UNROLL
  for (int v = 0; v < kSealVectors; ++v) {
    squares_even.add_square(v, Simd::sub(x[v].even, centre_even));
    squares_odd.add_square(v, Simd::sub(x[v].odd, centre_odd));
  }
  levels[0] = static_cast<uint16_t>((bits_of(__builtin_sqrtf(squares_even.total() / 64)) + 0xFFFFF) >> 20);
  levels[1] = static_cast<uint16_t>((bits_of(__builtin_sqrtf(squares_odd.total() / 64)) + 0xFFFFF) >> 20);
}

// What the sketch of one channel needs.
struct ChannelSketch {
  Simd::F step, minus_step;

  ChannelSketch(const SealedSummary& summary, int channel) {
    const uint32_t level = summary.statistics->deviation_base + summary.key_deviations[channel];
    const float width = kSketchStep * float_of(level << 20);
    step = Simd::set1(width), minus_step = Simd::set1(-width);
  }
  Simd::I code(Simd::F x) const {
    const Simd::I code = Simd::count_greater(Simd::izero(), x, minus_step);
    return Simd::count_greater(Simd::count_greater(code, x, Simd::zero()), x, step);
  }
};

// A channel pair of all tokens, about the centres.
inline void centred_pair(const SealTask& task, int channel, Lanes2 (&x)[kSealVectors]) {
  const uint16_t* centres = task.summary.key_centres + channel;
  const Simd::F even = Simd::set1(float_of(uint32_t{centres[0]} << 16));
  const Simd::F odd = Simd::set1(float_of(uint32_t{centres[1]} << 16));
  MNEME_UNROLL
  for (int v = 0; v < kSealVectors; ++v) {
    const Lanes2 key = load_tame(task.keys + channel * 64 + v * Simd::kLanes * 2);
    x[v] = {Simd::sub(key.even, even), Simd::sub(key.odd, odd)};
  }
}

inline void code_e4m3_pair(const SealTask& task, int channel, const Lanes2 (&x)[kSealVectors]) {
  Simd::F factors[2];
  for (int i = 0; i < 2; ++i) {
    const uint32_t level = task.summary.statistics->deviation_base + task.summary.key_deviations[channel + i];
    factors[i] = Simd::set1(inverse_of(key_scale(level)));
  }
  MNEME_UNROLL
  for (int v = 0; v < kSealVectors; ++v) {
    const Simd::I low = e4m3_of(Simd::mul(x[v].even, factors[0]));
    const Simd::I high = e4m3_of(Simd::mul(x[v].odd, factors[1]));
    Simd::store_u16(task.fp8.keys + channel * 64 + v * Simd::kLanes * 2,
                    Simd::or_(low, Simd::shift_left<8>(high)));
  }
}

// The smallest bf16 that is no less than max / 127.
inline uint16_t int8_scale(float max) {
  float scale = max / 127.0f;
  if (scale < kInt8ScaleMin) scale = kInt8ScaleMin;
  return static_cast<uint16_t>((bits_of(scale) + 0xFFFF) >> 16);
}
inline Simd::F int8_factor(uint16_t scale) { return Simd::set1(1.0f / float_of(uint32_t{scale} << 16)); }
// Code + 128 in the lanes' lowest bytes.
inline Simd::I int8_code(Simd::F x, Simd::F factor) {
  return Simd::add_i32(Simd::to_i32(Simd::mul(x, factor)), Simd::set1_i32(kInt8Zero));
}
inline Simd::I int8_codes(Simd::F even, Simd::F odd, const Simd::F (&factors)[2]) {
  return Simd::or_(int8_code(even, factors[0]), Simd::shift_left<8>(int8_code(odd, factors[1])));
}

// Half a quad of channels; the first half is in memory when the second comes.
template <int kHalf>
inline void code_int8_pair(const SealTask& task, int channel, const Lanes2 (&x)[kSealVectors]) {
  Simd::F even = Simd::zero(), odd = Simd::zero();
  MNEME_UNROLL
  for (int v = 0; v < kSealVectors; ++v)
    even = Simd::max(even, Simd::abs(x[v].even)), odd = Simd::max(odd, Simd::abs(x[v].odd));
  uint16_t* scales = task.fp8.key_scales + channel;
  scales[0] = int8_scale(Simd::largest(even)), scales[1] = int8_scale(Simd::largest(odd));
  const Simd::F factors[2] = {int8_factor(scales[0]), int8_factor(scales[1])};
  MNEME_UNROLL
  for (int v = 0; v < kSealVectors; ++v) {
    Simd::I codes = int8_codes(x[v].even, x[v].odd, factors);
    uint8_t* quads = task.fp8.keys + (channel - 2 * kHalf) * 64 + v * Simd::kLanes * 4;
    if constexpr (kHalf == 1) codes = Simd::or_(Simd::load_i(quads), Simd::shift_left<16>(codes));
    Simd::store_i(quads, codes);
  }
}

// Codes of a channel pair, and its part of the quad's sketch: kHalf says which half of the quad it is.
template <int kHalf>
inline void code_pair(const SealTask& task, int channel, Simd::I (&sketch)[kSumVectors]) {
  Lanes2 x[kSealVectors];
  centred_pair(task, channel, x);
  if (task.fp8.format() == CopyFormat::kInt8) {
    code_int8_pair<kHalf>(task, channel, x);
  } else {
    code_e4m3_pair(task, channel, x);
  }
  const ChannelSketch even(task.summary, channel), odd(task.summary, channel + 1);
  Simd::I planes[4][kSumVectors];
  MNEME_UNROLL
  for (int v = 0; v < kSealVectors; ++v) {
    planes[v / kSumVectors][v % kSumVectors] = Simd::or_(even.code(x[v].even),
                                                         Simd::shift_left<8>(odd.code(x[v].odd)));
  }
  MNEME_UNROLL
  for (int lane = 0; lane < kSumVectors; ++lane) {
    const Simd::I low = Simd::or_(planes[0][lane], Simd::shift_left<2>(planes[1][lane]));
    const Simd::I high = Simd::or_(planes[2][lane], Simd::shift_left<2>(planes[3][lane]));
    const Simd::I all = Simd::or_(low, Simd::shift_left<4>(high));
    sketch[lane] = Simd::or_(sketch[lane], Simd::shift_left<16 * kHalf>(all));
  }
}

void seal_keys(const SealTask& task) {
  uint16_t levels[kSealHeadDimMax];
  uint32_t top = 0;
  for (int c = 0; c < task.head_dim; c += 2) {
    measure_pair(task.keys + c * 64, task.summary.key_centres + c, levels + c);
    if (levels[c] > top) top = levels[c];
    if (levels[c + 1] > top) top = levels[c + 1];
  }
  const uint32_t base = top > 255 ? top - 255 : 0;
  task.summary.statistics->deviation_base = base;
  for (int c = 0; c < task.head_dim; ++c)
    task.summary.key_deviations[c] = static_cast<uint8_t>(levels[c] > base ? levels[c] - base : 0);
  for (int c = 0; c < task.head_dim; c += 4) {
    Simd::I sketch[kSumVectors];
    for (auto& s : sketch) s = Simd::izero();
    code_pair<0>(task, c, sketch);
    code_pair<1>(task, c + 2, sketch);
    for (int lane = 0; lane < kSumVectors; ++lane)
      Simd::store_i(task.summary.sketch + c * 16 + lane * Simd::kLanes * 4, sketch[lane]);
  }
}

// E4M3 codes of two tokens and their scales, from their largest magnitudes.
inline void code_e4m3_values(const SealTask& task, int pair, const float (&largest)[2]) {
  const uint16_t* values = task.values + pair * task.head_dim * 2;
  uint8_t* codes = task.fp8.values + pair * task.head_dim * 2;
  Simd::F factors[2];
  for (int i = 0; i < 2; ++i) {
    const uint32_t scale = scale_of(largest[i]);
    task.fp8.value_exponents[pair * 2 + i] = static_cast<uint8_t>(scale);
    factors[i] = Simd::set1(inverse_of(scale));
  }
  for (int c = 0; c < task.head_dim; c += Simd::kLanes) {
    const Lanes2 x = load_tame(values + c * 2);
    const Simd::I low = e4m3_of(Simd::mul(x.even, factors[0])), high = e4m3_of(Simd::mul(x.odd, factors[1]));
    Simd::store_u16(codes + c * 2, Simd::or_(low, Simd::shift_left<8>(high)));
  }
}

// int8 codes of four tokens whose scales are known.
inline void code_int8_values(const SealTask& task, int quad) {
  const uint16_t* values = task.values + quad * task.head_dim * 4;
  const uint16_t* scales = task.fp8.value_scales + quad * 4;
  const Simd::F low[2] = {int8_factor(scales[0]), int8_factor(scales[1])},
                high[2] = {int8_factor(scales[2]), int8_factor(scales[3])};
  for (int c = 0; c < task.head_dim; c += Simd::kLanes) {
    const Lanes2 x = load_tame(values + c * 2), y = load_tame(values + (task.head_dim + c) * 2);
    const Simd::I first = int8_codes(x.even, x.odd, low), second = int8_codes(y.even, y.odd, high);
    Simd::store_i(task.fp8.values + (quad * task.head_dim + c) * 4,
                  Simd::or_(first, Simd::shift_left<16>(second)));
  }
}

// Scales and codes of two tokens; adds their squared norms to `sum` in order, returns the larger.
inline float seal_value_pair(const SealTask& task, int pair, float& sum) {
  constexpr int L = Simd::kLanes;
  const uint16_t* values = task.values + pair * task.head_dim * 2;
  Simd::F max_even = Simd::zero(), max_odd = Simd::zero();
  Sum16 even, odd;
  for (int c = 0; c < task.head_dim; c += 16) {
    MNEME_UNROLL
    for (int v = 0; v < kSumVectors; ++v) {
      const Lanes2 x = load_tame(values + (c + v * L) * 2);
      max_even = Simd::max(max_even, Simd::abs(x.even)), max_odd = Simd::max(max_odd, Simd::abs(x.odd));
      even.add_square(v, x.even), odd.add_square(v, x.odd);
    }
  }
  const float largest[2] = {Simd::largest(max_even), Simd::largest(max_odd)};
  if (task.fp8.format() == CopyFormat::kInt8) {
    for (int i = 0; i < 2; ++i) task.fp8.value_scales[pair * 2 + i] = int8_scale(largest[i]);
    if (pair % 2 == 1) code_int8_values(task, pair / 2);
  } else {
    code_e4m3_values(task, pair, largest);
  }
  const float squares[2] = {even.total(), odd.total()};
  sum += squares[0];
  sum += squares[1];
  return squares[0] > squares[1] ? squares[0] : squares[1];
}

void mean_of_values(const SealTask& task) {
  constexpr int L = Simd::kLanes;
  float means[kSealHeadDimMax];
  Simd::F max = Simd::zero();
  for (int c = 0; c < task.head_dim; c += L) {
    Simd::F sum = Simd::zero();
    for (int pair = 0; pair < 32; ++pair) {
      const Lanes2 x = load_tame(task.values + (pair * task.head_dim + c) * 2);
      sum = Simd::add(Simd::add(sum, x.even), x.odd);
    }
    const Simd::F mean = Simd::div(sum, Simd::set1(64));
    Simd::store(means + c, mean);
    max = Simd::max(max, Simd::abs(mean));
  }
  const uint32_t scale = scale_of(Simd::largest(max));
  task.summary.statistics->value_mean_scale = float_of(scale_bits(scale));
  const Simd::F factor = Simd::set1(inverse_of(scale));
  for (int c = 0; c < task.head_dim; c += L)
    Simd::store_u8(task.summary.value_means + c, e4m3_of(Simd::mul(Simd::load(means + c), factor)));
}

// Ops::seal_block. What does not fill whole vectors is rare: the oracle serves it.
void vector_seal_block(const SealTask& task) {
  if (task.count != 64 || task.head_dim % 16 != 0 || task.head_dim > kSealHeadDimMax)
    return scalar_ops().seal_block(task);
  BlockStatistics& statistics = *task.summary.statistics;
  statistics = {};
  statistics.count = 64;
  seal_keys(task);
  float max = 0, sum = 0;
  for (int pair = 0; pair < 32; ++pair) {
    const float larger = seal_value_pair(task, pair, sum);
    if (larger > max) max = larger;
  }
  statistics.value_norm_max = __builtin_sqrtf(max);
  statistics.value_norm_rms = __builtin_sqrtf(sum / 64);
  mean_of_values(task);
}

// The lower bytes' result in the lower halves of the lanes, the upper bytes' in the upper.
inline Simd::I bf16_pair(Simd::F even, Simd::F odd) {
  return Simd::or_(Simd::shift_right<16>(bf16_bits(even)),
                   Simd::and_i32(bf16_bits(odd), static_cast<int>(0xFFFF0000u)));
}

// Codes in the lowest bytes, as f32.
inline Simd::F int8_value(Simd::I codes) {
  return Simd::to_f32(Simd::sub_i32(Simd::and_i32(codes, 0xFF), Simd::set1_i32(kInt8Zero)));
}

struct CentredPair {
  Simd::F centre[2], unit[2];

  CentredPair(const UnsealTask& task, int channel) {
    for (int i = 0; i < 2; ++i) {
      const int c = channel + i;
      const uint32_t level = task.summary.statistics->deviation_base + task.summary.key_deviations[c];
      centre[i] = Simd::set1(float_of(uint32_t{task.summary.key_centres[c]} << 16));
      unit[i] = Simd::set1(task.fp8.format() == CopyFormat::kInt8
                               ? float_of(uint32_t{task.fp8.key_scales[c]} << 16)
                               : float_of(scale_bits(key_scale(level))));
    }
  }
  Simd::I bf16(Simd::F even, Simd::F odd) const {
    return bf16_pair(Simd::fma(unit[0], even, centre[0]), Simd::fma(unit[1], odd, centre[1]));
  }
};

void unseal_e4m3(const UnsealTask& task) {
  constexpr int L = Simd::kLanes;
  const auto codes_at = [](const uint8_t* p) { return Simd::load_u16(reinterpret_cast<const uint16_t*>(p)); };
  for (int c = 0; c < task.head_dim; c += 2) {
    const CentredPair keys(task, c);
    for (int at = c * 64; at < (c + 2) * 64; at += L * 2) {
      const Simd::I codes = codes_at(task.fp8.keys + at);
      Simd::store_i(task.keys + at, keys.bf16(e4m3_value(codes), e4m3_value(Simd::shift_right<8>(codes))));
    }
  }
  for (int pair = 0; pair < 32; ++pair) {
    const Simd::F even = Simd::set1(float_of(scale_bits(task.fp8.value_exponents[pair * 2])));
    const Simd::F odd = Simd::set1(float_of(scale_bits(task.fp8.value_exponents[pair * 2 + 1])));
    for (int at = pair * task.head_dim * 2; at < (pair + 1) * task.head_dim * 2; at += L * 2) {
      const Simd::I codes = codes_at(task.fp8.values + at);
      Simd::store_i(task.values + at, bf16_pair(Simd::mul(even, e4m3_value(codes)),
                                                Simd::mul(odd, e4m3_value(Simd::shift_right<8>(codes)))));
    }
  }
}

void unseal_int8(const UnsealTask& task) {
  constexpr int L = Simd::kLanes;
  for (int c = 0; c < task.head_dim; c += 4) {
    const CentredPair low(task, c), high(task, c + 2);
    for (int t = 0; t < 64; t += L) {
      const Simd::I codes = Simd::load_i(task.fp8.keys + c * 64 + t * 4);
      Simd::store_i(task.keys + c * 64 + t * 2,
                    low.bf16(int8_value(codes), int8_value(Simd::shift_right<8>(codes))));
      Simd::store_i(task.keys + (c + 2) * 64 + t * 2, high.bf16(int8_value(Simd::shift_right<16>(codes)),
                                                                int8_value(Simd::shift_right<24>(codes))));
    }
  }
  for (int quad = 0; quad < 16; ++quad) {
    Simd::F scale[4];
    for (int i = 0; i < 4; ++i)
      scale[i] = Simd::set1(float_of(uint32_t{task.fp8.value_scales[quad * 4 + i]} << 16));
    uint16_t* values = task.values + quad * task.head_dim * 4;
    for (int c = 0; c < task.head_dim; c += L) {
      const Simd::I codes = Simd::load_i(task.fp8.values + (quad * task.head_dim + c) * 4);
      Simd::store_i(values + c * 2, bf16_pair(Simd::mul(scale[0], int8_value(codes)),
                                              Simd::mul(scale[1], int8_value(Simd::shift_right<8>(codes)))));
      Simd::store_i(values + (task.head_dim + c) * 2,
                    bf16_pair(Simd::mul(scale[2], int8_value(Simd::shift_right<16>(codes))),
                              Simd::mul(scale[3], int8_value(Simd::shift_right<24>(codes)))));
    }
  }
}

// Ops::unseal_block.
void vector_unseal_block(const UnsealTask& task) {
  if (task.head_dim % 16 != 0) return scalar_ops().unseal_block(task);
  task.fp8.format() == CopyFormat::kInt8 ? unseal_int8(task) : unseal_e4m3(task);
}

}  // namespace
}  // namespace mneme::kernels
