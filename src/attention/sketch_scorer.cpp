// Masses from two bits of every key and channel. A key is somewhere in the cell that its code names, so the
// expectation of exp(logit) is above exp of the logit that the cell's level gives: with errors about normal,
// of variance sigma^2 = 0.1188 sum_c q[c]^2 s[c]^2 (Max 1960, table II, of a Gaussian of deviation s in four
// equal steps), by exp(sigma^2 / 2). On the default model's global layers that is between 1.02 and 1.8.
#include <algorithm>

#include "attention/scorer.h"

namespace mneme::attention {

namespace {

constexpr float kCellVariance = 0.1188f;
// Where sigma is large the few largest errors decide, and no expectation helps.
constexpr float kVarianceMax = 4.0f;
constexpr size_t kBlocksOnce = 32;

}  // namespace

size_t score_scratch_bytes(int head_dim) {
  return kernels::sketch_mass_scratch_bytes(head_dim) + kernels::kAttendRowsMax * kBlocksOnce * sizeof(float);
}

void SketchScorer::score(const ScoreTask& task) const {
  const auto dim = static_cast<size_t>(task.head_dim), rows = static_cast<size_t>(task.rows);
  auto* variance = static_cast<float*>(task.scratch);  // [rows, stride], of up to kBlocksOnce blocks
  for (size_t first = 0; first < task.blocks.size(); first += kBlocksOnce) {
    const size_t count = std::min(task.blocks.size() - first, kBlocksOnce);
    task.ops->sketch_masses({task.queries, dim, task.rows, task.head_dim, &task.blocks[first],
                             static_cast<int>(count), task.max + first, task.sum + first, task.stride,
                             variance, kBlocksOnce, variance + kernels::kAttendRowsMax * kBlocksOnce});
    for (size_t row = 0; row < rows; ++row) {
      float* max = task.max + row * task.stride + first;
      for (size_t b = 0; b < count; ++b)
        max[b] += std::min(kCellVariance * variance[row * kBlocksOnce + b], kVarianceMax) / 2;
    }
  }
}

}  // namespace mneme::attention
