// Hyper-connections: n residual streams of C channels instead of one, mixed around every sublayer F
// (attention or feed-forward) by coefficients that depend on the row (arXiv 2512.24880, 2409.19606; the
// arithmetic is docs/formats/mneme-gguf.md, "Residual connections"):
//
//   X' = X / sqrt(mean(X^2) + eps)    c = P X'    (pre, post, res) = rule(scale * c + bias)
//   input = sum_j pre[j] x_j          x_i <- sum_j mix[i, j] x_j + post[i] F(input)
//
// hyper_read is everything up to F's input, hyper_write the last step. hyper_write_read is the write of one
// sublayer and the read of the next in one pass: the streams, which are all of the cost, go through memory
// once instead of twice, and autograd has no two gradients of the streams to add.
//
// fused = false is the reference: torch operations, any dtype and device, gradients by autograd. fused = true
// is one pass over the streams forward and one backward, with the same results up to rounding; it takes f32
// on the CPU with 2 to 4 streams and hands everything else to the reference. Its results do not depend on the
// number of threads. The fused functions are differentiable once.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>

#include "train/hyper_mixing.h"

namespace mneme::train {

// The learned tensors of one sublayer's connection; rows are n of pre, n of post, coefficient_rows of mix.
struct HyperWeights {
  torch::Tensor weight;  // [2n + r, n C]
  torch::Tensor bias;    // [2n + r]
  torch::Tensor scale;   // [3]: of pre, of post, of mix
};

// What a sublayer reads from the streams, and how its output is to be written back.
struct HyperRead {
  torch::Tensor input;  // [T, C]
  torch::Tensor post;   // [T, n]
  torch::Tensor mix;    // [T, n, n], mix[t, i, j] of stream j in the new stream i; undefined for kIdentity
};

// A sublayer's connection, as hyper_write_read takes the next one.
struct HyperConnection {
  HyperWeights weights;
  Mixing mixing = Mixing::kIdentity;
  float epsilon = 1e-6F;  // of the streams' RMS
  bool fused = true;
};

struct HyperWritten {
  torch::Tensor streams;  // [T, n, C]
  HyperRead read;         // of the next sublayer
};

// streams: [T, n, C].
[[nodiscard]] HyperRead hyper_read(const torch::Tensor& streams, const HyperWeights& weights, Mixing mixing,
                                   float epsilon, bool fused);

// The new streams [T, n, C]. output: [T, C], the sublayer's; of any floating type (bf16 under autocast).
[[nodiscard]] torch::Tensor hyper_write(const torch::Tensor& streams, const HyperRead& read,
                                        const torch::Tensor& output, bool fused);

// hyper_write of `read`, then hyper_read by `next` of the streams just written.
[[nodiscard]] HyperWritten hyper_write_read(const torch::Tensor& streams, const HyperRead& read,
                                            const torch::Tensor& output, const HyperConnection& next);

// Weights with which a block begins as a plain residual connection: sublayer s reads stream s mod n, writes
// to all with gain 1 and (almost) does not mix. `weight` is zero, so that the coefficients become dynamic at
// a rate set by `scale`: 0.1 to 0.3 learns at small size, 0.01 (the paper's) is too slow there. f32, on the
// CPU, no gradient required yet.
[[nodiscard]] HyperWeights initial_hyper_weights(Mixing mixing, int streams, int64_t channels, int sublayer,
                                                 float scale = 0.1F);

// Sums over the rows and columns of the product of all mixing matrices, over all tokens: how much a signal
// can grow or fade on its way through the streams. 1 everywhere when every matrix is doubly stochastic.
struct CompositeGain {
  double row_min = 1, row_max = 1;
  double column_min = 1, column_max = 1;
};

// mixes: [T, n, n] each, in the order of the sublayers; undefined ones are identities. For logging: no
// gradient.
[[nodiscard]] CompositeGain composite_gain(std::span<const torch::Tensor> mixes);

}  // namespace mneme::train
