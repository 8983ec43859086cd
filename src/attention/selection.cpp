#include "attention/selection.h"

#include <algorithm>
#include <bit>
#include <cfloat>

namespace mneme::attention {

namespace {

// What the two steps of a block take away, and for the cost of one: the first for no less than the second.
struct Steps {
  float to_eight_bit, to_full;
  float worth_eight_bit, worth_full;
};

Steps steps_of(const BlockError& error) {
  if (!(error.estimated <= FLT_MAX)) return {FLT_MAX, FLT_MAX, FLT_MAX, FLT_MAX};  // NaN too
  const float whole = std::max(error.estimated, 0.0f);
  const float second = std::min(std::max(error.eight_bit, 0.0f), whole);
  const float first = whole - second, worth = second / error.full_cost;
  if (worth <= first) return {first, second, first, worth};
  const float both = whole / (1 + error.full_cost);
  return {first, second, both, both};
}

// (Without the sign: of zeros and NaN.)
uint32_t bin_of(float step) { return (std::bit_cast<uint32_t>(step) & 0x7FFFFFFF) >> 20; }

}  // namespace

Treatment Threshold::treat(const BlockError& error) const {
  const Steps steps = steps_of(error);
  if (bin_of(steps.worth_full) >= bin) return Treatment::kFull;
  return bin_of(steps.worth_eight_bit) >= bin ? Treatment::kEightBit : Treatment::kEstimated;
}

void StepHistogram::add(const BlockError& error) {
  const Steps steps = steps_of(error);
  add(steps.worth_eight_bit, steps.to_eight_bit);
  add(steps.worth_full, steps.to_full);
}

void StepHistogram::add(float worth, float error) {
  removed_[bin_of(worth)] += double{error <= FLT_MAX ? std::max(error, 0.0f) : FLT_MAX};
}

void StepHistogram::add(const StepHistogram& other) {
  for (size_t i = 0; i < kBins; ++i) removed_[i] += other.removed_[i];
}

Threshold StepHistogram::threshold(double allowed) const {
  double left = 0;
  uint32_t bin = 0;
  while (bin < kBins && left + removed_[bin] <= allowed) left += removed_[bin++];
  return {bin};
}

double StepHistogram::left_at(Threshold threshold) const {
  double left = 0;
  for (uint32_t bin = 0; bin < threshold.bin; ++bin) left += removed_[bin];
  return left;
}

}  // namespace mneme::attention
