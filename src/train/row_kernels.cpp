#include "train/row_kernels.h"

#include <bit>
#include <cmath>
#include <limits>

// One body, compiled for several machines and chosen when the program starts.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define MNEME_CLONES __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define MNEME_CLONES
#endif
#define MNEME_INLINE inline __attribute__((always_inline))

namespace mneme::train::rows {

namespace {

// exp(x) for x <= 0 within 2 ulp-ish: 2^n * p(f), f in [-1/2, 1/2] (Cephes' polynomial). Below -87: 0.
MNEME_INLINE float exp_below_zero(float x) {
  x = x < -87.0f ? -87.0f : x;
  const float t = x * 1.44269504f + 12582912.0f;  // rounds to an integer in the low bits
  const float n = t - 12582912.0f;
  const float f = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * f * f + f + 1.0f;
  const int32_t exponent = (static_cast<int32_t>(n) + 127) * (1 << 23);
  return p * std::bit_cast<float>(exponent);
}

// 1 / (1 + exp(-x)) through exp of what is not positive.
MNEME_INLINE float sigmoid(float x) {
  const float e = exp_below_zero(x < 0 ? x : -x);
  return (x < 0 ? e : 1.0f) / (1.0f + e);
}

}  // namespace

MNEME_CLONES void to_f32(const uint16_t* __restrict from, float* __restrict to, size_t n) {
  for (size_t i = 0; i < n; ++i) to[i] = std::bit_cast<float>(static_cast<uint32_t>(from[i]) << 16);
}

MNEME_CLONES void to_bf16(const float* __restrict from, uint16_t* __restrict to, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<uint32_t>(from[i]);
    to[i] = static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
  }
}

MNEME_CLONES float rms_norm(const float* __restrict x, const float* __restrict gain, float* __restrict y,
                            size_t n, float epsilon) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < n; ++i) sum += x[i] * x[i];
  const float scale = 1.0f / std::sqrt(sum / static_cast<float>(n) + epsilon);
  for (size_t i = 0; i < n; ++i) y[i] = gain[i] * x[i] * scale;
  return scale;
}

MNEME_CLONES void rms_norm_backward(const float* __restrict x, const float* __restrict gain,
                                    const float* __restrict dy, float scale, float* __restrict dx,
                                    float* __restrict dgain, size_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < n; ++i) sum += gain[i] * dy[i] * x[i];
  const float back = scale * scale * scale * sum / static_cast<float>(n);
  for (size_t i = 0; i < n; ++i) {
    dgain[i] += dy[i] * x[i] * scale;
    dx[i] = scale * gain[i] * dy[i] - back * x[i];
  }
}

MNEME_CLONES void silu_mul(const float* __restrict gate, const float* __restrict up, float* __restrict out,
                           size_t n) {
  for (size_t i = 0; i < n; ++i) out[i] = gate[i] * sigmoid(gate[i]) * up[i];
}

MNEME_CLONES void silu_mul_backward(const float* __restrict gate, const float* __restrict up,
                                    const float* __restrict dout, float* __restrict dgate,
                                    float* __restrict dup, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const float s = sigmoid(gate[i]), silu = gate[i] * s;
    dup[i] = dout[i] * silu;
    dgate[i] = dout[i] * up[i] * (s + silu * (1.0f - s));
  }
}

MNEME_CLONES float unit_rope(const float* __restrict x, const float* __restrict table, float factor,
                             float* __restrict y, size_t n, float epsilon) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < n; ++i) sum += x[i] * x[i];
  const float scale = 1.0f / std::sqrt(sum + static_cast<float>(n) * epsilon), all = scale * factor;
  if (table == nullptr) {
    for (size_t i = 0; i < n; ++i) y[i] = x[i] * all;
    return scale;
  }
  const size_t half = n / 2;
  const float *cos = table, *sin = table + half;
  for (size_t i = 0; i < half; ++i) {
    y[i] = all * (x[i] * cos[i] - x[i + half] * sin[i]);
    y[i + half] = all * (x[i] * sin[i] + x[i + half] * cos[i]);
  }
  return scale;
}

MNEME_CLONES float unit_rope_backward(const float* __restrict x, const float* __restrict table, float factor,
                                      float scale, const float* __restrict dy, float* __restrict dx,
                                      size_t n) {
  // u = gradient of the unit vector, rotated back
  if (table == nullptr) {
    for (size_t i = 0; i < n; ++i) dx[i] = dy[i];
  } else {
    const size_t half = n / 2;
    const float *cos = table, *sin = table + half;
    for (size_t i = 0; i < half; ++i) {
      dx[i] = dy[i] * cos[i] + dy[i + half] * sin[i];
      dx[i + half] = dy[i + half] * cos[i] - dy[i] * sin[i];
    }
  }
  float along = 0;  // u . x
#pragma omp simd reduction(+ : along)
  for (size_t i = 0; i < n; ++i) along += dx[i] * x[i];
  const float back = scale * scale * along, all = scale * factor;
  for (size_t i = 0; i < n; ++i) dx[i] = all * (dx[i] - back * x[i]);
  return along * scale;
}

MNEME_CLONES float softmax_row(const float* __restrict scores, size_t first, size_t last, size_t n,
                               const float* sink, float* __restrict p) {
  float max = sink != nullptr ? *sink : -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : max)
  for (size_t i = first; i < last; ++i) max = scores[i] > max ? scores[i] : max;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = first; i < last; ++i) {
    p[i] = exp_below_zero(scores[i] - max);
    sum += p[i];
  }
  if (sink != nullptr) sum += exp_below_zero(*sink - max);
  const float factor = 1.0f / sum;
  for (size_t i = first; i < last; ++i) p[i] *= factor;
  for (size_t i = 0; i < first; ++i) p[i] = 0;
  for (size_t i = last; i < n; ++i) p[i] = 0;
  return max + std::log(sum);
}

MNEME_CLONES void softmax_again(const float* __restrict scores, size_t first, size_t last, size_t n,
                                float lse, float* __restrict p) {
  for (size_t i = 0; i < first; ++i) p[i] = 0;
  for (size_t i = first; i < last; ++i) {
    const float x = scores[i] - lse;
    p[i] = exp_below_zero(x > 0 ? 0 : x);
  }
  for (size_t i = last; i < n; ++i) p[i] = 0;
}

MNEME_CLONES void softmax_backward(const float* __restrict p, const float* __restrict dp, float delta,
                                   float* __restrict ds, size_t n) {
  for (size_t i = 0; i < n; ++i) ds[i] = p[i] * (dp[i] - delta);
}

MNEME_CLONES void adam(const float* __restrict gradient, float* __restrict first, float* __restrict second,
                       float* __restrict x, size_t n, const AdamFactors& f) {
  for (size_t i = 0; i < n; ++i) {
    const float g = gradient[i];
    const float m = f.beta1 * first[i] + (1 - f.beta1) * g, v = f.beta2 * second[i] + (1 - f.beta2) * g * g;
    first[i] = m;
    second[i] = v;
    x[i] -= f.rate * m / (std::sqrt(v * f.second_scale) + f.epsilon);
  }
}

MNEME_CLONES float cross_entropy_row(float* __restrict logits, size_t target, size_t n) {
  const float wanted = logits[target];
  float max = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : max)
  for (size_t i = 0; i < n; ++i) max = logits[i] > max ? logits[i] : max;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (size_t i = 0; i < n; ++i) {
    logits[i] = exp_below_zero(logits[i] - max);
    sum += logits[i];
  }
  const float factor = 1.0f / sum;
  for (size_t i = 0; i < n; ++i) logits[i] *= factor;
  return max + std::log(sum) - wanted;
}

}  // namespace mneme::train::rows
