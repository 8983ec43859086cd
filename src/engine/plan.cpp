#include "engine/plan.h"

#include <algorithm>

namespace mneme::engine {

void plan_step(std::span<const size_t> pending, const StepLimits& limits, std::vector<size_t>& rows) {
  rows.assign(pending.size(), 0);
  const bool prefilling = std::any_of(pending.begin(), pending.end(), [](size_t count) { return count > 1; });
  const size_t decode_max = limits.rows_max - (prefilling && limits.rows_max > 1 ? 1 : 0);
  size_t decoding = 0;
  for (size_t i = 0; i < pending.size() && decoding < decode_max; ++i) {
    if (pending[i] != 1) continue;
    rows[i] = 1;
    ++decoding;
  }
  const size_t left = limits.prefill_rows > decoding ? limits.prefill_rows - decoding : 1;
  size_t prefill = std::min(left, limits.rows_max - decoding);
  for (size_t i = 0; i < pending.size() && prefill > 0; ++i) {
    if (pending[i] <= 1) continue;
    rows[i] = std::min(pending[i], prefill);
    prefill -= rows[i];
  }
}

}  // namespace mneme::engine
