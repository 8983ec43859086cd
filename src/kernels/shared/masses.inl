// The softmax mass of blocks from their sketches (Ops::sketch_masses), for ISA files. With a row's score
// s[t] = base + scale n[t], n[t] the integer sums of sketch.inl, and x[t] = scale log2(e) n[t],
//   max_t s = base + ln(2) max x         sum_t exp(s[t] - max s) = sum_t 2^(x[t] - max x)
// so that scores are never made. Rows go through a block in groups of 4, whose reductions to one number a row
// go together.
#pragma once

#include "kernels/shared/sketch.inl"

namespace mneme::kernels {
namespace {

// How many blocks ahead lines are asked for: one row takes less time for a block than memory to answer.
constexpr int kMassAhead = 4;

// 2^x for x <= 0, within 8e-5 of itself: a polynomial of degree 3 with the least largest relative error on
// [0, 1].
inline Simd::F exp2_short(Simd::F x) {
  const Simd::F f = Simd::above_floor(x);
  Simd::F p = Simd::fma(Simd::set1(0.07802452f), f, Simd::set1(0.22606716f));
  p = Simd::fma(p, f, Simd::set1(0.69583354f));
  p = Simd::fma(p, f, Simd::set1(0.99992522f));
  return Simd::scale_floor(p, x);
}

// How far behind a block's sketch those lie that are asked for meanwhile, in bytes: one that goes into the
// second-level cache, and the next block's, which goes from there into the first. 0: none.
struct SketchAhead {
  std::ptrdiff_t far = 0, next = 0;
};

// Operands of one block, in the caller's scratch.
struct MassScratch {
  float* x;        // [4][64]
  float* steps;    // [head_dim]
  float* centres;  // [head_dim]
  int8_t* u;       // [4][head_dim]

  MassScratch(void* memory, int head_dim) {
    x = static_cast<float*>(memory);
    steps = x + 4 * 64;
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
// What sums of the j-th tokens are to be multiplied by.
template <int j>
constexpr float kCodeUnit = kCodesStay ? 1.0f / (1 << (2 * j)) : 1.0f;

// x of kRows rows and the tokens of kLanes lanes from `lane` on.
template <int kRows>
inline void mass_part(const uint8_t* sketch, SketchAhead ahead, int head_dim, const MassScratch& s,
                      const SketchRow* rows, int lane) {
  constexpr int kCodeMax = kCodesStay ? 192 : 3;
  Simd::I acc[kRows][4];
  MNEME_UNROLL
  for (auto& row : acc) {
    MNEME_UNROLL
    for (auto& a : row) a = Simd::izero();
  }
  for (int c = 0; c < head_dim; c += 4) {
    const Simd::I packed = Simd::load_i(sketch + c * 16 + lane * 4);
    if (ahead.far != 0) Simd::prefetch(sketch + c * 16 + ahead.far);
    if (ahead.next != 0) Simd::prefetch_near(sketch + c * 16 + ahead.next);
    const Simd::I codes[4] = {codes_of<0>(packed), codes_of<1>(packed), codes_of<2>(packed),
                              codes_of<3>(packed)};
    MNEME_UNROLL
    for (int r = 0; r < kRows; ++r) {
      MNEME_UNROLL
      for (int j = 0; j < 4; ++j)
        acc[r][j] = Simd::template dot4<kCodeMax>(acc[r][j], codes[j], s.u + r * head_dim + c);
    }
  }
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const float unit = rows[r].scale * 1.44269504f;
    float* to = s.x + r * 64 + lane;
    Simd::store(to, Simd::mul(Simd::to_f32(acc[r][0]), Simd::set1(unit * kCodeUnit<0>)));
    Simd::store(to + 16, Simd::mul(Simd::to_f32(acc[r][1]), Simd::set1(unit * kCodeUnit<1>)));
    Simd::store(to + 32, Simd::mul(Simd::to_f32(acc[r][2]), Simd::set1(unit * kCodeUnit<2>)));
    Simd::store(to + 48, Simd::mul(Simd::to_f32(acc[r][3]), Simd::set1(unit * kCodeUnit<3>)));
  }
}

// Masses of kRows rows from their x: largest and sums, [4].
template <int kRows>
inline void weigh_tokens(const float* x, float* largest, float* sums) {
  constexpr int L = Simd::kLanes;
  Simd::F top[4], total[4];
  for (int r = 0; r < 4; ++r) top[r] = total[r] = Simd::zero();
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) {
    top[r] = Simd::load(x + r * 64);
    MNEME_UNROLL
    for (int t = L; t < 64; t += L) top[r] = Simd::max(top[r], Simd::load(x + r * 64 + t));
  }
  Simd::largest_each(top, largest);
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const Simd::F shift = Simd::set1(largest[r]);
    MNEME_UNROLL
    for (int t = 0; t < 64; t += L)
      total[r] = Simd::add(total[r], exp2_short(Simd::sub(Simd::load(x + r * 64 + t), shift)));
  }
  Simd::sum_each(total, sums);
}

// Rows [row, row + kRows) of whole block b; the first ask for what comes kMassAhead blocks later.
template <int kRows>
inline void block_masses(const SketchMassTask& task, const MassScratch& s, int b, int row) {
  const SealedSummary& block = task.blocks[b];
  SketchRow rows[kRows];
  prepare_sketch_rows<kRows>(task.queries + static_cast<size_t>(row) * task.query_stride, task.query_stride,
                             s.centres, s.steps, task.head_dim, s.u, rows);
  SketchAhead ahead;
  if (row == 0) {
    if (b + kMassAhead < task.block_count) ahead.far = task.blocks[b + kMassAhead].sketch - block.sketch;
    if (b + 1 < task.block_count) ahead.next = task.blocks[b + 1].sketch - block.sketch;
  }
  for (int lane = 0; lane < 16; lane += Simd::kLanes, ahead = {})
    mass_part<kRows>(block.sketch, ahead, task.head_dim, s, rows, lane);
  float largest[4], sums[4];
  weigh_tokens<kRows>(s.x, largest, sums);
  for (int r = 0; r < kRows; ++r) {
    const size_t at = static_cast<size_t>(row + r) * task.stride + static_cast<size_t>(b);
    task.max[at] = rows[r].base + 0.69314718f * largest[r];
    task.sum[at] = sums[r];
    task.variance[static_cast<size_t>(row + r) * task.variance_stride + static_cast<size_t>(b)] =
        rows[r].squares * (1 / (kSketchStep * kSketchStep));
  }
}

// A block that is not full: the oracle.
__attribute__((noinline)) void partial_masses(const SketchMassTask& task, int b) {
  SketchMassTask one = task;
  one.blocks += b, one.block_count = 1;
  one.max += b, one.sum += b, one.variance += b;
  scalar_ops().sketch_masses(one);
}

// Ops::sketch_masses. Heads that do not fill whole vectors are rare: the oracle serves them.
void vector_sketch_masses(const SketchMassTask& task) {
  if (task.head_dim % 16 != 0) return scalar_ops().sketch_masses(task);
  const MassScratch s(task.scratch, task.head_dim);
  for (int b = 0; b < kMassAhead && b < task.block_count; ++b) {
    ask_for_summary(task.blocks[b], task.head_dim);
    for (int c = 0; c < task.head_dim; c += 4) Simd::prefetch(task.blocks[b].sketch + c * 16);
  }
  for (int b = 0; b < task.block_count; ++b) {
    if (b + kMassAhead < task.block_count) ask_for_summary(task.blocks[b + kMassAhead], task.head_dim);
    if (task.blocks[b].statistics->count != 64) {
      partial_masses(task, b);
      continue;
    }
    sketch_steps(task.blocks[b], task.head_dim, s.steps);
    sketch_centres(task.blocks[b], task.head_dim, s.centres);
    int row = 0;
    for (; row + 4 <= task.rows; row += 4) block_masses<4>(task, s, b, row);
    if (row + 2 <= task.rows) block_masses<2>(task, s, b, row), row += 2;
    if (row < task.rows) block_masses<1>(task, s, b, row);
  }
}

// Ops::relative_masses. What does not fill a vector goes through one that is padded with nothing.
void vector_relative_masses(const RelativeMassTask& task) {
  constexpr int L = Simd::kLanes;
  constexpr float kLog2e = 1.44269504f, kNothing = -1e30f;
  const int whole = task.block_count / L * L, rest = task.block_count - whole;
  alignas(64) float last_max[L], last_sum[L];
  for (int r = 0; r < task.rows; ++r) {
    float *max = task.max + static_cast<size_t>(r) * task.stride,
          *sum = task.sum + static_cast<size_t>(r) * task.stride;
    for (int i = 0; i < L; ++i) {
      last_max[i] = i < rest ? max[whole + i] : kNothing;
      last_sum[i] = i < rest ? sum[whole + i] : 0.0f;
    }
    Simd::F highest = Simd::load(last_max);
    for (int b = 0; b < whole; b += L) highest = Simd::max(highest, Simd::load(max + b));
    const float top = Simd::largest(highest);
    Simd::F total = Simd::zero();
    const auto weigh = [&](float* m, float* s) {
      const Simd::F weight = exp2_short(
          Simd::mul(Simd::sub(Simd::load(m), Simd::set1(top)), Simd::set1(kLog2e)));
      const Simd::F mass = Simd::mul(Simd::load(s), weight);
      total = Simd::add(total, mass);
      Simd::store(s, mass);
      Simd::store(m, Simd::mul(mass, weight));
    };
    for (int b = 0; b < whole; b += L) weigh(max + b, sum + b);
    weigh(last_max, last_sum);
    for (int i = 0; i < rest; ++i) max[whole + i] = last_max[i], sum[whole + i] = last_sum[i];
    task.top[r] = top;
    task.total[r] = Simd::sum(total);
  }
}

}  // namespace
}  // namespace mneme::kernels
