// What is computed with sealed blocks (kernels/sealed_tasks.h), as the formulas read, in double.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/scalar/seal_scalar.h"
#include "kernels/shared/key_bound.inl"
#include "tensor/convert.h"
#include "tensor/e4m3.h"

namespace mneme::kernels {

namespace {

using tensor::Bf16;
using tensor::E4M3;

uint32_t level_of(const SealedSummary& summary, int channel) {
  return summary.statistics->deviation_base + summary.key_deviations[channel];
}
double deviation_of(const SealedSummary& summary, int channel) {
  return std::bit_cast<float>(level_of(summary, channel) << 20);
}

// q . (centre + sketch) of one token.
double sketch_score(const float* q, const SealedSummary& block, int head_dim, int token) {
  double sum = 0;
  for (int c = 0; c < head_dim; ++c) {
    const int code = block.sketch[c / 4 * 64 + token % 16 * 4 + c % 4] >> (token / 16 * 2) & 3;
    sum += q[c] *
           (to_f32(Bf16{block.key_centres[c]}) + double{kSketchStep} * deviation_of(block, c) * (code - 1.5));
  }
  return sum;
}

// The softmax state of one row.
struct RowState {
  float* out;  // [head_dim]
  float& max;
  float& sum;
  int head_dim;

  // Moves the maximum up to `score`; returns the weight of what has that score.
  float weight(float score) const {
    if (score > max) {
      const float shrink = std::exp(max - score);
      for (int c = 0; c < head_dim; ++c) out[c] *= shrink;
      sum *= shrink;
      max = score;
    }
    return std::exp(score - max);
  }
};

}  // namespace

void scalar_sketch_scores(const SketchTask& task) {
  for (int r = 0; r < task.rows; ++r) {
    const float* q = task.queries + static_cast<size_t>(r) * task.query_stride;
    float* scores = task.scores + static_cast<size_t>(r) * task.score_stride;
    for (int i = 0; i < task.block_count * 64; ++i)
      scores[i] = static_cast<float>(sketch_score(q, task.blocks[i / 64], task.head_dim, i % 64));
  }
}

void scalar_sketch_masses(const SketchMassTask& task) {
  for (int r = 0; r < task.rows; ++r) {
    const float* q = task.queries + static_cast<size_t>(r) * task.query_stride;
    for (int b = 0; b < task.block_count; ++b) {
      const auto count = static_cast<int>(task.blocks[b].statistics->count);
      double scores[64], max = -std::numeric_limits<double>::infinity(), sum = 0;
      for (int t = 0; t < count; ++t) {
        scores[t] = sketch_score(q, task.blocks[b], task.head_dim, t);
        max = std::max(max, scores[t]);
      }
      for (int t = 0; t < count; ++t) sum += std::exp(scores[t] - max);
      double variance = 0;
      for (int c = 0; c < task.head_dim; ++c) {
        const double width = q[c] * deviation_of(task.blocks[b], c);
        variance += width * width;
      }
      const size_t at = static_cast<size_t>(r) * task.stride + static_cast<size_t>(b);
      task.max[at] = static_cast<float>(max);
      task.sum[at] = static_cast<float>(sum);
      task.variance[static_cast<size_t>(r) * task.variance_stride + static_cast<size_t>(b)] =
          static_cast<float>(variance);
    }
  }
}

void scalar_relative_masses(const RelativeMassTask& task) {
  for (int r = 0; r < task.rows; ++r) {
    float *max = task.max + static_cast<size_t>(r) * task.stride,
          *sum = task.sum + static_cast<size_t>(r) * task.stride;
    const double top = *std::max_element(max, max + task.block_count);
    double total = 0;
    for (int b = 0; b < task.block_count; ++b) {
      const double weight = std::exp(max[b] - top), mass = weight * sum[b];
      total += mass;
      max[b] = static_cast<float>(mass * weight);
      sum[b] = static_cast<float>(mass);
    }
    task.top[r] = static_cast<float>(top);
    task.total[r] = static_cast<float>(total);
  }
}

// One token after the other, the state moving to each new maximum.
void scalar_attend_sealed(const AttendSealedTask& task) {
  for (int r = 0; r < task.rows; ++r) {
    const float* q = task.queries + static_cast<size_t>(r) * task.query_stride;
    const RowState state{task.out + r * task.head_dim, task.max[r], task.sum[r], task.head_dim};
    for (int b = 0; b < task.blocks; ++b) {
      const SealedFp8& copy = task.copies[b];
      for (int t = 0; t < static_cast<int>(task.summaries[b].statistics->count); ++t) {
        double score = 0;
        for (int c = 0; c < task.head_dim; ++c)
          score += q[c] * copied_key(task.summaries[b], copy, c, t).exact();
        const float weight = state.weight(static_cast<float>(score));
        state.sum += weight;
        for (int c = 0; c < task.head_dim; ++c)
          state.out[c] += weight * copied_value(copy, task.head_dim, c, t);
      }
    }
  }
}

void scalar_add_means(const AddMeansTask& task) {
  for (int r = 0; r < task.rows; ++r) {
    const RowState state{task.out + r * task.head_dim, task.max[r], task.sum[r], task.head_dim};
    const float factor = state.weight(task.highest[r]);
    for (int i = 0; i < task.count; ++i) {
      const int b = task.chosen == nullptr ? i : task.chosen[i];
      const size_t at = static_cast<size_t>(r) * task.mass_stride + static_cast<size_t>(b);
      const float weight = task.masses[at] * factor;
      state.sum += weight;
      const float scale = weight * task.blocks[b].statistics->value_mean_scale;
      for (int c = 0; c < task.head_dim; ++c)
        state.out[c] += scale * to_f32(E4M3{task.blocks[b].value_means[c]});
    }
  }
}

void scalar_key_error_bounds(const KeyBoundTask& task) {
  for (int r = 0; r < task.rows; ++r) {
    const float* q = task.queries + static_cast<size_t>(r) * task.query_stride;
    for (int b = 0; b < task.blocks; ++b) {
      const SealedSummary& summary = task.summaries[b];
      const bool is_int8 = task.copies[b].format() == CopyFormat::kInt8;
      KeyBoundSums sums;
      for (int c = 0; c < task.head_dim; ++c) {
        const float size = std::abs(q[c]);
        const float width = static_cast<float>(deviation_of(summary, c));
        sums.centres += size * std::abs(to_f32(Bf16{summary.key_centres[c]}));
        const float unit = is_int8 ? to_f32(Bf16{task.copies[b].key_scales[c]}) : e4m3_key_half_unit(width);
        sums.units += size * unit;
        sums.units_max = std::max(sums.units_max, size * unit);
        sums.deviations += size * width;
      }
      task.bounds[static_cast<size_t>(r) * task.stride + static_cast<size_t>(b)] =
          is_int8 ? int8_key_bound(sums, task.head_dim) : e4m3_key_bound(sums, task.head_dim);
    }
  }
}

}  // namespace mneme::kernels
