// kernels: the arithmetic of the forward pass, one plain table of functions a back-end.
//
// scalar/ is the oracle: plain loops over exact values, written to be read. avx2/, avx512/ and amx/ compute
// the same within the rounding said at each entry. The table is chosen once at start (select.h); MNEME_ISA
// forces one. Nothing here allocates or starts threads: callers hand in ranges of work and scratch. Weights
// come packed (packed.h), 16 output rows to a tile.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/packed.h"
#include "kernels/sealed_tasks.h"

namespace mneme::kernels {

// Rows of activations in the forms that matrix products read; which are filled: Ops::forms(). The 8-bit and
// bf16 forms are cut into panels of `height` rows, 32 columns of every row of a panel side by side, so that a
// kernel walks one pointer:
//   panel p begins at p * height * columns and is [columns / 32][height][32];  height = panel_height(rows,
//     rows_max of the form).
// The rows that fill up the last panel are never read into a result.
struct Activations {
  int rows = 0;
  int columns = 0;             // a multiple of 32
  const float* f32 = nullptr;  // [rows, columns], `f32_stride` floats between rows
  size_t f32_stride = 0;
  uint16_t* bf16 = nullptr;   // panels of up to 16 rows, p * height * bf16_pitch apart
  size_t bf16_pitch = 0;      // bf16_pitch_of(columns)
  int8_t* q8 = nullptr;       // panels of up to 8 rows (amx: 16); x ~= scale * code, code in [-127, 127],
                              // groups of 32 columns
  float* q8_scale = nullptr;  // [columns / 32][height] a panel
  float* q8_sum32 = nullptr;  // the same shape: scale * sum of the group's codes
  float* q8_sum16 = nullptr;  // [columns / 32][2][height] a panel: of each half of the group
};

inline constexpr int kQ8PanelRows = 8;  // of the vector kernels
inline constexpr int kBf16PanelRows = 16;

// Columns a row of bf16 panels is given: an odd number of stretches of 512, so that the same stretch of 32
// panels falls into different sets of the second-level cache (at a pitch of 64 KiB it would fill a quarter of
// them and evict itself).
constexpr size_t bf16_pitch_of(int columns) { return (static_cast<size_t>(columns + 511) / 512 | 1) * 512; }

// The most that one panel holds, or the power of two that holds all rows.
constexpr int panel_height(int rows, int rows_max) {
  int height = 1;
  while (height < rows && height < rows_max) height *= 2;
  return height;
}

enum Form : uint32_t { kFormF32 = 1, kFormBf16 = 2, kFormQ8 = 4 };

// Attention of some query rows over a run of 64-token blocks of one KV head.
struct AttendTask {
  const float* queries = nullptr;  // [rows, head_dim], rotated and scaled by 1/sqrt(head_dim); `query_stride`
                                   // floats apart
  size_t query_stride = 0;
  int rows = 0;
  int head_dim = 0;                         // even
  const uint16_t* const* keys = nullptr;    // [blocks] -> bf16 [head_dim / 2, 64, 2]
  const uint16_t* const* values = nullptr;  // [blocks] -> bf16 [32, head_dim, 2]
  int blocks = 0;
  // Row r sees the tokens starts[r] <= t < limits[r] of this run: one or more for at least one row, and none
  // where limits[r] <= starts[r]. No starts: every row sees from the first.
  const int* limits = nullptr;  // [rows]
  const int* starts = nullptr;  // [rows] or null; negative is the first token
  // Softmax state of each row, read and updated, so that runs can follow each other and be merged:
  // out = sum of exp(logit - max) * value, not yet divided by sum. Start: out = 0, max = -inf, sum = 0; with
  // a sink max = its logit, sum = 1. max is the largest logit, or one that it exceeds by 7 at most (amx).
  float* out = nullptr;     // [rows, head_dim] contiguous
  float* max = nullptr;     // [rows]
  float* sum = nullptr;     // [rows]
  void* scratch = nullptr;  // attend_scratch_bytes(head_dim), 64-byte aligned
};

// Dot products of every row of x with every row of a small f32 matrix that is not packed.
struct DotsTask {
  float* out = nullptr;  // [rows, count], out_stride floats between rows
  size_t out_stride = 0;
  const float* matrix = nullptr;  // [count, n], contiguous
  int count = 0;
  const float* x = nullptr;  // [rows, n], x_stride floats between rows
  size_t x_stride = 0;
  int rows = 0;
  int n = 0;
};

// x_i <- sum_j keep[i, j] x_j + give[i] f: one row's residual streams take a sublayer's output.
struct StreamMix {
  float* x = nullptr;           // [streams, n], contiguous
  const float* f = nullptr;     // [n]
  const float* keep = nullptr;  // [streams, streams]
  const float* give = nullptr;  // [streams]
  int streams = 0;              // 1 .. kStreamsMax
  int n = 0;
};

inline constexpr int kStreamsMax = 8;

struct Ops {
  const char* name;  // "scalar", "avx2", "avx512", "amx"

  // The activation forms that matmul() reads for weights of `type` and this many rows.
  uint32_t (*forms)(tensor::DType type, int rows);

  // Fills the asked forms of rows [first, first + count) from x.f32. Codes round to nearest; a group's scale
  // is max|x| / 127.
  void (*prepare)(const Activations& x, uint32_t forms, int first, int count);

  // y[r, n] = sum_k w[n, k] x[r, k] for every row r and the rows n of the tiles [tile_first, tile_first +
  // tile_count) of w. y: [x.rows, .] with y_stride floats between rows, y[., 0] being row 0 of w; y is
  // overwritten. Rows of w beyond w.rows (padding of the last tile) are not written. `scratch`:
  // matmul_scratch_bytes(), 64-byte aligned, one a thread. Scalar: f32 activations, double sums. Others:
  // 8-bit or bf16 activations as forms() says, f32 sums. With 8-bit activations a row's bits do not depend on
  // the rows beside it, nor on how many they are: those of amx, which takes bf16 from 33 rows on, are
  // avx512's.
  void (*matmul)(const PackedMatrix& w, int tile_first, int tile_count, const Activations& x, float* y,
                 size_t y_stride, void* scratch);

  // out[i] = x[i] * gain[i] / sqrt(mean(x^2) + epsilon) over n values.  (Zhang & Sennrich 2019)  In place
  // allowed.
  void (*rms_norm)(float* out, const float* x, const float* gain, int n, float epsilon);
  // out[i] = silu(gate[i]) * up[i].  In place allowed.
  void (*silu_mul)(float* out, const float* gate, const float* up, int n);
  // out[i] += x[i].
  void (*add)(float* out, const float* x, int n);

  // out[i] = keep * out[i] + take * x[i].
  void (*blend)(float* out, float keep, const float* x, float take, int n);

  // out[r, m] = sum_k matrix[m, k] x[r, k], f32 (scalar: sums in double). An element's bits depend on its own
  // two rows alone, not on how many are computed together.
  void (*dots)(const DotsTask& task);
  // out[i] = sum_j weights[j] x[j * n + i] over `streams` rows of n values. Not in place.
  void (*combine)(float* out, const float* weights, const float* x, int streams, int n);
  void (*mix_streams)(const StreamMix& mix);

  // Flash attention (Dao et al. 2022) over the run; exact softmax, f32 state. Queries and weights may be
  // rounded to bf16 as operands. A row's bits depend neither on the rows beside it nor on where runs
  // end; on their number only on the matrix unit, whose products up to 4 rows are the vectors'.
  void (*attend)(const AttendTask& task);

  // What is made of a full block (or the first `count` tokens of one): statistics, sketch and 8-bit copy, as
  // sealed.h defines them. Every back-end writes the same bits.
  void (*seal_block)(const SealTask& task);
  // The 8-bit copy back into a bf16 block, rounding to bf16. Reads only what seal_block wrote; the same bits
  // everywhere.
  void (*unseal_block)(const UnsealTask& task);
  // scores[r, t] = query r . (centre + sketch) of key t. Scalar: sums in double. Others: a row's query times
  // the block's steps in 8 bits (max / 127), so that a score is off by up to 1.5 * head_dim * max / 254 (on
  // real keys the mean error beside q . k is 0.4017 for 0.4016 nats).
  void (*sketch_scores)(const SketchTask& task);
  // Largest score and sum of exp of every block, from the scores of sketch_scores (never stored). Scalar: in
  // double. Others: exp within 2e-4 of itself.
  void (*sketch_masses)(const SketchMassTask& task);
  // Masses of blocks relative to the heaviest. Scalar: in double. Others: exp within 2e-4 of itself.
  void (*relative_masses)(const RelativeMassTask& task);
  // Flash attention over 8-bit copies: exactly the keys and values that the copy stands for, not rounded to
  // bf16. Scalar: scores in double. Others: queries times scales rounded to 15 bits of the largest (int8; and
  // so are weights times scales) or to bf16 (E4M3), see key_error_bounds; state in f32.
  void (*attend_sealed)(const AttendSealedTask& task);
  // Blocks that are not read, as their mean values. f32 state.
  void (*add_means)(const AddMeansTask& task);
  // What 8-bit keys can change in a logit, per row and block. May differ between back-ends in the last bits.
  void (*key_error_bounds)(const KeyBoundTask& task);

  // Runs `steps` rounds of the instruction behind many-row products in registers, on the calling thread;
  // returns the multiplies and adds done. Timed by the caller it gives the peak that benchmarks quote shares
  // of. 0: this back-end has no such instruction.
  double (*peak_work)(int steps);
  // Reads every line of `data` (a multiple of 512 bytes) as fast as this back-end can; returns something that
  // depends on all of it.
  uint32_t (*read_work)(const void* data, size_t bytes);
};

// Rows of one AttendTask. With 256, two threads of prefill at 1 TFLOP/s each read 8 GB/s of keys and values.
inline constexpr int kAttendRowsMax = 256;

size_t matmul_scratch_bytes();
size_t attend_scratch_bytes(int head_dim);

}  // namespace mneme::kernels
