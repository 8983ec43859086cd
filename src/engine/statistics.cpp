#include "engine/statistics.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/rng.h"

namespace mneme::engine {

namespace {

constexpr double kZ = 1.959963984540054;  // of 95 %

}  // namespace

double mcnemar_p(size_t b, size_t c) {
  const size_t n = b + c;
  double sum = 0;
  for (size_t k = 0; k <= std::min(b, c); ++k) {
    const auto nd = static_cast<double>(n), kd = static_cast<double>(k);
    sum += std::exp(std::lgamma(nd + 1) - std::lgamma(kd + 1) - std::lgamma(nd - kd + 1) -
                    nd * std::log(2.0));
  }
  return std::min(1.0, 2 * sum);
}

Interval interval_without_differences(size_t count) {
  const double half = kZ * kZ / (static_cast<double>(count) + kZ * kZ);
  return {-half, half};
}

double quantile(std::span<const double> values, double share) {
  if (values.empty()) return 0;
  const double at = share * static_cast<double>(values.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (at - static_cast<double>(low)) * (values[high] - values[low]);
}

Interval bootstrap_mean(std::span<const Cluster> clusters, uint64_t seed, size_t draws) {
  if (clusters.empty()) return {};
  core::Rng rng(seed);
  std::vector<double> means;
  means.reserve(draws);
  for (size_t draw = 0; draw < draws; ++draw) {
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < clusters.size(); ++i) {
      const Cluster& one = clusters[rng.next_below(static_cast<uint32_t>(clusters.size()))];
      sum += one.sum;
      count += one.count;
    }
    means.push_back(count > 0 ? sum / static_cast<double>(count) : 0);
  }
  std::sort(means.begin(), means.end());
  return {quantile(means, 0.025), quantile(means, 0.975)};
}

}  // namespace mneme::engine

namespace mneme {

// Wilson (1927).
Interval share_interval(double successes, size_t count) {
  if (count == 0) return {0, 1};
  constexpr double kZ2 = engine::kZ * engine::kZ;
  const auto n = static_cast<double>(count);
  const double share = successes / n;
  const double middle = (share + kZ2 / (2 * n)) / (1 + kZ2 / n);
  const double half = engine::kZ / (1 + kZ2 / n) * std::sqrt(share * (1 - share) / n + kZ2 / (4 * n * n));
  return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

}  // namespace mneme
