// The softmax mass of blocks from their sketches (Ops::sketch_masses), for ISA files: the sums of sketch.inl
// as integers, of which the largest is the largest score, so that
//   sum_t exp(s[t] - max s) = sum_t 2^(scale log2(e) (n[t] - max n)),  s = base + scale n
// needs neither scores nor base. Rows go through a block in groups of up to 8.
#pragma once

#include "kernels/shared/sketch.inl"

namespace mneme::kernels {
namespace {

constexpr int kMassRows = 8;
// How many blocks ahead lines are asked for: one row takes less time for a block than memory to answer.
constexpr int kMassAhead = 4;

// 2^x for x <= 0, within 8e-5 of itself (a polynomial of degree 3 with the least largest relative error on
// |f| <= 1/2); 0 below -120.
inline Simd::F exp2_short(Simd::F x) {
  x = Simd::max(x, Simd::set1(-120.0f));
  const Simd::F n = Simd::round(x), f = Simd::sub(x, n);
  Simd::F p = Simd::set1(0.05517168f);
  p = Simd::fma(p, f, Simd::set1(0.24261117f));
  p = Simd::fma(p, f, Simd::set1(0.69326099f));
  p = Simd::fma(p, f, Simd::set1(0.99992807f));
  return Simd::exp2_split(p, n);
}

// Operands of one block, in the caller's scratch.
struct MassScratch {
  int32_t* sums;   // [rows][64]
  float* steps;    // [head_dim]
  float* centres;  // [head_dim]
  int8_t* u;       // [rows][head_dim]

  MassScratch(void* memory, int head_dim) {
    sums = static_cast<int32_t*>(memory);
    steps = reinterpret_cast<float*>(sums + kMassRows * 64);
    centres = steps + head_dim;
    u = reinterpret_cast<int8_t*>(centres + head_dim);
  }
};

// The j-th tokens' codes of a quad, and what their sums are shifted by. Where a dot product takes any byte,
// codes stay where they are and are 4^j too large.
constexpr bool kCodesStay = Simd::kLanes == 16;
template <int j>
inline Simd::I codes_of(Simd::I packed) {
  if constexpr (kCodesStay) {
    return Simd::and_u8(packed, 3 << (2 * j));
  } else {
    return Simd::and_u8(Simd::template shift_right<2 * j>(packed), 3);
  }
}
template <int j>
inline Simd::I unshifted(Simd::I sums) {
  if constexpr (kCodesStay && j > 0) {
    return Simd::template shift_right_signed<2 * j>(sums);
  } else {
    return sums;
  }
}

// sums[r][t] = sum_c u[r][c] code[t, c] of kRows rows and the tokens of kLanes lanes from `lane` on.
template <int kRows>
inline void mass_part(const uint8_t* sketch, std::ptrdiff_t ahead, int head_dim, const int8_t* u, int lane,
                      int32_t* sums) {
  constexpr int kCodeMax = kCodesStay ? 192 : 3;
  Simd::I acc[kRows][4];
  MNEME_UNROLL
  for (auto& row : acc) {
    MNEME_UNROLL
    for (auto& a : row) a = Simd::izero();
  }
  for (int c = 0; c < head_dim; c += 4) {
    const Simd::I packed = Simd::load_i(sketch + c * 16 + lane * 4);
    if (ahead != 0) Simd::prefetch(sketch + c * 16 + ahead);
    const Simd::I codes[4] = {codes_of<0>(packed), codes_of<1>(packed), codes_of<2>(packed),
                              codes_of<3>(packed)};
    MNEME_UNROLL
    for (int r = 0; r < kRows; ++r) {
      MNEME_UNROLL
      for (int j = 0; j < 4; ++j)
        acc[r][j] = Simd::template dot4<kCodeMax>(acc[r][j], codes[j], u + r * head_dim + c);
    }
  }
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) {
    int32_t* to = sums + r * 64 + lane;
    Simd::store_i(to, unshifted<0>(acc[r][0]));
    Simd::store_i(to + 16, unshifted<1>(acc[r][1]));
    Simd::store_i(to + 32, unshifted<2>(acc[r][2]));
    Simd::store_i(to + 48, unshifted<3>(acc[r][3]));
  }
}

template <int kRows>
inline void mass_rows(const SketchMassTask& task, const MassScratch& s, const uint8_t* sketch,
                      std::ptrdiff_t ahead, int first) {
  for (int lane = 0; lane < 16; lane += Simd::kLanes) {
    mass_part<kRows>(sketch, ahead, task.head_dim, s.u + first * task.head_dim, lane, s.sums + first * 64);
    ahead = 0;
  }
}

inline void store_mass(const int32_t* sums, const SketchRow& row, float& max, float& sum) {
  constexpr int L = Simd::kLanes;
  Simd::I top = Simd::load_i(sums);
  MNEME_UNROLL
  for (int t = L; t < 64; t += L) top = Simd::max_i32(top, Simd::load_i(sums + t));
  const int largest = Simd::largest_i32(top);
  const Simd::I shift = Simd::set1_i32(static_cast<uint32_t>(largest));
  const Simd::F factor = Simd::set1(row.scale * 1.44269504f);
  Simd::F total = Simd::zero();
  MNEME_UNROLL
  for (int t = 0; t < 64; t += L) {
    const Simd::F below = Simd::to_f32(Simd::sub_i32(Simd::load_i(sums + t), shift));
    total = Simd::add(total, exp2_short(Simd::mul(below, factor)));
  }
  max = row.base + row.scale * static_cast<float>(largest);
  sum = Simd::sum(total);
}

// Rows [row, row + count) of whole block b; the first ask for what comes kMassAhead blocks later.
inline void block_masses(const SketchMassTask& task, const MassScratch& s, int b, int row, int count) {
  const SealedSummary& block = task.blocks[b];
  SketchRow rows[kMassRows];
  for (int r = 0; r < count; ++r) {
    rows[r] = prepare_sketch_row(task.queries + static_cast<size_t>(row + r) * task.query_stride, s.centres,
                                 s.steps, task.head_dim, s.u + r * task.head_dim);
  }
  std::ptrdiff_t ahead = 0;
  if (row == 0 && b + kMassAhead < task.block_count)
    ahead = task.blocks[b + kMassAhead].sketch - block.sketch;
  int r = 0;
  for (; r + 4 <= count; r += 4, ahead = 0) mass_rows<4>(task, s, block.sketch, ahead, r);
  if (r + 2 <= count) mass_rows<2>(task, s, block.sketch, ahead, r), r += 2, ahead = 0;
  if (r < count) mass_rows<1>(task, s, block.sketch, ahead, r);
  for (r = 0; r < count; ++r) {
    const size_t at = static_cast<size_t>(row + r) * task.stride + static_cast<size_t>(b);
    store_mass(s.sums + r * 64, rows[r], task.max[at], task.sum[at]);
  }
}

// A block that is not full: the oracle.
__attribute__((noinline)) void partial_masses(const SketchMassTask& task, int b) {
  SketchMassTask one = task;
  one.blocks += b, one.block_count = 1;
  one.max += b, one.sum += b;
  scalar_ops().sketch_masses(one);
}

// Ops::sketch_masses. Heads that do not fill whole vectors are rare: the oracle serves them.
void vector_sketch_masses(const SketchMassTask& task) {
  if (task.head_dim % 16 != 0) return scalar_ops().sketch_masses(task);
  const MassScratch s(task.scratch, task.head_dim);
  for (int b = 0; b < task.block_count; ++b) {
    if (b + kMassAhead < task.block_count) ask_for_summary(task.blocks[b + kMassAhead], task.head_dim);
    if (task.blocks[b].statistics->count != 64) {
      partial_masses(task, b);
      continue;
    }
    sketch_steps(task.blocks[b], task.head_dim, s.steps);
    sketch_centres(task.blocks[b], task.head_dim, s.centres);
    for (int row = 0; row < task.rows; row += kMassRows) {
      const int left = task.rows - row;
      block_masses(task, s, b, row, left < kMassRows ? left : kMassRows);
    }
  }
}

}  // namespace
}  // namespace mneme::kernels
