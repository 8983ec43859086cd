// Scores from sketches (kernels/sealed.h), for ISA files. With step w[c] and centre m[c] of a block,
//   q . k ~= q . m + sum_c (q[c] w[c]) (code[t, c] - 1.5)
// and q[c] w[c] ~= scale * u[c], u in 8 bits, so that 4 channels of a token are one 4-byte dot product:
//   q . k ~= q . m + scale * (sum_c u[c] code[t, c] - 1.5 sum_c u[c])
// Taking the 1.5 from the rounded u leaves only their error times (code - 1.5).
#pragma once

#include "kernels/shared/seal.inl"

namespace mneme::kernels {
namespace {

// Rows of queries against one block.
struct SketchRow {
  float base;     // q . m - 1.5 scale sum(u)
  float scale;    // of u
  float squares;  // sum_c (q[c] w[c])^2
};

// Steps of the block's channels.
inline void sketch_steps(const SealedSummary& block, int head_dim, float* steps) {
  const Simd::I base = Simd::set1_i32(block.statistics->deviation_base);
  for (int c = 0; c < head_dim; c += Simd::kLanes) {
    const Simd::I level = Simd::add_i32(Simd::load_u8(block.key_deviations + c), base);
    Simd::store(steps + c, Simd::mul(Simd::as_f(Simd::shift_left<20>(level)), Simd::set1(kSketchStep)));
  }
}

inline void sketch_centres(const SealedSummary& block, int head_dim, float* centres) {
  for (int c = 0; c < head_dim; c += Simd::kLanes)
    Simd::store(centres + c, Simd::load_bf16(block.key_centres + c));
}

// What is read of a block beside its sketch: from its statistics to its means, which Ops::add_means reads
// next. The last line is none of the others' where a part does not begin with a line.
MNEME_ALWAYS_INLINE void ask_for_summary(const SealedSummary& block, int head_dim) {
  Simd::prefetch(block.statistics);
  for (int c = 0; c < head_dim; c += 32) Simd::prefetch(block.key_centres + c);
  for (int c = 0; c < head_dim; c += 64) Simd::prefetch(block.key_deviations + c);
  for (int c = 0; c < head_dim; c += 64) Simd::prefetch(block.value_means + c);
  Simd::prefetch(block.value_means + head_dim - 1);
}

// Up to 4 rows, `stride` floats apart, against one block: u [kRows][head_dim]. What is reduced to one number
// a row goes through one reduction for all.
template <int kRows>
inline void prepare_sketch_rows(const float* q, size_t stride, const float* centres, const float* steps,
                                int head_dim, int8_t* u, SketchRow* rows) {
  constexpr int L = Simd::kLanes;
  Simd::F dot[4], top[4], sum[4], square[4];
  for (int r = 0; r < 4; ++r) dot[r] = top[r] = sum[r] = square[r] = Simd::zero();
  for (int c = 0; c < head_dim; c += L) {
    const Simd::F centre = Simd::load(centres + c), step = Simd::load(steps + c);
    MNEME_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Simd::F x = Simd::load(q + static_cast<size_t>(r) * stride + c);
      const Simd::F width = Simd::mul(x, step);
      dot[r] = Simd::fma(x, centre, dot[r]);
      square[r] = Simd::fma(width, width, square[r]);
      top[r] = Simd::max(top[r], Simd::abs(width));
    }
  }
  float dots[4], tops[4], sums[4], squares[4], inverse[4];
  Simd::sum_each(dot, dots);
  Simd::sum_each(square, squares);
  Simd::largest_each(top, tops);
  for (int r = 0; r < kRows; ++r) {
    rows[r].squares = squares[r], rows[r].scale = tops[r] * (1 / 127.0f);
    inverse[r] = rows[r].scale >= 0x1p-120f ? 127.0f / tops[r] : 0.0f;
  }
  for (int c = 0; c < head_dim; c += L) {
    const Simd::F step = Simd::load(steps + c);
    MNEME_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Simd::F x = Simd::mul(Simd::load(q + static_cast<size_t>(r) * stride + c), step);
      sum[r] = Simd::add(
          sum[r], Simd::to_f32(Simd::round_i8(u + r * head_dim + c, Simd::mul(x, Simd::set1(inverse[r])))));
    }
  }
  Simd::sum_each(sum, sums);
  for (int r = 0; r < kRows; ++r) rows[r].base = dots[r] - 1.5f * rows[r].scale * sums[r];
}

// kRows rows, the 16 / kLanes-th part of the tokens' lanes from `lane` on. `ahead` bytes further lies the
// sketch of the next block, whose lines are asked for (0: not); blocks do not follow each other in memory.
template <int kRows>
inline void sketch_part(const SketchTask& task, const SealedSummary& block, std::ptrdiff_t ahead,
                        const int8_t* u, const SketchRow* rows, int lane, float* scores) {
  Simd::I acc[kRows][4];
  MNEME_UNROLL
  for (auto& row : acc) {
    MNEME_UNROLL
    for (auto& a : row) a = Simd::izero();
  }
  for (int c = 0; c < task.head_dim; c += 4) {
    const Simd::I packed = Simd::load_i(block.sketch + c * 16 + lane * 4);
    if (ahead != 0) Simd::prefetch(block.sketch + c * 16 + ahead);
    const Simd::I codes[4] = {Simd::and_u8(packed, 3), Simd::and_u8(Simd::shift_right<2>(packed), 3),
                              Simd::and_u8(Simd::shift_right<4>(packed), 3),
                              Simd::and_u8(Simd::shift_right<6>(packed), 3)};
    MNEME_UNROLL
    for (int r = 0; r < kRows; ++r) {
      MNEME_UNROLL
      for (int j = 0; j < 4; ++j)
        acc[r][j] = Simd::template dot4<3>(acc[r][j], codes[j], u + r * task.head_dim + c);
    }
  }
  MNEME_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const Simd::F base = Simd::set1(rows[r].base), scale = Simd::set1(rows[r].scale);
    MNEME_UNROLL
    for (int j = 0; j < 4; ++j) {
      Simd::store(scores + static_cast<size_t>(r) * task.score_stride + j * 16 + lane,
                  Simd::fma(Simd::to_f32(acc[r][j]), scale, base));
    }
  }
}

template <int kRows>
inline void sketch_rows(const SketchTask& task, int b, const float* steps, const float* centres, int8_t* u,
                        int first_row, float* scores) {
  const SealedSummary& block = task.blocks[b];
  SketchRow rows[kRows];
  const float* q = task.queries + static_cast<size_t>(first_row) * task.query_stride;
  prepare_sketch_rows<kRows>(q, task.query_stride, centres, steps, task.head_dim, u, rows);
  scores += static_cast<size_t>(first_row) * task.score_stride;
  // The first rows ask for all, in the first part.
  std::ptrdiff_t ahead = 0;
  if (first_row == 0 && b + 1 < task.block_count) ahead = task.blocks[b + 1].sketch - block.sketch;
  for (int lane = 0; lane < 16; lane += Simd::kLanes) {
    sketch_part<kRows>(task, block, ahead, u, rows, lane, scores);
    ahead = 0;
  }
}

// Ops::sketch_scores. Heads that do not fill whole vectors are rare: the oracle serves them.
void vector_sketch_scores(const SketchTask& task) {
  if (task.head_dim % 16 != 0) return scalar_ops().sketch_scores(task);
  auto *steps = static_cast<float*>(task.scratch), *centres = steps + task.head_dim;
  auto* u = reinterpret_cast<int8_t*>(centres + task.head_dim);
  for (int b = 0; b < task.block_count; ++b) {
    float* scores = task.scores + b * 64;
    if (b + 1 < task.block_count) ask_for_summary(task.blocks[b + 1], task.head_dim);
    sketch_steps(task.blocks[b], task.head_dim, steps);
    sketch_centres(task.blocks[b], task.head_dim, centres);
    int row = 0;
    for (; row + 4 <= task.rows; row += 4) sketch_rows<4>(task, b, steps, centres, u, row, scores);
    if (row + 2 <= task.rows) sketch_rows<2>(task, b, steps, centres, u, row, scores), row += 2;
    if (row < task.rows) sketch_rows<1>(task, b, steps, centres, u, row, scores);
  }
}

}  // namespace
}  // namespace mneme::kernels
