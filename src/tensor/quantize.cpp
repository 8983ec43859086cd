#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "tensor/blocks.h"
#include "tensor/convert.h"
#include "tensor/quantize.h"

// Every encode() makes one block. Quants are chosen against the scale as it was stored (rounded to f16,
// sub-scales to their few bits), not against the one that was wanted.

namespace mneme::tensor {

namespace {

// The value of largest magnitude, with its sign: formats with one more level below zero than above put it
// there.
float extreme(std::span<const float> values) {
  float found = 0;
  for (const float x : values) {
    if (std::abs(x) > std::abs(found)) found = x;
  }
  return found;
}

int nearest(float x, float scale, int low, int high) {
  if (scale == 0) return std::clamp(0, low, high);
  return static_cast<int>(
      std::clamp(std::nearbyint(x / scale), static_cast<float>(low), static_cast<float>(high)));
}

uint8_t byte_of(int value) { return static_cast<uint8_t>(value); }

// Nibbles as the blocks of 32 hold them.
void put_nibble(std::array<uint8_t, 16>& quants, size_t i, int value) {
  quants[i % 16] = byte_of(quants[i % 16] | ((value & 15) << (i < 16 ? 0 : 4)));
}

void put_fifth_bit(std::array<uint8_t, 4>& high_bits, size_t i, int value) {
  high_bits[i / 8] = byte_of(high_bits[i / 8] | (((value >> 4) & 1) << (i % 8)));
}

void encode(std::span<const float> x, BlockQ4_0& block) {
  block.scale = to_f16(extreme(x) / -8);
  for (size_t i = 0; i < 32; ++i) put_nibble(block.quants, i, nearest(x[i], to_f32(block.scale), -8, 7) + 8);
}

void encode(std::span<const float> x, BlockQ5_0& block) {
  block.scale = to_f16(extreme(x) / -16);
  for (size_t i = 0; i < 32; ++i) {
    const int quant = nearest(x[i], to_f32(block.scale), -16, 15) + 16;
    put_nibble(block.quants, i, quant);
    put_fifth_bit(block.high_bits, i, quant);
  }
}

// Scale and min of the formats with an offset, for quants 0 to `levels`.
template <class Block>
void encode_range(std::span<const float> x, int levels, Block& block) {
  const auto [low, high] = std::ranges::minmax(x);
  block.min = to_f16(low);
  block.scale = to_f16((high - low) / static_cast<float>(levels));
}

void encode(std::span<const float> x, BlockQ4_1& block) {
  encode_range(x, 15, block);
  for (size_t i = 0; i < 32; ++i) {
    put_nibble(block.quants, i, nearest(x[i] - to_f32(block.min), to_f32(block.scale), 0, 15));
  }
}

void encode(std::span<const float> x, BlockQ5_1& block) {
  encode_range(x, 31, block);
  for (size_t i = 0; i < 32; ++i) {
    const int quant = nearest(x[i] - to_f32(block.min), to_f32(block.scale), 0, 31);
    put_nibble(block.quants, i, quant);
    put_fifth_bit(block.high_bits, i, quant);
  }
}

void encode(std::span<const float> x, BlockQ8_0& block) {
  block.scale = to_f16(std::abs(extreme(x)) / 127);
  for (size_t i = 0; i < 32; ++i) {
    block.quants[i] = static_cast<int8_t>(nearest(x[i], to_f32(block.scale), -127, 127));
  }
}

void encode(std::span<const float> x, BlockIQ4_NL& block) {
  block.scale = to_f16(extreme(x) / -127);
  const float scale = to_f32(block.scale);
  for (size_t i = 0; i < 32; ++i) {
    const auto distance = [&](int8_t level) { return std::abs(x[i] - scale * static_cast<float>(level)); };
    const auto best = std::ranges::min_element(kCodebookIQ4_NL, {}, distance);
    put_nibble(block.quants, i, static_cast<int>(best - kCodebookIQ4_NL.begin()));
  }
}

// Sub-block scales of a block of 256 and their common f16 unit.
struct SubScales {
  F16 unit;
  std::array<int, 16> values{};  // the first 256 / size of them
};

// Unsigned: 0 to `levels`.
SubScales quantize_scales(std::span<const float> wanted, int levels) {
  SubScales out;
  out.unit = to_f16(std::ranges::max(wanted) / static_cast<float>(levels));
  for (size_t i = 0; i < wanted.size(); ++i) out.values[i] = nearest(wanted[i], to_f32(out.unit), 0, levels);
  return out;
}

// Signed: -levels to levels - 1, the extreme at -levels.
SubScales quantize_signed_scales(std::span<const float> wanted, int levels) {
  SubScales out;
  out.unit = to_f16(extreme(wanted) / static_cast<float>(-levels));
  for (size_t i = 0; i < wanted.size(); ++i) {
    out.values[i] = nearest(wanted[i], to_f32(out.unit), -levels, levels - 1);
  }
  return out;
}

struct Affine256 {
  SubScales scales, mins;
  std::array<int, 256> quants{};
};

// x ~ scale q - min with q from 0 to `quant_max`, in sub-blocks of `size`, sub-scales and sub-mins from 0 to
// `scale_max`. The range always takes in 0, because a min below 0 cannot be written.
Affine256 quantize_affine(std::span<const float> x, size_t size, int quant_max, int scale_max) {
  std::array<float, 16> scales{};
  std::array<float, 16> mins{};
  const size_t count = 256 / size;
  for (size_t s = 0; s < count; ++s) {
    const auto [low, high] = std::ranges::minmax(x.subspan(s * size, size));
    mins[s] = std::max(0.0f, -low);
    scales[s] = std::max(0.0f, high + mins[s]) / static_cast<float>(quant_max);
  }
  Affine256 out;
  out.scales = quantize_scales(std::span(scales).first(count), scale_max);
  out.mins = quantize_scales(std::span(mins).first(count), scale_max);
  for (size_t i = 0; i < 256; ++i) {
    const float scale = to_f32(out.scales.unit) * static_cast<float>(out.scales.values[i / size]);
    const float min = to_f32(out.mins.unit) * static_cast<float>(out.mins.values[i / size]);
    out.quants[i] = nearest(x[i] + min, scale, 0, quant_max);
  }
  return out;
}

struct Signed256 {
  SubScales scales;
  std::array<int, 256> quants{};  // -levels to levels - 1
};

// x ~ scale q in sub-blocks of 16.
Signed256 quantize_signed(std::span<const float> x, int levels, int scale_levels) {
  std::array<float, 16> wanted{};
  for (size_t s = 0; s < 16; ++s) wanted[s] = extreme(x.subspan(s * 16, 16)) / static_cast<float>(-levels);
  Signed256 out;
  out.scales = quantize_signed_scales(wanted, scale_levels);
  for (size_t i = 0; i < 256; ++i) {
    const float scale = to_f32(out.scales.unit) * static_cast<float>(out.scales.values[i / 16]);
    out.quants[i] = nearest(x[i], scale, -levels, levels - 1);
  }
  return out;
}

// Where blocks.h and dequantize.cpp look for them.
void put_quant2(std::array<uint8_t, 64>& quants, size_t i, int value) {
  uint8_t& byte = quants[32 * (i / 128) + i % 32];
  byte = byte_of(byte | ((value & 3) << (2 * ((i / 32) % 4))));
}

void put_quant4(std::array<uint8_t, 128>& quants, size_t i, int value) {
  uint8_t& byte = quants[32 * (i / 64) + i % 32];
  byte = byte_of(byte | ((value & 15) << ((i / 32) % 2 == 0 ? 0 : 4)));
}

void put_group_bit(std::array<uint8_t, 32>& bits, size_t i, int value) {
  bits[i % 32] = byte_of(bits[i % 32] | ((value & 1) << (i / 32)));
}

void put_scale_min(std::array<uint8_t, 12>& packed, size_t sub, int scale, int min) {
  if (sub < 4) {
    packed[sub] = byte_of(packed[sub] | scale);
    packed[sub + 4] = byte_of(packed[sub + 4] | min);
    return;
  }
  packed[sub + 4] = byte_of((scale & 15) | ((min & 15) << 4));
  packed[sub - 4] = byte_of(packed[sub - 4] | ((scale >> 4) << 6));
  packed[sub] = byte_of(packed[sub] | ((min >> 4) << 6));
}

void encode(std::span<const float> x, BlockQ2_K& block) {
  const Affine256 affine = quantize_affine(x, 16, 3, 15);
  block.scale = affine.scales.unit;
  block.min = affine.mins.unit;
  for (size_t s = 0; s < 16; ++s)
    block.scales[s] = byte_of(affine.scales.values[s] | (affine.mins.values[s] << 4));
  for (size_t i = 0; i < 256; ++i) put_quant2(block.quants, i, affine.quants[i]);
}

void encode(std::span<const float> x, BlockQ3_K& block) {
  const Signed256 with_sign = quantize_signed(x, 4, 32);
  block.scale = with_sign.scales.unit;
  for (size_t s = 0; s < 16; ++s) {
    const int scale = with_sign.scales.values[s] + 32;
    block.scales[s % 8] = byte_of(block.scales[s % 8] | ((scale & 15) << (s < 8 ? 0 : 4)));
    block.scales[8 + s % 4] = byte_of(block.scales[8 + s % 4] | ((scale >> 4) << (2 * (s / 4))));
  }
  for (size_t i = 0; i < 256; ++i) {
    const int quant = with_sign.quants[i] + 4;
    put_quant2(block.quants, i, quant);
    put_group_bit(block.high_bits, i, quant >> 2);
  }
}

void encode(std::span<const float> x, BlockQ4_K& block) {
  const Affine256 affine = quantize_affine(x, 32, 15, 63);
  block.scale = affine.scales.unit;
  block.min = affine.mins.unit;
  for (size_t s = 0; s < 8; ++s)
    put_scale_min(block.scales, s, affine.scales.values[s], affine.mins.values[s]);
  for (size_t i = 0; i < 256; ++i) put_quant4(block.quants, i, affine.quants[i]);
}

void encode(std::span<const float> x, BlockQ5_K& block) {
  const Affine256 affine = quantize_affine(x, 32, 31, 63);
  block.scale = affine.scales.unit;
  block.min = affine.mins.unit;
  for (size_t s = 0; s < 8; ++s)
    put_scale_min(block.scales, s, affine.scales.values[s], affine.mins.values[s]);
  for (size_t i = 0; i < 256; ++i) {
    put_quant4(block.quants, i, affine.quants[i]);
    put_group_bit(block.high_bits, i, affine.quants[i] >> 4);
  }
}

void encode(std::span<const float> x, BlockQ6_K& block) {
  const Signed256 with_sign = quantize_signed(x, 32, 128);
  block.scale = with_sign.scales.unit;
  for (size_t s = 0; s < 16; ++s) block.scales[s] = static_cast<int8_t>(with_sign.scales.values[s]);
  for (size_t i = 0; i < 256; ++i) {
    const int quant = with_sign.quants[i] + 32;
    const size_t half = i / 128;
    const size_t group = (i / 32) % 4;
    uint8_t& low = block.low_bits[64 * half + i % 64];
    uint8_t& high = block.high_bits[32 * half + i % 32];
    low = byte_of(low | ((quant & 15) << (group < 2 ? 0 : 4)));
    high = byte_of(high | ((quant >> 4) << (2 * group)));
  }
}

template <class Block>
void encode_all(std::span<const float> values, std::span<std::byte> out) {
  const size_t count = out.size() / sizeof(Block);
  const size_t block_elements = count == 0 ? 0 : values.size() / count;
  for (size_t b = 0; b < count; ++b) {
    Block block{};
    encode(values.subspan(b * block_elements, block_elements), block);
    std::memcpy(out.data() + b * sizeof(Block), &block, sizeof(Block));
  }
}

template <class Half>
void narrow_all(std::span<const float> values, Half (*narrow)(float), std::span<std::byte> out) {
  for (size_t i = 0; i < values.size(); ++i) {
    const Half half = narrow(values[i]);
    std::memcpy(out.data() + i * sizeof(Half), &half, sizeof(Half));
  }
}

}  // namespace

std::vector<std::byte> quantize(DType type, std::span<const float> values) {
  const std::optional<uint64_t> size = row_bytes(type, values.size());
  MNEME_CHECK(size.has_value(), "{} values of {}", values.size(), dtype_info(type).name);
  std::vector<std::byte> out(*size);
  switch (type) {
    case DType::kF32: std::ranges::copy(std::as_bytes(values), out.begin()); break;
    case DType::kF16: narrow_all<F16>(values, to_f16, out); break;
    case DType::kBF16: narrow_all<Bf16>(values, to_bf16, out); break;
    case DType::kQ4_0: encode_all<BlockQ4_0>(values, out); break;
    case DType::kQ4_1: encode_all<BlockQ4_1>(values, out); break;
    case DType::kQ5_0: encode_all<BlockQ5_0>(values, out); break;
    case DType::kQ5_1: encode_all<BlockQ5_1>(values, out); break;
    case DType::kQ8_0: encode_all<BlockQ8_0>(values, out); break;
    case DType::kQ2_K: encode_all<BlockQ2_K>(values, out); break;
    case DType::kQ3_K: encode_all<BlockQ3_K>(values, out); break;
    case DType::kQ4_K: encode_all<BlockQ4_K>(values, out); break;
    case DType::kQ5_K: encode_all<BlockQ5_K>(values, out); break;
    case DType::kQ6_K: encode_all<BlockQ6_K>(values, out); break;
    case DType::kIQ4_NL: encode_all<BlockIQ4_NL>(values, out); break;
  }
  return out;
}

}  // namespace mneme::tensor
