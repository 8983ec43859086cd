#include "kernels/packed.h"

#include <cstring>

#include "core/error.h"

namespace mneme::kernels {

using tensor::DType;

namespace {

// Where the parts of a unit begin, in bytes; the order is that of packed.h.
constexpr size_t kD = 0;  // f16 [16]
constexpr size_t kAfterD = 32;
constexpr size_t kAfterDm = 64;
constexpr size_t kGroupNibbles = 256;  // 32 columns x 16 rows x 4 bits
constexpr size_t kGroupPlanes = 128;   // 32 columns x 16 rows x 2 bits
constexpr size_t kGroupBits = 64;      // 32 columns x 16 rows x 1 bit

uint32_t load_u32(const std::byte* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

void store_u32(std::byte* p, uint32_t v) { std::memcpy(p, &v, sizeof v); }

void or_byte(std::byte* p, unsigned v) { *p |= static_cast<std::byte>(v); }

// One row's 32 codes of a group into the three bit-plane layouts. `row` is the lane.
void put_nibbles(const uint8_t* codes, int row, std::byte* nibbles) {
  for (int quad = 0; quad < 4; ++quad) {
    uint32_t low, high;
    std::memcpy(&low, codes + 4 * quad, 4);
    std::memcpy(&high, codes + 16 + 4 * quad, 4);
    store_u32(nibbles + quad * 64 + row * 4, (low & 0x0F0F0F0Fu) | ((high & 0x0F0F0F0Fu) << 4));
  }
}

void put_planes(const uint8_t* codes, int shift, int row, std::byte* planes) {
  for (int plane = 0; plane < 2; ++plane) {
    uint32_t packed = 0;
    for (int field = 0; field < 4; ++field) {
      uint32_t quad;
      std::memcpy(&quad, codes + 16 * plane + 4 * field, 4);
      packed |= ((quad >> shift) & 0x03030303u) << (2 * field);
    }
    store_u32(planes + plane * 64 + row * 4, packed);
  }
}

void put_bits(const uint8_t* codes, int bit, int row, std::byte* masks) {
  for (int quad = 0; quad < 8; ++quad) {
    unsigned four = 0;
    for (int j = 0; j < 4; ++j) four |= ((codes[4 * quad + j] >> bit) & 1u) << j;
    or_byte(masks + quad * 8 + row / 2, four << (4 * (row % 2)));
  }
}

void put_f16(const std::byte* raw, int row, std::byte* lanes) { std::memcpy(lanes + 2 * row, raw, 2); }

// ---- one row's block of each type, placed into the unit
// ------------------------------------------------------------------

void put_q8_0(const std::byte* raw, int row, std::byte* unit) {
  put_f16(raw, row, unit + kD);
  for (int quad = 0; quad < 8; ++quad) {
    store_u32(unit + kAfterD + quad * 64 + row * 4, load_u32(raw + 2 + 4 * quad) ^ 0x80808080u);
  }
}

// The file's byte i already holds code i low and code i + 16 high.
void put_4bit(const std::byte* raw, int row, std::byte* nibbles) {
  for (int quad = 0; quad < 4; ++quad) store_u32(nibbles + quad * 64 + row * 4, load_u32(raw + 4 * quad));
}

void put_fifth_bits(const std::byte* raw, int row, std::byte* masks) {
  const uint32_t bits = load_u32(raw);
  for (int quad = 0; quad < 8; ++quad) {
    or_byte(masks + quad * 8 + row / 2, ((bits >> (4 * quad)) & 15u) << (4 * (row % 2)));
  }
}

void put_q4_0(const std::byte* raw, int row, std::byte* unit) {
  put_f16(raw, row, unit + kD);
  put_4bit(raw + 2, row, unit + kAfterD);
}

void put_q4_1(const std::byte* raw, int row, std::byte* unit) {
  put_f16(raw, row, unit + kD);
  put_f16(raw + 2, row, unit + kAfterD);
  put_4bit(raw + 4, row, unit + kAfterDm);
}

void put_q5_0(const std::byte* raw, int row, std::byte* unit) {
  put_f16(raw, row, unit + kD);
  put_fifth_bits(raw + 2, row, unit + kAfterD);
  put_4bit(raw + 6, row, unit + kAfterD + kGroupBits);
}

void put_q5_1(const std::byte* raw, int row, std::byte* unit) {
  put_f16(raw, row, unit + kD);
  put_f16(raw + 2, row, unit + kAfterD);
  put_fifth_bits(raw + 4, row, unit + kAfterDm);
  put_4bit(raw + 8, row, unit + kAfterDm + kGroupBits);
}

// The 12 bytes of Q4_K and Q5_K: eight 6-bit scales and eight 6-bit minima.
void put_k_scales(const std::byte* raw, int row, std::byte* lanes) {
  uint8_t s[12];
  std::memcpy(s, raw, 12);
  for (int j = 0; j < 8; ++j) {
    const unsigned scale = j < 4 ? s[j] & 63u : (s[j + 4] & 15u) | ((s[j - 4] >> 6) << 4);
    const unsigned min = j < 4 ? s[j + 4] & 63u : (s[j + 4] >> 4) | ((s[j] >> 6) << 4);
    or_byte(lanes + j * 16 + row, (scale & 15u) | ((min & 15u) << 4));
    or_byte(lanes + 128 + j / 2 * 16 + row, ((scale >> 4) | ((min >> 4) << 2)) << (4 * (j % 2)));
  }
}

// The file keeps groups 2c and 2c + 1 as the low and high nibbles of the same 32 bytes.
void put_k_nibbles(const std::byte* raw, int row, std::byte* nibbles) {
  for (int pair = 0; pair < 4; ++pair) {
    std::byte* even = nibbles + 2 * pair * static_cast<int>(kGroupNibbles);
    std::byte* odd = even + kGroupNibbles;
    for (int quad = 0; quad < 4; ++quad) {
      const uint32_t a = load_u32(raw + 32 * pair + 4 * quad);
      const uint32_t b = load_u32(raw + 32 * pair + 16 + 4 * quad);
      store_u32(even + quad * 64 + row * 4, (a & 0x0F0F0F0Fu) | ((b & 0x0F0F0F0Fu) << 4));
      store_u32(odd + quad * 64 + row * 4, ((a >> 4) & 0x0F0F0F0Fu) | (b & 0xF0F0F0F0u));
    }
  }
}

void put_q4_k(const std::byte* raw, int row, std::byte* unit) {
  put_f16(raw, row, unit + kD);
  put_f16(raw + 2, row, unit + kAfterD);
  put_k_scales(raw + 4, row, unit + kAfterDm);
  put_k_nibbles(raw + 16, row, unit + kAfterDm + 192);
}

void put_q5_k(const std::byte* raw, int row, std::byte* unit) {
  put_f16(raw, row, unit + kD);
  put_f16(raw + 2, row, unit + kAfterD);
  put_k_scales(raw + 4, row, unit + kAfterDm);
  const auto* high = reinterpret_cast<const uint8_t*>(raw + 16);
  std::byte* masks = unit + kAfterDm + 192;
  for (int group = 0; group < 8; ++group)
    put_bits(high, group, row, masks + group * static_cast<int>(kGroupBits));
  put_k_nibbles(raw + 48, row, masks + 8 * kGroupBits);
}

void put_q6_k(const std::byte* raw, int row, std::byte* unit) {
  const auto* low = reinterpret_cast<const uint8_t*>(raw);
  const auto* high = low + 128;
  put_f16(raw + 208, row, unit + kD);
  for (int j = 0; j < 16; ++j) unit[kAfterD + static_cast<size_t>(j * 16 + row)] = raw[192 + j];
  std::byte* nibbles = unit + kAfterD + 256;
  std::byte* planes = nibbles + 8 * kGroupNibbles;
  uint8_t codes[32];
  for (int group = 0; group < 8; ++group) {
    // Each half of 128 columns: 64 bytes of low nibbles (groups 0, 1 low; 2, 3 high) and 32 bytes of four
    // 2-bit fields.
    const int half = group / 4, part = group % 4;
    for (int i = 0; i < 32; ++i) {
      const unsigned nibble = low[64 * half + 32 * (part % 2) + i] >> (4 * (part / 2));
      codes[i] = static_cast<uint8_t>((nibble & 15u) | (((high[32 * half + i] >> (2 * part)) & 3u) << 4));
    }
    put_nibbles(codes, row, nibbles + group * static_cast<int>(kGroupNibbles));
    put_planes(codes, 4, row, planes + group * static_cast<int>(kGroupPlanes));
  }
}

// Q2_K and Q3_K keep their 2-bit codes alike: each half of 128 columns is 32 bytes of four fields, one a
// group.
void put_k_2bit(const uint8_t* raw, int row, std::byte* planes) {
  uint8_t codes[32];
  for (int group = 0; group < 8; ++group) {
    for (int i = 0; i < 32; ++i)
      codes[i] = static_cast<uint8_t>(raw[32 * (group / 4) + i] >> (2 * (group % 4)));
    put_planes(codes, 0, row, planes + group * static_cast<int>(kGroupPlanes));
  }
}

void put_q2_k(const std::byte* raw, int row, std::byte* unit) {
  put_f16(raw + 80, row, unit + kD);
  put_f16(raw + 82, row, unit + kAfterD);
  for (int j = 0; j < 16; ++j) unit[kAfterDm + static_cast<size_t>(j * 16 + row)] = raw[j];
  put_k_2bit(reinterpret_cast<const uint8_t*>(raw + 16), row, unit + kAfterDm + 256);
}

void put_q3_k(const std::byte* raw, int row, std::byte* unit) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(raw);
  const uint8_t* scales = bytes + 96;  // low nibbles of 0..7, high nibbles of 8..15, then 2-bit fields
  put_f16(raw + 108, row, unit + kD);
  for (int j = 0; j < 16; ++j) {
    const unsigned low = j < 8 ? scales[j] & 15u : scales[j - 8] >> 4;
    const unsigned high = (scales[8 + j % 4] >> (2 * (j / 4))) & 3u;
    or_byte(unit + kAfterD + j / 2 * 16 + row, low << (4 * (j % 2)));
    or_byte(unit + kAfterD + 128 + j / 4 * 16 + row, high << (2 * (j % 4)));
  }
  std::byte* masks = unit + kAfterD + 192;
  for (int group = 0; group < 8; ++group)
    put_bits(bytes, group, row, masks + group * static_cast<int>(kGroupBits));
  put_k_2bit(bytes + 32, row, masks + 8 * kGroupBits);
}

template <int kWidth>
void put_plain(const std::byte* raw, int row, std::byte* unit) {
  std::memcpy(unit + row * kWidth, raw, kWidth);
}

using PutBlock = void (*)(const std::byte* raw, int row, std::byte* unit);

struct PackShape {
  int units, row_count;
  size_t raw_row_bytes, raw_unit_bytes, unit_bytes;
};

// The placement is a template argument so that it is inlined: loading a model is this loop at the memory's
// speed.
template <PutBlock kPut>
void put_rows(const PackShape& shape, const std::byte* raw, std::byte* tile) {
  for (int unit = 0; unit < shape.units; ++unit) {
    for (int row = 0; row < shape.row_count; ++row) {
      kPut(raw + static_cast<size_t>(row) * shape.raw_row_bytes +
               static_cast<size_t>(unit) * shape.raw_unit_bytes,
           row, tile + static_cast<size_t>(unit) * shape.unit_bytes);
    }
  }
}

// Placements that collect bits of two rows in one byte need a zeroed unit.
bool collects_bits(DType type) {
  switch (type) {
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ3_K: return true;
    default: return false;
  }
}

}  // namespace

int unit_columns(DType type) {
  if (type == DType::kBF16) return 2;
  return static_cast<int>(tensor::dtype_info(type).block_elements);
}

size_t unit_bytes(DType type) {
  const auto& info = tensor::dtype_info(type);
  return size_t{info.block_bytes} * kTileRows * static_cast<size_t>(unit_columns(type)) / info.block_elements;
}

size_t PackedMatrix::tile_bytes() const {
  return static_cast<size_t>(columns / unit_columns(type)) * unit_bytes(type);
}

size_t packed_bytes(DType type, int rows, int columns) {
  const PackedMatrix shape{type, rows, columns, nullptr};
  return shape.tile_bytes() * static_cast<size_t>(shape.tiles());
}

void pack_tile(DType type, int columns, int row_count, const std::byte* raw, std::byte* tile) {
  MNEME_CHECK(columns % unit_columns(type) == 0 && row_count >= 1 && row_count <= kTileRows,
              "columns {} rows {}", columns, row_count);
  PackShape shape{};
  shape.units = columns / unit_columns(type);
  shape.row_count = row_count;
  shape.unit_bytes = unit_bytes(type);
  shape.raw_unit_bytes = shape.unit_bytes / kTileRows;
  shape.raw_row_bytes = shape.raw_unit_bytes * static_cast<size_t>(shape.units);
  if (row_count < kTileRows || collects_bits(type))
    std::memset(tile, 0, shape.unit_bytes * static_cast<size_t>(shape.units));
  switch (type) {
    case DType::kF32: return put_rows<put_plain<4>>(shape, raw, tile);
    case DType::kF16: return put_rows<put_plain<2>>(shape, raw, tile);
    case DType::kBF16: return put_rows<put_plain<4>>(shape, raw, tile);
    case DType::kQ8_0: return put_rows<put_q8_0>(shape, raw, tile);
    case DType::kQ4_0: return put_rows<put_q4_0>(shape, raw, tile);
    case DType::kIQ4_NL: return put_rows<put_q4_0>(shape, raw, tile);
    case DType::kQ4_1: return put_rows<put_q4_1>(shape, raw, tile);
    case DType::kQ5_0: return put_rows<put_q5_0>(shape, raw, tile);
    case DType::kQ5_1: return put_rows<put_q5_1>(shape, raw, tile);
    case DType::kQ4_K: return put_rows<put_q4_k>(shape, raw, tile);
    case DType::kQ5_K: return put_rows<put_q5_k>(shape, raw, tile);
    case DType::kQ6_K: return put_rows<put_q6_k>(shape, raw, tile);
    case DType::kQ2_K: return put_rows<put_q2_k>(shape, raw, tile);
    case DType::kQ3_K: return put_rows<put_q3_k>(shape, raw, tile);
  }
}

}  // namespace mneme::kernels
