// Blocks of many kinds and all that is made of them, for the tests of sealed blocks.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "core/rng.h"
#include "kernels/ops.h"
#include "tensor/convert.h"
#include "tensor/e4m3.h"

namespace mneme::kernels {

using tensor::Bf16;
using tensor::E4M3;

inline constexpr uint64_t kSeed = 7;

inline size_t key_at(int c, int t) { return static_cast<size_t>(c / 2 * 128 + t * 2 + c % 2); }
inline size_t value_at(int c, int t, int dim) { return static_cast<size_t>(t / 2 * dim * 2 + c * 2 + t % 2); }
inline float wide(uint16_t bits) { return to_f32(Bf16{bits}); }

// The bf16 block and all that is made of it, filled with 0xAA before.
struct Block {
  int dim, count = 64;
  std::vector<uint16_t> keys, values, centres;
  BlockStatistics statistics;
  std::vector<uint8_t> deviations, means, sketch, key_codes, value_codes, exponents;
  std::vector<uint16_t> key_scales, value_scales;
  CopyFormat format;

  explicit Block(int head_dim, CopyFormat key_format = CopyFormat::kInt8)
      : dim(head_dim),
        keys(size() * 64),
        values(size() * 64),
        centres(size(), 0xAAAA),
        deviations(size(), 0xAA),
        means(size(), 0xAA),
        sketch((size() + 3) / 4 * 64, 0xAA),
        key_codes((size() + 3) / 4 * 256, 0xAA),
        value_codes(size() * 64, 0xAA),
        exponents(64, 0xAA),
        key_scales(size(), 0xAAAA),
        value_scales(64, 0xAAAA),
        format(key_format) {
    std::memset(static_cast<void*>(&statistics), 0xAA, sizeof(statistics));
  }
  size_t size() const { return static_cast<size_t>(dim); }
  SummaryOut summary() {
    return {&statistics, centres.data(), deviations.data(), means.data(), sketch.data()};
  }
  Fp8Out fp8() {
    if (format == CopyFormat::kE4M3)
      return {key_codes.data(), value_codes.data(), exponents.data(), nullptr, nullptr};
    return {key_codes.data(), value_codes.data(), nullptr, key_scales.data(), value_scales.data()};
  }
  void seal(const Ops& ops) { ops.seal_block({keys.data(), values.data(), count, dim, summary(), fp8()}); }
  void unseal(const Ops& ops, Block& out) {
    ops.unseal_block({summary(), fp8(), dim, out.keys.data(), out.values.data()});
  }

  float deviation(int c) const {
    return std::bit_cast<float>(
        deviation_bits(statistics.deviation_base, deviations[static_cast<size_t>(c)]));
  }
  float key_unit(int c) const {
    if (format == CopyFormat::kInt8) return wide(key_scales[static_cast<size_t>(c)]);
    const uint32_t level = statistics.deviation_base + deviations[static_cast<size_t>(c)];
    return std::bit_cast<float>(scale_bits(key_scale(level)));
  }
  float value_unit(int t) const {
    const auto at = static_cast<size_t>(t);
    return format == CopyFormat::kInt8 ? wide(value_scales[at])
                                       : std::bit_cast<float>(scale_bits(exponents[at]));
  }
  // What the copy stands for.
  size_t key_code_at(int c, int t) const {
    return format == CopyFormat::kInt8 ? int8_key_at(c, t) : key_at(c, t);
  }
  double key(int c, int t) const {
    const uint8_t bits = key_codes[key_code_at(c, t)];
    const double steps = format == CopyFormat::kInt8 ? bits - kInt8Zero : to_f32(E4M3{bits});
    return wide(centres[static_cast<size_t>(c)]) + double{key_unit(c)} * steps;
  }
  double value(int c, int t) const {
    const bool is_int8 = format == CopyFormat::kInt8;
    const uint8_t bits = value_codes[is_int8 ? int8_value_at(c, t, dim) : value_at(c, t, dim)];
    return double{value_unit(t)} * (is_int8 ? bits - kInt8Zero : double{to_f32(E4M3{bits})});
  }
  int code(int c, int t) const {
    return sketch[static_cast<size_t>(c / 4 * 64 + t % 16 * 4 + c % 4)] >> (t / 16 * 2) & 3;
  }
};

using Fill = std::function<float(core::Rng&, int channel, int token)>;
struct Kind {
  const char* name;
  Fill fill;
};

inline float noise(core::Rng& rng) { return rng.next_unit() + rng.next_unit() + rng.next_unit() - 1.5f; }

// Channels of different offsets and widths, as keys have them.
inline float keylike(core::Rng& rng, int channel, int) {
  const float width = channel % 7 == 3 ? 20.0f : 1.0f / static_cast<float>(1 + channel % 5);
  return width * noise(rng) + static_cast<float>(channel % 11 - 5) * (channel % 13 == 5 ? 60.0f : 1.0f);
}

inline std::vector<Kind> kinds() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return {
      {"keylike", keylike},
      {"zeros", [](core::Rng&, int, int) { return 0.0f; }},
      {"minus zeros", [](core::Rng&, int, int t) { return t % 3 ? -0.0f : 0.0f; }},
      {"all equal", [](core::Rng&, int c, int) { return static_cast<float>(c) - 3.3f; }},
      {"one token out", [](core::Rng&, int c, int t) { return t == c % 64 ? 5.0f : 0.25f; }},
      {"neighbours", [](core::Rng&, int, int t) { return t % 2 ? 100.0f : 100.5f; }},
      {"huge", [](core::Rng& rng, int, int) { return 1e38f * noise(rng); }},
      {"at the limit", [](core::Rng& rng, int, int) { return 0x1p56f * noise(rng); }},
      {"small", [](core::Rng& rng, int, int) { return 1e-36f * noise(rng); }},
      {"denormal", [](core::Rng& rng, int, int) { return 1e-39f * noise(rng); }},
      {"many octaves",
       [](core::Rng& rng, int c, int) { return std::ldexp(noise(rng), c % 2 ? 20 - c : c - 20); }},
      {"some infinite",
       [=](core::Rng& rng, int c, int t) {
         return (c + t) % 31 ? noise(rng) : t % 2 ? kInfinity : -kInfinity;
       }},
      {"some NaN", [](core::Rng& rng, int c, int t) { return (c + t) % 31 ? noise(rng) : std::nanf(""); }},
      {"all NaN", [](core::Rng&, int, int) { return std::nanf(""); }},
      {"any bits", [](core::Rng& rng, int, int) { return std::bit_cast<float>(rng.next_u32()); }}};
}

inline Block make(int dim, const Fill& fill, uint64_t seed = kSeed, CopyFormat format = CopyFormat::kInt8) {
  Block block(dim, format);
  core::Rng rng(seed);
  for (int t = 0; t < 64; ++t) {
    for (int c = 0; c < dim; ++c) {
      block.keys[key_at(c, t)] = tensor::to_bf16(fill(rng, c, t)).bits;
      block.values[value_at(c, t, dim)] = tensor::to_bf16(fill(rng, c, t)).bits;
    }
  }
  return block;
}

// What sealing takes a value for.
inline float taken(uint16_t bits) {
  const float x = wide(bits);
  return std::isnan(x) ? 0.0f : std::clamp(x, -kSealMax, kSealMax);
}

}  // namespace mneme::kernels
