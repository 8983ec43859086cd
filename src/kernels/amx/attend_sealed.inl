// Attention over int8 copies on the matrix unit: 16 sums of 16 lanes each, of 64 products of bytes. The two
// digits of up to 8 query rows are the 16 rows of one operand (Simd::store_wide), codes as they lie the
// other, so that 8 rows cost little more than one. The sums are those of attend_int8.inl, bit for
// bit.
#pragma once

#include "kernels/amx/tiles.inl"
#include "kernels/shared/attend_sealed.inl"

namespace mneme::kernels {
namespace {

constexpr int kTileRowsMin = 5;  // below, vectors are faster

struct TileSums {
  // Adds 64 codes of each of the 4 vectors of 16 lanes at `codes`; rows of u are n bytes apart.
  static void add(const uint8_t* codes, int stride, const int8_t* u, int n) {
    const auto between = static_cast<size_t>(stride);
    _tile_loadd(4, u, static_cast<size_t>(n));
    _tile_loadd(5, codes, between);
    _tile_dpbsud(0, 4, 5);
    _tile_loadd(6, codes + 64, between);
    _tile_dpbsud(1, 4, 6);
    _tile_loadd(7, codes + 128, between);
    _tile_dpbsud(2, 4, 7);
    _tile_loadd(5, codes + 192, between);
    _tile_dpbsud(3, 4, 5);
  }
  // [vector][2 row + digit][lane]
  static void store(int32_t* sums) {
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + 256, 64);
    _tile_stored(2, sums + 512, 64);
    _tile_stored(3, sums + 768, 64);
    finish_stores();
  }
  static Simd::I of(const int32_t* sums, int row, int vector) {
    const int32_t* at = sums + vector * 256 + row * 32;
    return Simd::join(Simd::load_i(at), Simd::load_i(at + 16));
  }
  static void ask_for(const uint8_t* codes, std::ptrdiff_t ahead, int bytes) {
    for (int i = 0; i < bytes && ahead != 0; i += 64) Simd::prefetch(codes + ahead + i);
  }

  static void scores(const Int8Batch& batch, int b, const Int8Row* rows) {
    const int dim = batch.task.head_dim;
    const uint8_t* keys = batch.copy(b).keys;
    ask_for(keys, batch.keys_ahead(b), kBlock * dim);
    finish_stores();
    zero_tiles();
    for (int c = 0; c < dim; c += 64) add(keys + c * kBlock, kBlock * 4, batch.queries(b) + c, dim);
    store(batch.s.sums);
    for (int r = 0; r < batch.rows; ++r) {
      for (int v = 0; v < 4; ++v)
        Simd::store(batch.scores(r, b) + v * 16, rows[r].score(of(batch.s.sums, r, v)));
    }
  }

  static void values(const Int8Batch& batch, const Wide* rows) {
    const int dim = batch.task.head_dim;
    for (int b = 0; b < batch.blocks; ++b) ask_for(batch.copy(b).values, batch.values_ahead(b), kBlock * dim);
    for (int channel = 0; channel < dim; channel += 64) {
      finish_stores();
      zero_tiles();
      for (int b = 0; b < batch.blocks; ++b)
        add(batch.copy(b).values + channel * 4, dim * 4, batch.s.weights + b * kBlock, batch.tokens());
      store(batch.s.sums);
      for (int r = 0; r < batch.rows; ++r) {
        for (int v = 0; v < 4; ++v) {
          float* to = batch.out(r) + channel + v * 16;
          Simd::store(to, Simd::add(Simd::load(to), wide_value(of(batch.s.sums, r, v), rows[r])));
        }
      }
    }
  }
};

// Ops::attend_sealed.
void tile_attend_sealed(const AttendSealedTask& task) {
  if (task.rows < kTileRowsMin || task.head_dim % 64 != 0 || task.head_dim > kSealedHeadDimMax)
    return vector_attend_sealed(task);
  const TileState tiles_on;
  sealed_blocks(task, [](const Int8Batch& batch) { int8_batch<TileSums>(batch); });
}

}  // namespace
}  // namespace mneme::kernels
