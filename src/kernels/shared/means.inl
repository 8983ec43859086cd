// Blocks as their mean values (Ops::add_means), for ISA files: weights of kMeanChunk blocks at a time, then a
// product of weights and means.
#pragma once

#include "kernels/shared/seal.inl"

namespace mneme::kernels {
namespace {

constexpr int kMeanChunk = 64;
constexpr int kMeanRows = 4;

inline int chosen_block(const AddMeansTask& task, int i) {
  return task.chosen == nullptr ? i : task.chosen[i];
}

// Moves a row's state to its highest logit; returns what masses are to be multiplied by.
inline float raise_maximum(const AddMeansTask& task, int row) {
  const float highest = task.highest[row], before = task.max[row];
  if (!(highest > before)) return __builtin_expf(highest - before);
  const float shrink = __builtin_expf(before - highest);
  float* out = task.out + row * task.head_dim;
  for (int c = 0; c < task.head_dim; c += Simd::kLanes)
    Simd::store(out + c, Simd::mul(Simd::load(out + c), Simd::set1(shrink)));
  task.sum[row] *= shrink;
  task.max[row] = highest;
  return 1.0f;
}

// Weights of the chosen blocks [first, first + count) times the scale of their means; the sum takes them
// without it.
inline void mean_weights(const AddMeansTask& task, int row, float factor, int first, int count,
                         float* weights) {
  const float* masses = task.masses + static_cast<size_t>(row) * task.mass_stride;
  float total = 0;
  for (int i = 0; i < count; ++i) {
    const int block = chosen_block(task, first + i);
    const float weight = masses[block] * factor;
    total += weight;
    weights[i] = weight * task.blocks[block].statistics->value_mean_scale;
  }
  task.sum[row] += total;
}

// out[r] += sum_i weights[r][i] mean[i], kRows rows.
template <int kRows>
inline void weigh_means(const AddMeansTask& task, int first, int count, const float* weights, float* out) {
  constexpr int L = Simd::kLanes;
  for (int c = 0; c < task.head_dim; c += L) {
    Simd::F acc[kRows];
    MNEME_UNROLL
    for (int r = 0; r < kRows; ++r) acc[r] = Simd::load(out + r * task.head_dim + c);
    for (int i = 0; i < count; ++i) {
      const Simd::F mean = e4m3_value(
          Simd::load_u8(task.blocks[chosen_block(task, first + i)].value_means + c));
      MNEME_UNROLL
      for (int r = 0; r < kRows; ++r)
        acc[r] = Simd::fma(Simd::set1(weights[r * kMeanChunk + i]), mean, acc[r]);
    }
    MNEME_UNROLL
    for (int r = 0; r < kRows; ++r) Simd::store(out + r * task.head_dim + c, acc[r]);
  }
}

// Ops::add_means.
void vector_add_means(const AddMeansTask& task) {
  if (task.head_dim % 16 != 0) return scalar_ops().add_means(task);
  alignas(64) float weights[kMeanRows * kMeanChunk];
  float factors[kAttendRowsMax];
  for (int row = 0; row < task.rows; ++row) factors[row] = raise_maximum(task, row);
  for (int first = 0; first < task.count; first += kMeanChunk) {
    const int count = task.count - first < kMeanChunk ? task.count - first : kMeanChunk;
    for (int i = first; i < first + count; ++i) {
      const SealedSummary& block = task.blocks[chosen_block(task, i)];
      Simd::prefetch(block.statistics);
      for (int c = 0; c < task.head_dim; c += 64) Simd::prefetch(block.value_means + c);
    }
    for (int row = 0; row < task.rows;) {
      const int left = task.rows - row, rows = left >= 4 ? 4 : left >= 2 ? 2 : 1;
      for (int r = 0; r < rows; ++r)
        mean_weights(task, row + r, factors[row + r], first, count, weights + r * kMeanChunk);
      float* out = task.out + row * task.head_dim;
      if (rows == 4) weigh_means<4>(task, first, count, weights, out);
      if (rows == 2) weigh_means<2>(task, first, count, weights, out);
      if (rows == 1) weigh_means<1>(task, first, count, weights, out);
      row += rows;
    }
  }
}

}  // namespace
}  // namespace mneme::kernels
