// The network's building blocks as differentiable functions. On the CPU each is fused: one pass over the data
// forward, one backward, written with row_kernels.h; on other devices, in double precision and on request the
// plain composition of torch operations runs (functional_reference.cpp), which is also the tests' oracle.
//
// Sizes: B rows (independent texts) of T tokens; H query heads in groups of G to each of K key/value heads,
// H = K G; d channels a head.
#pragma once

#include <torch/torch.h>

namespace mneme::train {

using torch::Tensor;

// Gain * x / sqrt(mean(x^2) + epsilon) of each row. x: [R, C] f32 -> [R, C] of `type`.
Tensor rms_norm(const Tensor& x, const Tensor& gain, double epsilon, torch::ScalarType type, bool fused);

// silu(gate) * up, elementwise, any equal shapes.
Tensor silu_mul(const Tensor& gate, const Tensor& up, bool fused);

// One linear map's output cut into heads for attention: each head to length one, rotated, times its factor.
struct HeadLayout {
  int64_t batch = 0, tokens = 0;    // B, T
  int64_t kv_heads = 0, group = 1;  // K, G
  double epsilon = 1e-6;
};
// x: [B T, K G d]; factor: [K G] or undefined (1); table: [T, d] cos then sin, or undefined (no rotation).
// -> [B, K, T, G, d], x / sqrt(sum(x^2) + d epsilon), rotated pairs (i, i + d/2).
Tensor unit_heads(const Tensor& x, const Tensor& factor, const Tensor& table, const HeadLayout& layout,
                  bool fused);

struct AttentionSpan {
  int64_t window = 0;       // token t sees t - window + 1 .. t; 0: all before it
  bool cross_rows = false;  // and every token of the batch's other rows (only where keys have no positions)
};
// softmax(q k^T) v with one more logit `sinks` [K G] (or undefined) whose value is zero.
// q: [B, K, T, G, d], k, v: [B, K, T, d] -> [B T, K G d]. (Flash attention, arXiv 2205.14135: scores are
// never kept, the backward pass computes them again.)
Tensor banded_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& sinks,
                        const AttentionSpan& span, bool fused);

// Sum over rows of weight * cross-entropy(W h, target). h: [R, C], w: [V, C], targets: [R] int64, weights:
// [R]. Fused: logits exist for a stretch of rows at a time, and the gradient is made in the forward pass.
Tensor linear_cross_entropy(const Tensor& h, const Tensor& w, const Tensor& targets, const Tensor& weights,
                            bool fused);

// cos and sin of positions first .. first + tokens: [tokens, d].
Tensor rope_table(int64_t first, int64_t tokens, int64_t dims, double base);

// torch's custom functions take no undefined tensors: an optional one travels as an empty one.
inline Tensor or_empty(const Tensor& x) { return x.defined() ? x : torch::empty({0}); }
inline bool is_there(const Tensor& x) { return x.defined() && x.numel() > 0; }

// Whether the fused functions serve these values.
bool is_fusable(const Tensor& x);

namespace reference {
Tensor rms_norm(const Tensor& x, const Tensor& gain, double epsilon, torch::ScalarType type);
Tensor silu_mul(const Tensor& gate, const Tensor& up);
Tensor unit_heads(const Tensor& x, const Tensor& factor, const Tensor& table, const HeadLayout& layout);
Tensor banded_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& sinks,
                        const AttentionSpan& span);
Tensor linear_cross_entropy(const Tensor& h, const Tensor& w, const Tensor& targets, const Tensor& weights);
}  // namespace reference

}  // namespace mneme::train
