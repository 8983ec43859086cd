#include "serve/step_cost.h"

#include <algorithm>

namespace mneme::serve {

namespace {

constexpr double kDepthUnit = 1e4;  // so that all terms are of about one size
constexpr double kKeep = 0.98;      // of what was learnt, a pass: some fifty passes count

}  // namespace

StepCost::StepCost(const ModelInfo& info) {
  // Multiply-adds of attention a token of depth: 2 dim a head and layer that keeps every token, whose number
  // the size of keys and values tells. Half of that, since attention may be the better kernel.
  const double layer_bytes = 4.0 * std::max(1, info.kv_heads * info.head_dim);
  const double layers = static_cast<double>(info.kv_token_bytes) / layer_bytes;
  const double attention = 2.0 * info.heads * info.head_dim * layers;
  depth_ratio_min_ = 0.5 * attention / std::max(1.0, static_cast<double>(info.parameters));
}

StepCost::Terms StepCost::terms_of(const StepShape& shape) {
  return {1, shape.decode_rows, shape.decode_depth / kDepthUnit, shape.prefill_rows,
          shape.prefill_depth / kDepthUnit};
}

void StepCost::learn(const StepShape& shape, double seconds) {
  if (!(seconds > 0)) return;
  const Terms x = terms_of(shape);
  for (size_t i = 0; i < kTerms; ++i) {
    for (size_t j = 0; j < kTerms; ++j)
      products_[i][j] = kKeep * products_[i][j] + x[i] * x[j] / (seconds * seconds);
    sums_[i] = kKeep * sums_[i] + x[i] / seconds;
  }
  solve();
}

// Coordinate descent from where it stood: one term after the other takes its best value that is not negative.
void StepCost::solve() {
  constexpr int kRounds = 20;
  // Where passes have all been alike, what they took is put down to rows.
  constexpr size_t kOrder[kTerms] = {3, 1, 0, 4, 2};
  for (int round = 0; round < kRounds; ++round) {
    for (const size_t i : kOrder) {
      if (products_[i][i] <= 0) continue;
      double rest = sums_[i];
      for (size_t j = 0; j < kTerms; ++j)
        if (j != i) rest -= products_[i][j] * weights_[j];
      weights_[i] = std::max(0.0, rest / products_[i][i]);
    }
  }
}

double StepCost::seconds(const StepShape& shape) const {
  const Terms x = terms_of(shape);
  double sum = 0;
  for (size_t i = 0; i < kTerms; ++i) sum += weights_[i] * x[i];
  return sum;
}

double StepCost::row_seconds(double depth) const {
  const double a_token = std::max(weights_[4] / kDepthUnit, depth_ratio_min_ * weights_[3]);
  return weights_[3] + a_token * depth;
}

double StepCost::tokens_per_second() const { return weights_[3] > 0 ? 1 / weights_[3] : 0; }

}  // namespace mneme::serve
