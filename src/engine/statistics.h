// What a difference between two runs is worth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "mneme/eval.h"

namespace mneme::engine {

// McNemar's exact test, two-sided: the probability of a split as uneven as this or more, where each of the
// b + c pairs that differ falls either way alike.
double mcnemar_p(size_t b, size_t c);

// Tango (1998), score interval of a difference of paired shares, where none of `count` pairs differs: 0 and
// z^2 / (count + z^2) to both sides.
Interval interval_without_differences(size_t count);

// Sums over one context.
struct Cluster {
  double sum = 0;
  size_t count = 0;
};

// 95 % of the mean sum / count, from `draws` resamplings of whole clusters with replacement; percentiles.
Interval bootstrap_mean(std::span<const Cluster> clusters, uint64_t seed, size_t draws = 10'000);

// The value that the given share of them does not exceed, linear between neighbours. `values` ascending.
double quantile(std::span<const double> values, double share);

}  // namespace mneme::engine
