// The most this back-end's many-row product instruction can do on one core, measured in registers: what a
// share of peak is a share of.
#pragma once

#include "kernels/shared/groups.inl"

namespace mneme::kernels {
namespace {

// Multiplies and adds of `steps` rounds of 8 independent 4-byte dot products, all in registers.
[[maybe_unused]] double vector_peak(int steps) {
  Simd::I acc[8];
  MNEME_UNROLL
  for (auto& a : acc) a = Simd::izero();
  alignas(64) int8_t quad[64];
  for (auto& q : quad) q = 1;
  const Simd::I codes = Simd::load_i(quad);
  for (int step = 0; step < steps; ++step) {
    MNEME_UNROLL
    for (auto& a : acc) a = Simd::dot4<15>(a, codes, quad);
    __asm__ volatile("" : : : "memory");  // no step may be folded into another
  }
  alignas(64) static thread_local volatile float sink;
  for (auto& a : acc) sink = Simd::sum(Simd::to_f32(a));
  (void)sink;
  return 8.0 * Simd::kLanes * 4 * 2 * steps;
}

// The kernels' own way of streaming: whole vectors, the lines a few KiB ahead asked for.
uint32_t vector_read(const void* data, size_t bytes) {
  constexpr size_t kStep = 512, kVectors = kStep / (Simd::kLanes * 4);
  const auto* p = static_cast<const uint8_t*>(data);
  Simd::I seen[kVectors];
  MNEME_UNROLL
  for (auto& s : seen) s = Simd::izero();
  for (size_t at = 0; at < bytes; at += kStep) {
    MNEME_UNROLL
    for (size_t line = 0; line < kStep; line += 64) Simd::prefetch(p + at + 4096 + line);
    MNEME_UNROLL
    for (size_t v = 0; v < kVectors; ++v)
      seen[v] = Simd::or_(seen[v], Simd::load_i(p + at + v * Simd::kLanes * 4));
  }
  float sum = 0;
  for (const auto& s : seen) sum += Simd::sum(Simd::to_f32(s));
  return static_cast<uint32_t>(static_cast<int64_t>(sum));
}

}  // namespace
}  // namespace mneme::kernels
