// Scores and values of int8 copies (attend_sealed.inl), for ISA files. What multiplies the codes of a block,
// queries times scales and weights times scales, is rounded to 15 bits of the largest, u = round(x / unit)
// with unit = max|x| / 16319, so that with byte = code + 128
//   sum_i x[i] code[i] ~= unit (sum_i u[i] byte[i] - 128 sum_i u[i])
// where sums are exact in 32-bit integers (head_dim <= 512: below 255 * 16319 * 512 = 2.13e9).
#pragma once

#include "kernels/shared/sealed_parts.inl"

namespace mneme::kernels {
namespace {

constexpr float kWideMax = 16319;  // 127 * 128 + 63

struct Wide {
  float unit;
  int sum;
};

// u of n numbers, as Simd::store_wide keeps them: [2][n] bytes.
inline Wide round_wide(const float* x, int n, int8_t* u) {
  Simd::F top = Simd::zero();
  for (int i = 0; i < n; i += Simd::kLanes) top = Simd::max(top, Simd::abs(Simd::load(x + i)));
  const float unit = Simd::largest(top) / kWideMax;
  const Simd::F inverse = Simd::set1(unit >= 0x1p-120f ? 1.0f / unit : 0.0f);
  Simd::I sum = Simd::izero();
  for (int i = 0; i < n; i += Simd::kLanes) {
    const Simd::I rounded = Simd::to_i32(Simd::mul(Simd::load(x + i), inverse));
    Simd::store_wide(u + i, u + n + i, rounded);
    sum = Simd::add_i32(sum, rounded);
  }
  return {unit, static_cast<int>(Simd::sum(Simd::to_f32(sum)))};  // below 2^24: exact
}

// Vectors of lanes that go with so many rows: two sums each.
constexpr int int8_vectors(int rows) {
  const int fit = (Simd::kLanes == 16 ? 8 : 4) / rows;
  return fit >= 4 ? 4 : fit >= 2 ? 2 : 1;
}

inline Simd::F wide_value(Simd::I sums, const Wide& of) {
  const Simd::I about_zero = Simd::sub_i32(sums, Simd::set1_i32(static_cast<uint32_t>(of.sum) * kInt8Zero));
  return Simd::mul(Simd::to_f32(about_zero), Simd::set1(of.unit));
}

// A query row against a block: its score is base + the sum over codes.
struct Int8Row {
  float base;
  Wide wide;

  Simd::F score(Simd::I sums) const { return Simd::add(wide_value(sums, wide), Simd::set1(base)); }
};

// Up to 4 rows of queries, `stride` floats apart: u [kRows][2][head_dim] as round_wide() makes it. What is
// reduced to one number a row goes through one reduction for all.
template <int kRows>
inline void prepare_int8_rows(const float* q, size_t stride, const SealedScratch& s, int head_dim, int8_t* u,
                              Int8Row* rows) {
  Simd::F dot[4], top[4], sum[4];
  for (int r = 0; r < 4; ++r) dot[r] = top[r] = sum[r] = Simd::zero();
  for (int c = 0; c < head_dim; c += Simd::kLanes) {
    const Simd::F centre = Simd::load(s.centres + c), scale = Simd::load(s.scales + c);
    MNEME_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Simd::F x = Simd::load(q + static_cast<size_t>(r) * stride + c);
      dot[r] = Simd::fma(x, centre, dot[r]);
      top[r] = Simd::max(top[r], Simd::abs(Simd::mul(x, scale)));
    }
  }
  float dots[4], tops[4], sums[4], inverse[4];
  Simd::sum_each(dot, dots);
  Simd::largest_each(top, tops);
  for (int r = 0; r < kRows; ++r) {
    rows[r].base = dots[r], rows[r].wide.unit = tops[r] / kWideMax;
    inverse[r] = rows[r].wide.unit >= 0x1p-120f ? 1.0f / rows[r].wide.unit : 0.0f;
  }
  for (int c = 0; c < head_dim; c += Simd::kLanes) {
    const Simd::F scale = Simd::load(s.scales + c);
    MNEME_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Simd::F x = Simd::mul(Simd::load(q + static_cast<size_t>(r) * stride + c), scale);
      const Simd::I rounded = Simd::to_i32(Simd::mul(x, Simd::set1(inverse[r])));
      int8_t* to = u + 2 * r * head_dim + c;
      Simd::store_wide(to, to + head_dim, rounded);
      sum[r] = Simd::add(sum[r], Simd::to_f32(rounded));
    }
  }
  Simd::sum_each(sum, sums);  // below 2^24: exact
  for (int r = 0; r < kRows; ++r) rows[r].wide.sum = static_cast<int>(sums[r]);
}

// Some rows of a task and up to kBatchBlocks of its blocks.
struct Int8Batch {
  const AttendSealedTask& task;
  const SealedScratch& s;
  int block, blocks, row, rows;

  const SealedFp8& copy(int b) const { return task.copies[block + b]; }
  // From codes of block b to the same of the next batch; 0 where there are none.
  std::ptrdiff_t keys_ahead(int b) const { return has_next(b) ? copy(b + blocks).keys - copy(b).keys : 0; }
  std::ptrdiff_t values_ahead(int b) const {
    return has_next(b) ? copy(b + blocks).values - copy(b).values : 0;
  }
  bool has_next(int b) const { return row == 0 && block + b + blocks < task.blocks; }
  int tokens() const { return blocks * kBlock; }
  int8_t* queries(int b) const { return s.queries + b * 2 * kSealedRows * task.head_dim; }
  float* scores(int r, int b) const { return s.scores + r * kBatchTokens + b * kBlock; }
  float* out(int r) const { return task.out + (row + r) * task.head_dim; }
};

template <int kRows>
inline void prepare_int8_rows(const Int8Batch& batch, int b, int row, Int8Row* rows) {
  const AttendSealedTask& task = batch.task;
  prepare_int8_rows<kRows>(task.queries + static_cast<size_t>(batch.row + row) * task.query_stride,
                           task.query_stride, batch.s, task.head_dim,
                           batch.queries(b) + 2 * row * task.head_dim, rows + row);
}

// Sums over codes by vectors, kRows rows at a time.
template <int kRows>
struct VectorSums {
  static constexpr int kVectors = int8_vectors(kRows);

  // u times bytes of `quads` of 4 codes a lane, `stride` bytes apart; the row's second part of u is n behind
  // the first, the next row's 2 n.
  template <int kVecs>
  struct Sums {
    Simd::I first[kRows][kVecs], second[kRows][kVecs];

    MNEME_ALWAYS_INLINE Sums() {
      MNEME_UNROLL
      for (int r = 0; r < kRows; ++r) {
        MNEME_UNROLL
        for (int v = 0; v < kVecs; ++v) first[r][v] = second[r][v] = Simd::izero();
      }
    }
    MNEME_ALWAYS_INLINE void add(const uint8_t* codes, int at, std::ptrdiff_t ahead, int stride, int quads,
                                 const int8_t* u, int n) {
      constexpr int kBytes = Simd::kLanes * 4;
      for (const uint8_t* p = codes + at; quads > 0; --quads, p += stride, u += 4) {
        Simd::I code[kVecs];
        MNEME_UNROLL
        for (int v = 0; v < kVecs; ++v) {
          code[v] = Simd::load_i(p + v * kBytes);
          ask_ahead(p + v * kBytes, at + v * kBytes, ahead);
        }
        MNEME_UNROLL
        for (int r = 0; r < kRows; ++r) {
          MNEME_UNROLL
          for (int v = 0; v < kVecs; ++v) {
            first[r][v] = Simd::dot4_first(first[r][v], code[v], u + 2 * r * n);
            second[r][v] = Simd::dot4_second(second[r][v], code[v], u + (2 * r + 1) * n);
          }
        }
      }
    }
    Simd::I of(int r, int v) const { return Simd::join(first[r][v], second[r][v]); }
  };

  static void scores(const Int8Batch& batch, int b, const Int8Row* rows) {
    for (int token = 0; token < kBlock; token += kVectors * Simd::kLanes) {
      Sums<kVectors> sums;
      sums.add(batch.copy(b).keys, token * 4, batch.keys_ahead(b), kBlock * 4, batch.task.head_dim / 4,
               batch.queries(b), batch.task.head_dim);
      MNEME_UNROLL
      for (int r = 0; r < kRows; ++r) {
        MNEME_UNROLL
        for (int v = 0; v < kVectors; ++v)
          Simd::store(batch.scores(r, b) + token + v * Simd::kLanes, rows[r].score(sums.of(r, v)));
      }
    }
  }

  static void values(const Int8Batch& batch, const Wide* rows) {
    int channel = 0;
    for (; channel + kVectors * Simd::kLanes <= batch.task.head_dim; channel += kVectors * Simd::kLanes)
      value_part<kVectors>(batch, rows, channel);
    for (; channel < batch.task.head_dim; channel += Simd::kLanes) value_part<1>(batch, rows, channel);
  }

  template <int kVecs>
  static void value_part(const Int8Batch& batch, const Wide* rows, int channel) {
    Sums<kVecs> sums;
    for (int b = 0; b < batch.blocks; ++b) {
      sums.add(batch.copy(b).values, channel * 4, batch.values_ahead(b), batch.task.head_dim * 4, kBlock / 4,
               batch.s.weights + b * kBlock, batch.tokens());
    }
    MNEME_UNROLL
    for (int r = 0; r < kRows; ++r) {
      MNEME_UNROLL
      for (int v = 0; v < kVecs; ++v) {
        float* to = batch.out(r) + channel + v * Simd::kLanes;
        Simd::store(to, Simd::add(Simd::load(to), wide_value(sums.of(r, v), rows[r])));
      }
    }
  }
};

// Scores of tokens that are not there count as none: their values' scales are 0.
inline void hide_missing(const Int8Batch& batch, int b) {
  const auto count = static_cast<int>(batch.task.summaries[batch.block + b].statistics->count);
  for (int r = 0; r < batch.rows; ++r) {
    for (int t = count; t < kBlock; ++t) batch.scores(r, b)[t] = -__builtin_inff();
  }
}

// Softmax of a row's scores (soften() of attend.inl), and weights times the scales of their values.
inline void soften_batch(const Int8Batch& batch, int r) {
  constexpr int L = Simd::kLanes;
  float *scores = batch.scores(r, 0), *out = batch.out(r);
  float &max = batch.task.max[batch.row + r], &sum = batch.task.sum[batch.row + r];
  Simd::F top = Simd::load(scores);
  for (int t = L; t < batch.tokens(); t += L) top = Simd::max(top, Simd::load(scores + t));
  raise_max(Simd::largest(top), batch.task.head_dim, out, max, sum);
  const Simd::F shift = Simd::set1(max);
  Simd::F total = Simd::zero();
  for (int t = 0; t < batch.tokens(); t += L) {
    const Simd::F weight = vector_exp(Simd::sub(Simd::load(scores + t), shift));
    total = Simd::add(total, weight);
    const Simd::F scale = Simd::load_bf16(batch.copy(t / kBlock).value_scales + t % kBlock);
    Simd::store(scores + t, Simd::mul(weight, scale));
  }
  sum += Simd::sum(total);
}

// A batch through all of it. Softmax once for 4 blocks: its chains of reductions, not its arithmetic, cost.
template <class Sums>
inline void int8_batch(const Int8Batch& batch) {
  const AttendSealedTask& task = batch.task;
  Int8Row rows[kBatchBlocks][kSealedRows];
  for (int b = 0; b < batch.blocks; ++b) {
    load_bf16(task.summaries[batch.block + b].key_centres, task.head_dim, batch.s.centres);
    load_bf16(batch.copy(b).key_scales, task.head_dim, batch.s.scales);
    int r = 0;
    for (; r + 4 <= batch.rows; r += 4) prepare_int8_rows<4>(batch, b, r, rows[b]);
    if (r + 2 <= batch.rows) prepare_int8_rows<2>(batch, b, r, rows[b]), r += 2;
    if (r < batch.rows) prepare_int8_rows<1>(batch, b, r, rows[b]);
  }
  for (int b = 0; b < batch.blocks; ++b) {
    Sums::scores(batch, b, rows[b]);
    hide_missing(batch, b);
  }
  Wide weights[kSealedRows];
  for (int r = 0; r < batch.rows; ++r) {
    soften_batch(batch, r);
    weights[r] = round_wide(batch.scores(r, 0), batch.tokens(), batch.s.weights + 2 * r * batch.tokens());
  }
  Sums::values(batch, weights);
}

// `rows` of at most kRows.
template <int kRows>
inline void int8_vectors_batch(const Int8Batch& batch) {
  if constexpr (kRows > 1) {
    if (batch.rows < kRows) return int8_vectors_batch<kRows - 1>(batch);
  }
  int8_batch<VectorSums<kRows>>(batch);
}

}  // namespace
}  // namespace mneme::kernels
