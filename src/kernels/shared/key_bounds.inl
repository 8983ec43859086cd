// Ops::key_error_bounds, for ISA files (the bound itself: key_bound.inl).
#pragma once

#include "kernels/shared/key_bound.inl"
#include "kernels/shared/seal.inl"

namespace mneme::kernels {
namespace {

// What the bound needs of 16 or 8 channels: |m|, a or half a unit of E4M3, and s.
struct BoundChannels {
  Simd::F centre, unit, deviation;

  BoundChannels(const SealedSummary& summary, const SealedFp8& copy, int c) {
    const Simd::I base = Simd::set1_i32(summary.statistics->deviation_base);
    const Simd::I level = Simd::add_i32(Simd::load_u8(summary.key_deviations + c), base);
    const Simd::I bits = Simd::shift_left<20>(level);
    centre = Simd::abs(Simd::load_bf16(summary.key_centres + c));
    deviation = Simd::as_f(bits);
    unit = copy.format() == CopyFormat::kInt8
               ? Simd::load_bf16(copy.key_scales + c)
               : Simd::mul(Simd::set1(0.5f), Simd::as_f(Simd::and_i32(bits, 0x7F800000)));
  }
};

void vector_key_error_bounds(const KeyBoundTask& task) {
  if (task.head_dim % 16 != 0) return scalar_ops().key_error_bounds(task);
  for (int b = 0; b < task.blocks; ++b) {
    const SealedSummary& summary = task.summaries[b];
    const SealedFp8& copy = task.copies[b];
    for (int r = 0; r < task.rows; ++r) {
      const float* q = task.queries + static_cast<size_t>(r) * task.query_stride;
      Simd::F centres = Simd::zero(), units = Simd::zero(), top = Simd::zero(), deviations = Simd::zero();
      for (int c = 0; c < task.head_dim; c += Simd::kLanes) {
        const BoundChannels channels(summary, copy, c);
        const Simd::F size = Simd::abs(Simd::load(q + c));
        const Simd::F unit = Simd::mul(size, channels.unit);
        centres = Simd::fma(size, channels.centre, centres);
        units = Simd::add(units, unit);
        top = Simd::max(top, unit);
        deviations = Simd::fma(size, channels.deviation, deviations);
      }
      const KeyBoundSums sums{Simd::sum(centres), Simd::sum(units), Simd::largest(top),
                              Simd::sum(deviations)};
      task.bounds[static_cast<size_t>(r) * task.stride + static_cast<size_t>(b)] =
          copy.format() == CopyFormat::kInt8 ? int8_key_bound(sums, task.head_dim)
                                             : e4m3_key_bound(sums, task.head_dim);
    }
  }
}

}  // namespace
}  // namespace mneme::kernels
