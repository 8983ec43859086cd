// Matrix products of packed weights with a few rows of activations, for ISA files.
//
// One tile of 16 weight rows, one panel of kRows activation rows at a time:
//   y[n, r] = sum over groups of 32 columns of  scale[n] x_scale[r] (codes[n] . x_codes[r])  +  offset[n]
//     x_sum[r]
// The 8 code vectors of a group stay in registers for all rows of the panel; a row costs 8 integer dot
// products and 3 to 4 float operations, so with 8 rows the unpacking is 10-15 % of the work, and with one row
// the loop is bound by memory.
#pragma once

#include "kernels/shared/groups.inl"

namespace mneme::kernels {
namespace {

// One panel of activations from its first group on.
struct Panel {
  const int8_t* q8;
  const float* scale;
  const float* sum32;
  const float* sum16;
  const uint16_t* bf16;
  const float* f32;
  size_t f32_stride;
};

// Weights are read once, in order, at the memory's speed. The hardware prefetchers alone leave a third of it
// unused, because the arithmetic of a group fills the reorder buffer; so each group asks for what comes this
// many bytes later. Into the second-level cache: it has more misses under way than the first (Q4_0 from
// memory, share of one thread's read speed: none 0.55, first level 0.81, second level 0.87; 4-16 KiB ahead
// alike).
constexpr int kPrefetchAhead = 16384;

template <int kBytes>
inline void prefetch_ahead(const uint8_t* p) {
  MNEME_UNROLL
  for (int line = 0; line < (kBytes + 63) / 64; ++line) Simd::prefetch(p + kPrefetchAhead + 64 * line);
}

// out: [kRows][16], the lanes of `half` are written.
template <DType kType, int kRows>
void product_q8(const uint8_t* unit, int half, Panel x, int columns, float* out) {
  using G = Groups<kType>;
  constexpr int kCodeMax = G::kCodeMax;
  Simd::F acc[kRows];
  MNEME_UNROLL
  for (auto& a : acc) a = Simd::zero();
  for (int k = 0; k < columns; k += G::kColumns, unit += G::kUnitBytes) {
    for (int group = 0; group < G::kColumns / 32; ++group) {
      if constexpr (kRows <= 2)
        prefetch_ahead<G::kUnitBytes * 32 / G::kColumns>(unit + group * (G::kUnitBytes * 32 / G::kColumns));
      Group w;
      G::load(unit, group, half, w);
      MNEME_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const int8_t* a = x.q8 + r * 32;
        const Simd::F x_scale = Simd::set1(x.scale[r]);
        MNEME_UNROLL
        for (int h = 0; h < G::kHalves; ++h) {
          constexpr int kQuads = 8 / G::kHalves;
          Simd::I dot = Simd::izero();
          MNEME_UNROLL
          for (int quad = h * kQuads; quad < (h + 1) * kQuads; ++quad) {
            dot = Simd::dot4<kCodeMax>(dot, w.codes[quad], a + 4 * quad);
          }
          const float x_sum = G::kHalves == 1 ? x.sum32[r] : x.sum16[h * kRows + r];
          acc[r] = Simd::fma(Simd::to_f32(dot), Simd::mul(w.scale[h], x_scale), acc[r]);
          acc[r] = Simd::fma(w.offset[h], Simd::set1(x_sum), acc[r]);
        }
      }
      x.q8 += kRows * 32;
      x.scale += kRows;
      x.sum32 += kRows;
      x.sum16 += 2 * kRows;
    }
  }
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) Simd::store(out + r * 16 + half * Simd::kLanes, acc[r]);
}

// bf16 weights with bf16 activations, where the machine multiplies pairs.
template <int kRows>
void product_bf16(const uint8_t* unit, int half, Panel x, int columns, float* out) {
  // Few rows: two sums a row, so that consecutive products do not wait for each other.
  constexpr int kSums = kRows <= 2 ? 2 : 1;
  Simd::F acc[kRows][kSums];
  MNEME_UNROLL
  for (auto& row : acc) {
    MNEME_UNROLL
    for (auto& a : row) a = Simd::zero();
  }
  for (int k = 0; k < columns; k += 32) {
    if constexpr (kRows <= 2) prefetch_ahead<16 * 64>(unit);
    MNEME_UNROLL
    for (int pair = 0; pair < 16; ++pair) {
      const Simd::I w = Simd::load_i(unit + pair * 64 + static_cast<size_t>(half) * kLaneBytes);
      MNEME_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const auto* a = reinterpret_cast<const Simd::Pair*>(x.bf16 + r * 32 + pair * 2);
        acc[r][pair % kSums] = Simd::dot2(acc[r][pair % kSums], w, a);
      }
    }
    unit += 16 * 64;
    x.bf16 += kRows * 32;
  }
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) {
    Simd::store(out + r * 16 + half * Simd::kLanes,
                kSums == 2 ? Simd::add(acc[r][0], acc[r][kSums - 1]) : acc[r][0]);
  }
}

// f32, f16 and (without pair products) bf16 weights with f32 activations.
template <DType kType, int kRows>
void product_f32(const uint8_t* unit, int half, Panel x, int columns, float* out) {
  Simd::F acc[kRows];
  MNEME_UNROLL
  for (auto& a : acc) a = Simd::zero();
  for (int k = 0; k < columns; k += 2) {
    if constexpr (kRows <= 2) prefetch_ahead<kType == DType::kF32 ? 128 : 64>(unit);
    Simd::F w[2];
    if constexpr (kType == DType::kF32) {
      w[0] = Simd::load(reinterpret_cast<const float*>(unit) + half * Simd::kLanes);
      w[1] = Simd::load(reinterpret_cast<const float*>(unit) + 16 + half * Simd::kLanes);
      unit += 128;
    } else if constexpr (kType == DType::kF16) {
      w[0] = f16_lanes(unit, half);
      w[1] = f16_lanes(unit + 32, half);
      unit += 64;
    } else {
      const Simd::I pairs = Simd::load_i(unit + static_cast<size_t>(half) * kLaneBytes);
      const typename Simd::Pair ones[2] = {Simd::make_pair(1.0f, 0.0f), Simd::make_pair(0.0f, 1.0f)};
      w[0] = Simd::dot2(Simd::zero(), pairs, &ones[0]);
      w[1] = Simd::dot2(Simd::zero(), pairs, &ones[1]);
      unit += 64;
    }
    MNEME_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const float* a = x.f32 + static_cast<size_t>(r) * x.f32_stride + k;
      acc[r] = Simd::fma(w[1], Simd::set1(a[1]), Simd::fma(w[0], Simd::set1(a[0]), acc[r]));
    }
  }
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) Simd::store(out + r * 16 + half * Simd::kLanes, acc[r]);
}

using Product = void (*)(const uint8_t* unit, int half, Panel x, int columns, float* out);

template <int kRows>
Product product_of(DType type) {
  switch (type) {
    case DType::kQ8_0: return product_q8<DType::kQ8_0, kRows>;
    case DType::kQ4_0: return product_q8<DType::kQ4_0, kRows>;
    case DType::kQ4_1: return product_q8<DType::kQ4_1, kRows>;
    case DType::kQ5_0: return product_q8<DType::kQ5_0, kRows>;
    case DType::kQ5_1: return product_q8<DType::kQ5_1, kRows>;
    case DType::kIQ4_NL: return product_q8<DType::kIQ4_NL, kRows>;
    case DType::kQ2_K: return product_q8<DType::kQ2_K, kRows>;
    case DType::kQ3_K: return product_q8<DType::kQ3_K, kRows>;
    case DType::kQ4_K: return product_q8<DType::kQ4_K, kRows>;
    case DType::kQ5_K: return product_q8<DType::kQ5_K, kRows>;
    case DType::kQ6_K: return product_q8<DType::kQ6_K, kRows>;
    case DType::kF32: return product_f32<DType::kF32, kRows>;
    case DType::kF16: return product_f32<DType::kF16, kRows>;
    case DType::kBF16:
      if constexpr (Simd::kHasBf16Dot)
        return product_bf16<kRows>;
      else
        return product_f32<DType::kBF16, kRows>;
  }
  return nullptr;
}

Product product_of(DType type, int rows) {
  switch (rows) {
    case 1: return product_of<1>(type);
    case 2: return product_of<2>(type);
    case 4: return product_of<4>(type);
    case 8: return product_of<8>(type);
    default: return Simd::kHasBf16Dot && type == DType::kBF16 ? product_of<16>(DType::kBF16) : nullptr;
  }
}

uint32_t vector_forms(DType type, int /*rows*/) {
  if (type == DType::kF32 || type == DType::kF16) return kFormF32;
  if (type == DType::kBF16) return Simd::kHasBf16Dot ? kFormBf16 : kFormF32;
  return kFormQ8;
}

Panel panel_at(const Activations& x, int row) {
  const auto first = static_cast<size_t>(row), columns = static_cast<size_t>(x.columns);
  return {x.q8 + first * columns,
          x.q8_scale + first * (columns / 32),
          x.q8_sum32 + first * (columns / 32),
          x.q8_sum16 + first * (columns / 16),
          x.bf16 + first * x.bf16_pitch,
          x.f32 + first * x.f32_stride,
          x.f32_stride};
}

inline void write_lanes(const float* from, int lanes, float* to) {
  if (lanes == 16) {
    MNEME_UNROLL
    for (int lane = 0; lane < 16; lane += Simd::kLanes) Simd::store(to + lane, Simd::load(from + lane));
    return;
  }
  for (int lane = 0; lane < lanes; ++lane) to[lane] = from[lane];
}

// Ops::matmul.
void vector_matmul(const PackedMatrix& w, int tile_first, int tile_count, const Activations& x, float* y,
                   size_t y_stride, void*) {
  const uint32_t form = vector_forms(w.type, x.rows);
  const int panel_max = form == kFormBf16 ? kBf16PanelRows : kQ8PanelRows;
  const int height = panel_height(x.rows, panel_max);
  const size_t tile_size = w.tile_bytes();
  alignas(64) float out[kBf16PanelRows * 16];
  for (int tile = tile_first; tile < tile_first + tile_count; ++tile) {
    const auto* unit = reinterpret_cast<const uint8_t*>(w.data) + static_cast<size_t>(tile) * tile_size;
    const int lanes = w.rows - tile * 16 < 16 ? w.rows - tile * 16 : 16;
    for (int row = 0; row < x.rows;) {
      // f32 rows are not padded: whole powers of two until none is left.
      int rows = height;
      if (form == kFormF32)
        while (rows > x.rows - row) rows /= 2;
      const Product product = product_of(w.type, rows);
      for (int half = 0; half < 16 / Simd::kLanes; ++half) {
        product(unit, half, panel_at(x, row), x.columns, out);
      }
      const int valid = x.rows - row < rows ? x.rows - row : rows;
      for (int r = 0; r < valid; ++r) {
        write_lanes(out + r * 16, lanes,
                    y + static_cast<size_t>(row + r) * y_stride + static_cast<size_t>(tile) * 16);
      }
      row += rows;
    }
  }
}

}  // namespace
}  // namespace mneme::kernels
