#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/rng.h"
#include "kernels/select.h"
#include "kv/sealed_block.h"
#include "kv/sequence.h"

namespace mneme::kv {
namespace {

const KvShape kShape{3, 2, 6, {0, 100, 0}};

void append(Sequence& s, int count, core::Rng& rng) {
  const int first = s.token_count();
  ASSERT_TRUE(s.extend(count));
  std::vector<float> keys(static_cast<size_t>(count * kShape.head_dim)), values(keys.size());
  for (int layer = 0; layer < kShape.layers; ++layer) {
    for (int head = 0; head < kShape.kv_heads; ++head) {
      for (float& x : keys) x = 2 * rng.next_unit() - 1;
      for (float& x : values) x = 2 * rng.next_unit() - 1;
      s.store(layer, head, first, count, keys.data(), values.data(), static_cast<size_t>(kShape.head_dim));
    }
  }
}

// Every whole block of a layer that keeps all has the form that its bits give, and nothing else has one.
void expect_forms(const Sequence& s, const kernels::Ops& ops) {
  for (int layer = 0; layer < kShape.layers; ++layer) {
    const int whole = kShape.window(layer) == 0 ? s.token_count() / kBlockTokens : 0;
    EXPECT_EQ(s.sealed_blocks(layer), whole);
    if (s.sealed_blocks(layer) == 0) continue;
    for (int head = 0; head < kShape.kv_heads; ++head) {
      std::vector<SealedBlock> forms(static_cast<size_t>(s.block_count()));
      std::vector<BlockView> views(forms.size());
      s.sealed(layer, head, 0, forms);
      s.view(layer, head, 0, views);
      for (int block = 0; block < s.block_count(); ++block) {
        const SealedBlock& form = forms[static_cast<size_t>(block)];
        ASSERT_EQ(form.summary.statistics != nullptr, block < s.token_count() / kBlockTokens) << block;
        if (form.summary.statistics == nullptr) continue;
        std::vector<std::byte> bytes(summary_bytes(6) + fp8_bytes(6) + 192);
        const auto up = [](std::byte* at) {
          return reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(at) + 63) / 64 * 64);
        };
        SealedForm want;
        want.summary = up(bytes.data()), want.fp8 = up(want.summary + summary_bytes(6));
        seal(ops, views[static_cast<size_t>(block)], kBlockTokens, 6, want);
        const auto* summary = reinterpret_cast<const std::byte*>(form.summary.statistics);
        const auto* fp8 = reinterpret_cast<const std::byte*>(form.fp8.keys);
        EXPECT_TRUE(std::equal(summary, summary + summary_bytes(6), want.summary)) << block;
        EXPECT_TRUE(std::equal(fp8, fp8 + fp8_bytes(6), want.fp8)) << block;
      }
    }
  }
}

TEST(SealedForms, FollowTheirBlocks) {
  const kernels::Ops& ops = *kernels::available_ops().back();
  auto pool = BlockPool::create(kShape, 4 << 20, BlockPool::Forms::kBlocksAndSealed);
  ASSERT_TRUE(pool);
  core::ThreadPool threads(2);
  core::Rng rng(7);
  for (int round = 0; round < 4; ++round) {
    Sequence s(*pool);
    for (int step = 0; step < 12; ++step) {
      append(s, 1 + static_cast<int>(rng.next_below(200)), rng);
      s.make_sealed_forms(ops, threads);
      expect_forms(s, ops);
      if (step % 3 == 2) s.truncate(std::max(0, s.token_count() - static_cast<int>(rng.next_below(300))));
    }
    s.truncate(0);
    append(s, 70, rng);
    s.make_sealed_forms(ops, threads);
    expect_forms(s, ops);
  }
  EXPECT_EQ(pool->bytes_used(), 0u);
}

TEST(SealedForms, AreRepeatedWithTheirBlocksAndMadeOfDrawnOnes) {
  const kernels::Ops& ops = *kernels::available_ops().back();
  auto pool = BlockPool::create(kShape, 4 << 20, BlockPool::Forms::kBlocksAndSealed);
  core::ThreadPool threads(2);
  for (const bool drawn : {false, true}) {
    core::Rng rng(8);
    Sequence s(*pool);
    append(s, 300, rng);
    s.make_sealed_forms(ops, threads);
    ASSERT_TRUE(s.repeat_for_bench(128, 1000, drawn));
    if (drawn) s.make_sealed_forms(ops, threads);
    expect_forms(s, ops);
    append(s, 90, rng);
    s.make_sealed_forms(ops, threads);
    expect_forms(s, ops);
  }
}

TEST(SealedForms, CountInTheBudget) {
  const uint64_t slab = kShape.slab_bytes(), sealed = 2 * (summary_bytes(6) + fp8_bytes(6) + 4);
  auto pool = BlockPool::create(kShape, 10 * (slab + sealed), BlockPool::Forms::kBlocksAndSealed);
  ASSERT_TRUE(pool);
  EXPECT_EQ(pool->slabs_free(), 10u);
  EXPECT_EQ(pool->bytes_max(), 10 * (slab + sealed));
  core::ThreadPool threads(1);
  core::Rng rng(9);
  Sequence s(*pool);
  append(s, 64, rng);
  EXPECT_EQ(pool->bytes_used(), 3 * slab);
  s.make_sealed_forms(*kernels::available_ops().back(), threads);
  EXPECT_EQ(pool->bytes_used(), 3 * slab + 2 * sealed);
  s.truncate(63);
  EXPECT_EQ(pool->bytes_used(), 3 * slab);
}

}  // namespace
}  // namespace mneme::kv
