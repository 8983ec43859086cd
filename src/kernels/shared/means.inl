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

// Moves a row's state to the largest of its log-masses.
inline void raise_maximum(const AddMeansTask& task, int row) {
  const float* masses = task.log_masses + static_cast<size_t>(row) * task.mass_stride;
  float top = task.max[row];
  for (int i = 0; i < task.count; ++i) {
    const float mass = masses[chosen_block(task, i)];
    top = mass > top ? mass : top;
  }
  if (!(top > task.max[row])) return;
  const Simd::F factor = Simd::set1(__builtin_expf(task.max[row] - top));
  float* out = task.out + row * task.head_dim;
  for (int c = 0; c < task.head_dim; c += Simd::kLanes)
    Simd::store(out + c, Simd::mul(Simd::load(out + c), factor));
  task.sum[row] *= __builtin_expf(task.max[row] - top);
  task.max[row] = top;
}

// Weights of the chosen blocks [first, first + count) times the scale of their means; the sum takes them
// without it.
inline void mean_weights(const AddMeansTask& task, int row, int first, int count, float* weights) {
  const float* masses = task.log_masses + static_cast<size_t>(row) * task.mass_stride;
  const float max = task.max[row];
  // Below this the exponential is taken for 0, and -inf - -inf never formed.
  const float least = max > -__builtin_inff() ? max - 87 : 0;
  alignas(64) float below[kMeanChunk], here[kMeanChunk];
  for (int i = 0; i < kMeanChunk; ++i) {
    const float mass = i < count ? masses[chosen_block(task, first + i)] : -__builtin_inff();
    here[i] = mass > least && max > -__builtin_inff() ? 1.0f : 0.0f;
    below[i] = here[i] > 0 ? mass - max : 0.0f;
  }
  Simd::F total = Simd::zero();
  for (int i = 0; i < kMeanChunk; i += Simd::kLanes) {
    const Simd::F e = Simd::mul(vector_exp(Simd::load(below + i)), Simd::load(here + i));
    Simd::store(weights + i, e);
    total = Simd::add(total, e);
  }
  task.sum[row] += Simd::sum(total);
  for (int i = 0; i < count; ++i)
    weights[i] *= task.blocks[chosen_block(task, first + i)].statistics->value_mean_scale;
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
  for (int row = 0; row < task.rows; ++row) raise_maximum(task, row);
  for (int first = 0; first < task.count; first += kMeanChunk) {
    const int count = task.count - first < kMeanChunk ? task.count - first : kMeanChunk;
    for (int i = first; i < first + count; ++i) {
      const SealedSummary& block = task.blocks[chosen_block(task, i)];
      Simd::prefetch(block.statistics);
      for (int c = 0; c < task.head_dim; c += 64) Simd::prefetch(block.value_means + c);
    }
    for (int row = 0; row < task.rows;) {
      const int left = task.rows - row, rows = left >= 4 ? 4 : left >= 2 ? 2 : 1;
      for (int r = 0; r < rows; ++r) mean_weights(task, row + r, first, count, weights + r * kMeanChunk);
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
