// The arithmetic of the trainer's fused functions on the CPU: plain loops over rows that the compiler turns
// into vector code for the machine at hand. No libtorch here. bf16 values are the upper halves of f32.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mneme::train::rows {

void to_f32(const uint16_t* from, float* to, size_t n);
void to_bf16(const float* from, uint16_t* to, size_t n);

// y = gain * x * scale, where scale = 1 / sqrt(mean(x^2) + epsilon) is returned.
float rms_norm(const float* x, const float* gain, float* y, size_t n, float epsilon);
// dx = scale (gain dy) - x scale^3 mean(gain dy x); dgain += dy x scale.
void rms_norm_backward(const float* x, const float* gain, const float* dy, float scale, float* dx,
                       float* dgain, size_t n);

// out = silu(gate) * up
void silu_mul(const float* gate, const float* up, float* out, size_t n);
void silu_mul_backward(const float* gate, const float* up, const float* dout, float* dgate, float* dup,
                       size_t n);

// One head: y = factor * rope(x * scale), scale = 1 / sqrt(sum(x^2) + n epsilon) returned. `table`: cos then
// sin, n / 2 each, pairs (i, i + n/2); null: no rotation.
float unit_rope(const float* x, const float* table, float factor, float* y, size_t n, float epsilon);
// dx of the same; returns dy . y / factor, the gradient of the factor.
float unit_rope_backward(const float* x, const float* table, float factor, float scale, const float* dy,
                         float* dx, size_t n);

// Softmax of one row of scores over the columns [first, last): p = exp(s - max), zero elsewhere of [0, n).
// `sink`: one more logit without a column, or null. Returns log-sum-exp; p is divided by the sum.
float softmax_row(const float* scores, size_t first, size_t last, size_t n, const float* sink, float* p);
// p = exp(s - lse) over [first, last), zero elsewhere.
void softmax_again(const float* scores, size_t first, size_t last, size_t n, float lse, float* p);
// ds = p (dp - delta)
void softmax_backward(const float* p, const float* dp, float delta, float* ds, size_t n);

// One step of Adam: the moments' decays are beta; second_scale and rate hold the bias corrections.
struct AdamFactors {
  float rate, beta1, beta2, second_scale, epsilon;
};
void adam(const float* gradient, float* first, float* second, float* x, size_t n, const AdamFactors& f);

// Cross-entropy of one row: p = softmax(logits) in place; returns log-sum-exp - logits[target].
float cross_entropy_row(float* logits, size_t target, size_t n);

}  // namespace mneme::train::rows
