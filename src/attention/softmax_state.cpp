#include "attention/softmax_state.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace mneme::attention {

void clear_state(const SoftmaxState& state) {
  const auto rows = static_cast<size_t>(state.rows);
  std::fill_n(state.out, rows * static_cast<size_t>(state.head_dim), 0.0f);
  std::fill_n(state.max, rows, -std::numeric_limits<float>::infinity());
  std::fill_n(state.sum, rows, 0.0f);
}

void merge_state(const SoftmaxState& state, const SoftmaxState& other) {
  const auto dim = static_cast<size_t>(state.head_dim);
  for (size_t r = 0; r < static_cast<size_t>(state.rows); ++r) {
    if (other.sum[r] == 0.0f) continue;
    const float top = std::max(state.max[r], other.max[r]);
    const float keep = std::exp(state.max[r] - top), take = std::exp(other.max[r] - top);
    float* out = state.out + r * dim;
    const float* from = other.out + r * dim;
    for (size_t c = 0; c < dim; ++c) out[c] = out[c] * keep + from[c] * take;
    state.sum[r] = state.sum[r] * keep + other.sum[r] * take;
    state.max[r] = top;
  }
}

}  // namespace mneme::attention
