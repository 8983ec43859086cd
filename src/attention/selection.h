// Which blocks are read how: the set of least cost whose errors, added in quadrature, stay below what is
// allowed.
//
// A block can be estimated (costs nothing), read in 8 bits (one) or in bf16 (one more, and much more where
// the original is on the disk; no error): two steps, each of which takes some squared error away. Minimising
// cost under a sum of errors is taking every step that takes away more for its cost than a multiplier
// (Everett 1963); where the second step is worth more than the first, both are taken together or not at all,
// as one of both their costs. The multiplier is found over a histogram of the steps' logarithms: no sorting,
// and the same for any order of blocks.
#pragma once

#include <array>
#include <cstdint>

namespace mneme::attention {

// Squared errors of the attention output when a block is estimated, and when it is read in 8 bits (as much,
// where it cannot be).
struct BlockError {
  float estimated = 0;
  float eight_bit = 0;
  float full_cost = 1;  // of bf16 beside what 8 bits cost, at least 1
};

enum class Treatment : uint8_t { kEstimated, kEightBit, kFull };

// A multiplier as the first bin of the histogram whose steps are taken.
struct Threshold {
  uint32_t bin = 0;  // 0: everything in bf16
  Treatment treat(const BlockError& error) const;
};

class StepHistogram {
 public:
  void clear() { removed_.fill(0); }
  void add(const BlockError& error);
  void add(const StepHistogram& other);
  // A step in two figures: the squared error that it takes away, and the worth that it is left out by.
  void add(float worth, float error);
  // Steps are left out, smallest first, while the squared errors that stay are `allowed` or less.
  Threshold threshold(double allowed) const;
  // The squared errors that stay at a threshold.
  double left_at(Threshold threshold) const;

 private:
  // Eighths of an octave: exponent and 3 bits of mantissa of an f32.
  static constexpr uint32_t kBins = 2048;
  std::array<double, kBins> removed_{};  // squared error that a bin's steps take away

  friend struct Threshold;
};

}  // namespace mneme::attention
