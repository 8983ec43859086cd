// The most this back-end's many-row product instruction can do on one core, measured in registers: what a
// share of peak is a share of.
#pragma once

#include "kernels/shared/groups.inl"

namespace mneme::kernels {
namespace {

// Multiplies and adds of `steps` rounds of 8 independent 4-byte dot products, all in registers.
double vector_peak(int steps) {
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

}  // namespace
}  // namespace mneme::kernels
