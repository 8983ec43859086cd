// The matrix unit (AMX, bf16): 16 x 16 sums from 16 x 32 and 32 x 16 operands, 512 multiply-adds a cycle.
// Many rows only; few_rows.inl has its 8-bit products, and one or two rows stay with the vector kernels.
//
// A step of 2 x 2 sums loads 4 operands (4 KiB) for 64 cycles of arithmetic, so where the operands lie
// decides the speed:
//   weights      2 tiles x 512 columns as bf16, unpacked into scratch just before (32 KiB: first-level
//                cache), used for every row;
//                packed bf16 weights lie as needed and are used in place
//   activations  512 columns of all rows (512 KiB for 512 rows: second-level cache), used for every pair of
//                tiles of the task
//   sums         of the task's tiles and all rows, contiguous in scratch (512 KiB) between one stretch of
//                columns and the next
#include "kernels/avx512/simd.h"

#include "kernels/amx/attend.inl"
#include "kernels/amx/attend_sealed.inl"
#include "kernels/amx/few_rows.inl"
#include "kernels/amx/tiles.inl"
#include "kernels/backends.h"
#include "kernels/shared/attend.inl"
#include "kernels/shared/attend_sealed.inl"
#include "kernels/shared/key_bounds.inl"
#include "kernels/shared/masses.inl"
#include "kernels/shared/matmul.inl"
#include "kernels/shared/means.inl"
#include "kernels/shared/peak.inl"
#include "kernels/shared/rows.inl"
#include "kernels/shared/seal.inl"
#include "kernels/shared/sketch.inl"
#include "kernels/shared/streams.inl"

namespace mneme::kernels {

namespace {

constexpr int kTaskTiles = 16;  // at most, 256 weight rows
constexpr int kStretch = 512;   // columns
constexpr int kRowsMin = 17;    // below, the vector kernels are faster (measured: equal at about 16 rows)
// Rows that types with 8-bit activations multiply in 8 bits: with fewer the vector kernels stream weights at
// the memory's speed; with 64 bf16, which unpacks them once for all rows, is as fast.
constexpr int kInt8RowsMin = 3, kInt8RowsMax = 32;
static_assert(kInt8RowsMin <= kQ8PanelRows + 1);  // the vector kernels know no higher panels

bool in_int8(DType type, int rows) {
  return rows >= kInt8RowsMin && rows <= kInt8RowsMax && vector_forms(type, rows) == kFormQ8;
}

// ---- weights to bf16
// ----------------------------------------------------------------------------------------------------

// Lanes of two neighbouring columns to bf16 pairs.
inline __m512i bf16_pairs(__m512 even, __m512 odd) {
  const __m512i e = _mm512_castsi256_si512(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(even)));
  const __m512i o = _mm512_castsi256_si512(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(odd)));
  const __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(e));
  return _mm512_or_si512(low, _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(o)), 16));
}

inline __m512 byte_to_f32(__m512i codes, int byte) {
  return _mm512_cvtepi32_ps(
      _mm512_and_si512(_mm512_srli_epi32(codes, static_cast<unsigned>(8 * byte)), _mm512_set1_epi32(255)));
}

// Columns [first, first + count) of a tile as bf16 [count / 2][16][2].
template <DType kType>
void tile_to_bf16(const uint8_t* tile, int first, int count, uint16_t* out) {
  using G = Groups<kType>;
  for (int k = first; k < first + count; k += 32) {
    Group w;
    G::load(tile + static_cast<size_t>(k / G::kColumns) * G::kUnitBytes, k % G::kColumns / 32, 0, w);
    MNEME_UNROLL
    for (int quad = 0; quad < 8; ++quad) {
      const int h = quad * G::kHalves / 8;
      __m512 value[4];
      MNEME_UNROLL
      for (int j = 0; j < 4; ++j)
        value[j] = _mm512_fmadd_ps(byte_to_f32(w.codes[quad], j), w.scale[h], w.offset[h]);
      _mm512_storeu_si512(out, bf16_pairs(value[0], value[1]));
      _mm512_storeu_si512(out + 32, bf16_pairs(value[2], value[3]));
      out += 64;
    }
  }
}

template <>
void tile_to_bf16<DType::kF32>(const uint8_t* tile, int first, int count, uint16_t* out) {
  const auto* values = reinterpret_cast<const float*>(tile) + first * 16;
  for (int k = 0; k < count; k += 2, values += 32, out += 32) {
    _mm512_storeu_si512(out, bf16_pairs(_mm512_loadu_ps(values), _mm512_loadu_ps(values + 16)));
  }
}

template <>
void tile_to_bf16<DType::kF16>(const uint8_t* tile, int first, int count, uint16_t* out) {
  const uint8_t* values = tile + first * 32;
  for (int k = 0; k < count; k += 2, values += 64, out += 32) {
    _mm512_storeu_si512(out, bf16_pairs(f16_lanes(values, 0), f16_lanes(values + 32, 0)));
  }
}

using ToBf16 = void (*)(const uint8_t* tile, int first, int count, uint16_t* out);

ToBf16 to_bf16_of(DType type) {
  switch (type) {
    case DType::kF32: return tile_to_bf16<DType::kF32>;
    case DType::kF16: return tile_to_bf16<DType::kF16>;
    case DType::kQ8_0: return tile_to_bf16<DType::kQ8_0>;
    case DType::kQ4_0: return tile_to_bf16<DType::kQ4_0>;
    case DType::kQ4_1: return tile_to_bf16<DType::kQ4_1>;
    case DType::kQ5_0: return tile_to_bf16<DType::kQ5_0>;
    case DType::kQ5_1: return tile_to_bf16<DType::kQ5_1>;
    case DType::kIQ4_NL: return tile_to_bf16<DType::kIQ4_NL>;
    case DType::kQ2_K: return tile_to_bf16<DType::kQ2_K>;
    case DType::kQ3_K: return tile_to_bf16<DType::kQ3_K>;
    case DType::kQ4_K: return tile_to_bf16<DType::kQ4_K>;
    case DType::kQ5_K: return tile_to_bf16<DType::kQ5_K>;
    case DType::kQ6_K: return tile_to_bf16<DType::kQ6_K>;
    case DType::kBF16: return nullptr;  // lies as needed
  }
  return nullptr;
}

// ---- products
// -----------------------------------------------------------------------------------------------------------

// The intrinsics are statements that want literal register numbers.
template <int kTile>
inline void load_tile(const void* p, size_t stride) {
  static_assert(kTile >= 0 && kTile < 4);
  if constexpr (kTile == 0) {
    _tile_loadd(0, p, stride);
  }
  if constexpr (kTile == 1) {
    _tile_loadd(1, p, stride);
  }
  if constexpr (kTile == 2) {
    _tile_loadd(2, p, stride);
  }
  if constexpr (kTile == 3) {
    _tile_loadd(3, p, stride);
  }
}

template <int kTile>
inline void store_tile(void* p, size_t stride) {
  static_assert(kTile >= 0 && kTile < 4);
  if constexpr (kTile == 0) {
    _tile_stored(0, p, stride);
  }
  if constexpr (kTile == 1) {
    _tile_stored(1, p, stride);
  }
  if constexpr (kTile == 2) {
    _tile_stored(2, p, stride);
  }
  if constexpr (kTile == 3) {
    _tile_stored(3, p, stride);
  }
}

// Where a 16 x 16 block of sums belongs, and how much of it exists.
struct SumBlock {
  float* y;
  size_t y_stride;
  int rows, lanes;

  bool whole() const { return rows == 16 && lanes == 16; }
};

template <int kTile>
inline void load_sums(const SumBlock& block, float* edge) {
  if (block.whole()) return load_tile<kTile>(block.y, block.y_stride * sizeof(float));
  for (int r = 0; r < block.rows; ++r) {
    for (int lane = 0; lane < block.lanes; ++lane)
      edge[r * 16 + lane] = block.y[static_cast<size_t>(r) * block.y_stride + static_cast<size_t>(lane)];
  }
  finish_stores();
  load_tile<kTile>(edge, 64);
}

template <int kTile>
inline void store_sums(const SumBlock& block, float* edge) {
  if (block.whole()) return store_tile<kTile>(block.y, block.y_stride * sizeof(float));
  store_tile<kTile>(edge, 64);
  finish_stores();
  for (int r = 0; r < block.rows; ++r) {
    for (int lane = 0; lane < block.lanes; ++lane)
      block.y[static_cast<size_t>(r) * block.y_stride + static_cast<size_t>(lane)] = edge[r * 16 + lane];
  }
}

// Up to 32 rows x 32 weight rows: operands and places of the four sums. a[1] and b[1] repeat [0] where there
// is no second.
struct Quarter {
  const uint16_t* a[2];  // [columns / 32][16][32]
  const uint16_t* b[2];  // [columns / 2][16][2]
  SumBlock from[2][2];   // [a][b]; not read in the first stretch
  SumBlock to[2][2];
  bool second_a, second_b;
  float* edge;  // [16][16] for sums that are not whole
};

void multiply(const Quarter& q, int columns, bool first) {
  float* edge = q.edge;
  finish_stores();
  if (first) {
    zero_tiles();
  } else {
    load_sums<0>(q.from[0][0], edge);
    if (q.second_b) load_sums<1>(q.from[0][1], edge);
    if (q.second_a) load_sums<2>(q.from[1][0], edge);
    if (q.second_a && q.second_b) load_sums<3>(q.from[1][1], edge);
  }
  for (int k = 0; k < columns; k += 32) {
    const int step = k * 16;  // elements of an operand before this one
    _tile_loadd(4, q.a[0] + step, 64);
    _tile_loadd(6, q.b[0] + step, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, q.b[1] + step, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, q.a[1] + step, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  store_sums<0>(q.to[0][0], edge);
  if (q.second_b) store_sums<1>(q.to[0][1], edge);
  if (q.second_a) store_sums<2>(q.to[1][0], edge);
  if (q.second_a && q.second_b) store_sums<3>(q.to[1][1], edge);
  finish_stores();
}

// One task's product, and where it stands.
struct Task {
  const PackedMatrix& w;
  const Activations& x;
  float* y;
  size_t y_stride;
  int tile_first, tile_count;
  uint16_t* weights;  // scratch: [2][kStretch / 2][16][2]
  float* edge;        // scratch: [16][16]
  float* sums;        // scratch: [tile of the task][row panel][16][16]

  int panels() const { return (x.rows + 15) / 16; }
  SumBlock kept(int tile, int panel) const {
    return {
        sums + (static_cast<size_t>(tile) * static_cast<size_t>(panels()) + static_cast<size_t>(panel)) * 256,
        16, 16, 16};
  }
  SumBlock result(int tile, int panel) const {
    const int n = (tile_first + tile) * 16, r = panel * 16;
    return {y + static_cast<size_t>(r) * y_stride + n, y_stride, x.rows - r < 16 ? x.rows - r : 16,
            w.rows - n < 16 ? w.rows - n : 16};
  }
};

// The operands of tiles `tile` and `tile + 1` of the task for the stretch of columns at k.
void load_weights(const Task& task, int tile, int k, int count, const uint16_t* (&b)[2]) {
  const ToBf16 to_bf16 = to_bf16_of(task.w.type);
  const size_t tile_size = task.w.tile_bytes();
  for (int i = 0; i < 2; ++i) {
    if (tile + i >= task.tile_count) {
      b[i] = b[0];
      continue;
    }
    const auto* data = reinterpret_cast<const uint8_t*>(task.w.data) +
                       static_cast<size_t>(task.tile_first + tile + i) * tile_size;
    if (to_bf16 == nullptr) {
      b[i] = reinterpret_cast<const uint16_t*>(data) + static_cast<size_t>(k) * 16;
    } else {
      uint16_t* out = task.weights + i * kStretch * 16;
      to_bf16(data, k, count, out);
      b[i] = out;
    }
  }
}

void multiply_stretch(const Task& task, int k) {
  const int count = task.w.columns - k < kStretch ? task.w.columns - k : kStretch;
  const bool last = k + count == task.w.columns;
  for (int tile = 0; tile < task.tile_count; tile += 2) {
    Quarter q;
    q.edge = task.edge;
    load_weights(task, tile, k, count, q.b);
    q.second_b = tile + 1 < task.tile_count;
    for (int panel = 0; panel < task.panels(); panel += 2) {
      q.second_a = panel + 1 < task.panels();
      for (int i = 0; i < 2; ++i) {
        const int row = (panel + (q.second_a ? i : 0)) * 16;
        q.a[i] = task.x.bf16 + static_cast<size_t>(row) * task.x.bf16_pitch + static_cast<size_t>(k) * 16;
        for (int j = 0; j < 2; ++j) {
          q.from[i][j] = task.kept(tile + j, panel + i);
          q.to[i][j] = last ? task.result(tile + j, panel + i) : q.from[i][j];
        }
      }
      multiply(q, count, k == 0);
    }
  }
}

uint32_t forms(DType type, int rows) {
  if (in_int8(type, rows)) return kFormQ8;
  return rows >= kRowsMin ? uint32_t{kFormBf16} : vector_forms(type, rows);
}

void matmul(const PackedMatrix& w, int tile_first, int tile_count, const Activations& x, float* y,
            size_t y_stride, void* scratch) {
  if (in_int8(w.type, x.rows)) return few_rows_matmul(w, tile_first, tile_count, x, y, y_stride);
  if (x.rows < kRowsMin) return vector_matmul(w, tile_first, tile_count, x, y, y_stride, scratch);
  const TileState tiles_on;
  auto* weights = static_cast<uint16_t*>(scratch);
  auto* edge = reinterpret_cast<float*>(weights + 2 * kStretch * 16);
  for (int tile = 0; tile < tile_count; tile += kTaskTiles) {
    const int left = tile_count - tile;
    const Task task{
        w,       x,    y,         y_stride, tile_first + tile, left < kTaskTiles ? left : kTaskTiles,
        weights, edge, edge + 256};
    for (int k = 0; k < w.columns; k += kStretch) multiply_stretch(task, k);
  }
}

void attend(const AttendTask& task) {
  if (task.head_dim % 32 == 0) return tile_attend(task);
  vector_attend(task);
}

double peak(int steps) {
  const TileState tiles_on;
  alignas(64) static const uint16_t kZeros[512] = {};
  _tile_loadd(4, kZeros, 64);
  _tile_loadd(5, kZeros, 64);
  _tile_loadd(6, kZeros, 64);
  _tile_loadd(7, kZeros, 64);
  zero_tiles();
  for (int step = 0; step < steps; ++step) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  return 4.0 * 16 * 16 * 32 * 2 * steps;
}

}  // namespace

const Ops& amx_ops() {
  static constexpr Ops kOps{"amx",
                            forms,
                            prepare_panels<kInt8PanelRows>,
                            matmul,
                            vector_rms_norm,
                            vector_silu_mul,
                            vector_add,
                            vector_blend,
                            vector_dots,
                            vector_combine,
                            vector_mix_streams,
                            attend,
                            vector_seal_block,
                            vector_unseal_block,
                            vector_sketch_scores,
                            vector_sketch_masses,
                            vector_relative_masses,
                            tile_attend_sealed,
                            vector_add_means,
                            vector_key_error_bounds,
                            peak,
                            vector_read};
  return kOps;
}

}  // namespace mneme::kernels
