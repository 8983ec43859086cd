#include "kv/sequence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/rng.h"
#include "tensor/convert.h"

namespace mneme::kv {
namespace {

const KvShape kShape{3, 2, 6};

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

// Layer 1 sees 100 tokens, layer 2 one.
const KvShape kWindows{3, 2, 6, {0, 100, 1}, {}};

// What of a layer the next token, and every one after a truncation to `keep`, may read.
void expect_readable(const Sequence& s, int keep) {
  for (int layer = 0; layer < kWindows.layers; ++layer) {
    const int window = kWindows.window(layer);
    const int first = window == 0 ? 0 : std::max(0, keep + 1 - window);
    if (first / 64 >= s.block_count()) continue;
    std::vector<BlockView> views(static_cast<size_t>(s.block_count() - first / 64));
    for (int head = 0; head < kWindows.kv_heads; ++head) {
      s.view(layer, head, first / 64, views);
      for (int token = first; token < s.token_count(); ++token) {
        const uint16_t key = views[static_cast<size_t>(token / 64 - first / 64)].keys[token % 64 * 2];
        ASSERT_EQ(tensor::to_f32(tensor::Bf16{key}), rounded(key_of(layer, head, token, 0)))
            << "layer " << layer << " token " << token;
      }
    }
  }
}

TEST(Windows, KeepWhatAnyTokenMayReadAndNoMore) {
  auto pool = BlockPool::create(kWindows, 1 << 20);
  ASSERT_TRUE(pool);
  Sequence s(*pool);
  core::Rng rng(3);
  while (s.token_count() < 5000) {
    append(s, 1 + static_cast<int>(rng.next_below(rng.next_below(2) ? 512 : 3)));
    expect_readable(s, s.token_count() - s.tokens_truncatable());
    EXPECT_GE(s.tokens_truncatable(), std::min(s.token_count(), kRewindTokens));
    const auto slabs = pool->bytes_used() / kWindows.slab_bytes();
    EXPECT_LE(slabs, kWindows.slabs_of(static_cast<uint64_t>(s.block_count())));
  }
  const uint64_t local = static_cast<uint64_t>(kWindows.blocks_max(1) + kWindows.blocks_max(2));
  EXPECT_EQ(kWindows.slabs_of(1000), 1000 + local);
  s.truncate(0);
  EXPECT_EQ(pool->bytes_used(), 0u);
  append(s, 70);
  expect_contents(s);
}

TEST(Windows, TruncateAsFarAsPromisedAndGoOn) {
  auto pool = BlockPool::create(kWindows, 1 << 20);
  ASSERT_TRUE(pool);
  core::Rng rng(4);
  for (int round = 0; round < 200; ++round) {
    Sequence s(*pool);
    for (int step = 0; step < 12; ++step) {
      append(s, 1 + static_cast<int>(rng.next_below(512)));
      const int back = rng.next_below(3) == 0 ? s.tokens_truncatable()
                                              : static_cast<int>(rng.next_below(
                                                    static_cast<uint32_t>(s.tokens_truncatable() + 1)));
      const int keep = s.token_count() - back, floor = s.token_count() - s.tokens_truncatable();
      s.truncate(keep);
      ASSERT_EQ(s.token_count() - s.tokens_truncatable(), floor) << "what is forgotten stays forgotten";
      expect_readable(s, keep);
    }
  }
  EXPECT_EQ(pool->bytes_used(), 0u);
}

// What windows forgot is computed again, from the beginning where nothing is sealed.
TEST(Windows, FurtherBackNothingIsLeft) {
  auto pool = BlockPool::create(kWindows, 1 << 20);
  ASSERT_TRUE(pool);
  Sequence s(*pool);
  append(s, 512);
  append(s, 300);
  EXPECT_EQ(s.tokens_truncatable(), 512);
  EXPECT_EQ(s.truncate(299), 0);
  EXPECT_EQ(pool->bytes_used(), 0u);
  append(s, 100);
  expect_readable(s, 100);
}

// Once a sequence is longer than its windows, it needs slabs for the whole layers alone.
TEST(Windows, AFullPoolGoesOnWithinTheWindows) {
  const KvShape local{2, 1, 6, {64, 200}, {}};
  auto pool = BlockPool::create(local, local.slabs_of(1000) * local.slab_bytes());
  ASSERT_TRUE(pool);
  EXPECT_GT(pool->tokens_free(), 1u << 30) << "no layer grows without bounds";
  EXPECT_EQ(local.token_bytes(), 0u);
  Sequence s(*pool);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(s.extend(i % 2 == 0 ? 512 : 13));
  const auto refused = Sequence(*pool).extend(512);
  EXPECT_FALSE(refused);
  ASSERT_TRUE(s.extend(512)) << "the refused one took nothing";

  auto small = BlockPool::create(kWindows, 20 * kWindows.slab_bytes());
  ASSERT_TRUE(small);
  EXPECT_EQ(small->tokens_free(), 6u * 64);
}

TEST(Windows, RepeatForBenchFillsWhatTheDepthHolds) {
  auto pool = BlockPool::create(kWindows, 1 << 20);
  ASSERT_TRUE(pool);
  Sequence s(*pool);
  append(s, 512);
  append(s, 200);
  for (const int depth : {5000, 640, 128, 3000}) {
    ASSERT_TRUE(s.repeat_for_bench(128, depth, depth > 4000));
    EXPECT_EQ(s.token_count(), depth);
    EXPECT_EQ(s.tokens_truncatable(), std::min(depth, 512));
    ASSERT_TRUE(s.extend(65));
    for (int layer = 0; layer < 3; ++layer) {
      BlockView view;
      s.view(layer, 1, (depth - 1) / 64, {&view, 1});
      EXPECT_NE(view.keys[0], 0) << "depth " << depth << " layer " << layer;
    }
  }
  EXPECT_FALSE(s.repeat_for_bench(128, 1 << 24, false)) << "more than the pool";
  EXPECT_EQ(s.token_count(), 3065);
}

// Every row that a pass may read is there, whatever was taken back before.
TEST(RecentRows, HoldWhatAPassMayReadAfterAnyTruncation) {
  for (const int history : {1, 16, 33}) {
    const KvShape shape{1, 1, 2, {}, {3, 5}, history};
    auto pool = BlockPool::create(shape, 1 << 20);
    ASSERT_TRUE(pool);
    core::Rng rng(5);
    for (int round = 0; round < 20; ++round) {
      Sequence s(*pool);
      for (int step = 0; step < 20; ++step) {
        const int count = 1 + static_cast<int>(rng.next_below(512)), first = s.token_count();
        ASSERT_TRUE(s.extend(count));
        for (int token = std::max(0, first - history); token < first + count; ++token) {
          const auto value = static_cast<float>(token);
          if (token >= first) {
            s.recent().id(token) = token;
            std::fill_n(s.recent().row(0, token), 3, value);
            std::fill_n(s.recent().row(1, token), 5, -value);
          }
          ASSERT_EQ(s.recent().id(token), token);
          ASSERT_EQ(s.recent().row(0, token)[2], value);
          ASSERT_EQ(s.recent().row(1, token)[4], -value);
        }
        s.truncate(s.token_count() -
                   static_cast<int>(rng.next_below(static_cast<uint32_t>(s.tokens_truncatable() + 1))));
      }
    }
  }
}

TEST(Sequence, RepeatsAPrefix) {
  auto pool = BlockPool::create(kShape, 1 << 20);
  ASSERT_TRUE(pool);
  Sequence s(*pool);
  append(s, 128);
  ASSERT_TRUE(s.repeat_for_bench(128, 278, false));
  EXPECT_EQ(s.token_count(), 278);
  std::vector<BlockView> views(5);
  s.view(1, 1, 0, views);
  for (int i = 0; i < 128 * 3; ++i) EXPECT_EQ(views[3].keys[i], views[1].keys[i]);
}

// Every token has a key and a value of the second block (the first is not drawn from), each block other ones,
// every layer and head the same.
TEST(Sequence, DrawsFromAPrefix) {
  auto pool = BlockPool::create(kShape, 1 << 20);
  ASSERT_TRUE(pool);
  Sequence s(*pool);
  ASSERT_TRUE(s.extend(128));
  std::vector<std::pair<int, int>> heads;  // (layer, head)
  for (int i = 0; i < kShape.layers * kShape.kv_heads; ++i)
    heads.emplace_back(i / kShape.kv_heads, i % kShape.kv_heads);
  for (const auto& [layer, head] : heads) {
    std::vector<float> keys, values;  // which token, layer and head; exact in bf16
    for (int t = 0; t < 128; ++t) {
      for (const int x : {t, layer, head, t, layer, head})
        keys.push_back(static_cast<float>(x)), values.push_back(static_cast<float>(-x));
    }
    s.store(layer, head, 0, 128, keys.data(), values.data(), 6);
  }
  ASSERT_TRUE(s.repeat_for_bench(128, 278, true));
  EXPECT_EQ(s.token_count(), 278);
  std::vector<BlockView> views(5);
  std::vector<std::vector<float>> drawn;  // of each layer and head: the tokens of key and value in turn
  for (const auto& [layer, head] : heads) {
    s.view(layer, head, 0, views);
    std::vector<float>& here = drawn.emplace_back();
    for (int t = 128; t < 278; ++t) {
      const BlockView& view = views[static_cast<size_t>(t / 64)];
      float key[6], value[6];
      for (int c = 0; c < 6; ++c) {
        key[c] = tensor::to_f32(tensor::Bf16{view.keys[c / 2 * 128 + t % 64 * 2 + c % 2]});
        value[c] = -tensor::to_f32(tensor::Bf16{view.values[t % 64 / 2 * 12 + c * 2 + t % 2]});
      }
      for (const float* of : {key, value}) {
        ASSERT_TRUE(of[0] >= 64 && of[0] < 128) << t;
        EXPECT_TRUE(of[1] == static_cast<float>(layer) && of[2] == static_cast<float>(head));
        EXPECT_TRUE(std::equal(of, of + 3, of + 3));
        here.push_back(of[0]);
      }
    }
    EXPECT_EQ(here, drawn[0]) << "layer " << layer << " head " << head;
  }
  const std::vector<float>& all = drawn[0];
  EXPECT_FALSE(std::equal(all.begin(), all.begin() + 128, all.begin() + 128)) << "another block";
  int together = 0;
  for (size_t i = 0; i < all.size(); i += 2) together += all[i] == all[i + 1];
  EXPECT_LT(together, 20) << "keys and values apart";
}

TEST(BlockPool, RefusesABudgetThatHoldsNothing) {
  EXPECT_FALSE(BlockPool::create(kShape, kShape.slab_bytes()));
}

}  // namespace
}  // namespace mneme::kv
