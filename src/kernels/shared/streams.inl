// The small f32 operations of residual streams, for ISA files: dot products with unpacked matrices, mixing.
#pragma once

namespace mneme::kernels {
namespace {

void vector_blend(float* out, float keep, const float* x, float take, int n) {
  constexpr int L = Simd::kLanes;
  const Simd::F keeps = Simd::set1(keep), takes = Simd::set1(take);
  int i = 0;
  for (; i + L <= n; i += L)
    Simd::store(out + i, Simd::fma(takes, Simd::load(x + i), Simd::mul(keeps, Simd::load(out + i))));
  for (; i < n; ++i) out[i] = keep * out[i] + take * x[i];
}

// kRows rows of x with kCount rows of the matrix. Every dot product has one vector of sums of its own, so its
// bits do not depend on its neighbours.
template <int kRows, int kCount>
inline void dots_part(const DotsTask& task, int row, int m) {
  constexpr int L = Simd::kLanes;
  const auto n = static_cast<size_t>(task.n);
  const float* x = task.x + static_cast<size_t>(row) * task.x_stride;
  const float* w = task.matrix + static_cast<size_t>(m) * n;
  Simd::F acc[kRows][kCount];
  MNEME_UNROLL
  for (auto& sums : acc) {
    MNEME_UNROLL
    for (auto& a : sums) a = Simd::zero();
  }
  int k = 0;
  for (; k + L <= task.n; k += L) {
    Simd::F in[kRows];
    MNEME_UNROLL
    for (int r = 0; r < kRows; ++r) in[r] = Simd::load(x + static_cast<size_t>(r) * task.x_stride + k);
    MNEME_UNROLL
    for (int c = 0; c < kCount; ++c) {
      const Simd::F weight = Simd::load(w + static_cast<size_t>(c) * n + k);
      MNEME_UNROLL
      for (int r = 0; r < kRows; ++r) acc[r][c] = Simd::fma(weight, in[r], acc[r][c]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kCount; ++c) {
      float sum = Simd::sum(acc[r][c]);
      const float* a = x + static_cast<size_t>(r) * task.x_stride;
      const float* b = w + static_cast<size_t>(c) * n;
      for (int i = k; i < task.n; ++i) sum = __builtin_fmaf(a[i], b[i], sum);
      task.out[static_cast<size_t>(row + r) * task.out_stride + static_cast<size_t>(m + c)] = sum;
    }
  }
}

template <int kRows>
inline void dots_rows(const DotsTask& task, int row) {
  constexpr int kCount = kRows == 1 ? 8 : 4;  // enough sums to hide the latency of one
  int m = 0;
  for (; m + kCount <= task.count; m += kCount) dots_part<kRows, kCount>(task, row, m);
  for (; m < task.count; ++m) dots_part<kRows, 1>(task, row, m);
}

// AVX2 has 16 registers: 2 x 4 sums, 2 rows of x and a weight fit.
void vector_dots(const DotsTask& task) {
  constexpr int kRows = Simd::kLanes == 16 ? 4 : 2;
  int row = 0;
  for (; row + kRows <= task.rows; row += kRows) dots_rows<kRows>(task, row);
  for (; row < task.rows; ++row) dots_rows<1>(task, row);
}

void vector_combine(float* out, const float* weights, const float* x, int streams, int n) {
  constexpr int L = Simd::kLanes;
  int i = 0;
  for (; i + L <= n; i += L) {
    Simd::F sum = Simd::mul(Simd::set1(weights[0]), Simd::load(x + i));
    for (int j = 1; j < streams; ++j) sum = Simd::fma(Simd::set1(weights[j]), Simd::load(x + j * n + i), sum);
    Simd::store(out + i, sum);
  }
  for (; i < n; ++i) {
    float sum = weights[0] * x[i];
    for (int j = 1; j < streams; ++j) sum = __builtin_fmaf(weights[j], x[j * n + i], sum);
    out[i] = sum;
  }
}

// The number of streams is known, so that they stay in registers.
template <int kStreams>
inline void mix_streams_of(const StreamMix& mix) {
  constexpr int L = Simd::kLanes;
  int c = 0;
  for (; c + L <= mix.n; c += L) {
    Simd::F x[kStreams];
    const Simd::F f = Simd::load(mix.f + c);
    MNEME_UNROLL
    for (int j = 0; j < kStreams; ++j) x[j] = Simd::load(mix.x + j * mix.n + c);
    MNEME_UNROLL
    for (int i = 0; i < kStreams; ++i) {
      Simd::F sum = Simd::mul(Simd::set1(mix.give[i]), f);
      MNEME_UNROLL
      for (int j = 0; j < kStreams; ++j) sum = Simd::fma(Simd::set1(mix.keep[i * kStreams + j]), x[j], sum);
      Simd::store(mix.x + i * mix.n + c, sum);
    }
  }
  for (; c < mix.n; ++c) {
    float x[kStreams];
    for (int j = 0; j < kStreams; ++j) x[j] = mix.x[j * mix.n + c];
    for (int i = 0; i < kStreams; ++i) {
      float sum = mix.give[i] * mix.f[c];
      for (int j = 0; j < kStreams; ++j) sum = __builtin_fmaf(mix.keep[i * kStreams + j], x[j], sum);
      mix.x[i * mix.n + c] = sum;
    }
  }
}

void vector_mix_streams(const StreamMix& mix) {
  switch (mix.streams) {
    case 1: return mix_streams_of<1>(mix);
    case 2: return mix_streams_of<2>(mix);
    case 3: return mix_streams_of<3>(mix);
    case 4: return mix_streams_of<4>(mix);
    case 5: return mix_streams_of<5>(mix);
    case 6: return mix_streams_of<6>(mix);
    case 7: return mix_streams_of<7>(mix);
    case 8: return mix_streams_of<8>(mix);
  }
}

}  // namespace
}  // namespace mneme::kernels
