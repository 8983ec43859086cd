// What segments hold beside keys and values: summaries, boundaries, what computing them took.
#include <gtest/gtest.h>

#include <filesystem>

#include "kernels/backends.h"
#include "kv/sealed_block.h"
#include "kv/tiers_for_test.h"

namespace mneme::kv {
namespace {

// What the writer thread made, what the disk gives back and what sealing the blocks anew gives are the same
// bytes.
void expect_summaries(Kept& kept, Sequence& sequence) {
  const KvShape& shape = kept.tiers->shape();
  const auto head_dim = static_cast<size_t>(shape.head_dim);
  BytesForTest summary(summary_bytes(shape.head_dim)), copy(fp8_bytes(shape.head_dim));
  for (int layer = 0; layer < shape.layers; ++layer) {
    for (int head = 0; head < shape.kv_heads && shape.window(layer) == 0; ++head) {
      for (int block = 0; block < sequence.sealed_tokens() / kBlockTokens; ++block) {
        ASSERT_TRUE(sequence.hold(layer, block, 1));
        BlockView view;
        sequence.view(layer, head, block, {&view, 1});
        seal(kernels::scalar_ops(), view, kBlockTokens, static_cast<int>(head_dim),
             {summary.memory.get(), copy.memory.get()});
        sequence.release(layer, block, 1);
        const Segment& segment = *sequence.segments()[static_cast<size_t>(block / kSegmentBlocks)];
        const std::byte* made = kept.tiers->summary(segment, layer, block % kSegmentBlocks, head).bytes;
        ASSERT_NE(made, nullptr) << "layer " << layer << " block " << block;
        EXPECT_TRUE(std::equal(made, made + summary.size, summary.memory.get())) << layer << " " << block;
      }
    }
  }
}

TEST(TiersSummaries, AreMadeStoredAndBroughtBack) {
  const KvShape shape{3, 2, 18, {0, 70, 0}};
  const auto tokens = tokens_for_test(1, 20 * kSegmentTokens);
  for (const bool keep : {true, false}) {
    SCOPED_TRACE(keep);
    TierOptions options;
    options.keep_summaries = keep;
    Kept kept(shape, options);
    Sequence sequence(*kept.tiers);
    int damaged = 0;
    ASSERT_TRUE(grow(sequence, tokens, 7 * kSegmentTokens));
    ASSERT_TRUE(kept.tiers->load_summaries(sequence.segments(), damaged));  // some are not written yet
    expect_summaries(kept, sequence);
    ASSERT_TRUE(grow(sequence, tokens, 7 * kSegmentTokens + 10));
    ASSERT_TRUE(sequence.load_summaries());
    EXPECT_EQ(sequence.sealed_blocks(2), keep ? 7 * kSegmentBlocks : 0);
    EXPECT_EQ(sequence.sealed_blocks(1), 0) << "a layer with a window";
    SealedBlock two[2];
    sequence.sealed(2, 1, 27, two);  // the last sealed block and an open one
    EXPECT_EQ(two[0].summary.statistics != nullptr, keep);
    if (keep) {
      EXPECT_EQ(two[0].summary.statistics->count, 64u);
      EXPECT_EQ(two[0].value_spread, value_spread(two[0].summary, shape.head_dim));
    }
    EXPECT_EQ(two[1].summary.statistics, nullptr);
    ASSERT_TRUE(grow(sequence, tokens, 20 * kSegmentTokens));
    kept.tiers->drain();
    const auto& last = *sequence.segments().back();
    EXPECT_EQ(kept.tiers->summary(last, 0, 0, 0).bytes != nullptr, keep);
    EXPECT_EQ(kept.tiers->summary(last, 1, 0, 0).bytes, nullptr) << "a layer with a window";
    const uint64_t read = kept.tiers->counters().bytes_read;
    ASSERT_TRUE(sequence.load_summaries());
    EXPECT_EQ(kept.tiers->counters().bytes_read > read, !keep);
    expect_summaries(kept, sequence);
  }
}

TEST(TiersSummaries, DamageIsNamed) {
  Kept kept(shape_of(2));
  const auto tokens = tokens_for_test(2, 70 * kSegmentTokens);
  Sequence sequence(*kept.tiers);
  ASSERT_TRUE(grow(sequence, tokens, 70 * kSegmentTokens));
  kept.tiers->drain();
  const std::string path = kept.store->segment_path(sequence.segments()[66]->name);
  std::string bytes = bytes_of_file(path);
  bytes[static_cast<size_t>(sequence.segments()[66]->file->parts()[3].offset) + 5] ^= 1;
  write_file(path, bytes);
  int damaged = -1;
  const auto loaded = kept.tiers->load_summaries(sequence.segments(), damaged);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(damaged, 66);
  EXPECT_NE(loaded.error().message.find(path), std::string::npos) << loaded.error().message;
  EXPECT_TRUE(std::filesystem::exists(path + ".bad"));
}

TEST(TiersWorth, ASlowDiskIsNotReadWhereComputingIsQuicker) {
  TierOptions options;
  options.bytes_max = 64 << 20;
  Kept kept(shape_of(2), options);
  const auto tokens = tokens_for_test(3, 100 * kSegmentTokens);
  {
    Sequence sequence(*kept.tiers);
    while (sequence.token_count() < 100 * kSegmentTokens) {
      ASSERT_TRUE(sequence.extend(256));
      sequence.seal(tokens, 0, {.seconds_each = 0.01 / kSegmentTokens});
    }
    kept.tiers->drain();
    EXPECT_EQ(kept.tiers->worth_reading(sequence.segments(), 0), 100u) << "in memory";
  }
  const auto worth = [&](int pause_us, double seconds_each, uint64_t bytes_max = 0) {
    options.hot_bytes = bytes_max > 0 ? bytes_max : TierOptions::kByShare;
    options.warm_bytes = bytes_max > 0 ? 0 : TierOptions::kByShare;
    kept.reopen(options);
    std::vector<SegmentPtr> found;
    SegmentName parent;
    for (uint64_t i = 0; i < 100; ++i) {
      found.push_back(kept.tiers->find(parent, i * kSegmentTokens, std::span(tokens).subspan(i * 256, 256)));
      parent = found.back()->name;
    }
    kept.disk.read_pause_us = pause_us;
    const size_t count = kept.tiers->worth_reading(found, seconds_each);
    kept.disk.read_pause_us = 0;
    return count;
  };
  // Two reads a segment; computing one took 10 ms.
  EXPECT_EQ(worth(30000, 0), 3u) << "those that were read to know";
  EXPECT_EQ(worth(0, 0), 100u);
  EXPECT_EQ(worth(30000, 0.2 / kSegmentTokens), 100u) << "it takes longer now";
  EXPECT_EQ(worth(30000, 0, kept.least_bytes(shape_of(2))), 100u) << "it would be read anyway";
}

// Of a shape with windows one segment in so many has what its continuation reads, and the one where a text
// ended.
TEST(TiersBoundaries, AreWhereTheyPay) {
  const KvShape shape = shape_of(3, {0, 70, 200});
  const auto tokens = tokens_for_test(5, 40 * kSegmentTokens);
  {
    Kept kept(shape);
    EXPECT_EQ(kept.tiers->boundary_spacing(), 16);
    EXPECT_EQ(Kept(shape_of(2)).tiers->boundary_spacing(), 1);
  }
  Kept kept(shape);
  {
    Sequence sequence(*kept.tiers);
    while (sequence.token_count() < 40 * kSegmentTokens) {
      ASSERT_TRUE(sequence.extend(256));
      sequence.seal(tokens, 0, {.text_end = 22 * kSegmentTokens + 10, .seconds_each = 0.25});
    }
    kept.tiers->drain();
  }
  Sequence other(*kept.tiers);
  evaluate(other, tokens_for_test(6, 40 * kSegmentTokens));  // drives the first one out of memory
  std::vector<SegmentPtr> found;
  SegmentName parent;
  for (uint64_t i = 0; i < 40; ++i) {
    found.push_back(kept.tiers->find(parent, i * kSegmentTokens, std::span(tokens).subspan(i * 256, 256)));
    ASSERT_NE(found.back(), nullptr);
    parent = found.back()->name;
    EXPECT_EQ(kept.tiers->has_boundary(*found.back()), i == 15 || i == 21 || i == 31) << i;
    EXPECT_EQ(found.back()->computed_s, 64);
  }
  Sequence sequence(*kept.tiers);
  found.resize(22);
  ASSERT_TRUE(sequence.attach(found));
  EXPECT_EQ(sequence.token_count(), 22 * kSegmentTokens);
  EXPECT_EQ(sequence.truncate(20 * kSegmentTokens + 3), 16 * kSegmentTokens);
  EXPECT_EQ(sequence.truncate(3), 0);
}

TEST(TiersBoundaries, ATailGoesOnBehindASegmentWithoutOne) {
  for (const int open : {0, 1, 64, 255}) {
    SCOPED_TRACE(open);
    Kept kept(shape_of(3, {0, 70, 200}));
    const int count = 5 * kSegmentTokens + open;
    const auto tokens = tokens_for_test(5, static_cast<size_t>(count) + 300);
    SegmentHeader header;
    header.first_token = 5 * kSegmentTokens;
    header.tokens.assign(tokens.begin() + 5 * kSegmentTokens, tokens.begin() + count);
    {
      Sequence sequence(*kept.tiers);
      ASSERT_TRUE(grow(sequence, tokens, count));
      std::vector<PartBuffer> buffers;
      ASSERT_TRUE(write_segment_file(kept.folder / "tail", header, sequence.tail_parts(buffers)));
      kept.tiers->drain();
    }
    Sequence other(*kept.tiers);
    evaluate(other, tokens_for_test(6, 40 * kSegmentTokens));  // drives the first one out of memory
    std::vector<SegmentPtr> found;
    SegmentName parent;
    for (uint64_t i = 0; i < 5; ++i) {
      found.push_back(kept.tiers->find(parent, i * kSegmentTokens, std::span(tokens).subspan(i * 256, 256)));
      ASSERT_NE(found.back(), nullptr);
      parent = found.back()->name;
      EXPECT_FALSE(kept.tiers->has_boundary(*found.back()));
    }
    Sequence sequence(*kept.tiers);
    auto tail = SegmentFile::open(kept.folder / "tail");
    ASSERT_TRUE(tail) << tail.error().message;
    auto resumed = sequence.resume(found, **tail);
    ASSERT_TRUE(resumed) << resumed.error().message;
    EXPECT_EQ(sequence.token_count(), count);
    ASSERT_TRUE(grow(sequence, tokens, count + 300));
    ASSERT_TRUE(read_back(sequence, tokens));
    EXPECT_EQ(sequence.truncate(5 * kSegmentTokens), 5 * kSegmentTokens);
    check_windows(sequence, tokens);
  }
}

}  // namespace
}  // namespace mneme::kv
