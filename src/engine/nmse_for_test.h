#pragma once

#include <span>

namespace mneme {

// sum (got - expected)^2 / sum expected^2
inline double nmse(std::span<const float> got, std::span<const float> expected) {
  double error = 0;
  double power = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = double{got[i]} - double{expected[i]};
    error += difference * difference;
    power += double{expected[i]} * double{expected[i]};
  }
  return error / power;
}

}  // namespace mneme
