// Weights as the kernels want them: the file's own bits in another order, nothing rounded, nothing larger.
//
// A PackedMatrix is cut into tiles of 16 output rows. A tile is a run of units; a unit holds the same block
// (32 or 256 columns; one column pair for bf16, one column for f32 and f16) of all 16 rows, so that 16 lanes
// work on 16 rows, scales load as vectors and nothing is reduced across lanes. Within a unit the codes of 4
// columns ("a quad") of a row are 4 neighbouring bytes: the operand order of VPDPBUSD and of the matrix unit.
// Rows beyond the matrix in the last tile are zero.
//
// Units, in order (d, m, dmin: f16 [16]; sizes equal the file's):
//   F32      f32 [16]
//   F16      f16 [16]
//   BF16     bf16 [16][2]
//   Q8_0     d, code + 128 [8 quads][16][4]
//   Q4_0     d, nibbles [4][16][4]: quad q low, quad q + 4 high  (IQ4_NL alike: codes are table indices)
//   Q4_1     d, m, nibbles
//   Q5_0     d, bit 4 as u64 [8 quads], nibbles
//   Q5_1     d, m, bit 4 as u64 [8 quads], nibbles
//   Q4_K     d, dmin, scales [8][16], scales_high [4][16], nibbles [8 groups]
//              scales: low nibble scale & 15, high nibble min & 15
//              scales_high: four 2-bit fields, scale >> 4 and min >> 4 of sub-block 2p, then of 2p + 1
//   Q5_K     d, dmin, scales and scales_high as Q4_K, bit 4 as u64 [8 groups][8 quads], nibbles [8 groups]
//   Q6_K     d, scales i8 [16][16], nibbles [8 groups], bits 4 and 5 as planes [8 groups][2][16][4]
//              plane p: 2-bit field f is quad 4p + f
//   Q2_K     d, dmin, scales [16][16] (low nibble scale, high nibble min), codes as planes [8 groups]
//   Q3_K     d, scales [8][16] (nibbles: 2p low, 2p + 1 high),
//              scales_high [4][16] (2-bit fields of 4p .. 4p + 3),
//              bit 2 as u64 [8 groups][8 quads], bits 0 and 1 as planes [8 groups]
// A u64 mask has bit row * 4 + j for column j of the quad.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace mneme::kernels {

inline constexpr int kTileRows = 16;

struct PackedMatrix {
  tensor::DType type = tensor::DType::kF32;
  int rows = 0;
  int columns = 0;
  const std::byte* data = nullptr;  // [tiles][units], 64-byte aligned

  int tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  size_t tile_bytes() const;
};

// Columns a unit covers, and its bytes (16 rows).
int unit_columns(tensor::DType type);
size_t unit_bytes(tensor::DType type);
size_t packed_bytes(tensor::DType type, int rows, int columns);

// Packs up to 16 rows of a file's matrix into one tile. `raw`: [row_count, row_bytes] as in the file. `tile`:
// tile_bytes().
void pack_tile(tensor::DType type, int columns, int row_count, const std::byte* raw, std::byte* tile);

// The values of one unit, f32 [16 rows][unit_columns]: the readable inverse, for the scalar oracle and tests.
void unpack_unit(tensor::DType type, const std::byte* unit, float* out);

}  // namespace mneme::kernels
