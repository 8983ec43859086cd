#include "kv/sealed_block.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "core/rng.h"
#include "kernels/select.h"
#include "tensor/convert.h"

namespace mneme::kv {
namespace {

constexpr uint64_t kSeed = 11;

struct alignas(64) Line {
  std::byte bytes[64];
};
// Memory of a part with a line after it that nobody may write.
struct Part {
  std::vector<Line> lines;
  size_t bytes;

  explicit Part(size_t n) : lines((n + 63) / 64 + 1), bytes(n) {
    std::memset(lines.data(), 0xC3, lines.size() * 64);
  }
  std::byte* data() { return lines.data()->bytes; }
  bool is_kept() {
    for (size_t i = bytes; i < lines.size() * 64; ++i) {
      if (data()[i] != std::byte{0xC3}) return false;
    }
    return true;
  }
};

TEST(SealedBlock, Bytes) {
  for (const int dim : {64, 80, 96, 128, 256}) {
    const double bf16 = 256.0 * dim;
    EXPECT_LT(static_cast<double>(summary_bytes(dim)) / bf16, 0.0825) << dim;
    EXPECT_LT(static_cast<double>(fp8_bytes(dim)) / bf16, 0.516) << dim;
  }
  EXPECT_EQ(statistics_bytes(128), 544u);
  EXPECT_EQ(sketch_bytes(128), 2048u);
  EXPECT_EQ(summary_bytes(128), 2624u);
  EXPECT_EQ(fp8_bytes(128, kernels::CopyFormat::kE4M3), 16448u);
  EXPECT_EQ(fp8_bytes(128, kernels::CopyFormat::kInt8), 16768u);
  EXPECT_EQ(sketch_bytes(6), 128u);
}

TEST(SealedBlock, EveryBackEndWritesTheSamePartsAndNoMore) {
  for (const int dim : {2, 6, 64, 80, 128}) {
    for (const int count : {1, 40, 64}) {
      core::Rng rng(kSeed);
      std::vector<uint16_t> keys(static_cast<size_t>(dim) * 64), values(keys.size());
      for (auto& k : keys) k = tensor::to_bf16(rng.next_unit() * 4 - 1).bits;
      for (auto& v : values) v = tensor::to_bf16(rng.next_unit() - 0.5f).bits;
      std::vector<std::byte> first;
      for (const kernels::Ops* ops : kernels::available_ops()) {
        Part summary(summary_bytes(dim)), fp8(fp8_bytes(dim));
        const SealedForm form{summary.data(), fp8.data()};
        seal(*ops, {keys.data(), values.data()}, count, dim, form);
        EXPECT_TRUE(summary.is_kept() && fp8.is_kept()) << ops->name;
        std::vector<std::byte> all(summary.data(), summary.data() + summary.bytes);
        all.insert(all.end(), fp8.data(), fp8.data() + fp8.bytes);
        if (first.empty()) first = all;
        EXPECT_EQ(all, first) << ops->name << " dim " << dim << " count " << count << " seed " << kSeed;

        std::vector<uint16_t> k(keys.size()), v(keys.size());
        unseal(*ops, summary_at(form.summary, dim), fp8_at(form.fp8, dim), k, v);
        for (int t = 0; t < count; ++t) {
          for (int c = 0; c < dim; ++c) {
            const auto key = static_cast<size_t>(c / 2 * 128 + t * 2 + c % 2);
            const auto value = static_cast<size_t>(t / 2 * dim * 2 + c * 2 + t % 2);
            const float v0 = to_f32(tensor::Bf16{values[value]});
            ASSERT_NEAR(to_f32(tensor::Bf16{k[key]}), to_f32(tensor::Bf16{keys[key]}),
                        4.0f / 16 + 4.0f / 256);
            ASSERT_NEAR(to_f32(tensor::Bf16{v[value]}), v0, std::abs(v0) / 128 + 0.6f / 254);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace mneme::kv
