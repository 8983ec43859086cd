// The block formats as they lie in memory, little-endian, without padding. Equations:
// docs/formats/gguf-quants.md. A row is a sequence of blocks; a file aligns only its first block, so load
// blocks with memcpy (load_block).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tensor/convert.h"

namespace mneme::tensor {

// Blocks of 32. quants[j] holds value j in its low nibble and value j + 16 in its high one; high_bits is one
// little-endian number of 32 bits whose bit i belongs to value i.
struct BlockQ4_0 {
  F16 scale;
  std::array<uint8_t, 16> quants;
};
struct BlockQ4_1 {
  F16 scale;
  F16 min;
  std::array<uint8_t, 16> quants;
};
struct BlockQ5_0 {
  F16 scale;
  std::array<uint8_t, 4> high_bits;
  std::array<uint8_t, 16> quants;
};
struct BlockQ5_1 {
  F16 scale;
  F16 min;
  std::array<uint8_t, 4> high_bits;
  std::array<uint8_t, 16> quants;
};
struct BlockQ8_0 {
  F16 scale;
  std::array<int8_t, 32> quants;
};
struct BlockIQ4_NL {
  F16 scale;
  std::array<uint8_t, 16> quants;
};  // nibbles index kCodebookIQ4_NL

// Blocks of 256 ("k-quants"): sub-blocks of 16 or 32 with small scales of their own.
struct BlockQ2_K {
  std::array<uint8_t, 16> scales;  // per 16 values: scale in the low nibble, min in the high one
  std::array<uint8_t, 64> quants;
  F16 scale, min;
};
struct BlockQ3_K {
  std::array<uint8_t, 32> high_bits;
  std::array<uint8_t, 64> quants;
  std::array<uint8_t, 12> scales;  // q3_k_scale()
  F16 scale;
};
struct BlockQ4_K {
  F16 scale, min;
  std::array<uint8_t, 12> scales;  // k_scale_min()
  std::array<uint8_t, 128> quants;
};
struct BlockQ5_K {
  F16 scale, min;
  std::array<uint8_t, 12> scales;  // k_scale_min()
  std::array<uint8_t, 32> high_bits;
  std::array<uint8_t, 128> quants;
};
struct BlockQ6_K {
  std::array<uint8_t, 128> low_bits;
  std::array<uint8_t, 64> high_bits;
  std::array<int8_t, 16> scales;  // per 16 values
  F16 scale;
};

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34 && sizeof(BlockIQ4_NL) == 18);
static_assert(sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110 && sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);

// Sixteen levels, denser around zero, in units of the scale.
inline constexpr std::array<int8_t, 16> kCodebookIQ4_NL = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                           1,    13,   25,  38,  53,  69,  89,  113};

template <class Block>
Block load_block(const std::byte* bytes) {
  Block block;
  std::memcpy(&block, bytes, sizeof(Block));
  return block;
}

struct ScaleMin {
  int scale, min;
};  // 0 to 63 each

// Scale and min of 32-value sub-block `sub` (0 to 7) of Q4_K and Q5_K. Bytes 0-3 and 4-7 hold scale and min
// of the first four in their low six bits; bytes 8-11 hold the low nibbles of the last four, whose two high
// bits are in the tops of bytes 0-7.
inline ScaleMin k_scale_min(const std::array<uint8_t, 12>& packed, size_t sub) {
  if (sub < 4) return {packed[sub] & 63, packed[sub + 4] & 63};
  return {(packed[sub + 4] & 15) | ((packed[sub - 4] >> 6) << 4),
          (packed[sub + 4] >> 4) | ((packed[sub] >> 6) << 4)};
}

// Scale, -32 to 31, of 16-value sub-block `sub` (0 to 15) of Q3_K: low nibbles in bytes 0-7 (the last eight
// in the high halves), two high bits in bytes 8-11.
inline int q3_k_scale(const std::array<uint8_t, 12>& packed, size_t sub) {
  const int low = (packed[sub % 8] >> (sub < 8 ? 0 : 4)) & 15;
  const int high = (packed[8 + sub % 4] >> (2 * (sub / 4))) & 3;
  return (low | (high << 4)) - 32;
}

}  // namespace mneme::tensor
