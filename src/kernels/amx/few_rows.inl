// Products of packed weights of up to 8 bits with a few rows of 8-bit activations, on the matrix unit.
//
// A group of 32 columns of a tile of 16 weight rows n, and up to 16 activation rows r:
//   sums[r, n] = codes[n] . x_codes[r]         one TDPBSUD of a panel's [rows][32] and the group's [8][16][4]
//   acc[r, n] += scale[n] x_scale[r] sums[r, n] + offset[n] x_sum[r]
// The sums are integers, and the rest is, operation by operation, product_q8 of shared/matmul.inl: the same
// bits. A row costs the vector units 4 operations a group where product_q8 takes 12; 16 rows are bound by
// memory.
//
// A group is unpacked, multiplied and scaled in three turns of the loop, so that nothing waits for the store
// it reads. What gained nothing beyond that: Q8_0's codes multiplied where they lie (every other group
// straddles cache lines, and a tile load that does takes five times as long as one that does not), stretches
// of columns so that activations stay in the first-level cache, a turn between product and store.
#pragma once

#include "kernels/amx/tiles.inl"
#include "kernels/shared/matmul.inl"

namespace mneme::kernels {
namespace {

constexpr int kInt8PanelRows = 16;

// For `rows` rows: tile registers 0 and 1 sums, 2 and 3 activations, 4 and 5 weights, of a whole group or,
// for types with two scales a group, of each half.
constexpr TileConfig few_rows_config(int rows, int halves) {
  TileConfig config;
  const int quads = 8 / halves;
  for (int i = 0; i < 2; ++i) {
    config.rows[i] = config.rows[2 + i] = static_cast<uint8_t>(rows);
    config.row_bytes[2 + i] = static_cast<uint16_t>(4 * quads);
    config.rows[4 + i] = static_cast<uint8_t>(quads);
  }
  return config;
}

// A group on its way.
template <int kHalves>
struct alignas(64) GroupTurns {
  uint8_t codes[512];          // [8 quads][16][4]
  int32_t sums[kHalves][256];  // [half][16 rows][16]
  float scale[kHalves][16], offset[kHalves][16];
};

template <DType kType>
inline void unpack_group(const uint8_t* unit, int group, GroupTurns<Groups<kType>::kHalves>& to) {
  Group w;
  Groups<kType>::load(unit, group, 0, w);
  MNEME_UNROLL
  for (int quad = 0; quad < 8; ++quad) Simd::store_i(to.codes + quad * 64, w.codes[quad]);
  MNEME_UNROLL
  for (int h = 0; h < Groups<kType>::kHalves; ++h) {
    Simd::store(to.scale[h], w.scale[h]);
    Simd::store(to.offset[h], w.offset[h]);
  }
}

template <int kHalves>
inline void multiply_group(const int8_t* x, GroupTurns<kHalves>& group) {
  _tile_zero(0);
  _tile_loadd(2, x, 32);
  _tile_loadd(4, group.codes, 64);
  _tile_dpbsud(0, 2, 4);
  _tile_stored(0, group.sums[0], 64);
  if constexpr (kHalves == 2) {
    _tile_zero(1);
    _tile_loadd(3, x + 16, 32);
    _tile_loadd(5, group.codes + 4 * 64, 64);
    _tile_dpbsud(1, 3, 5);
    _tile_stored(1, group.sums[1], 64);
  }
}

// x_scale: [height]; x_sum: [half][height].
template <int kHalves, int kRows>
inline void add_scaled(const GroupTurns<kHalves>& group, const float* x_scale, const float* x_sum, int height,
                       Simd::F (&acc)[kRows]) {
  Simd::F scale[kHalves], offset[kHalves];
  MNEME_UNROLL
  for (int h = 0; h < kHalves; ++h)
    scale[h] = Simd::load(group.scale[h]), offset[h] = Simd::load(group.offset[h]);
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) {
    MNEME_UNROLL
    for (int h = 0; h < kHalves; ++h) {
      const Simd::F dot = Simd::to_f32(Simd::load_i(group.sums[h] + r * 16));
      acc[r] = Simd::fma(dot, Simd::mul(scale[h], Simd::set1(x_scale[r])), acc[r]);
      acc[r] = Simd::fma(offset[h], Simd::set1(x_sum[h * height + r]), acc[r]);
    }
  }
}

// One tile and the first kRows rows of a panel of `height`. out: [kRows][16].
template <DType kType, int kRows>
void tile_product_q8(const uint8_t* tile, Panel x, int height, int columns, float* out) {
  using G = Groups<kType>;
  constexpr int kHalves = G::kHalves, kUnitGroups = G::kColumns / 32, kBytes = G::kUnitBytes / kUnitGroups;
  GroupTurns<kHalves> ring[4];
  Simd::F acc[kRows];
  MNEME_UNROLL
  for (auto& a : acc) a = Simd::zero();
  const float* x_sum = kHalves == 1 ? x.sum32 : x.sum16;
  const int groups = columns / 32;
  for (int g = 0; g < groups + 2; ++g) {
    if (g < groups) {
      const uint8_t* unit = tile + static_cast<size_t>(g / kUnitGroups) * G::kUnitBytes;
      prefetch_ahead<kBytes>(unit + g % kUnitGroups * kBytes);
      unpack_group<kType>(unit, g % kUnitGroups, ring[g % 4]);
    }
    finish_stores();
    if (g >= 1 && g <= groups) {
      multiply_group(x.q8, ring[(g - 1) % 4]);
      x.q8 += height * 32;
    }
    if (g >= 2) {
      add_scaled(ring[(g - 2) % 4], x.scale, x_sum, height, acc);
      x.scale += height;
      x_sum += kHalves * height;
    }
  }
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) Simd::store(out + r * 16, acc[r]);
}

using TileProduct = void (*)(const uint8_t* tile, Panel x, int height, int columns, float* out);

// The products of a type, for up to 4, 8, 12 and 16 rows.
struct FewRows {
  int halves = 0;  // scales a group; 0: the type has no 8-bit products
  TileProduct product[4] = {};
};

template <DType kType>
constexpr FewRows few_rows_of() {
  return {Groups<kType>::kHalves,
          {tile_product_q8<kType, 4>, tile_product_q8<kType, 8>, tile_product_q8<kType, 12>,
           tile_product_q8<kType, 16>}};
}

FewRows few_rows_of(DType type) {
  switch (type) {
    case DType::kQ8_0: return few_rows_of<DType::kQ8_0>();
    case DType::kQ4_0: return few_rows_of<DType::kQ4_0>();
    case DType::kQ4_1: return few_rows_of<DType::kQ4_1>();
    case DType::kQ5_0: return few_rows_of<DType::kQ5_0>();
    case DType::kQ5_1: return few_rows_of<DType::kQ5_1>();
    case DType::kIQ4_NL: return few_rows_of<DType::kIQ4_NL>();
    case DType::kQ2_K: return few_rows_of<DType::kQ2_K>();
    case DType::kQ3_K: return few_rows_of<DType::kQ3_K>();
    case DType::kQ4_K: return few_rows_of<DType::kQ4_K>();
    case DType::kQ5_K: return few_rows_of<DType::kQ5_K>();
    case DType::kQ6_K: return few_rows_of<DType::kQ6_K>();
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16: return {};
  }
  return {};
}

// Ops::matmul for types with 8-bit products; panels of up to kInt8PanelRows rows.
void few_rows_matmul(const PackedMatrix& w, int tile_first, int tile_count, const Activations& x, float* y,
                     size_t y_stride) {
  const FewRows way = few_rows_of(w.type);
  const int height = panel_height(x.rows, kInt8PanelRows);
  const int rows_max = x.rows < height ? x.rows : height;  // of a panel
  const TileConfig config = few_rows_config((rows_max + 3) / 4 * 4, way.halves);
  const TileState tiles_on(config);
  const size_t tile_size = w.tile_bytes();
  alignas(64) float out[kInt8PanelRows * 16];
  for (int tile = tile_first; tile < tile_first + tile_count; ++tile) {
    const auto* data = reinterpret_cast<const uint8_t*>(w.data) + static_cast<size_t>(tile) * tile_size;
    const int lanes = w.rows - tile * 16 < 16 ? w.rows - tile * 16 : 16;
    for (int row = 0; row < x.rows; row += height) {
      const int valid = x.rows - row < height ? x.rows - row : height;
      way.product[(valid - 1) / 4](data, panel_at(x, row), height, x.columns, out);
      for (int r = 0; r < valid; ++r) {
        write_lanes(out + r * 16, lanes,
                    y + static_cast<size_t>(row + r) * y_stride + static_cast<size_t>(tile) * 16);
      }
    }
  }
}

}  // namespace
}  // namespace mneme::kernels
