#include "tensor/dequantize.h"

#include <cstring>

#include "core/error.h"
#include "tensor/blocks.h"
#include "tensor/convert.h"

// Each decode() writes one block. Products of a 16-bit scale with sub-scale and quant fit the 24 bits of f32
// (Q6_K: one rounding), so results do not depend on whether the compiler fuses multiply and add.

namespace mneme::tensor {

namespace {

int low_nibble(uint8_t byte) { return byte & 15; }
int high_nibble(uint8_t byte) { return byte >> 4; }
int bit(uint8_t byte, size_t index) { return (byte >> index) & 1; }
int bits2(uint8_t byte, size_t index) { return (byte >> (2 * index)) & 3; }

// x = scale (q - 8)
void decode(const BlockQ4_0& block, float* out) {
  const float scale = to_f32(block.scale);
  for (size_t j = 0; j < 16; ++j) {
    out[j] = scale * static_cast<float>(low_nibble(block.quants[j]) - 8);
    out[j + 16] = scale * static_cast<float>(high_nibble(block.quants[j]) - 8);
  }
}

// x = scale q + min
void decode(const BlockQ4_1& block, float* out) {
  const float scale = to_f32(block.scale);
  const float min = to_f32(block.min);
  for (size_t j = 0; j < 16; ++j) {
    out[j] = scale * static_cast<float>(low_nibble(block.quants[j])) + min;
    out[j + 16] = scale * static_cast<float>(high_nibble(block.quants[j])) + min;
  }
}

// The fifth bit of value i of a block of 32, in place.
int fifth_bit(const std::array<uint8_t, 4>& high_bits, size_t i) { return bit(high_bits[i / 8], i % 8) << 4; }

// x = scale (q - 16)
void decode(const BlockQ5_0& block, float* out) {
  const float scale = to_f32(block.scale);
  for (size_t j = 0; j < 16; ++j) {
    const int low = low_nibble(block.quants[j]) | fifth_bit(block.high_bits, j);
    const int high = high_nibble(block.quants[j]) | fifth_bit(block.high_bits, j + 16);
    out[j] = scale * static_cast<float>(low - 16);
    out[j + 16] = scale * static_cast<float>(high - 16);
  }
}

// x = scale q + min
void decode(const BlockQ5_1& block, float* out) {
  const float scale = to_f32(block.scale);
  const float min = to_f32(block.min);
  for (size_t j = 0; j < 16; ++j) {
    const int low = low_nibble(block.quants[j]) | fifth_bit(block.high_bits, j);
    const int high = high_nibble(block.quants[j]) | fifth_bit(block.high_bits, j + 16);
    out[j] = scale * static_cast<float>(low) + min;
    out[j + 16] = scale * static_cast<float>(high) + min;
  }
}

// x = scale q
void decode(const BlockQ8_0& block, float* out) {
  const float scale = to_f32(block.scale);
  for (size_t j = 0; j < 32; ++j) out[j] = scale * static_cast<float>(block.quants[j]);
}

// x = scale codebook[q]
void decode(const BlockIQ4_NL& block, float* out) {
  const float scale = to_f32(block.scale);
  for (size_t j = 0; j < 16; ++j) {
    out[j] = scale * static_cast<float>(kCodebookIQ4_NL[block.quants[j] & 15]);
    out[j + 16] = scale * static_cast<float>(kCodebookIQ4_NL[block.quants[j] >> 4]);
  }
}

// In the k-quants value i is in half i / 128, in group i / 32 and sub-block i / 16. The two-bit quants of
// Q2_K and Q3_K: byte i % 32 of the half's 32, bit pair (i / 32) % 4.
int quant2(const std::array<uint8_t, 64>& quants, size_t i) {
  return bits2(quants[32 * (i / 128) + i % 32], (i / 32) % 4);
}

// x = scale sub_scale q - min sub_min
void decode(const BlockQ2_K& block, float* out) {
  const float scale = to_f32(block.scale);
  const float min = to_f32(block.min);
  for (size_t i = 0; i < 256; ++i) {
    const uint8_t packed = block.scales[i / 16];
    const float sub_scale = scale * static_cast<float>(low_nibble(packed));
    const float sub_min = min * static_cast<float>(high_nibble(packed));
    out[i] = sub_scale * static_cast<float>(quant2(block.quants, i)) - sub_min;
  }
}

// x = scale sub_scale (q - 4), the third bit of q from high_bits
void decode(const BlockQ3_K& block, float* out) {
  const float scale = to_f32(block.scale);
  for (size_t i = 0; i < 256; ++i) {
    const float sub_scale = scale * static_cast<float>(q3_k_scale(block.scales, i / 16));
    const int quant = quant2(block.quants, i) | (bit(block.high_bits[i % 32], i / 32) << 2);
    out[i] = sub_scale * static_cast<float>(quant - 4);
  }
}

// The nibbles of Q4_K and Q5_K: two groups of 32 share 32 bytes, the even one in the low halves.
int quant4(const std::array<uint8_t, 128>& quants, size_t i) {
  const uint8_t byte = quants[32 * (i / 64) + i % 32];
  return (i / 32) % 2 == 0 ? low_nibble(byte) : high_nibble(byte);
}

// x = scale sub_scale q - min sub_min
void decode(const BlockQ4_K& block, float* out) {
  const float scale = to_f32(block.scale);
  const float min = to_f32(block.min);
  for (size_t i = 0; i < 256; ++i) {
    const ScaleMin sub = k_scale_min(block.scales, i / 32);
    const float sub_scale = scale * static_cast<float>(sub.scale);
    const float sub_min = min * static_cast<float>(sub.min);
    out[i] = sub_scale * static_cast<float>(quant4(block.quants, i)) - sub_min;
  }
}

// The same with a fifth bit.
void decode(const BlockQ5_K& block, float* out) {
  const float scale = to_f32(block.scale);
  const float min = to_f32(block.min);
  for (size_t i = 0; i < 256; ++i) {
    const ScaleMin sub = k_scale_min(block.scales, i / 32);
    const float sub_scale = scale * static_cast<float>(sub.scale);
    const float sub_min = min * static_cast<float>(sub.min);
    const int quant = quant4(block.quants, i) | (bit(block.high_bits[i % 32], i / 32) << 4);
    out[i] = sub_scale * static_cast<float>(quant) - sub_min;
  }
}

// x = scale sub_scale (q - 32). In each half, groups 0 and 1 are the low nibbles of 64 bytes, groups 2 and 3
// the high ones.
void decode(const BlockQ6_K& block, float* out) {
  const float scale = to_f32(block.scale);
  for (size_t i = 0; i < 256; ++i) {
    const size_t half = i / 128;
    const size_t group = (i / 32) % 4;
    const uint8_t byte = block.low_bits[64 * half + i % 64];
    const int low = group < 2 ? low_nibble(byte) : high_nibble(byte);
    const int high = bits2(block.high_bits[32 * half + i % 32], group);
    const float sub_scale = scale * static_cast<float>(block.scales[i / 16]);
    out[i] = sub_scale * static_cast<float>((low | (high << 4)) - 32);
  }
}

template <class Block>
void decode_all(std::span<const std::byte> blocks, std::span<float> out) {
  const size_t count = blocks.size() / sizeof(Block);
  const size_t block_elements = count == 0 ? 0 : out.size() / count;
  for (size_t b = 0; b < count; ++b) {
    decode(load_block<Block>(blocks.data() + b * sizeof(Block)), out.data() + b * block_elements);
  }
}

template <class Half>
void widen_all(std::span<const std::byte> values, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) out[i] = to_f32(load_block<Half>(values.data() + i * sizeof(Half)));
}

}  // namespace

void dequantize(DType type, std::span<const std::byte> blocks, std::span<float> out) {
  const std::optional<uint64_t> bytes = row_bytes(type, out.size());
  MNEME_CHECK(bytes == blocks.size(), "{}: {} bytes for {} values", dtype_info(type).name, blocks.size(),
              out.size());
  switch (type) {
    case DType::kF32:
      if (!out.empty()) std::memcpy(out.data(), blocks.data(), blocks.size());
      return;
    case DType::kF16: return widen_all<F16>(blocks, out);
    case DType::kBF16: return widen_all<Bf16>(blocks, out);
    case DType::kQ4_0: return decode_all<BlockQ4_0>(blocks, out);
    case DType::kQ4_1: return decode_all<BlockQ4_1>(blocks, out);
    case DType::kQ5_0: return decode_all<BlockQ5_0>(blocks, out);
    case DType::kQ5_1: return decode_all<BlockQ5_1>(blocks, out);
    case DType::kQ8_0: return decode_all<BlockQ8_0>(blocks, out);
    case DType::kQ2_K: return decode_all<BlockQ2_K>(blocks, out);
    case DType::kQ3_K: return decode_all<BlockQ3_K>(blocks, out);
    case DType::kQ4_K: return decode_all<BlockQ4_K>(blocks, out);
    case DType::kQ5_K: return decode_all<BlockQ5_K>(blocks, out);
    case DType::kQ6_K: return decode_all<BlockQ6_K>(blocks, out);
    case DType::kIQ4_NL: return decode_all<BlockIQ4_NL>(blocks, out);
  }
}

}  // namespace mneme::tensor
