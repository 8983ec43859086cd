// Blocks as their mean values (Ops::add_means), for ISA files: weights of kMeanChunk blocks at a time, then a
// product of weights and means.
#pragma once

#include "kernels/shared/seal.inl"

namespace mneme::kernels {
namespace {

constexpr int kMeanChunk = 64;
constexpr int kMeanRows = 4;
constexpr float kE4m3Unit = 256;  // of Simd::load_e4m3

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

// Weights of `count` blocks times the scales of their means, padded with zeros to whole vectors; the sum
// takes them without.
inline void mean_weights(const AddMeansTask& task, int row, float factor, int first, int count,
                         const float* scales, float* weights) {
  const float* masses = task.masses + static_cast<size_t>(row) * task.mass_stride;
  for (int i = 0; i < count; ++i) weights[i] = masses[chosen_block(task, first + i)];
  for (int i = count; i % Simd::kLanes != 0; ++i) weights[i] = 0;
  Simd::F total = Simd::zero();
  for (int i = 0; i < count; i += Simd::kLanes) {
    const Simd::F weight = Simd::mul(Simd::load(weights + i), Simd::set1(factor));
    total = Simd::add(total, weight);
    Simd::store(weights + i, Simd::mul(weight, Simd::load(scales + i)));
  }
  task.sum[row] += Simd::sum(total);
}

// out[r] += sum_i weights[r][i] mean[i], kRows rows.
template <int kRows>
inline void weigh_means(const AddMeansTask& task, const uint8_t* const* means, int count,
                        const float* weights, float* out) {
  constexpr int L = Simd::kLanes;
  for (int c = 0; c < task.head_dim; c += L) {
    Simd::F acc[kRows];
    MNEME_UNROLL
    for (int r = 0; r < kRows; ++r) acc[r] = Simd::load(out + r * task.head_dim + c);
    for (int i = 0; i < count; ++i) {
      const Simd::F mean = Simd::load_e4m3(means[i] + c);
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
  alignas(64) float weights[kMeanRows * kMeanChunk] = {}, scales[kMeanChunk] = {};
  const uint8_t* means[kMeanChunk];
  float factors[kAttendRowsMax];
  for (int row = 0; row < task.rows; ++row) factors[row] = raise_maximum(task, row);
  for (int first = 0; first < task.count; first += kMeanChunk) {
    const int count = task.count - first < kMeanChunk ? task.count - first : kMeanChunk;
    for (int i = 0; i < count; ++i) {
      const SealedSummary& block = task.blocks[chosen_block(task, first + i)];
      Simd::prefetch(block.statistics);
      means[i] = block.value_means;
      for (int c = 0; c < task.head_dim; c += 64) Simd::prefetch(means[i] + c);
    }
    for (int i = 0; i < count; ++i) {
      const SealedSummary& block = task.blocks[chosen_block(task, first + i)];
      scales[i] = block.statistics->value_mean_scale * kE4m3Unit;
    }
    for (int row = 0; row < task.rows;) {
      const int left = task.rows - row, rows = left >= 4 ? 4 : left >= 2 ? 2 : 1;
      for (int r = 0; r < rows; ++r)
        mean_weights(task, row + r, factors[row + r], first, count, scales, weights + r * kMeanChunk);
      float* out = task.out + row * task.head_dim;
      if (rows == 4) weigh_means<4>(task, means, count, weights, out);
      if (rows == 2) weigh_means<2>(task, means, count, weights, out);
      if (rows == 1) weigh_means<1>(task, means, count, weights, out);
      row += rows;
    }
  }
}

}  // namespace
}  // namespace mneme::kernels
