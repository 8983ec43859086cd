// The readable inverse of packed.cpp: the values of one unit, straight from the layout table in packed.h and
// the file format's equations. Nothing here is fast; the scalar oracle and the tests stand on it.
#include <cstring>

#include "core/error.h"
#include "kernels/packed.h"
#include "tensor/convert.h"

namespace mneme::kernels {

using tensor::DType;

namespace {

constexpr int kIq4NlTable[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

struct UnitReader {
  const uint8_t* bytes;

  float f16(size_t offset, int row) const {
    tensor::F16 half;
    std::memcpy(&half.bits, bytes + offset + 2 * static_cast<size_t>(row), 2);
    return tensor::to_f32(half);
  }
  int byte(size_t offset, int index, int row) const {
    return bytes[offset + static_cast<size_t>(index * 16 + row)];
  }

  // Code of column c (0..31) of a group whose part begins at `offset`.
  int nibble(size_t offset, int row, int c) const {
    const int quad = c / 4;
    return (bytes[offset + static_cast<size_t>(quad % 4 * 64 + row * 4 + c % 4)] >> (4 * (quad / 4))) & 15;
  }
  int two_bits(size_t offset, int row, int c) const {
    const int quad = c / 4;
    return (bytes[offset + static_cast<size_t>(quad / 4 * 64 + row * 4 + c % 4)] >> (2 * (quad % 4))) & 3;
  }
  int bit(size_t offset, int row, int c) const {
    const int index = row * 4 + c % 4;
    return (bytes[offset + static_cast<size_t>(c / 4 * 8 + index / 8)] >> (index % 8)) & 1;
  }
  // 6-bit scale (part 0) or minimum (part 1) of sub-block j of Q4_K and Q5_K, at `offset`.
  int k_scale(size_t offset, int row, int j, int part) const {
    const int low = (byte(offset, j, row) >> (4 * part)) & 15;
    const int high = (byte(offset + 128, j / 2, row) >> (4 * (j % 2) + 2 * part)) & 3;
    return low | (high << 4);
  }
};

float value_32(DType type, const UnitReader& unit, int row, int c) {
  const float d = unit.f16(0, row);
  switch (type) {
    case DType::kQ8_0: return d * static_cast<float>(unit.bytes[32 + c / 4 * 64 + row * 4 + c % 4] - 128);
    case DType::kQ4_0: return d * static_cast<float>(unit.nibble(32, row, c) - 8);
    case DType::kIQ4_NL: return d * static_cast<float>(kIq4NlTable[unit.nibble(32, row, c)]);
    case DType::kQ4_1: return d * static_cast<float>(unit.nibble(64, row, c)) + unit.f16(32, row);
    case DType::kQ5_0:
      return d * static_cast<float>((unit.nibble(96, row, c) | unit.bit(32, row, c) << 4) - 16);
    default:
      return d * static_cast<float>(unit.nibble(128, row, c) | unit.bit(64, row, c) << 4) +
             unit.f16(32, row);  // Q5_1
  }
}

float value_256(DType type, const UnitReader& unit, int row, int column) {
  const int group = column / 32, c = column % 32, half_group = column / 16;
  const auto g = static_cast<size_t>(group);
  const float d = unit.f16(0, row);
  switch (type) {
    case DType::kQ4_K:
      return d * static_cast<float>(unit.k_scale(64, row, group, 0)) *
                 static_cast<float>(unit.nibble(256 + g * 256, row, c)) -
             unit.f16(32, row) * static_cast<float>(unit.k_scale(64, row, group, 1));
    case DType::kQ5_K: {
      const int code = unit.nibble(768 + g * 256, row, c) | unit.bit(256 + g * 64, row, c) << 4;
      return d * static_cast<float>(unit.k_scale(64, row, group, 0)) * static_cast<float>(code) -
             unit.f16(32, row) * static_cast<float>(unit.k_scale(64, row, group, 1));
    }
    case DType::kQ6_K: {
      const int code = (unit.nibble(288 + g * 256, row, c) | unit.two_bits(2336 + g * 128, row, c) << 4) - 32;
      return d * static_cast<float>(static_cast<int8_t>(unit.byte(32, half_group, row))) *
             static_cast<float>(code);
    }
    case DType::kQ2_K: {
      const int scales = unit.byte(64, half_group, row);
      return d * static_cast<float>(scales & 15) * static_cast<float>(unit.two_bits(320 + g * 128, row, c)) -
             unit.f16(32, row) * static_cast<float>(scales >> 4);
    }
    default: {  // Q3_K
      const int low = (unit.byte(32, half_group / 2, row) >> (4 * (half_group % 2))) & 15;
      const int high = (unit.byte(160, half_group / 4, row) >> (2 * (half_group % 4))) & 3;
      const int code = (unit.two_bits(736 + g * 128, row, c) | unit.bit(224 + g * 64, row, c) << 2) - 4;
      return d * static_cast<float>((low | high << 4) - 32) * static_cast<float>(code);
    }
  }
}

float value_plain(DType type, const std::byte* unit, int row, int c) {
  if (type == DType::kF32) {
    float value;
    std::memcpy(&value, unit + row * 4, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, unit + (type == DType::kBF16 ? row * 4 + c * 2 : row * 2), 2);
  return type == DType::kBF16 ? tensor::to_f32(tensor::Bf16{bits}) : tensor::to_f32(tensor::F16{bits});
}

}  // namespace

void unpack_unit(DType type, const std::byte* unit, float* out) {
  const UnitReader reader{reinterpret_cast<const uint8_t*>(unit)};
  const int columns = unit_columns(type);
  for (int row = 0; row < kTileRows; ++row) {
    for (int c = 0; c < columns; ++c) {
      float& value = out[row * columns + c];
      if (columns <= 2)
        value = value_plain(type, unit, row, c);
      else if (columns == 32)
        value = value_32(type, reader, row, c);
      else
        value = value_256(type, reader, row, c);
    }
  }
}

}  // namespace mneme::kernels
