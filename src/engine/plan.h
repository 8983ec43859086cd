#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace mneme::engine {

struct StepLimits {
  size_t prefill_rows = 0;  // rows of a pass while there is something to prefill
  size_t rows_max = 0;      // rows of a pass, whatever they are
};

// How many tokens of each session go into the next pass, given how many are pending. Sessions with one
// pending token decode together; what they leave of `prefill_rows` (one row at least, so that a crowd of
// decoding sessions delays a prompt but never stops it) goes to the others in their order. Sum <= rows_max.
// `rows` is as long as `pending`.
void plan_step(std::span<const size_t> pending, const StepLimits& limits, std::vector<size_t>& rows);

}  // namespace mneme::engine
