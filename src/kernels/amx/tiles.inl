// The tile registers, for the ISA files of amx/.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace mneme::kernels {
namespace {

struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

// The tile registers, for the life of the object: all eight 16 rows x 64 bytes, or as told.
class TileState {
 public:
  TileState() {
    static const TileConfig kConfig{};
    _tile_loadconfig(&kConfig);
  }
  explicit TileState(const TileConfig& config) { _tile_loadconfig(&config); }
  ~TileState() { _tile_release(); }
  TileState(const TileState&) = delete;
  TileState& operator=(const TileState&) = delete;
};

// To the compiler a tile load is no read of memory and could move before the stores that made its operand.
inline void finish_stores() { __asm__ volatile("" ::: "memory"); }

inline void zero_tiles() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

}  // namespace
}  // namespace mneme::kernels
