// Scores and values of E4M3 copies (attend_sealed.inl): q[c] 2^e in bf16, codes in bf16, sums in f32.
#pragma once

#include "kernels/shared/sealed_parts.inl"

namespace mneme::kernels {
namespace {

inline void load_e4m3_scales(const SealedSummary& summary, int head_dim, float* scales) {
  for (int c = 0; c < head_dim; ++c)
    scales[c] = float_of(
        scale_bits(key_scale(summary.statistics->deviation_base + summary.key_deviations[c])));
}

// scores[r][token] less the rows' bases, kRows rows, kVectors lanes of tokens from `token` on. The block
// `ahead` bytes further is read next.
template <int kRows, int kVectors>
inline void e4m3_score_part(const uint8_t* keys, std::ptrdiff_t ahead, const Simd::Pair* queries, int pairs,
                            int token, const float* bases, float* scores) {
  constexpr int kBytes = Simd::kLanes * 2;
  Simd::F acc[kRows][kVectors];
  MNEME_UNROLL
  for (auto& row : acc) {
    MNEME_UNROLL
    for (auto& a : row) a = Simd::zero();
  }
  const uint8_t* k = keys + token * 2;
  for (int pair = 0; pair < pairs; ++pair, k += kBlock * 2) {
    MNEME_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Simd::I key = Simd::widen_e4m3(k + v * kBytes);
      ask_ahead(k + v * kBytes, token * 2 + v * kBytes, ahead);
      MNEME_UNROLL
      for (int r = 0; r < kRows; ++r) acc[r][v] = Simd::dot2(acc[r][v], key, queries + r * pairs + pair);
    }
  }
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) {
    MNEME_UNROLL
    for (int v = 0; v < kVectors; ++v)
      Simd::store(scores + r * kBlock + token + v * Simd::kLanes, Simd::add(acc[r][v], Simd::set1(bases[r])));
  }
}

// The scores of a group of rows with one block.
template <int kRows>
inline void e4m3_scores(const AttendSealedTask& task, const SealedScratch& s, const uint8_t* keys, int row,
                        std::ptrdiff_t ahead) {
  constexpr int kVectors = Simd::kLanes == 16 && kRows <= 4 ? 4 : 2;
  const int pairs = task.head_dim / 2;
  auto* queries = reinterpret_cast<Simd::Pair*>(s.queries);
  float bases[kRows];
  for (int r = 0; r < kRows; ++r) {
    const float* q = task.queries + static_cast<size_t>(row + r) * task.query_stride;
    bases[r] = dot_f32(q, s.centres, task.head_dim);
    for (int c = 0; c < task.head_dim; c += Simd::kLanes)
      Simd::store_pairs(queries + r * pairs + c / 2, Simd::mul(Simd::load(q + c), Simd::load(s.scales + c)));
  }
  for (int token = 0; token < kBlock; token += kVectors * Simd::kLanes)
    e4m3_score_part<kRows, kVectors>(keys, ahead, queries, pairs, token, bases, s.scores);
}

// Weights of a row times the scales of their values.
inline void scale_by_exponents(float* weights, const uint8_t* exponents) {
  for (int t = 0; t < kBlock; t += Simd::kLanes) {
    const Simd::F scale = Simd::as_f(Simd::shift_left<23>(Simd::load_u8(exponents + t)));
    Simd::store(weights + t, Simd::mul(Simd::load(weights + t), scale));
  }
}

// out[r][channel] += weights[r] . values, kRows rows, kVectors lanes of channels. In f32: where bf16 products
// are no faster than two f32 ones the weights need not be rounded.
template <int kRows, int kVectors>
inline void e4m3_value_part(const uint8_t* values, std::ptrdiff_t ahead, const float* weights, int head_dim,
                            int channel, float* out) {
  constexpr int kBytes = Simd::kLanes * 2;
  Simd::F acc[kRows][kVectors];
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) {
    MNEME_UNROLL
    for (int v = 0; v < kVectors; ++v)
      acc[r][v] = Simd::load(out + r * head_dim + channel + v * Simd::kLanes);
  }
  const uint8_t* p = values + channel * 2;
  for (int token = 0; token < kBlock; token += 2, p += head_dim * 2) {
    MNEME_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Simd::I pair = Simd::widen_e4m3(p + v * kBytes);
      const Simd::F even = Simd::as_f(Simd::shift_left<16>(pair));
      const Simd::F odd = Simd::as_f(Simd::and_i32(pair, static_cast<int>(0xFFFF0000u)));
      ask_ahead(p + v * kBytes, channel * 2 + v * kBytes, ahead);
      MNEME_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const float* w = weights + r * kBlock + token;
        acc[r][v] = Simd::fma(odd, Simd::set1(w[1]), Simd::fma(even, Simd::set1(w[0]), acc[r][v]));
      }
    }
  }
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) {
    MNEME_UNROLL
    for (int v = 0; v < kVectors; ++v)
      Simd::store(out + r * head_dim + channel + v * Simd::kLanes, acc[r][v]);
  }
}

template <int kRows>
inline void e4m3_values(const uint8_t* values, std::ptrdiff_t ahead, const float* weights, int head_dim,
                        float* out) {
  constexpr int kVectors = Simd::kLanes == 16 && kRows <= 4 ? 4 : 2;
  int channel = 0;
  for (; channel + kVectors * Simd::kLanes <= head_dim; channel += kVectors * Simd::kLanes)
    e4m3_value_part<kRows, kVectors>(values, ahead, weights, head_dim, channel, out);
  for (; channel < head_dim; channel += Simd::kLanes)
    e4m3_value_part<kRows, 1>(values, ahead, weights, head_dim, channel, out);
}

// kRows rows from `row` on through one block. The first rows fetch the next block for all.
template <int kRows>
inline void e4m3_rows(const AttendSealedTask& task, const SealedScratch& s, int block, int row) {
  const SealedFp8& copy = task.copies[block];
  std::ptrdiff_t keys_ahead = 0, values_ahead = 0;
  if (row == 0 && block + 1 < task.blocks) {
    keys_ahead = task.copies[block + 1].keys - copy.keys;
    values_ahead = task.copies[block + 1].values - copy.values;
  }
  load_bf16(task.summaries[block].key_centres, task.head_dim, s.centres);
  load_e4m3_scales(task.summaries[block], task.head_dim, s.scales);
  e4m3_scores<kRows>(task, s, copy.keys, row, keys_ahead);
  const auto count = static_cast<int>(task.summaries[block].statistics->count);
  for (int r = 0; r < kRows; ++r) {
    soften(s.scores + r * kBlock, 0, count, task.head_dim, task.out + (row + r) * task.head_dim,
           task.max[row + r], task.sum[row + r]);
    scale_by_exponents(s.scores + r * kBlock, copy.value_exponents);
  }
  e4m3_values<kRows>(copy.values, values_ahead, s.scores, task.head_dim, task.out + row * task.head_dim);
}

// `rows` of at most kRows.
template <int kRows>
inline void e4m3_group(int rows, const AttendSealedTask& task, const SealedScratch& s, int block, int row) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return e4m3_group<kRows - 1>(rows, task, s, block, row);
  }
  e4m3_rows<kRows>(task, s, block, row);
}

}  // namespace
}  // namespace mneme::kernels
