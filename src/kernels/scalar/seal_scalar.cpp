// Sealing as kernels/sealed.h defines it. What is stored must be the same on every machine, so the order of
// every sum is part of the definition: 16 partial sums, element i in sum i % 16, then halves added to halves.
#include "kernels/scalar/seal_scalar.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "tensor/convert.h"
#include "tensor/e4m3.h"

namespace mneme::kernels {

namespace {

using tensor::Bf16;
using tensor::E4M3;

float tame(uint16_t bits) {
  const float x = to_f32(Bf16{bits});
  return std::isnan(x) ? 0.0f : std::clamp(x, -kSealMax, kSealMax);
}

size_t key_index(int channel, int token) {
  return static_cast<size_t>(channel / 2 * 128 + token * 2 + channel % 2);
}
size_t value_index(int channel, int token, int head_dim) {
  return static_cast<size_t>(token / 2 * head_dim * 2 + channel * 2 + token % 2);
}

class Sum16 {
 public:
  void add(int i, float x) { sums_[i % 16] += x; }
  void add_square(int i, float x) { sums_[i % 16] = std::fma(x, x, sums_[i % 16]); }
  float total() const {
    float s[16];
    std::copy_n(sums_, 16, s);
    for (int half = 8; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) s[i] += s[i + half];
    }
    return s[0];
  }

 private:
  float sums_[16] = {};
};

float power_of_two(uint32_t scale) { return std::bit_cast<float>(scale_bits(scale)); }
float inverse(uint32_t scale) { return std::bit_cast<float>((254 - scale) << 23); }

// The smallest power of two with max <= 448 * 2^.
uint32_t scale_of_max(float max) {
  if (max == 0) return 0;
  const uint32_t octave = (std::bit_cast<uint32_t>(max) + 0x1FFFFF) >> 23;
  return octave > 9 ? octave - 8 : 1;
}

// Centre and deviation of one channel; the deviation as the upper 12 bits of an f32, rounded up.
uint32_t measure_channel(const SealTask& task, int channel) {
  Sum16 sum, squares;
  for (int t = 0; t < task.count; ++t) sum.add(t, tame(task.keys[key_index(channel, t)]));
  const Bf16 centre = tensor::to_bf16(sum.total() / static_cast<float>(task.count));
  task.summary.key_centres[channel] = centre.bits;
  for (int t = 0; t < task.count; ++t)
    squares.add_square(t, tame(task.keys[key_index(channel, t)]) - to_f32(centre));
  const float deviation = std::sqrt(squares.total() / static_cast<float>(task.count));
  return (std::bit_cast<uint32_t>(deviation) + 0xFFFFF) >> 20;
}

// The smallest bf16 that is no less than max / 127.
Bf16 int8_scale(float max) {
  const float scale = std::max(max / 127.0f, kInt8ScaleMin);
  return {static_cast<uint16_t>((std::bit_cast<uint32_t>(scale) + 0xFFFF) >> 16)};
}

uint8_t int8_code(float x, float factor) {
  return static_cast<uint8_t>(static_cast<int>(std::nearbyint(x * factor)) + kInt8Zero);
}

void code_int8_channel(const SealTask& task, int channel) {
  const float centre = to_f32(Bf16{task.summary.key_centres[channel]});
  float max = 0;
  for (int t = 0; t < task.count; ++t)
    max = std::max(max, std::abs(tame(task.keys[key_index(channel, t)]) - centre));
  const Bf16 scale = int8_scale(max);
  task.fp8.key_scales[channel] = scale.bits;
  const float factor = 1.0f / to_f32(scale);
  for (int t = 0; t < task.count; ++t) {
    const float x = tame(task.keys[key_index(channel, t)]) - centre;
    task.fp8.keys[int8_key_at(channel, t)] = int8_code(x, factor);
  }
}

void code_e4m3_channel(const SealTask& task, int channel) {
  const float centre = to_f32(Bf16{task.summary.key_centres[channel]});
  const float factor = inverse(
      key_scale(task.summary.statistics->deviation_base + task.summary.key_deviations[channel]));
  for (int t = 0; t < 64; ++t) {
    const float x = t < task.count ? tame(task.keys[key_index(channel, t)]) - centre : 0.0f;
    task.fp8.keys[key_index(channel, t)] = t < task.count ? tensor::to_e4m3(x * factor).bits : 0;
  }
}

void sketch_channel(const SealTask& task, int channel) {
  const float centre = to_f32(Bf16{task.summary.key_centres[channel]});
  const uint32_t level = task.summary.statistics->deviation_base + task.summary.key_deviations[channel];
  const float step = kSketchStep * std::bit_cast<float>(level << 20);
  uint8_t* sketch = task.summary.sketch + channel / 4 * 64 + channel % 4;
  for (int t = 0; t < task.count; ++t) {
    const float x = tame(task.keys[key_index(channel, t)]) - centre;
    const int code = (x > -step) + (x > 0) + (x > step);
    sketch[t % 16 * 4] = static_cast<uint8_t>(sketch[t % 16 * 4] | code << (t / 16 * 2));
  }
}

void seal_keys(const SealTask& task) {
  std::vector<uint32_t> levels(static_cast<size_t>(task.head_dim));
  for (int c = 0; c < task.head_dim; ++c) levels[static_cast<size_t>(c)] = measure_channel(task, c);
  const uint32_t top = *std::max_element(levels.begin(), levels.end());
  const uint32_t base = top > 255 ? top - 255 : 0;
  task.summary.statistics->deviation_base = base;
  const int quads = (task.head_dim + 3) / 4;
  std::fill_n(task.summary.sketch, quads * 64, uint8_t{0});
  const bool is_int8 = task.fp8.format() == CopyFormat::kInt8;
  if (is_int8) std::fill_n(task.fp8.keys, quads * 256, uint8_t{kInt8Zero});
  for (int c = 0; c < task.head_dim; ++c) {
    task.summary.key_deviations[c] = static_cast<uint8_t>(std::max(levels[static_cast<size_t>(c)], base) -
                                                          base);
    sketch_channel(task, c);
    is_int8 ? code_int8_channel(task, c) : code_e4m3_channel(task, c);
  }
}

// Codes and scale of one token, `max` its largest magnitude.
void code_int8_value(const SealTask& task, int token, float max) {
  const Bf16 scale = int8_scale(max);
  task.fp8.value_scales[token] = scale.bits;
  const float factor = 1.0f / to_f32(scale);
  for (int c = 0; c < task.head_dim; ++c) {
    const float x = tame(task.values[value_index(c, token, task.head_dim)]);
    task.fp8.values[int8_value_at(c, token, task.head_dim)] = int8_code(x, factor);
  }
}

void code_e4m3_value(const SealTask& task, int token, float max) {
  const uint32_t scale = scale_of_max(max);
  task.fp8.value_exponents[token] = static_cast<uint8_t>(scale);
  for (int c = 0; c < task.head_dim; ++c) {
    const size_t i = value_index(c, token, task.head_dim);
    task.fp8.values[i] = tensor::to_e4m3(tame(task.values[i]) * inverse(scale)).bits;
  }
}

// One token; returns its squared norm.
float seal_value(const SealTask& task, int token) {
  Sum16 squares;
  float max = 0;
  for (int c = 0; c < task.head_dim; ++c) {
    const float x = tame(task.values[value_index(c, token, task.head_dim)]);
    max = std::max(max, std::abs(x));
    squares.add_square(c, x);
  }
  task.fp8.format() == CopyFormat::kInt8 ? code_int8_value(task, token, max)
                                         : code_e4m3_value(task, token, max);
  return squares.total();
}

// Tokens one after another in one sum a channel.
void mean_of_values(const SealTask& task) {
  std::vector<float> means(static_cast<size_t>(task.head_dim));
  float max = 0;
  for (int c = 0; c < task.head_dim; ++c) {
    float sum = 0;
    for (int t = 0; t < task.count; ++t) sum += tame(task.values[value_index(c, t, task.head_dim)]);
    means[static_cast<size_t>(c)] = sum / static_cast<float>(task.count);
    max = std::max(max, std::abs(means[static_cast<size_t>(c)]));
  }
  const uint32_t scale = scale_of_max(max);
  task.summary.statistics->value_mean_scale = power_of_two(scale);
  for (int c = 0; c < task.head_dim; ++c)
    task.summary.value_means[c] = tensor::to_e4m3(means[static_cast<size_t>(c)] * inverse(scale)).bits;
}

void seal_values(const SealTask& task) {
  const bool is_int8 = task.fp8.format() == CopyFormat::kInt8;
  std::fill_n(task.fp8.values, 64 * task.head_dim, static_cast<uint8_t>(is_int8 ? kInt8Zero : 0));
  if (is_int8) {
    std::fill_n(task.fp8.value_scales, 64, uint16_t{0});
  } else {
    std::fill_n(task.fp8.value_exponents, 64, uint8_t{0});
  }
  float max = 0, sum = 0;
  for (int t = 0; t < task.count; ++t) {
    const float squares = seal_value(task, t);
    max = std::max(max, squares);
    sum += squares;
  }
  task.summary.statistics->value_norm_max = std::sqrt(max);
  task.summary.statistics->value_norm_rms = std::sqrt(sum / static_cast<float>(task.count));
  mean_of_values(task);
}

}  // namespace

void scalar_seal_block(const SealTask& task) {
  MNEME_CHECK(task.count >= 1 && task.count <= 64 && task.head_dim >= 2 && task.head_dim % 2 == 0 &&
                  task.head_dim <= kSealHeadDimMax,
              "{} tokens of {} channels", task.count, task.head_dim);
  *task.summary.statistics = {};
  task.summary.statistics->count = static_cast<uint32_t>(task.count);
  seal_keys(task);
  seal_values(task);
}

CopiedKey copied_key(const SealedSummary& summary, const SealedFp8& copy, int channel, int token) {
  const float centre = to_f32(Bf16{summary.key_centres[channel]});
  if (copy.format() == CopyFormat::kInt8) {
    const int code = copy.keys[int8_key_at(channel, token)] - kInt8Zero;
    return {centre, to_f32(Bf16{copy.key_scales[channel]}), static_cast<float>(code)};
  }
  const uint32_t level = summary.statistics->deviation_base + summary.key_deviations[channel];
  return {centre, power_of_two(key_scale(level)), to_f32(E4M3{copy.keys[key_index(channel, token)]})};
}

float copied_value(const SealedFp8& copy, int head_dim, int channel, int token) {
  if (copy.format() == CopyFormat::kInt8) {
    const int code = copy.values[int8_value_at(channel, token, head_dim)] - kInt8Zero;
    return to_f32(Bf16{copy.value_scales[token]}) * static_cast<float>(code);
  }
  const E4M3 code{copy.values[value_index(channel, token, head_dim)]};
  return power_of_two(copy.value_exponents[token]) * to_f32(code);
}

void scalar_unseal_block(const UnsealTask& task) {
  for (int c = 0; c < task.head_dim; ++c) {
    for (int t = 0; t < 64; ++t) {
      const CopiedKey key = copied_key(task.summary, task.fp8, c, t);
      const float value = copied_value(task.fp8, task.head_dim, c, t);
      task.keys[key_index(c, t)] = tensor::to_bf16(std::fma(key.unit, key.code, key.centre)).bits;
      task.values[value_index(c, t, task.head_dim)] = tensor::to_bf16(value).bits;
    }
  }
}

}  // namespace mneme::kernels
