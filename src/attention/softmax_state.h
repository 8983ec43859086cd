// The running softmax of some query rows over a part of their context (Dao et al. 2022), and how parts join.
#pragma once

#include <cstddef>

namespace mneme::attention {

// out = sum of exp(logit - max) * value, not divided by sum = sum of exp(logit - max). Views of the caller's
// memory, softmax_state_floats() of it.
struct SoftmaxState {
  float* out = nullptr;  // [rows, head_dim]
  float* max = nullptr;  // [rows]
  float* sum = nullptr;  // [rows]
  int rows = 0;
  int head_dim = 0;
};

constexpr size_t softmax_state_floats(int rows, int head_dim) {
  return static_cast<size_t>(rows) * static_cast<size_t>(head_dim + 2);
}
inline SoftmaxState softmax_state_at(float* memory, int rows, int head_dim) {
  float* max = memory + static_cast<size_t>(rows) * static_cast<size_t>(head_dim);
  return {memory, max, max + rows, rows, head_dim};
}

// Nothing seen: max = -inf, sum = 0.
void clear_state(const SoftmaxState& state);
// Adds what `other` saw by log-sum-exp, in f32. Rows that saw nothing there stay as they are.
void merge_state(const SoftmaxState& state, const SoftmaxState& other);

}  // namespace mneme::attention
