// Flash attention of many rows on the matrix unit (Dao et al. 2022; online softmax: Milakov & Gimelshein
// 2018).
//
// A step is 32 rows (two panels of 16, the rows of a tile register) against one 64-token block:
//   scores   Q K^T: the keys are operands as they lie, [16 pairs of channels][16 tokens][2] each
//   weights  2^((score - max) log2 e) in bf16, and their sums in f32
//   out      += W V: the values are operands as they lie too, [16 pairs of tokens][16 channels][2]
// At head_dim 128 the two products are 64 instructions of 16 cycles, and 1,024 at least; the softmax is 128
// vectors of about 7 instructions, two a cycle: 450. They do not overlap: a product keeps one of the two
// ports of 512-bit arithmetic busy, and every interleaving tried (steps in a pipeline, rows between tiles,
// 256-bit words) took as long as one after the other or longer. The rest is the second-level cache: 72 KiB of
// queries, keys, values and `out` pass through a first level of 48 KiB. Therefore
//   - `out` waits: the products with the values of up to 8 blocks are made in one go, so that `out` is loaded
//     and stored once in 8 blocks. That changes no bit, the sums are f32 in a tile as in memory
//   - max is not the largest score: it stays as long as no block's weights add up to more than kGrowth. Then
//     nothing has to look for the largest score of a block, and after the first blocks `out` is never scaled
//   - keys and values are loaded past the first level (T1), so that they do not push out what is used again
//   - all rows go through 8 blocks before any goes on, so that the blocks are read from memory once
//
// A row's bits depend on the row alone, not on those beside it, with one exception: tasks of up to kFewRows
// rows have the same softmax but the products of the vector words, which round otherwise (TDPBF16PS adds up
// even and odd products apart, VDPBF16PS one after the other).
#pragma once

#include "kernels/amx/tiles.inl"
#include "kernels/avx512/simd.h"
#include "kernels/shared/attend.inl"

namespace mneme::kernels {
namespace {

constexpr int kFewRows = 4;
constexpr int kPanel = 16;
constexpr int kPair = 2 * kPanel;
constexpr int kChunk = 8;           // blocks
constexpr float kGrowth = 1024.0f;  // of a block's weights; far from what bf16 and f32 can hold
constexpr float kLog2e = 1.44269504f;
constexpr int kPanelWeights = kPanel * kBlock;  // elements: [token / 32][16][32]

// Two panels of rows, or the one left over, and what they see of the run.
struct RowPair {
  int row, panels;
  BlockRange seen;   // some row sees some of these
  BlockRange whole;  // every row sees all of these
};

// One task's working memory, in the caller's scratch. Rows that fill up the last panel repeat the last row.
struct TileScratch {
  uint16_t* queries;  // [panel][head_dim / 32][16][32]
  float* scores;      // [32][64]
  uint16_t* weights;  // [kChunk][panel][64 / 32][16][32]
  float* tail;        // [16][head_dim]: `out` of a last panel that is not full
  float *max, *sum;   // [panel][16]
};

// Blocks whose weights wait for their product with the values.
struct Waiting {
  const uint16_t* weights[kChunk];
  const uint16_t* values[kChunk];
  int count = 0;
};

// A pair of panels on its way through a chunk of blocks.
struct PairRun {
  const AttendTask& task;
  const TileScratch& scratch;
  const RowPair& pair;
  float* out[2];  // of each panel, [16][head_dim]
  Waiting waiting;
};

// The softmax state of a panel.
struct PanelState {
  float* out;  // [16][head_dim]
  float* max;  // [16]
  float* sum;  // [16]
};

template <int kPanels>
void score_panels(const uint16_t* queries, const uint16_t* keys, int head_dim, float* scores) {
  const std::ptrdiff_t panel = kPanel * head_dim;
  finish_stores();
  for (int half = 0; half < 2; ++half) {
    zero_tiles();
    for (int c = 0; c < head_dim; c += 32) {
      const uint16_t* q = queries + c * kPanel;
      const uint16_t* k = keys + c * kBlock + half * 64;
      _tile_loadd(4, q, 64);
      _tile_stream_loadd(6, k, kBlock * 4);
      _tile_dpbf16ps(0, 4, 6);
      _tile_stream_loadd(7, k + 32, kBlock * 4);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (kPanels == 2) {
        _tile_loadd(5, q + panel, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
    }
    float* to = scores + half * 32;
    _tile_stored(0, to, kBlock * 4);
    _tile_stored(1, to + 16, kBlock * 4);
    if constexpr (kPanels == 2) {
      _tile_stored(2, to + kPanel * kBlock, kBlock * 4);
      _tile_stored(3, to + kPanel * kBlock + 16, kBlock * 4);
    }
  }
  finish_stores();
}

// out[panel] += weights . values of all blocks that wait.
template <int kPanels>
void value_panels(Waiting& waiting, int head_dim, float* const (&out)[2]) {
  const auto stride = static_cast<size_t>(head_dim) * 4;
  finish_stores();
  for (int c = 0; c < head_dim; c += 32) {
    _tile_loadd(0, out[0] + c, stride);
    _tile_loadd(1, out[0] + c + 16, stride);
    if constexpr (kPanels == 2) {
      _tile_loadd(2, out[1] + c, stride);
      _tile_loadd(3, out[1] + c + 16, stride);
    }
    for (int i = 0; i < 2 * waiting.count; ++i) {  // half a block: 32 tokens
      const uint16_t* w = waiting.weights[i / 2] + i % 2 * (kPanelWeights / 2);
      const uint16_t* v = waiting.values[i / 2] + i % 2 * 32 * head_dim + c * 2;
      _tile_loadd(4, w, 64);
      _tile_stream_loadd(6, v, stride);
      _tile_dpbf16ps(0, 4, 6);
      _tile_stream_loadd(7, v + 32, stride);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (kPanels == 2) {
        _tile_loadd(5, w + kPanelWeights, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
    }
    _tile_stored(0, out[0] + c, stride);
    _tile_stored(1, out[0] + c + 16, stride);
    if constexpr (kPanels == 2) {
      _tile_stored(2, out[1] + c, stride);
      _tile_stored(3, out[1] + c + 16, stride);
    }
  }
  finish_stores();
  waiting.count = 0;
}

// 2^x = 2^floor(x) p(x - floor(x)). p is the cubic with p(0) = 1, p(1) = 2 whose largest relative error on
// [0, 1] is least: 1.1e-4, a twentieth of the rounding to bf16 that follows.
inline __m512 exp2_near(__m512 x) {
  const __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  __m512 p = _mm512_fmadd_ps(f, _mm512_set1_ps(0.07841886f), _mm512_set1_ps(0.22610401f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.69547713f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, x);
}

// In each 128-bit quarter the sums of a, b, c and d over their same quarter.
inline __m512 sum_quarters(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512d x = _mm512_castps_pd(ab), y = _mm512_castps_pd(cd);
  return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)),
                       _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
}

// The sums over the quarters of each, side by side: of 16 rows with sum_quarters() before.
inline __m512 sum_rows(const __m512 (&s)[4]) {
  const __m512 a = _mm512_add_ps(_mm512_shuffle_f32x4(s[0], s[1], 0x88),
                                 _mm512_shuffle_f32x4(s[0], s[1], 0xDD));
  const __m512 b = _mm512_add_ps(_mm512_shuffle_f32x4(s[2], s[3], 0x88),
                                 _mm512_shuffle_f32x4(s[2], s[3], 0xDD));
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
}

// What a panel's softmax asks the memory for: `lines` for each row.
struct Ahead {
  const uint16_t* p = nullptr;
  int lines = 0;
};

// The weights of a panel in bf16; returns their sums. A row that has seen nothing yet (max = -inf) and sees
// something has an infinite sum. seen: [16], a bit for a token. Of a panel's last rows, those that come after
// `rows`, what is left in `weights` and returned means nothing.
template <bool kMasked, int kRowStride, int kHalfStride>
inline __m512 weigh_panel(const float* scores, const uint64_t* seen, const float* max, uint16_t* weights,
                          int rows, Ahead ahead) {
  __m512 sums[4];
  MNEME_UNROLL
  for (int quarter = 0; quarter < 4; ++quarter) {
    sums[quarter] = _mm512_setzero_ps();
    if (quarter * 4 >= rows) continue;
    __m512 row_sums[4];
    MNEME_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int r = 4 * quarter + i;
      for (int line = 0; line < ahead.lines; ++line, ahead.p += 32) Simd::prefetch(ahead.p);
      const __m512 row_max = _mm512_set1_ps(max[r]);
      __m512 e[4];
      MNEME_UNROLL
      for (int v = 0; v < 4; ++v) {
        const __m512 score = _mm512_loadu_ps(scores + r * kBlock + v * 16);
        e[v] = exp2_near(_mm512_mul_ps(_mm512_sub_ps(score, row_max), _mm512_set1_ps(kLog2e)));
        if constexpr (kMasked) e[v] = _mm512_maskz_mov_ps(static_cast<__mmask16>(seen[r] >> (16 * v)), e[v]);
      }
      MNEME_UNROLL
      for (int half = 0; half < 2; ++half) {
        _mm512_storeu_si512(weights + half * kHalfStride + r * kRowStride,
                            reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(e[2 * half + 1], e[2 * half])));
      }
      row_sums[i] = _mm512_add_ps(_mm512_add_ps(e[0], e[1]), _mm512_add_ps(e[2], e[3]));
    }
    sums[quarter] = sum_quarters(row_sums[0], row_sums[1], row_sums[2], row_sums[3]);
  }
  return sum_rows(sums);
}

// Moves the rows of `grown` to the largest score they see in the block. Rare, and kept out of the way.
__attribute__((noinline)) void grow_panel(const float* scores, const uint64_t* seen, __mmask16 grown,
                                          int head_dim, const PanelState& state) {
  for (int r = 0; r < kPanel; ++r) {
    if ((grown >> r & 1) == 0) continue;
    __m512 top = _mm512_set1_ps(-__builtin_inff());
    for (int v = 0; v < 4; ++v) {
      const auto lanes = static_cast<__mmask16>(seen == nullptr ? 0xFFFF : seen[r] >> (16 * v));
      top = _mm512_mask_max_ps(top, lanes, top, _mm512_loadu_ps(scores + r * kBlock + v * 16));
    }
    const float now = Simd::largest(top), shrink = __builtin_expf(state.max[r] - now);
    float* row = state.out + static_cast<std::ptrdiff_t>(r) * head_dim;
    for (int c = 0; c < head_dim; c += Simd::kLanes)
      Simd::store(row + c, Simd::mul(Simd::load(row + c), Simd::set1(shrink)));
    state.sum[r] *= shrink;
    state.max[r] = now;
  }
}

inline uint64_t seen_tokens(int hidden, int visible) {
  if (visible <= hidden) return 0;
  const uint64_t before = visible == kBlock ? ~uint64_t{0} : (uint64_t{1} << visible) - 1;
  return before & ~((uint64_t{1} << hidden) - 1);
}

// What each row of the panel that begins at `first` sees of the block.
void see_panel(const AttendTask& task, int first, int block, uint64_t (&seen)[kPanel]) {
  for (int r = 0; r < kPanel; ++r) {
    const int row = first + r < task.rows ? first + r : task.rows - 1;
    seen[r] = seen_tokens(hidden_tokens(task, row, block), tokens_before(task.limits[row], block));
  }
}

// A pair of panels meets a block.
template <int kPanels, bool kMasked>
void attend_step(PairRun& run, int block, const Ahead (&ahead)[2]) {
  const AttendTask& task = run.task;
  const TileScratch& s = run.scratch;
  score_panels<kPanels>(s.queries + static_cast<std::ptrdiff_t>(run.pair.row) * task.head_dim,
                        task.keys[block], task.head_dim, s.scores);
  uint16_t* weights = s.weights + block % kChunk * 2 * kPanelWeights;
  for (int p = 0; p < kPanels; ++p) {
    const int first = run.pair.row + p * kPanel;
    const PanelState state{run.out[p], s.max + first, s.sum + first};
    const int rows = task.rows - first;
    uint64_t masks[kPanel];
    const uint64_t* seen = kMasked ? masks : nullptr;
    if constexpr (kMasked) see_panel(task, first, block, masks);
    const float* scores = s.scores + p * kPanel * kBlock;
    uint16_t* to = weights + p * kPanelWeights;
    __m512 sums = weigh_panel<kMasked, 32, kPanelWeights / 2>(scores, seen, state.max, to, rows, ahead[p]);
    const __mmask16 grown = _mm512_cmp_ps_mask(sums, _mm512_set1_ps(kGrowth), _CMP_GT_OQ);
    if (grown != 0) {
      if (run.waiting.count > 0) value_panels<kPanels>(run.waiting, task.head_dim, run.out);
      grow_panel(scores, seen, grown, task.head_dim, state);
      sums = weigh_panel<kMasked, 32, kPanelWeights / 2>(scores, seen, state.max, to, rows, Ahead{});
    }
    _mm512_storeu_ps(state.sum, _mm512_add_ps(_mm512_loadu_ps(state.sum), sums));
  }
  run.waiting.weights[run.waiting.count] = weights;
  run.waiting.values[run.waiting.count++] = task.values[block];
}

// A pair of panels through the blocks [first, first + kChunk) of the run. Of the chunk after this one each of
// `slices` pairs asks for its slice of every block's keys and values.
template <int kPanels>
void attend_chunk(const AttendTask& task, const TileScratch& s, const RowPair& pair, int first, int slices) {
  PairRun run{task, s, pair, {}, {}};
  for (int p = 0; p < 2; ++p) {
    const int row = pair.row + p * kPanel;
    run.out[p] = row + kPanel <= task.rows ? task.out + static_cast<std::ptrdiff_t>(row) * task.head_dim
                                           : s.tail;
  }
  const int lines = task.head_dim * kBlock / 32 / slices;  // of 32 elements, a slice
  const int rows = task.rows - pair.row < kPanel ? (task.rows - pair.row + 3) / 4 * 4 : kPanel;
  const int from = pair.row / kPair * lines * 32;
  const int last = first + kChunk < pair.seen.end ? first + kChunk : pair.seen.end;
  for (int block = first > pair.seen.first ? first : pair.seen.first; block < last; ++block) {
    Ahead ahead[2];
    if (const int far = block + kChunk; far < task.blocks) {
      ahead[0] = {task.keys[far] + from, (lines + rows - 1) / rows};
      ahead[1] = {task.values[far] + from, ahead[0].lines};
    }
    if (kPanels == 1 && ahead[1].p != nullptr)
      for (int line = 0; line < lines; ++line) Simd::prefetch(ahead[1].p + line * 32);
    if (block >= pair.whole.first && block < pair.whole.end)
      attend_step<kPanels, false>(run, block, ahead);
    else
      attend_step<kPanels, true>(run, block, ahead);
  }
  if (run.waiting.count > 0) value_panels<kPanels>(run.waiting, task.head_dim, run.out);
}

RowPair row_pair(const AttendTask& task, int row) {
  const int left = task.rows - row, count = left < kPair ? left : kPair;
  int start = 0, limit = task.limits[row];
  for (int r = row; r < row + count; ++r) {
    if (task.starts != nullptr && task.starts[r] > start) start = task.starts[r];
    if (task.limits[r] < limit) limit = task.limits[r];
  }
  return {row,
          count > kPanel ? 2 : 1,
          blocks_seen(task, row, count),
          {(start + kBlock - 1) / kBlock, limit / kBlock}};
}

TileScratch tile_scratch(const AttendTask& task) {
  const auto dim = static_cast<size_t>(task.head_dim);
  auto* p = static_cast<unsigned char*>(task.scratch);
  const auto take = [&p](size_t bytes) {
    auto* taken = p;
    p += bytes;
    return taken;
  };
  TileScratch s{};
  s.queries = reinterpret_cast<uint16_t*>(take(kAttendRowsMax * dim * 2));
  s.scores = reinterpret_cast<float*>(take(kPair * kBlock * 4));
  s.weights = reinterpret_cast<uint16_t*>(take(size_t{kChunk} * 2 * kPanelWeights * 2));
  s.tail = reinterpret_cast<float*>(take(kPanel * dim * 4));
  s.max = reinterpret_cast<float*>(take(kAttendRowsMax * 4));
  s.sum = reinterpret_cast<float*>(take(kAttendRowsMax * 4));
  return s;
}

// The rows of a few meet a block: `row` and the kRows - 1 after it.
template <int kRows>
inline void score_few(const AttendTask& task, const TileScratch& s, int row, int block) {
  const int pairs = task.head_dim / 2;
  const auto* queries = reinterpret_cast<const Simd::Pair*>(s.queries) + row * pairs;
  score_rows<kRows>(task.keys[block], row == 0 ? task.values[block] : nullptr, queries, pairs,
                    s.scores + row * kBlock);
}
template <int kRows>
inline void value_few(const AttendTask& task, const TileScratch& s, int row, int block) {
  const uint16_t* ahead = row == 0 && block + 1 < task.blocks ? task.keys[block + 1] : nullptr;
  const auto* weights = reinterpret_cast<const Simd::Pair*>(s.weights) + row * (kBlock / 2);
  value_rows<kRows>(task.values[block], ahead, weights, task.head_dim, task.out + row * task.head_dim);
}

template <bool kMasked>
void few_step(const AttendTask& task, const TileScratch& s, int block) {
  const int rows = task.rows;
  if (rows == 4) score_few<4>(task, s, 0, block);
  if (rows == 3 || rows == 2) score_few<2>(task, s, 0, block);
  if (rows % 2 == 1) score_few<1>(task, s, rows - 1, block);
  uint64_t masks[kPanel];
  const uint64_t* seen = kMasked ? masks : nullptr;
  if constexpr (kMasked) see_panel(task, 0, block, masks);
  __m512 sums = weigh_panel<kMasked, kBlock, 32>(s.scores, seen, s.max, s.weights, rows, Ahead{});
  auto grown = static_cast<unsigned>(_mm512_cmp_ps_mask(sums, _mm512_set1_ps(kGrowth), _CMP_GT_OQ));
  grown &= (1u << rows) - 1;  // the other lanes mean nothing
  if (grown != 0) {
    grow_panel(s.scores, seen, static_cast<__mmask16>(grown), task.head_dim, {task.out, s.max, s.sum});
    sums = weigh_panel<kMasked, kBlock, 32>(s.scores, seen, s.max, s.weights, rows, Ahead{});
  }
  _mm512_storeu_ps(s.sum, _mm512_add_ps(_mm512_loadu_ps(s.sum), sums));
  if (rows == 4) value_few<4>(task, s, 0, block);
  if (rows == 3 || rows == 2) value_few<2>(task, s, 0, block);
  if (rows % 2 == 1) value_few<1>(task, s, rows - 1, block);
}

// Up to kFewRows rows, bound by memory: the products in vector words, which ask for the next block in the
// order they read and are a sixth faster here than tiles. From 6 rows on tiles are, at 8 by half.
void few_attend(const AttendTask& task) {
  const TileScratch s = tile_scratch(task);
  for (int r = 0; r < kPanel; ++r) {
    const int from = r < task.rows ? r : task.rows - 1;
    s.max[r] = task.max[from];
    s.sum[r] = task.sum[from];
    if (r >= task.rows) continue;
    const float* q = task.queries + static_cast<size_t>(r) * task.query_stride;
    for (int c = 0; c < task.head_dim; c += 16)
      Simd::store_bf16(s.queries + r * task.head_dim + c, Simd::load(q + c));
  }
  for (int i = task.rows * kBlock; i < kFewRows * kBlock; ++i) s.scores[i] = 0;
  const RowPair all = row_pair(task, 0);
  for (int block = all.seen.first; block < all.seen.end; ++block) {
    if (block >= all.whole.first && block < all.whole.end)
      few_step<false>(task, s, block);
    else
      few_step<true>(task, s, block);
  }
  for (int r = 0; r < task.rows; ++r) task.max[r] = s.max[r], task.sum[r] = s.sum[r];
}

// Ops::attend for head_dim a multiple of 32.
void tile_attend(const AttendTask& task) {
  if (task.rows <= kFewRows) return few_attend(task);
  const int dim = task.head_dim, left = task.rows % kPanel;
  const TileScratch s = tile_scratch(task);
  for (int r = 0; r < (task.rows + kPanel - 1) / kPanel * kPanel; ++r) {
    const int from = r < task.rows ? r : task.rows - 1;
    const float* q = task.queries + static_cast<size_t>(from) * task.query_stride;
    uint16_t* to = s.queries + static_cast<std::ptrdiff_t>(r / kPanel) * kPanel * dim + r % kPanel * 32;
    for (int c = 0; c < dim; c += 16)
      Simd::store_bf16(to + c / 32 * (kPanel * 32) + c % 32, Simd::load(q + c));
    s.max[r] = task.max[from];
    s.sum[r] = task.sum[from];
  }
  float* tail = task.out + static_cast<std::ptrdiff_t>(task.rows - left) * dim;
  const size_t row_bytes = static_cast<size_t>(dim) * sizeof(float);
  for (int r = 0; left != 0 && r < kPanel; ++r)
    __builtin_memcpy(s.tail + r * dim, tail + (r < left ? r : left - 1) * dim, row_bytes);

  RowPair pairs[kAttendRowsMax / kPair];
  int count = 0;
  for (int row = 0; row < task.rows; row += kPair) pairs[count++] = row_pair(task, row);
  const BlockRange seen = blocks_seen(task, 0, task.rows);
  const TileState tiles_on;
  for (int first = seen.first; first < seen.end; first += kChunk) {
    for (int i = 0; i < count; ++i) {
      if (pairs[i].panels == 2)
        attend_chunk<2>(task, s, pairs[i], first, count);
      else
        attend_chunk<1>(task, s, pairs[i], first, count);
    }
  }
  for (int r = 0; r < task.rows; ++r) task.max[r] = s.max[r], task.sum[r] = s.sum[r];
  if (left != 0) __builtin_memcpy(tail, s.tail, static_cast<size_t>(left) * row_bytes);
}

}  // namespace
}  // namespace mneme::kernels
