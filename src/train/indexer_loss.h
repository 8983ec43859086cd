// The loss that trains the indexer (docs/formats/mneme-gguf.md, "Indexer"; arXiv 2512.02556): for every query
// t
//   KL( p[t] || softmax over visible s of I[t, s] ),  I[t, s] = sum_j w[t, j] relu(q[t, j] . k[s]),
// p being the dense attention's weights, summed over heads and normalised. Mean over the queries.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace mneme::train {

// One sequence. Query t stands at position first + t and sees the keys 0 .. first + t.
struct IndexerScores {
  torch::Tensor query;  // [T, J, d_I], unit length
  torch::Tensor key;    // [S, d_I], unit length
  torch::Tensor head;   // [T, J]: w
  int64_t first = 0;    // S >= first + T
};

// target: [T, S], rows sum to 1 over visible keys; no gradient. fused = false: torch operations, the gradient
// by autograd, T S J values for it. fused = true: loss and gradients together, kIndexerRows queries at a
// time, nothing of T S kept; differentiable once. Any dtype and device; a scalar.
inline constexpr int64_t kIndexerRows = 64;
[[nodiscard]] torch::Tensor indexer_loss(const IndexerScores& scores, const torch::Tensor& target,
                                         bool fused);

}  // namespace mneme::train
