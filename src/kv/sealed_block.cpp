#include "kv/sealed_block.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "tensor/e4m3.h"

namespace mneme::kv {

namespace {

// Offsets of the parts of a summary.
struct SummaryOffsets {
  size_t centres, deviations, means, sketch;

  explicit SummaryOffsets(int head_dim)
      : centres(sizeof(kernels::BlockStatistics)),
        deviations(centres + 2 * static_cast<size_t>(head_dim)),
        means(deviations + static_cast<size_t>(head_dim)),
        sketch(sketch_offset(head_dim)) {}
};

template <class T>
T* place(std::byte* at) {
  return reinterpret_cast<T*>(at);
}
template <class T>
const T* place(const std::byte* at) {
  return reinterpret_cast<const T*>(at);
}

void check_aligned(const std::byte* memory) {
  MNEME_CHECK(reinterpret_cast<uintptr_t>(memory) % 64 == 0, "a part of a sealed block at {}",
              static_cast<const void*>(memory));
}

// Of Summary or Fp8, read or written.
template <class Summary, class Byte>
Summary summary_of(Byte* memory, int head_dim) {
  check_aligned(memory);
  const SummaryOffsets at(head_dim);
  return {place<kernels::BlockStatistics>(memory), place<uint16_t>(memory + at.centres),
          place<uint8_t>(memory + at.deviations), place<uint8_t>(memory + at.means),
          place<uint8_t>(memory + at.sketch)};
}

template <class Fp8, class Byte>
Fp8 fp8_of(Byte* memory, int head_dim, kernels::CopyFormat format) {
  check_aligned(memory);
  Byte* const values = memory + key_codes_bytes(head_dim, format);
  Byte* const scales = memory + fp8_codes_bytes(head_dim, format);
  if (format == kernels::CopyFormat::kE4M3)
    return {place<uint8_t>(memory), place<uint8_t>(values), place<uint8_t>(scales), nullptr, nullptr};
  return {place<uint8_t>(memory), place<uint8_t>(values), nullptr, place<uint16_t>(scales),
          place<uint16_t>(scales + 2 * static_cast<size_t>(head_dim))};
}

}  // namespace

kernels::SummaryOut summary_out(std::byte* memory, int head_dim) {
  return summary_of<kernels::SummaryOut>(memory, head_dim);
}
kernels::Fp8Out fp8_out(std::byte* memory, int head_dim, kernels::CopyFormat format) {
  return fp8_of<kernels::Fp8Out>(memory, head_dim, format);
}
kernels::SealedSummary summary_at(const std::byte* memory, int head_dim) {
  return summary_of<kernels::SealedSummary>(memory, head_dim);
}
kernels::SealedFp8 fp8_at(const std::byte* memory, int head_dim, kernels::CopyFormat format) {
  return fp8_of<kernels::SealedFp8>(memory, head_dim, format);
}

void seal(const kernels::Ops& ops, const BlockView& block, int count, int head_dim, const SealedForm& out) {
  MNEME_CHECK(count >= 1 && count <= kBlockTokens, "{} tokens", count);
  MNEME_CHECK(head_dim >= 2 && head_dim % 2 == 0 && head_dim <= kernels::kSealHeadDimMax, "{} channels",
              head_dim);
  std::fill(out.summary + statistics_bytes(head_dim), out.summary + sketch_offset(head_dim), std::byte{0});
  std::fill(out.fp8 + fp8_codes_bytes(head_dim, out.format), out.fp8 + fp8_bytes(head_dim, out.format),
            std::byte{0});
  ops.seal_block({block.keys, block.values, count, head_dim, summary_out(out.summary, head_dim),
                  fp8_out(out.fp8, head_dim, out.format)});
}

float value_spread(const kernels::SealedSummary& summary, int head_dim) {
  float squares = 0;
  for (int c = 0; c < head_dim; ++c) {
    const float mean = tensor::to_f32(tensor::E4M3{summary.value_means[c]}) *
                       summary.statistics->value_mean_scale;
    squares += mean * mean;
  }
  const float norm = summary.statistics->value_norm_rms;
  return std::sqrt(std::max(0.0f, norm * norm - squares));
}

void unseal(const kernels::Ops& ops, const kernels::SealedSummary& summary, const kernels::SealedFp8& fp8,
            std::span<uint16_t> keys, std::span<uint16_t> values) {
  MNEME_CHECK(keys.size() == values.size() && keys.size() % (2 * kBlockTokens) == 0, "{} keys and {} values",
              keys.size(), values.size());
  const int head_dim = static_cast<int>(keys.size() / kBlockTokens);
  ops.unseal_block({summary, fp8, head_dim, keys.data(), values.data()});
}

}  // namespace mneme::kv
