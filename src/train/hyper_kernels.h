// The loops of the fused hyper-connections (hyper_connection.h says what they compute). No libtorch here. All
// tensors are row-major f32; rows are taken in blocks of kBlockRows, and every function does the blocks
// [first, last) alone, so that any split among threads gives the same bits. Blocks are 16 rows because a
// block of streams (64 KiB at 4 streams of 256 channels) then stays in the L2 cache from its first reading to
// its last, and because lane b can be row b (hyper_rules.h).
#pragma once

#include <cstddef>

#include "train/hyper_mixing.h"

namespace mneme::train::hyper {

inline constexpr size_t kBlockRows = 16;
inline constexpr int kStreamsFused = 4;  // the most the kernels take; 2 the least

// The connection of one sublayer.
struct Rule {
  Mixing mixing;
  int streams;
  size_t channels;
  float epsilon;
  const float* weight;  // [coefficients, streams * channels]
  const float* bias;    // [coefficients]
  const float* scale;   // [3]
  const float* packed;  // for the way back: the weight as pack_weight lays it out
};

struct Extent {
  size_t rows;         // of the whole batch
  size_t first, last;  // blocks to do
  float* scratch;      // [scratch_size], of this call alone
};

// What is kept for the way back, in the kernels' own layout: c of a block is [coefficients, kBlockRows].
struct Saved {
  float* coefficients;  // [blocks, coefficients, kBlockRows]
  float* inverse_rms;   // [blocks, kBlockRows]
};

struct ReadResult {
  float* input;  // [rows, channels]
  float* post;   // [rows, streams]
  float* mix;    // [rows, streams, streams]; null for kIdentity
  Saved saved;
};

struct WriteInput {
  const float* streams;  // [rows, streams, channels]
  const float* mix;      // [rows, streams, streams] or null: identity
  const float* post;     // [rows, streams]
  const void* output;    // [rows, channels] of the sublayer
  bool is_output_bf16;
};

// Gradients of a read's results; any may be null: zero.
struct ReadGradient {
  const float* input;
  const float* post;
  const float* mix;
};

// Of the weights; of some rows, to be added up by the caller.
struct WeightGradient {
  float* packed;  // as pack_weight lays it out
  float bias[32];
  float scale[3];
};

struct WriteGradient {
  float* streams;  // [rows, streams, channels]
  float* mix;      // or null
  float* post;
  void* output;  // of the output's type
};

struct Kernels {
  const char* name;
  // streams: [rows, streams, channels].
  void (*read)(const Rule& rule, const float* streams, const Extent& extent, const ReadResult& out);
  // written: [rows, streams, channels].
  void (*write)(const Rule& rule, const WriteInput& in, const Extent& extent, float* written);
  // write, then read of what was written while it is in cache; `next` is the read's rule.
  void (*write_read)(const Rule& next, const WriteInput& in, const Extent& extent, float* written,
                     const ReadResult& out);
  // d_streams = the gradient that reaches the streams through the read. Adds to *d_weights.
  void (*read_backward)(const Rule& rule, const float* streams, const Saved& saved, const ReadGradient& d,
                        const Extent& extent, float* d_streams, WeightGradient* d_weights);
  // d_written: [rows, streams, channels]. Of `rule` only the sizes are read, here and in write.
  void (*write_backward)(const Rule& rule, const WriteInput& in, const float* d_written, const Extent& extent,
                         const WriteGradient& d);
  // Of write_read. d_written: the gradient that reaches the written streams from elsewhere; null: none.
  void (*write_read_backward)(const Rule& next, const WriteInput& in, const float* written,
                              const Saved& saved, const ReadGradient& d_read, const float* d_written,
                              const Extent& extent, const WriteGradient& d, WeightGradient* d_weights);
  // Floats of a packed weight; packing and adding a packed gradient to a plain one [coefficients, streams *
  // channels].
  size_t (*packed_size)(const Rule& rule);
  void (*pack_weight)(const Rule& rule, float* packed);
  void (*add_unpacked)(const Rule& rule, const float* packed, float* plain);
};

[[nodiscard]] size_t scratch_size(const Rule& rule);

// The fastest for this machine, or by name ("avx512", "avx2", "generic"); null if this machine lacks it.
[[nodiscard]] const Kernels& kernels();
[[nodiscard]] const Kernels* kernels_or_null_for_test(const char* name);

}  // namespace mneme::train::hyper
