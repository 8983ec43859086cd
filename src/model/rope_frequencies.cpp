#include "model/rope_frequencies.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mneme::model {

namespace {

constexpr double kTurn = 2 * std::numbers::pi;

// The (fractional) pair whose angle makes `turns` turns over the original context.
double pair_of_turns(const RopeConfig& config, double turns) {
  return config.dims * std::log(config.context_original / (turns * kTurn)) /
         (2 * std::log(double{config.base}));
}

double yarn(const RopeConfig& config, double frequency, int pair) {
  const double first = std::max(0.0, std::floor(pair_of_turns(config, config.beta_fast)));
  const double last = std::min(config.dims - 1.0, std::ceil(pair_of_turns(config, config.beta_slow)));
  const double ramp = std::clamp((pair - first) / std::max(0.001, last - first), 0.0, 1.0);
  return frequency / config.factor * ramp + frequency * (1 - ramp);
}

double llama3(const RopeConfig& config, double frequency) {
  const double wavelength = kTurn / frequency, context = config.context_original;
  if (wavelength < context / config.high_frequency_factor) return frequency;
  if (wavelength > context / config.low_frequency_factor) return frequency / config.factor;
  const double smooth = (context / wavelength - config.low_frequency_factor) /
                        (config.high_frequency_factor - config.low_frequency_factor);
  return (1 - smooth) * frequency / config.factor + smooth * frequency;
}

}  // namespace

RopeFrequencies rope_frequencies(const RopeConfig& config, std::span<const float> divisors) {
  RopeFrequencies result;
  for (int i = 0; i < config.dims / 2; ++i) {
    double frequency = std::pow(double{config.base}, -2.0 * i / config.dims);
    if (!divisors.empty()) frequency /= divisors[static_cast<size_t>(i)];
    switch (config.scaling) {
      case RopeScaling::kNone: break;
      case RopeScaling::kLinear: frequency /= config.factor; break;
      case RopeScaling::kYarn: frequency = yarn(config, frequency, i); break;
      case RopeScaling::kLlama3:
        if (divisors.empty()) frequency = llama3(config, frequency);
        break;
    }
    result.frequencies.push_back(static_cast<float>(frequency));
  }
  if (config.scaling == RopeScaling::kYarn) {
    result.scale = config.attention_factor * (1.0f + 0.1f * std::log(config.factor));
  }
  return result;
}

}  // namespace mneme::model
