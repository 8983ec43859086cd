// The angle per position of each rotated channel pair, with the context-stretching rules of real models.
#pragma once

#include <span>
#include <vector>

#include "model/config.h"

namespace mneme::model {

struct RopeFrequencies {
  std::vector<float> frequencies;  // [dims / 2], radians a position
  float scale = 1.0f;              // multiplies cos and sin (YaRN's attention temperature)
};

// f_i = base^(-2 i / dims), then:
//   linear  f_i / factor                                                              (Chen et al. 2023)
//   yarn    f_i / factor below beta_slow turns over the original context, f_i above beta_fast, a ramp
//           between; cos and sin times
//           attention_factor (1 + 0.1 ln factor)                                      (Peng et al. 2023,
//             eq. 23-25)
//   llama3  f_i / factor for wavelengths over original / low_factor, f_i under original / high_factor,
//           interpolated between
// `divisors` ([dims / 2] or empty) is the file's rope_freqs.weight: f_i is divided by them, in place of the
// llama3 rule.
RopeFrequencies rope_frequencies(const RopeConfig& config, std::span<const float> divisors);

}  // namespace mneme::model
