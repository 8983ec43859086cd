// The sealed form of a block: what sparse attention reads instead of, or before, the bf16 original. It comes
// in two parts of memory, because they live in different places:
//   summary  always in RAM, 8 % of bf16 KV:
//              BlockStatistics, key centres bf16 [head_dim], key deviations u8 [head_dim], value means E4M3
//              [head_dim], zeros up to a multiple of 64 bytes, sketch [ceil(head_dim / 4), 16, 4]
//   fp8      the 8-bit copy, 50 % of bf16 KV and the scales:
//              int8: keys [ceil(head_dim / 4), 64, 4], values [16, head_dim, 4], scales bf16 of keys
//              [head_dim] and values [64], zeros up to a multiple of 64 bytes
//              E4M3: keys [head_dim / 2, 64, 2], values [32, head_dim, 2], exponents of values u8 [64]
// Which codes the copy has is a property of the form (kernels::CopyFormat), said wherever its bytes are laid
// out. Formulas and layouts: kernels/sealed.h. Everything depends on the block's bits alone, the same on
// every machine, so sealing twice gives the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/ops.h"
#include "kv/block.h"

namespace mneme::kv {

// Bytes of each part of one block (64 tokens of one layer and KV head). head_dim is even.
constexpr size_t statistics_bytes(int head_dim) {
  return sizeof(kernels::BlockStatistics) + 4 * static_cast<size_t>(head_dim);
}
constexpr size_t sketch_bytes(int head_dim) { return (static_cast<size_t>(head_dim) + 3) / 4 * 64; }
// The sketch begins at a multiple of 64 bytes, so that no vector of it crosses a line.
constexpr size_t sketch_offset(int head_dim) { return (statistics_bytes(head_dim) + 63) / 64 * 64; }
constexpr size_t summary_bytes(int head_dim) { return sketch_offset(head_dim) + sketch_bytes(head_dim); }
// Of the codes alone, keys and values.
constexpr size_t key_codes_bytes(int head_dim, kernels::CopyFormat format) {
  const int channels = format == kernels::CopyFormat::kInt8 ? (head_dim + 3) / 4 * 4 : head_dim;
  return static_cast<size_t>(kBlockTokens) * static_cast<size_t>(channels);
}
constexpr size_t fp8_codes_bytes(int head_dim, kernels::CopyFormat format) {
  return key_codes_bytes(head_dim, format) +
         static_cast<size_t>(kBlockTokens) * static_cast<size_t>(head_dim);
}
constexpr size_t fp8_bytes(int head_dim, kernels::CopyFormat format = kernels::kDefaultCopyFormat) {
  const size_t channels = static_cast<size_t>(head_dim);
  const size_t scales = format == kernels::CopyFormat::kInt8 ? 2 * (channels + kBlockTokens) : kBlockTokens;
  return (fp8_codes_bytes(head_dim, format) + scales + 63) / 64 * 64;
}

// The parts in memory that begins at a multiple of 64 bytes and holds summary_bytes() or fp8_bytes(), to be
// written or read. Valid as long as the memory.
kernels::SummaryOut summary_out(std::byte* memory, int head_dim);
kernels::Fp8Out fp8_out(std::byte* memory, int head_dim,
                        kernels::CopyFormat format = kernels::kDefaultCopyFormat);
kernels::SealedSummary summary_at(const std::byte* memory, int head_dim);
kernels::SealedFp8 fp8_at(const std::byte* memory, int head_dim,
                          kernels::CopyFormat format = kernels::kDefaultCopyFormat);

// Where a block's two parts are written, each from a multiple of 64 bytes.
struct SealedForm {
  std::byte* summary = nullptr;  // summary_bytes(head_dim)
  std::byte* fp8 = nullptr;      // fp8_bytes(head_dim, format)
  kernels::CopyFormat format = kernels::kDefaultCopyFormat;
};

// Makes the sealed form of the first `count` tokens (1..64) of a block: every byte of both parts is written.
// Infinities and NaN do no harm: values beyond +-2^56 count as +-2^56 and NaN as 0.
void seal(const kernels::Ops& ops, const BlockView& block, int count, int head_dim, const SealedForm& out);

// The root mean square distance of the sealed values from their mean.
float value_spread(const kernels::SealedSummary& summary, int head_dim);

// The 8-bit copy as a bf16 block: keys [head_dim / 2, 64, 2], values [32, head_dim, 2]. Tokens beyond the
// sealed count have the centre as key and zeros as value.
void unseal(const kernels::Ops& ops, const kernels::SealedSummary& summary, const kernels::SealedFp8& fp8,
            std::span<uint16_t> keys, std::span<uint16_t> values);

}  // namespace mneme::kv
