// From coefficients to mixing weights and back (hyper_connection.h), 16 rows at a time: lane b of every
// vector is row b of a block, so that the small matrices, one a row, are computed side by side without a
// shuffle.
#pragma once

#include <algorithm>
#include <array>

#include "train/hyper_lanes.h"
#include "train/hyper_mixing.h"

namespace mneme::train::hyper {

using Rows = Lanes<16>;
inline constexpr int kStreams = 4;        // the most that is fused
inline constexpr int kCoefficients = 32;  // 2 n + r, at most

// Also their gradients.
struct Weights {
  Rows pre[kStreams], post[kStreams], mix[kStreams * kStreams];
};

// Gradients of bias and scale, lanes not yet added.
struct RuleSums {
  Rows bias[kCoefficients], scale[3];
};

// exp(x) to about 2 ulp between -87 and 88, and the ends' values beyond: 2^k p(f), x = k ln 2 + f, |f| <= ln
// 2 / 2, p the Taylor polynomial of degree 7.
MNEME_HYPER_INLINE Rows exp_rows(Rows x) {
  typedef int Ints __attribute__((vector_size(64)));
  const Rows low = -87.0F - Rows{}, high = 88.0F - Rows{};
  x = x < low ? low : x;
  x = x > high ? high : x;
  const Rows k = (x * 1.44269504F + 12582912.0F) - 12582912.0F;  // 1.5 * 2^23: rounds to the nearest integer
  const Rows f = (x - k * 0.693359375F) + k * 2.12194440e-4F;    // ln 2 in two parts
  Rows p = f * (1.0F / 5040) + 1.0F / 720;
  p = p * f + 1.0F / 120;
  p = p * f + 1.0F / 24;
  p = p * f + 1.0F / 6;
  p = p * f + 0.5F;
  p = p * f + 1.0F;
  p = p * f + 1.0F;
  const Ints exponent = (__builtin_convertvector(k, Ints) + 127) << 23;
  Rows power;
  std::memcpy(&power, &exponent, sizeof power);
  return p * power;
}

MNEME_HYPER_INLINE Rows sigmoid_rows(Rows x) { return 1.0F / (1.0F + exp_rows(-x)); }
MNEME_HYPER_INLINE Rows tanh_rows(Rows x) { return 2.0F * sigmoid_rows(2.0F * x) - 1.0F; }
MNEME_HYPER_INLINE Rows max_rows(Rows a, Rows b) { return a > b ? a : b; }

// Which stream goes where in each permutation, in lexicographic order.
template <int n>
constexpr auto permutations() {
  constexpr int kCount = n == 2 ? 2 : n == 3 ? 6 : 24;
  std::array<std::array<int, n>, kCount> all{};
  std::array<int, n> order{};
  for (int i = 0; i < n; ++i) order[static_cast<size_t>(i)] = i;
  for (auto& one : all) {
    one = order;
    std::next_permutation(order.begin(), order.end());
  }
  return all;
}

// The matrix after every half iteration and what its rows or columns were multiplied by: what the way back
// needs.
struct SinkhornSteps {
  Rows after[2 * kSinkhornIterations][kStreams * kStreams];
  Rows inverse[2 * kSinkhornIterations][kStreams];
};

// Divides line i of m, elements i * line_stride + j * stride, by its sum; inverse[i]: one over the sum.
template <int n>
MNEME_HYPER_INLINE void normalize(Rows* m, int line_stride, int stride, Rows* inverse) {
  unroll<n>([&](auto i) MNEME_ALWAYS_INLINE {
    Rows sum = m[i * line_stride];
    unroll<n - 1>([&](auto j) MNEME_ALWAYS_INLINE { sum += m[i * line_stride + (j + 1) * stride]; });
    inverse[i] = 1.0F / sum;
    unroll<n>([&](auto j) MNEME_ALWAYS_INLINE { m[i * line_stride + j * stride] *= inverse[i]; });
  });
}

// d: gradient of y = x * inverse by line, becomes that of x: (d - sum(d y)) * inverse.
template <int n>
MNEME_HYPER_INLINE void normalize_backward(const Rows* y, const Rows* inverse, int line_stride, int stride,
                                           Rows* d) {
  unroll<n>([&](auto i) MNEME_ALWAYS_INLINE {
    Rows sum{};
    unroll<n>([&](auto j) MNEME_ALWAYS_INLINE {
      sum += d[i * line_stride + j * stride] * y[i * line_stride + j * stride];
    });
    unroll<n>([&](auto j) MNEME_ALWAYS_INLINE {
      d[i * line_stride + j * stride] = (d[i * line_stride + j * stride] - sum) * inverse[i];
    });
  });
}

// m: logits in, matrix out; first: exp(logits - max); steps: null if no way back is needed.
template <int n>
MNEME_HYPER_INLINE void sinkhorn(Rows* m, Rows* first, SinkhornSteps* steps) {
  Rows most = m[0];
  unroll<n * n - 1>([&](auto i) MNEME_ALWAYS_INLINE { most = max_rows(most, m[i + 1]); });
  Rows work[n * n];
  unroll<n * n>([&](auto i) MNEME_ALWAYS_INLINE { first[i] = work[i] = exp_rows(m[i] - most); });
  for (int half = 0; half < 2 * kSinkhornIterations; half += 2) {
    Rows by_row[n], by_column[n];
    normalize<n>(work, n, 1, by_row);
    if (steps != nullptr) {
      unroll<n * n>([&](auto i) MNEME_ALWAYS_INLINE { steps->after[half][i] = work[i]; });
      unroll<n>([&](auto i) MNEME_ALWAYS_INLINE { steps->inverse[half][i] = by_row[i]; });
    }
    normalize<n>(work, 1, n, by_column);
    if (steps != nullptr) {
      unroll<n * n>([&](auto i) MNEME_ALWAYS_INLINE { steps->after[half + 1][i] = work[i]; });
      unroll<n>([&](auto i) MNEME_ALWAYS_INLINE { steps->inverse[half + 1][i] = by_column[i]; });
    }
  }
  unroll<n * n>([&](auto i) MNEME_ALWAYS_INLINE { m[i] = work[i]; });
}

// d: gradient of the matrix in, of the logits out.
template <int n>
MNEME_HYPER_INLINE void sinkhorn_backward(const Rows* first, const SinkhornSteps& steps, Rows* d) {
  Rows work[n * n];
  unroll<n * n>([&](auto i) MNEME_ALWAYS_INLINE { work[i] = d[i]; });
  for (int half = 2 * kSinkhornIterations - 2; half >= 0; half -= 2) {
    normalize_backward<n>(steps.after[half + 1], steps.inverse[half + 1], 1, n, work);
    normalize_backward<n>(steps.after[half], steps.inverse[half], n, 1, work);
  }
  unroll<n * n>([&](auto i) MNEME_ALWAYS_INLINE { d[i] = work[i] * first[i]; });
}

// p: n! probabilities out of the logits z.
template <int n>
MNEME_HYPER_INLINE void softmax_permutations(const Rows* z, Rows* p) {
  constexpr int kCount = static_cast<int>(permutations<n>().size());
  Rows most = z[0], sum{};
  for (int k = 1; k < kCount; ++k) most = max_rows(most, z[k]);
  for (int k = 0; k < kCount; ++k) sum += p[k] = exp_rows(z[k] - most);
  const Rows inverse = 1.0F / sum;
  for (int k = 0; k < kCount; ++k) p[k] *= inverse;
}

template <int n>
MNEME_HYPER_INLINE void mix_permutations(const Rows* p, Rows* mix) {
  static constexpr auto kAll = permutations<n>();
  for (int i = 0; i < n * n; ++i) mix[i] = Rows{};
  for (size_t k = 0; k < kAll.size(); ++k) {
    for (int i = 0; i < n; ++i) mix[i * n + kAll[k][static_cast<size_t>(i)]] += p[k];
  }
}

// dz: gradient of the logits, from that of the matrix.
template <int n>
MNEME_HYPER_INLINE void permutations_backward(const Rows* p, const Rows* dmix, Rows* dz) {
  static constexpr auto kAll = permutations<n>();
  Rows mean{};
  for (size_t k = 0; k < kAll.size(); ++k) {
    Rows d{};
    for (int i = 0; i < n; ++i) d += dmix[i * n + kAll[k][static_cast<size_t>(i)]];
    dz[k] = d;
    mean += p[k] * d;
  }
  for (size_t k = 0; k < kAll.size(); ++k) dz[k] = p[k] * (dz[k] - mean);
}

// What the backward of a rule needs of its forward.
struct RuleState {
  Rows first[kStreams * kStreams];
  Rows probability[kCoefficients];
  SinkhornSteps steps;
};

// c: [2n + r]. state: null if no way back is needed.
template <int n>
MNEME_HYPER_INLINE void apply_rule(Mixing mixing, const float* scale, const float* bias, const Rows* c,
                                   Weights* out, RuleState* state) {
  if (mixing == Mixing::kFree) {
    for (int i = 0; i < n; ++i) out->pre[i] = scale[0] * tanh_rows(c[i]) + bias[i];
    for (int i = 0; i < n; ++i) out->post[i] = scale[1] * tanh_rows(c[n + i]) + bias[n + i];
    for (int i = 0; i < n * n; ++i) out->mix[i] = scale[2] * tanh_rows(c[2 * n + i]) + bias[2 * n + i];
    return;
  }
  for (int i = 0; i < n; ++i) out->pre[i] = sigmoid_rows(scale[0] * c[i] + bias[i]);
  for (int i = 0; i < n; ++i) out->post[i] = 2.0F * sigmoid_rows(scale[1] * c[n + i] + bias[n + i]);
  if (mixing == Mixing::kSinkhorn) {
    Rows first[n * n];
    for (int i = 0; i < n * n; ++i) out->mix[i] = scale[2] * c[2 * n + i] + bias[2 * n + i];
    sinkhorn<n>(out->mix, state != nullptr ? state->first : first,
                state != nullptr ? &state->steps : nullptr);
  } else if (mixing == Mixing::kPermutations) {
    constexpr int kCount = static_cast<int>(permutations<n>().size());
    Rows z[kCount], p[kCount];
    for (int k = 0; k < kCount; ++k) z[k] = scale[2] * c[2 * n + k] + bias[2 * n + k];
    softmax_permutations<n>(z, p);
    mix_permutations<n>(p, out->mix);
    if (state != nullptr) std::copy_n(p, kCount, state->probability);
  }
}

// dc: gradient of the coefficients from that of the weights, d; adds to sums. w, state: what apply_rule left.
template <int n>
MNEME_HYPER_INLINE void rule_backward(Mixing mixing, const float* scale, const Rows* c, const Weights& w,
                                      const RuleState& state, Weights* d, Rows* dc, RuleSums* sums) {
  const int count = 2 * n + (mixing == Mixing::kIdentity       ? 0
                             : mixing == Mixing::kPermutations ? static_cast<int>(permutations<n>().size())
                                                               : n * n);
  const auto part_of = [](int k) MNEME_ALWAYS_INLINE { return k < n ? 0 : k < 2 * n ? 1 : 2; };
  if (mixing == Mixing::kFree) {
    for (int k = 0; k < count; ++k) {
      const Rows dz = k < n ? d->pre[k] : k < 2 * n ? d->post[k - n] : d->mix[k - 2 * n];
      const Rows t = tanh_rows(c[k]);
      sums->bias[k] += dz;
      sums->scale[part_of(k)] += dz * t;
      dc[k] = scale[part_of(k)] * dz * (1.0F - t * t);
    }
    return;
  }
  Rows dz[kCoefficients];
  for (int i = 0; i < n; ++i) dz[i] = d->pre[i] * w.pre[i] * (1.0F - w.pre[i]);
  for (int i = 0; i < n; ++i) dz[n + i] = d->post[i] * w.post[i] * (1.0F - 0.5F * w.post[i]);
  if (mixing == Mixing::kSinkhorn) {
    sinkhorn_backward<n>(state.first, state.steps, d->mix);
    for (int i = 0; i < n * n; ++i) dz[2 * n + i] = d->mix[i];
  } else if (mixing == Mixing::kPermutations) {
    permutations_backward<n>(state.probability, d->mix, dz + 2 * n);
  }
  for (int k = 0; k < count; ++k) {
    sums->bias[k] += dz[k];
    sums->scale[part_of(k)] += dz[k] * c[k];
    dc[k] = scale[part_of(k)] * dz[k];
  }
}

}  // namespace mneme::train::hyper
