#include "kv/sequence.h"

#include <gtest/gtest.h>

#include <vector>

#include "tensor/convert.h"

namespace mneme::kv {
namespace {

constexpr KvShape kShape{3, 2, 6};

float key_of(int layer, int head, int token, int channel) {
  return static_cast<float>(layer * 1000 + head * 300 + token % 256 + channel) / 64.0f;
}

float rounded(float x) { return tensor::to_f32(tensor::to_bf16(x)); }

// Appends `count` tokens whose keys say who they are, values being their negatives.
void append(Sequence& s, int count) {
  const int first = s.token_count();
  ASSERT_TRUE(s.extend(count));
  for (int layer = 0; layer < kShape.layers; ++layer) {
    for (int head = 0; head < kShape.kv_heads; ++head) {
      std::vector<float> keys, values;
      for (int t = 0; t < count; ++t) {
        for (int c = 0; c < kShape.head_dim; ++c) {
          keys.push_back(key_of(layer, head, first + t, c));
          values.push_back(-keys.back());
        }
      }
      s.store(layer, head, first, count, keys.data(), values.data(), static_cast<size_t>(kShape.head_dim));
    }
  }
}

void expect_contents(const Sequence& s) {
  for (int layer = 0; layer < kShape.layers; ++layer) {
    for (int head = 0; head < kShape.kv_heads; ++head) {
      std::vector<BlockView> views(static_cast<size_t>(s.block_count()));
      s.view(layer, head, 0, views);
      for (int token = 0; token < s.token_count(); ++token) {
        const BlockView& view = views[static_cast<size_t>(token / 64)];
        const int slot = token % 64;
        for (int c = 0; c < kShape.head_dim; ++c) {
          const float want = rounded(key_of(layer, head, token, c));
          EXPECT_EQ(tensor::to_f32(tensor::Bf16{view.keys[c / 2 * 128 + slot * 2 + c % 2]}), want) << token;
          EXPECT_EQ(
              tensor::to_f32(tensor::Bf16{view.values[slot / 2 * kShape.head_dim * 2 + c * 2 + slot % 2]}),
              -want)
              << token;
        }
      }
    }
  }
}

TEST(Sequence, KeepsWhatIsStoredAcrossBlockBorders) {
  auto pool = BlockPool::create(kShape, 1 << 20);
  ASSERT_TRUE(pool);
  Sequence s(*pool);
  for (const int count : {1, 62, 1, 1, 63, 64, 130, 7}) {
    append(s, count);
    expect_contents(s);
  }
}

TEST(Sequence, TruncatesAndReusesSlabsWithoutOldContents) {
  auto pool = BlockPool::create(kShape, 1 << 20);
  ASSERT_TRUE(pool);
  Sequence s(*pool);
  append(s, 200);
  const uint64_t used = pool->bytes_used();
  for (const int keep : {129, 128, 127, 64, 1, 0}) {
    s.truncate(keep);
    expect_contents(s);
  }
  EXPECT_EQ(pool->bytes_used(), 0u);
  append(s, 65);
  expect_contents(s);
  std::vector<BlockView> views(2);
  s.view(2, 1, 0, views);
  EXPECT_EQ(views[1].keys[2 * 1], 0) << "slots not written yet are zero in a reused slab";
  append(s, 135);
  EXPECT_EQ(pool->bytes_used(), used);
}

TEST(Sequence, RefusesPastTheBudgetAndStaysAsItWas) {
  auto pool = BlockPool::create(kShape, 2 * 3 * kShape.slab_bytes());  // two blocks deep
  ASSERT_TRUE(pool);
  EXPECT_EQ(pool->tokens_free(), 128u);
  Sequence s(*pool);
  append(s, 100);
  const auto refused = s.extend(29);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("KV"), std::string::npos);
  EXPECT_EQ(s.token_count(), 100);
  expect_contents(s);
  append(s, 28);
  expect_contents(s);
}

TEST(Sequence, SequencesShareThePoolAndGiveBack) {
  auto pool = BlockPool::create(kShape, 4 * 3 * kShape.slab_bytes());
  ASSERT_TRUE(pool);
  Sequence a(*pool);
  append(a, 64);
  {
    Sequence b(*pool);
    append(b, 128);
    expect_contents(b);
    EXPECT_EQ(pool->tokens_free(), 64u);
    Sequence moved(std::move(b));
    expect_contents(moved);
  }
  EXPECT_EQ(pool->tokens_free(), 192u);
  expect_contents(a);
}

TEST(Sequence, RepeatsAPrefix) {
  auto pool = BlockPool::create(kShape, 1 << 20);
  ASSERT_TRUE(pool);
  Sequence s(*pool);
  append(s, 128);
  ASSERT_TRUE(s.extend(150));
  s.repeat_for_bench(128);
  std::vector<BlockView> views(5);
  s.view(1, 1, 0, views);
  for (int i = 0; i < 128 * 3; ++i) EXPECT_EQ(views[3].keys[i], views[1].keys[i]);
}

TEST(BlockPool, RefusesABudgetThatHoldsNothing) {
  EXPECT_FALSE(BlockPool::create(kShape, kShape.slab_bytes()));
}

}  // namespace
}  // namespace mneme::kv
