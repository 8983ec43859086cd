// The row-wise operations, for ISA files: activation forms, RMSNorm, SiLU, additions.
#pragma once

namespace mneme::kernels {
namespace {

// exp(x) for x <= 0 and moderate x > 0: 2^n 2^f with n = round(x log2 e) and a degree-6 polynomial on |f| <=
// 1/2; relative error below 2e-7. Arguments under -87 give 0.
inline Simd::F vector_exp(Simd::F x) {
  x = Simd::max(x, Simd::set1(-87.0f));
  const Simd::F n = Simd::round(Simd::mul(x, Simd::set1(1.44269504f)));
  // x - n ln 2 in two parts, so that the difference keeps its bits
  Simd::F f = Simd::fma(n, Simd::set1(-0.693359375f), x);
  f = Simd::fma(n, Simd::set1(2.12194440e-4f), f);
  Simd::F p = Simd::set1(1.0f / 720);
  p = Simd::fma(p, f, Simd::set1(1.0f / 120));
  p = Simd::fma(p, f, Simd::set1(1.0f / 24));
  p = Simd::fma(p, f, Simd::set1(1.0f / 6));
  p = Simd::fma(p, f, Simd::set1(0.5f));
  p = Simd::fma(p, f, Simd::set1(1.0f));
  p = Simd::fma(p, f, Simd::set1(1.0f));
  return Simd::exp2_split(p, n);
}

// A tail of fewer than kLanes values, moved through a small buffer so that there is one formula.
template <class Body>
inline void for_tail(int first, int n, Body body) {
  if (first >= n) return;
  alignas(64) float in[2][Simd::kLanes] = {}, out[Simd::kLanes];
  body(in, out, n - first);
}

void vector_rms_norm(float* out, const float* x, const float* gain, int n, float epsilon) {
  constexpr int L = Simd::kLanes;
  Simd::F sums[2] = {Simd::zero(), Simd::zero()};
  int i = 0;
  for (; i + 2 * L <= n; i += 2 * L) {
    const Simd::F a = Simd::load(x + i), b = Simd::load(x + i + L);
    sums[0] = Simd::fma(a, a, sums[0]);
    sums[1] = Simd::fma(b, b, sums[1]);
  }
  float total = Simd::sum(Simd::add(sums[0], sums[1]));
  for (; i < n; ++i) total += x[i] * x[i];
  const float factor = 1.0f / __builtin_sqrtf(total / static_cast<float>(n) + epsilon);
  const Simd::F factors = Simd::set1(factor);
  for (i = 0; i + L <= n; i += L) {
    Simd::store(out + i, Simd::mul(Simd::mul(Simd::load(x + i), factors), Simd::load(gain + i)));
  }
  for (; i < n; ++i) out[i] = x[i] * factor * gain[i];
}

inline Simd::F silu_mul_lanes(Simd::F gate, Simd::F up) {
  const Simd::F one = Simd::set1(1.0f);
  // exp of a large positive argument must not overflow into infinity times zero: clamp, silu is 0 to f32
  // there.
  const Simd::F negative = Simd::sub(Simd::zero(), gate);
  const Simd::F clamped = Simd::sub(Simd::zero(),
                                    Simd::max(Simd::sub(Simd::zero(), negative), Simd::set1(-87.0f)));
  return Simd::mul(Simd::div(gate, Simd::add(one, vector_exp(clamped))), up);
}

void vector_silu_mul(float* out, const float* gate, const float* up, int n) {
  int i = 0;
  for (; i + Simd::kLanes <= n; i += Simd::kLanes)
    Simd::store(out + i, silu_mul_lanes(Simd::load(gate + i), Simd::load(up + i)));
  for_tail(i, n, [&](auto& in, auto& result, int count) {
    for (int j = 0; j < count; ++j) in[0][j] = gate[i + j], in[1][j] = up[i + j];
    Simd::store(result, silu_mul_lanes(Simd::load(in[0]), Simd::load(in[1])));
    for (int j = 0; j < count; ++j) out[i + j] = result[j];
  });
}

void vector_add(float* out, const float* x, int n) {
  int i = 0;
  for (; i + Simd::kLanes <= n; i += Simd::kLanes)
    Simd::store(out + i, Simd::add(Simd::load(out + i), Simd::load(x + i)));
  for (; i < n; ++i) out[i] += x[i];
}

// One row into its place in the panels.
void prepare_q8_row(const Activations& x, int row, int rows_max) {
  constexpr int L = Simd::kLanes;
  const int height = panel_height(x.rows, rows_max), groups = x.columns / 32;
  const auto first = static_cast<size_t>(row / height * height), h = static_cast<size_t>(height),
             lane = static_cast<size_t>(row % height);
  int8_t* codes = x.q8 + first * static_cast<size_t>(x.columns) + lane * 32;
  float* scales = x.q8_scale + first * static_cast<size_t>(groups) + lane;
  float* sums32 = x.q8_sum32 + first * static_cast<size_t>(groups) + lane;
  float* sums16 = x.q8_sum16 + 2 * first * static_cast<size_t>(groups) + lane;
  const float* in = x.f32 + static_cast<size_t>(row) * x.f32_stride;
  for (int group = 0; group < groups;
       ++group, in += 32, codes += 32 * h, scales += h, sums32 += h, sums16 += 2 * h) {
    Simd::F v[32 / L], top = Simd::zero();
    for (int i = 0; i < 32 / L; ++i) v[i] = Simd::load(in + i * L), top = Simd::max(top, Simd::abs(v[i]));
    const float scale = Simd::largest(top) / 127.0f;
    const Simd::F inverse = Simd::set1(scale > 0 ? 1.0f / scale : 0.0f);
    Simd::F halves[2] = {Simd::zero(), Simd::zero()};
    for (int i = 0; i < 32 / L; ++i) {
      const int half = i * L / 16;
      halves[half] = Simd::add(halves[half],
                               Simd::to_f32(Simd::round_i8(codes + i * L, Simd::mul(v[i], inverse))));
    }
    const float low = scale * Simd::sum(halves[0]), high = scale * Simd::sum(halves[1]);
    scales[0] = scale;
    sums32[0] = low + high;
    sums16[0] = low;
    sums16[h] = high;
  }
}

void prepare_bf16_row(const Activations& x, int row) {
  const int height = panel_height(x.rows, kBf16PanelRows);
  const auto first = static_cast<size_t>(row / height * height), lane = static_cast<size_t>(row % height);
  uint16_t* out = x.bf16 + first * x.bf16_pitch + lane * 32;
  const float* in = x.f32 + static_cast<size_t>(row) * x.f32_stride;
  for (int k = 0; k < x.columns; k += 32, in += 32, out += 32 * static_cast<size_t>(height)) {
    for (int i = 0; i < 32; i += Simd::kLanes) Simd::store_bf16(out + i, Simd::load(in + i));
  }
}

template <int kQ8Rows>
void prepare_panels(const Activations& x, uint32_t forms, int first, int count) {
  for (int row = first; row < first + count; ++row) {
    if (forms & kFormQ8) prepare_q8_row(x, row, kQ8Rows);
    if (forms & kFormBf16) prepare_bf16_row(x, row);
  }
}

constexpr auto vector_prepare = prepare_panels<kQ8PanelRows>;

}  // namespace
}  // namespace mneme::kernels
