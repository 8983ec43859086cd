// Tasks of the operations that compute with sealed blocks (sealed.h), as sparse attention does: estimates of
// every block from its summary (Ops::sketch_scores, sketch_masses), exact attention over 8-bit copies
// (attend_sealed), what stands for blocks that are not read (add_means), and a proven bound of what the 8-bit
// copy does to a logit (key_error_bounds). The blocks of a task need not be adjacent in memory.
#pragma once

#include "kernels/sealed.h"

namespace mneme::kernels {

// Logits of query rows with every key of some blocks, estimated from centres and sketches.
struct SketchTask {
  const float* queries = nullptr;  // [rows, head_dim], rotated and scaled; `query_stride` floats apart
  size_t query_stride = 0;
  int rows = 0;      // up to kAttendRowsMax
  int head_dim = 0;  // even
  const SealedSummary* blocks = nullptr;
  int block_count = 0;
  float* scores = nullptr;  // [rows, block_count * 64], `score_stride` floats apart; tokens from a block's
                            // count on get some finite number
  size_t score_stride = 0;
  void* scratch = nullptr;  // sketch_scratch_bytes(head_dim), 64-byte aligned
};

// 8-bit queries of 4 rows, [rows][head_dim]; steps and centres of one block, f32 [head_dim].
constexpr size_t sketch_scratch_bytes(int head_dim) { return static_cast<size_t>(head_dim) * 12 + 64; }

// What a block weighs in the softmax of each row, estimated from its sketch: for the tokens t of block b with
// the estimated scores s[r, t] of Ops::sketch_scores
//   max[r, b] = max_t s[r, t]           sum[r, b] = sum_t exp(s[r, t] - max[r, b])
// so that its log-mass is max + log(sum); 1 <= sum <= count. And how far scores spread if channels are
// independent, in squared nats: with the deviations s of the block's channels
//   variance[r, b] = sum_c q[r, c]^2 s[c]^2
struct SketchMassTask {
  const float* queries = nullptr;  // [rows, head_dim], rotated and scaled; `query_stride` floats apart
  size_t query_stride = 0;
  int rows = 0;      // up to kAttendRowsMax
  int head_dim = 0;  // even
  const SealedSummary* blocks = nullptr;
  int block_count = 0;
  float* max = nullptr;       // [rows, block_count], `stride` floats apart
  float* sum = nullptr;       // the same
  size_t stride = 0;          // at least block_count
  float* variance = nullptr;  // [rows, block_count], `variance_stride` floats apart
  size_t variance_stride = 0;
  void* scratch = nullptr;  // sketch_mass_scratch_bytes(head_dim), 64-byte aligned
};

// Of 4 rows: scores [64] and 8-bit queries [head_dim]; steps and centres of one block.
constexpr size_t sketch_mass_scratch_bytes(int head_dim) {
  return 4 * 64 * 4 + static_cast<size_t>(head_dim) * (4 + 2 * 4) + 64;
}

// Masses of blocks relative to the heaviest logit among them, from the largest logit m of each and the sum s
// of SketchMassTask (or another estimate of the two):
//   top[r] = max_b m[r, b]                       total[r] = sum_b s[r, b] exp(m[r, b] - top[r])
//   sum[r, b] <- s exp(m - top), the mass        max[r, b] <- s exp(2 (m - top)), its square over s
struct RelativeMassTask {
  int rows = 0;
  int block_count = 0;     // at least 1
  float* max = nullptr;    // [rows, block_count], finite, `stride` floats apart; rewritten
  float* sum = nullptr;    // the same, above 0
  size_t stride = 0;       // at least block_count
  float* top = nullptr;    // [rows]
  float* total = nullptr;  // [rows]
};

// Attention of query rows over 8-bit copies of one KV head. Every row sees all tokens of each block (its
// `count`). The state is AttendTask's: tasks over bf16 blocks, over copies and AddMeansTasks may follow each
// other in any order on one state.
struct AttendSealedTask {
  const float* queries = nullptr;  // [rows, head_dim], rotated and scaled; `query_stride` floats apart
  size_t query_stride = 0;
  int rows = 0;                              // up to kAttendRowsMax
  int head_dim = 0;                          // even
  const SealedSummary* summaries = nullptr;  // [blocks]: count, centres and deviations are read
  const SealedFp8* copies = nullptr;         // [blocks], of either format
  int blocks = 0;
  float* out = nullptr;     // [rows, head_dim] contiguous
  float* max = nullptr;     // [rows]
  float* sum = nullptr;     // [rows]
  void* scratch = nullptr;  // attend_sealed_scratch_bytes(head_dim), 64-byte aligned
};

// Of 8 rows and 4 blocks: scores f32 [256], queries [2, head_dim] bytes a block, weights [2, 256] bytes;
// scales and centres of one block, f32 [head_dim]; sums of the matrix unit, 4 KiB.
constexpr size_t attend_sealed_scratch_bytes(int head_dim) {
  return 8 * 256 * 4 + static_cast<size_t>(head_dim) * (2 * 4 + 4 * 8 * 2) + 8 * 2 * 256 + 4096 + 64;
}

// Blocks that are not read count as their mean value, their masses being relative to exp(highest) of a row:
//   w[r, b] = mass[r, b] exp(highest[r] - max[r])        out[r] += w[r, b] mean[b]        sum[r] += w[r, b]
// with max[r] moved to highest[r] first where that is larger, so that the state stays what AttendTask says.
struct AddMeansTask {
  const SealedSummary* blocks = nullptr;  // statistics and value means are read
  // Which of `blocks` (and columns of masses) are added, [count], in any order; null: the first `count`.
  const int* chosen = nullptr;
  int count = 0;
  int rows = 0;                   // up to kAttendRowsMax
  int head_dim = 0;               // even
  const float* masses = nullptr;  // [rows, all blocks], `mass_stride` floats apart; 0 adds nothing
  size_t mass_stride = 0;
  const float* highest = nullptr;  // [rows], finite
  float* out = nullptr;            // [rows, head_dim] contiguous
  float* max = nullptr;            // [rows]
  float* sum = nullptr;            // [rows]
};

// bounds[r, b] >= |s - q . k| for every token of block b: s is the score that attend_sealed of any back-end
// computes from the copy, rounding of its arithmetic included, q . k the exact product with the key as
// sealing takes it (within +-2^56, NaN as 0). Of a channel with query q, centre m, scale a or 2^e, deviation
// s:
//   kInt8  half a step |q| a / 2           kE4M3  half a unit at |k - m| = 8 s: |q| 2^floor(log2 s) / 2
// and what the rounding of queries, sums and codes can add. For finite queries up to 2^60.
struct KeyBoundTask {
  const float* queries = nullptr;  // [rows, head_dim], rotated and scaled; `query_stride` floats apart
  size_t query_stride = 0;
  int rows = 0;                              // up to kAttendRowsMax
  int head_dim = 0;                          // even
  const SealedSummary* summaries = nullptr;  // [blocks]: centres and deviations are read
  const SealedFp8* copies = nullptr;         // [blocks]: key_scales are read
  int blocks = 0;
  float* bounds = nullptr;  // [rows, blocks], `stride` floats apart
  size_t stride = 0;
};

}  // namespace mneme::kernels
