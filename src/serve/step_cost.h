#pragma once

#include <array>
#include <cstddef>

#include "mneme/engine.h"

namespace mneme::serve {

// What a pass over several sessions consists of. A depth is the sum over its rows of the tokens before them.
struct StepShape {
  double decode_rows = 0, decode_depth = 0;
  double prefill_rows = 0, prefill_depth = 0;
};

// How long passes take, learnt from those that were measured: seconds = c0 + c1 decode_rows + c2 decode_depth
// + c3 prefill_rows + c4 prefill_depth with c >= 0, by least squares of the relative errors in which older
// passes count less and less. A plain ratio of time to rows will not do: a row at a depth of a million tokens
// takes a hundred times one at the beginning, and the next pass is often of another prompt.
class StepCost {
 public:
  explicit StepCost(const ModelInfo& info);
  void learn(const StepShape& shape, double seconds);
  double seconds(const StepShape& shape) const;
  // Of one prefill row behind `depth` tokens; 0 until something was learnt.
  double row_seconds(double depth) const;
  double tokens_per_second() const;  // of prefill at no depth; 0 until something was learnt

 private:
  static constexpr size_t kTerms = 5;
  using Terms = std::array<double, kTerms>;
  static Terms terms_of(const StepShape& shape);
  void solve();

  Terms weights_{};                       // c, in units of terms_of()
  std::array<Terms, kTerms> products_{};  // sum of x x^T / t^2
  Terms sums_{};                          // sum of x / t
  // Least ratio of c4 to c3: what attention multiplies a token of depth, by what the weights multiply a row.
  double depth_ratio_min_;
};

}  // namespace mneme::serve
