// Masses from two bits of every key and channel. A key is somewhere in the cell that its code names, so the
// expectation of exp(logit) is above exp of the logit that the cell's level gives: with errors about normal,
// of variance sigma^2 = 0.1188 sum_c q[c]^2 s[c]^2 (Max 1960, table II, of a Gaussian of deviation s in four
// equal steps), by exp(sigma^2 / 2). On the default model's global layers that is between 1.02 and 1.8.
#include <algorithm>
#include <bit>
#include <cmath>

#include "attention/scorer.h"

namespace mneme::attention {

namespace {

constexpr float kCellVariance = 0.1188f;
// Deviations change slowly along a context: they are looked at in one of so many blocks.
constexpr size_t kBlocksAlike = 8;
// Where sigma is large the few largest errors decide, and no expectation helps.
constexpr float kVarianceMax = 4.0f;

// sum_c q[c]^2 s[c]^2
float deviation2(const float* query, const kernels::SealedSummary& block, int head_dim) {
  const uint32_t base = block.statistics->deviation_base;
  float sum = 0;
  for (int c = 0; c < head_dim; ++c) {
    const float width = query[c] *
                        std::bit_cast<float>(kernels::deviation_bits(base, block.key_deviations[c]));
    sum += width * width;
  }
  return sum;
}

}  // namespace

size_t score_scratch_bytes(int head_dim) { return kernels::sketch_mass_scratch_bytes(head_dim); }

void SketchScorer::score(const ScoreTask& task) const {
  const auto dim = static_cast<size_t>(task.head_dim);
  task.ops->sketch_masses({task.queries, dim, task.rows, task.head_dim, task.blocks.data(),
                           static_cast<int>(task.blocks.size()), task.max, task.sum, task.stride,
                           task.scratch});
  for (size_t first = 0; first < task.blocks.size(); first += kBlocksAlike) {
    const size_t end = std::min(first + kBlocksAlike, task.blocks.size());
    for (size_t row = 0; row < static_cast<size_t>(task.rows); ++row) {
      const float variance = kCellVariance *
                             deviation2(task.queries + row * dim, task.blocks[first], task.head_dim);
      const float expected = std::min(variance, kVarianceMax) / 2;
      for (size_t b = first; b < end; ++b) task.max[row * task.stride + b] += expected;
    }
  }
}

}  // namespace mneme::attention
