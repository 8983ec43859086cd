// Flash attention over 64-token blocks, for ISA files; the matrix unit has its own (amx/attend.inl). One pass
// over the keys and values of a KV head serves every query row of the task: a vector of keys (16 tokens'
// channel pair) is loaded once and multiplied with kRows queries before the next is.
#pragma once

#include "kernels/backends.h"
#include "kernels/shared/groups.inl"
#include "kernels/shared/rows.inl"

namespace mneme::kernels {
namespace {

constexpr int kBlock = 64;

// Scores, weights and operands of one task, in the caller's scratch.
struct AttendScratch {
  float* scores;        // [rows][64]
  Simd::Pair* queries;  // [rows][head_dim / 2]
  Simd::Pair* weights;  // [rows][32]
};

AttendScratch attend_scratch(const AttendTask& task) {
  auto* p = static_cast<unsigned char*>(task.scratch);
  AttendScratch s{};
  s.scores = reinterpret_cast<float*>(p);
  p += sizeof(float) * kAttendRowsMax * kBlock;
  s.weights = reinterpret_cast<Simd::Pair*>(p);
  p += sizeof(Simd::Pair) * kAttendRowsMax * (kBlock / 2);
  s.queries = reinterpret_cast<Simd::Pair*>(p);
  return s;
}

// scores[r][token] = query r . key token, kRows rows, kVectors lanes of tokens from `token` on.
// `ahead` is what the pass after this one reads, laid out alike: every line loaded here asks for its
// counterpart there, because blocks do not follow each other in memory and the hardware prefetchers stop at
// each one's end. Null: nothing to ask for.
template <int kRows, int kVectors>
inline void score_part(const uint16_t* keys, const uint16_t* ahead, const Simd::Pair* queries, int pairs,
                       int token, float* scores) {
  Simd::F acc[kRows][kVectors];
  MNEME_UNROLL
  for (auto& row : acc) {
    MNEME_UNROLL
    for (auto& a : row) a = Simd::zero();
  }
  const uint16_t* k = keys + token * 2;
  const std::ptrdiff_t distance = ahead == nullptr ? 0 : ahead - keys;
  for (int pair = 0; pair < pairs; ++pair, k += kBlock * 2) {
    MNEME_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Simd::I key = Simd::load_i(k + v * Simd::kLanes * 2);
      if (distance != 0) Simd::prefetch(k + v * Simd::kLanes * 2 + distance);
      MNEME_UNROLL
      for (int r = 0; r < kRows; ++r) acc[r][v] = Simd::dot2(acc[r][v], key, queries + r * pairs + pair);
    }
  }
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) {
    MNEME_UNROLL
    for (int v = 0; v < kVectors; ++v) Simd::store(scores + r * kBlock + token + v * Simd::kLanes, acc[r][v]);
  }
}

template <int kRows>
inline void score_rows(const uint16_t* keys, const uint16_t* ahead, const Simd::Pair* queries, int pairs,
                       float* scores) {
  constexpr int kVectors = Simd::kLanes == 16 ? 4 : 2;  // as many sums as half of the registers
  for (int token = 0; token < kBlock; token += kVectors * Simd::kLanes) {
    score_part<kRows, kVectors>(keys, ahead, queries, pairs, token, scores);
  }
}

// out[r][channel] += weights[r] . values, kRows rows, kVectors lanes of channels.
template <int kRows, int kVectors>
inline void value_part(const uint16_t* values, const uint16_t* ahead, const Simd::Pair* weights, int head_dim,
                       int channel, float* out) {
  Simd::F acc[kRows][kVectors];
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) {
    MNEME_UNROLL
    for (int v = 0; v < kVectors; ++v)
      acc[r][v] = Simd::load(out + r * head_dim + channel + v * Simd::kLanes);
  }
  const uint16_t* p = values + channel * 2;
  const std::ptrdiff_t distance = ahead == nullptr ? 0 : ahead - values;
  for (int pair = 0; pair < kBlock / 2; ++pair, p += head_dim * 2) {
    MNEME_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Simd::I value = Simd::load_i(p + v * Simd::kLanes * 2);
      if (distance != 0) Simd::prefetch(p + v * Simd::kLanes * 2 + distance);
      MNEME_UNROLL
      for (int r = 0; r < kRows; ++r)
        acc[r][v] = Simd::dot2(acc[r][v], value, weights + r * (kBlock / 2) + pair);
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
inline void value_rows(const uint16_t* values, const uint16_t* ahead, const Simd::Pair* weights, int head_dim,
                       float* out) {
  constexpr int kVectors = Simd::kLanes == 16 ? 4 : 2;
  int channel = 0;
  for (; channel + kVectors * Simd::kLanes <= head_dim; channel += kVectors * Simd::kLanes) {
    value_part<kRows, kVectors>(values, ahead, weights, head_dim, channel, out);
  }
  for (; channel < head_dim; channel += Simd::kLanes)
    value_part<kRows, 1>(values, ahead, weights, head_dim, channel, out);
}

// Kept out of the loop over rows: windows are the exception, and cost nothing where there are none.
__attribute__((noinline)) void hide(float* scores, int count, float value) {
  for (int t = 0; t < count; ++t) scores[t] = value;
}

// Moves a row's state to a maximum of at least `to`.
inline void raise_max(float to, int head_dim, float* out, float& max, float& sum) {
  if (to <= max) return;
  const float shrink = __builtin_expf(max - to);
  const Simd::F factor = Simd::set1(shrink);
  for (int c = 0; c < head_dim; c += Simd::kLanes)
    Simd::store(out + c, Simd::mul(Simd::load(out + c), factor));
  sum *= shrink;
  max = to;
}

// Online softmax of one row's block (Milakov & Gimelshein 2018): scores become weights, the row's state moves
// to the new maximum. The row sees the tokens hidden <= t < visible. Returns false when it sees nothing of
// the block.
inline bool soften(float* scores, int hidden, int visible, int head_dim, float* out, float& max, float& sum) {
  constexpr int L = Simd::kLanes;
  if (visible <= hidden) {
    for (int t = 0; t < kBlock; t += L) Simd::store(scores + t, Simd::zero());
    return false;
  }
  if (hidden > 0) hide(scores, hidden, -__builtin_inff());
  for (int t = visible; t < kBlock; ++t) scores[t] = -__builtin_inff();
  Simd::F top = Simd::load(scores);
  for (int t = L; t < kBlock; t += L) top = Simd::max(top, Simd::load(scores + t));
  raise_max(Simd::largest(top), head_dim, out, max, sum);
  const Simd::F shift = Simd::set1(max);
  Simd::F total = Simd::zero();
  for (int t = 0; t < kBlock; t += L) {
    const Simd::F e = vector_exp(Simd::sub(Simd::load(scores + t), shift));
    Simd::store(scores + t, e);
    total = Simd::add(total, e);
  }
  for (int t = visible; t < kBlock; ++t) scores[t] = 0;  // exp is clamped above zero
  if (hidden > 0) hide(scores, hidden, 0);
  if (hidden > 0 || visible < kBlock) {
    total = Simd::zero();
    for (int t = 0; t < kBlock; t += L) total = Simd::add(total, Simd::load(scores + t));
  }
  sum += Simd::sum(total);
  return true;
}

// How many of the block's tokens stand before `limit` (a token of the run).
inline int tokens_before(int limit, int block) {
  const int left = limit - block * kBlock;
  return left < 0 ? 0 : left > kBlock ? kBlock : left;
}

inline int hidden_tokens(const AttendTask& task, int row, int block) {
  return task.starts == nullptr ? 0 : tokens_before(task.starts[row], block);
}

// The blocks [first, end) that some of the rows [row, row + count) see.
struct BlockRange {
  int first, end;
};
inline BlockRange blocks_seen(const AttendTask& task, int row, int count) {
  int start = task.starts == nullptr ? 0 : task.blocks * kBlock, limit = 0;
  for (int r = row; r < row + count; ++r) {
    if (task.starts != nullptr && task.starts[r] < start) start = task.starts[r];
    if (task.limits[r] > limit) limit = task.limits[r];
  }
  const int end = (limit + kBlock - 1) / kBlock;
  return {start > 0 ? start / kBlock : 0, end < task.blocks ? end : task.blocks};
}

// The rows of one group of up to 4 through one block.
template <int kRows>
inline void attend_block(const AttendTask& task, const AttendScratch& s, int block, int row) {
  const int pairs = task.head_dim / 2;
  float* scores = s.scores + row * kBlock;
  // The first rows fetch for all: this block's values while its keys are read, the next block's keys after
  // that.
  const uint16_t* values_ahead = row == 0 ? task.values[block] : nullptr;
  const uint16_t* keys_ahead = row == 0 && block + 1 < task.blocks ? task.keys[block + 1] : nullptr;
  score_rows<kRows>(task.keys[block], values_ahead, s.queries + row * pairs, pairs, scores);
  bool any = false;
  for (int r = row; r < row + kRows; ++r) {
    float* row_scores = s.scores + r * kBlock;
    any |= soften(row_scores, hidden_tokens(task, r, block), tokens_before(task.limits[r], block),
                  task.head_dim, task.out + r * task.head_dim, task.max[r], task.sum[r]);
    for (int t = 0; t < kBlock; t += Simd::kLanes)
      Simd::store_pairs(s.weights + (r * kBlock + t) / 2, Simd::load(row_scores + t));
  }
  if (!any) return;
  value_rows<kRows>(task.values[block], keys_ahead, s.weights + row * (kBlock / 2), task.head_dim,
                    task.out + row * task.head_dim);
}

// Ops::attend. Heads that do not fill whole vectors are rare: the oracle serves them.
void vector_attend(const AttendTask& task) {
  if (task.head_dim % Simd::kLanes != 0) return scalar_ops().attend(task);
  const AttendScratch s = attend_scratch(task);
  const int pairs = task.head_dim / 2;
  for (int r = 0; r < task.rows; ++r) {
    const float* q = task.queries + static_cast<size_t>(r) * task.query_stride;
    for (int c = 0; c < task.head_dim; c += Simd::kLanes)
      Simd::store_pairs(s.queries + r * pairs + c / 2, Simd::load(q + c));
  }
  const BlockRange seen = blocks_seen(task, 0, task.rows);
  for (int block = seen.first; block < seen.end; ++block) {
    int row = 0;
    for (; row + 4 <= task.rows; row += 4) attend_block<4>(task, s, block, row);
    if (row + 2 <= task.rows) attend_block<2>(task, s, block, row), row += 2;
    if (row < task.rows) attend_block<1>(task, s, block, row);
  }
}

}  // namespace
}  // namespace mneme::kernels
