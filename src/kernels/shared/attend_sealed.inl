// Flash attention over 8-bit copies of blocks (kernels/sealed.h), for ISA files. A group of up to kSealedRows
// query rows goes through a block together, so that each code is widened once. With centre m[c] and scale
// a[c] of a block's channels:
//   q . k = q . m + sum_c (q[c] a[c]) code[t, c]
// kInt8: q[c] a[c] ~= unit * u[c] with u in 16 bits, and the sum is exact in 32-bit integers (head_dim <=
// 512).
//   Queries in bf16 would be 130 times coarser, and codes cost as much to widen to one as to the other.
// kE4M3: q[c] 2^e in bf16, codes in bf16, sums in f32.
#pragma once

#include "kernels/shared/attend.inl"
#include "kernels/shared/seal.inl"

namespace mneme::kernels {
namespace {

constexpr int kSealedRows = Simd::kLanes == 16 ? 8 : 4;  // as many sums as half of the registers
constexpr int kSealedHeadDimMax = 512;

// A row's score is base + unit * sum.
struct SealedRow {
  float base, unit;
};

// Operands of one group of rows and block, in the caller's scratch.
struct SealedScratch {
  float* scores;           // [rows][64], then weights
  float* scales;           // [head_dim]
  float* centres;          // [head_dim]
  unsigned char* queries;  // [rows][head_dim / 2] pairs

  SealedScratch(void* memory, int head_dim) {
    scores = static_cast<float*>(memory);
    scales = scores + 8 * kBlock;
    centres = scales + head_dim;
    queries = reinterpret_cast<unsigned char*>(centres + head_dim);
  }
};

struct Int8Keys {
  using Sum = Simd::I;
  using Query = uint32_t;  // int16 [2]
  static Sum zero() { return Simd::izero(); }
  static Simd::I widen(const uint8_t* codes) { return Simd::widen_i8(codes); }
  static Sum dot(Sum sum, Simd::I keys, const Query* q) { return Simd::dot2_i16(sum, keys, q); }
  static Simd::F score(Sum sum, const SealedRow& row) {
    return Simd::fma(Simd::to_f32(sum), Simd::set1(row.unit), Simd::set1(row.base));
  }

  static void load_scales(const SealedSummary&, const SealedFp8& copy, int head_dim, float* scales) {
    for (int c = 0; c < head_dim; c += Simd::kLanes)
      Simd::store(scales + c, Simd::load_bf16(copy.key_scales + c));
  }
  // Returns the unit.
  static float prepare(const float* q, const float* scales, int head_dim, Query* out) {
    Simd::F top = Simd::zero();
    for (int c = 0; c < head_dim; c += Simd::kLanes)
      top = Simd::max(top, Simd::abs(Simd::mul(Simd::load(q + c), Simd::load(scales + c))));
    const float unit = Simd::largest(top) / 32767.0f;
    const Simd::F inverse = Simd::set1(unit >= 0x1p-120f ? 1.0f / unit : 0.0f);
    auto* u = reinterpret_cast<int16_t*>(out);
    for (int c = 0; c < head_dim; c += Simd::kLanes) {
      const Simd::F x = Simd::mul(Simd::load(q + c), Simd::load(scales + c));
      Simd::store_i16(u + c, Simd::to_i32(Simd::mul(x, inverse)));
    }
    return unit;
  }
};

struct E4m3Keys {
  using Sum = Simd::F;
  using Query = Simd::Pair;
  static Sum zero() { return Simd::zero(); }
  static Simd::I widen(const uint8_t* codes) { return Simd::widen_e4m3(codes); }
  static Sum dot(Sum sum, Simd::I keys, const Query* q) { return Simd::dot2(sum, keys, q); }
  static Simd::F score(Sum sum, const SealedRow& row) { return Simd::add(sum, Simd::set1(row.base)); }

  static void load_scales(const SealedSummary& summary, const SealedFp8&, int head_dim, float* scales) {
    for (int c = 0; c < head_dim; ++c)
      scales[c] = float_of(
          scale_bits(key_scale(summary.statistics->deviation_base + summary.key_deviations[c])));
  }
  static float prepare(const float* q, const float* scales, int head_dim, Query* out) {
    for (int c = 0; c < head_dim; c += Simd::kLanes)
      Simd::store_pairs(out + c / 2, Simd::mul(Simd::load(q + c), Simd::load(scales + c)));
    return 1;
  }
};

// Asks for the line of codes `ahead` bytes further, once a line: lines begin at multiples of 64 of `at`.
MNEME_ALWAYS_INLINE void ask_ahead(const uint8_t* codes, int at, std::ptrdiff_t ahead) {
  if (at % 64 == 0 && ahead != 0) Simd::prefetch(codes + ahead);
}

// scores[r][token], kRows rows, kVectors lanes of tokens from `token` on. The block `ahead` bytes further is
// read next.
template <class Keys, int kRows, int kVectors>
inline void sealed_score_part(const uint8_t* keys, std::ptrdiff_t ahead, const typename Keys::Query* queries,
                              int pairs, int token, const SealedRow* rows, float* scores) {
  constexpr int kBytes = Simd::kLanes * 2;
  typename Keys::Sum acc[kRows][kVectors];
  MNEME_UNROLL
  for (auto& row : acc) {
    MNEME_UNROLL
    for (auto& a : row) a = Keys::zero();
  }
  const uint8_t* k = keys + token * 2;
  for (int pair = 0; pair < pairs; ++pair, k += kBlock * 2) {
    MNEME_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Simd::I key = Keys::widen(k + v * kBytes);
      ask_ahead(k + v * kBytes, token * 2 + v * kBytes, ahead);
      MNEME_UNROLL
      for (int r = 0; r < kRows; ++r) acc[r][v] = Keys::dot(acc[r][v], key, queries + r * pairs + pair);
    }
  }
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) {
    MNEME_UNROLL
    for (int v = 0; v < kVectors; ++v)
      Simd::store(scores + r * kBlock + token + v * Simd::kLanes, Keys::score(acc[r][v], rows[r]));
  }
}

// out[r][channel] += weights[r] . values, kRows rows, kVectors lanes of channels. In f32: where bf16 products
// are no faster than two f32 ones the weights need not be rounded.
template <int kRows, int kVectors>
inline void sealed_value_part(const uint8_t* values, std::ptrdiff_t ahead, const float* weights, int head_dim,
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
inline void sealed_values(const uint8_t* values, std::ptrdiff_t ahead, const float* weights, int head_dim,
                          float* out) {
  constexpr int kVectors = Simd::kLanes == 16 && kRows <= 4 ? 4 : 2;
  int channel = 0;
  for (; channel + kVectors * Simd::kLanes <= head_dim; channel += kVectors * Simd::kLanes)
    sealed_value_part<kRows, kVectors>(values, ahead, weights, head_dim, channel, out);
  for (; channel < head_dim; channel += Simd::kLanes)
    sealed_value_part<kRows, 1>(values, ahead, weights, head_dim, channel, out);
}

inline float dot_f32(const float* a, const float* b, int n) {
  Simd::F sum = Simd::zero();
  for (int i = 0; i < n; i += Simd::kLanes) sum = Simd::fma(Simd::load(a + i), Simd::load(b + i), sum);
  return Simd::sum(sum);
}

// Where the next block's keys and values are, from this one's: in bytes, 0 behind the last.
struct SealedAhead {
  std::ptrdiff_t keys = 0, values = 0;
};

// The scores of a group of rows with one block.
template <class Keys, int kRows>
inline void sealed_scores(const AttendSealedTask& task, const SealedScratch& s, int block, int row,
                          std::ptrdiff_t ahead) {
  constexpr int kVectors = Simd::kLanes == 16 && kRows <= 4 ? 4 : 2;
  const int pairs = task.head_dim / 2;
  auto* queries = reinterpret_cast<typename Keys::Query*>(s.queries);
  SealedRow rows[kRows];
  for (int r = 0; r < kRows; ++r) {
    const float* q = task.queries + static_cast<size_t>(row + r) * task.query_stride;
    rows[r].base = dot_f32(q, s.centres, task.head_dim);
    rows[r].unit = Keys::prepare(q, s.scales, task.head_dim, queries + r * pairs);
  }
  for (int token = 0; token < kBlock; token += kVectors * Simd::kLanes)
    sealed_score_part<Keys, kRows, kVectors>(task.copies[block].keys, ahead, queries, pairs, token, rows,
                                             s.scores);
}

// Weights of a row times the scales of their values.
inline void scale_weights(float* weights, const uint8_t* scales) {
  for (int t = 0; t < kBlock; t += Simd::kLanes) {
    const Simd::F scale = Simd::as_f(Simd::shift_left<23>(Simd::load_u8(scales + t)));
    Simd::store(weights + t, Simd::mul(Simd::load(weights + t), scale));
  }
}

// kRows rows from `row` on through one block. The first rows fetch the next block for all.
template <int kRows>
inline void sealed_rows(const AttendSealedTask& task, const SealedScratch& s, int block, int row,
                        const SealedAhead& next) {
  const SealedFp8& copy = task.copies[block];
  const SealedAhead ahead = row == 0 ? next : SealedAhead{};
  if (copy.key_scales != nullptr) {
    sealed_scores<Int8Keys, kRows>(task, s, block, row, ahead.keys);
  } else {
    sealed_scores<E4m3Keys, kRows>(task, s, block, row, ahead.keys);
  }
  const auto count = static_cast<int>(task.summaries[block].statistics->count);
  for (int r = 0; r < kRows; ++r) {
    soften(s.scores + r * kBlock, 0, count, task.head_dim, task.out + (row + r) * task.head_dim,
           task.max[row + r], task.sum[row + r]);
    scale_weights(s.scores + r * kBlock, copy.value_scales);
  }
  sealed_values<kRows>(copy.values, ahead.values, s.scores, task.head_dim, task.out + row * task.head_dim);
}

// `rows` of at most kRows.
template <int kRows>
inline void sealed_group(int rows, const AttendSealedTask& task, const SealedScratch& s, int block, int row,
                         const SealedAhead& next) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return sealed_group<kRows - 1>(rows, task, s, block, row, next);
  }
  sealed_rows<kRows>(task, s, block, row, next);
}

// Asks for what is read of a block beside its codes; the distance to its codes.
inline SealedAhead ask_for_block(const AttendSealedTask& task, int block) {
  const SealedSummary& summary = task.summaries[block + 1];
  const SealedFp8 &copy = task.copies[block + 1], &now = task.copies[block];
  Simd::prefetch(summary.statistics);
  Simd::prefetch(copy.value_scales);
  for (int c = 0; c < task.head_dim; c += 32) {
    Simd::prefetch(summary.key_centres + c);
    if (copy.key_scales != nullptr) Simd::prefetch(copy.key_scales + c);
  }
  return {copy.keys - now.keys, copy.values - now.values};
}

// Ops::attend_sealed. Heads that do not fill whole vectors, or overflow the sums, are rare: the oracle serves
// them.
void vector_attend_sealed(const AttendSealedTask& task) {
  if (task.head_dim % 16 != 0 || task.head_dim > kSealedHeadDimMax) return scalar_ops().attend_sealed(task);
  const SealedScratch s(task.scratch, task.head_dim);
  for (int block = 0; block < task.blocks; ++block) {
    const SealedAhead next = block + 1 < task.blocks ? ask_for_block(task, block) : SealedAhead{};
    const SealedSummary& summary = task.summaries[block];
    const SealedFp8& copy = task.copies[block];
    for (int c = 0; c < task.head_dim; c += Simd::kLanes)
      Simd::store(s.centres + c, Simd::load_bf16(summary.key_centres + c));
    if (copy.key_scales != nullptr) {
      Int8Keys::load_scales(summary, copy, task.head_dim, s.scales);
    } else {
      E4m3Keys::load_scales(summary, copy, task.head_dim, s.scales);
    }
    for (int row = 0; row < task.rows; row += kSealedRows)
      sealed_group<kSealedRows>(task.rows - row, task, s, block, row, next);
  }
}

}  // namespace
}  // namespace mneme::kernels
