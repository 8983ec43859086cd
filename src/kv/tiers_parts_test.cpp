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

// The copies that there are of a context's sealed blocks, each the bytes that sealing its block gives.
int expect_copies(Kept& kept, Sequence& sequence) {
  const KvShape& shape = kept.tiers->shape();
  BytesForTest summary(summary_bytes(shape.head_dim)), copy(fp8_bytes(shape.head_dim));
  int count = 0;
  for (int layer = 0; layer < shape.layers; ++layer) {
    for (int task = 0; task < sequence.sealed_tokens() / kBlockTokens * shape.kv_heads; ++task) {
      const int head = task % shape.kv_heads, block = task / shape.kv_heads;
      const Segment& segment = *sequence.segments()[static_cast<size_t>(block / kSegmentBlocks)];
      const std::byte* kept_copy = kept.tiers->copy(segment, layer, block % kSegmentBlocks, head);
      if (kept_copy == nullptr) continue;
      ++count;
      MNEME_CHECK(sequence.hold(layer, block, 1));
      BlockView view;
      sequence.view(layer, head, block, {&view, 1});
      seal(kernels::scalar_ops(), view, kBlockTokens, shape.head_dim,
           {summary.memory.get(), copy.memory.get()});
      sequence.release(layer, block, 1);
      EXPECT_TRUE(std::equal(kept_copy, kept_copy + copy.size, copy.memory.get())) << layer << " " << block;
    }
  }
  return count;
}

// Copies of `extents` extents beside the least that originals need.
TierOptions with_copies(const Kept& kept, const KvShape& shape, uint64_t extents) {
  TierOptions options;
  options.keep_summaries = options.keep_copies = true;
  options.hot_bytes = kept.least_bytes(shape) + shape.slab_bytes();  // budgets are whole slabs
  options.warm_bytes = extents * kSegmentBlocks * static_cast<uint64_t>(shape.kv_heads) *
                       fp8_bytes(shape.head_dim);
  options.bytes_max = options.hot_bytes + options.warm_bytes;
  return options;
}

// A new context of tokens that are whole segments in the store.
Result<void> find_again(Kept& kept, std::span<const int32_t> tokens, Sequence& into) {
  std::vector<SegmentPtr> segments;
  SegmentName parent;
  for (size_t at = 0; at < tokens.size(); at += kSegmentTokens) {
    segments.push_back(kept.tiers->find(parent, at, tokens.subspan(at, kSegmentTokens)));
    if (segments.back() == nullptr) return core::fail("the segment at {} is not found", at);
    parent = segments.back()->name;
  }
  return into.attach(segments);
}

TEST(TiersCopies, AreMadeUntilTheWarmTierIsFullAndGoWithTheirContext) {
  const KvShape shape{3, 2, 18, {0, 70, 0}};
  const auto tokens = tokens_for_test(1, 40 * kSegmentTokens),
             others = tokens_for_test(2, 40 * kSegmentTokens);
  const TierOptions options = with_copies(Kept(shape), shape, 20);
  Kept kept(shape, options);
  {
    Sequence sequence(*kept.tiers);
    ASSERT_TRUE(grow(sequence, tokens, 40 * kSegmentTokens));
    ASSERT_TRUE(sequence.load_summaries());
    EXPECT_EQ(expect_copies(kept, sequence), 20 * kSegmentBlocks * 2) << "of the first ten segments";
    EXPECT_LE(kept.tiers->bytes_used(), options.bytes_max);
    EXPECT_GE(kept.tiers->counters().bytes_warm, options.warm_bytes);
    SealedBlock two[2];
    sequence.sealed(2, 1, 39, two);  // the last block with a copy, the first without
    EXPECT_NE(two[0].fp8.keys, nullptr);
    EXPECT_EQ(two[1].fp8.keys, nullptr);
    EXPECT_NE(two[1].summary.statistics, nullptr);
  }
  // Another context finds room, while what is left of the old one is still in memory.
  Sequence other(*kept.tiers);
  ASSERT_TRUE(grow(other, others, 20 * kSegmentTokens));
  ASSERT_TRUE(read_back(other, others));
  ASSERT_TRUE(read_back(other, others));
  ASSERT_TRUE(other.load_summaries());
  EXPECT_GT(expect_copies(kept, other), 10 * kSegmentBlocks * 2);
  EXPECT_LE(kept.tiers->bytes_used(), options.bytes_max);
}

// They are not on the disk: a context that is found gets them back as it is read.
TEST(TiersCopies, AreMadeAgainOfWhatPassesThroughMemory) {
  const KvShape shape = shape_of(2);
  const auto tokens = tokens_for_test(3, 30 * kSegmentTokens);
  const TierOptions options = with_copies(Kept(shape), shape, 60);
  Kept kept(shape, options);
  const auto grown = [&](Sequence& sequence) {
    MNEME_CHECK(grow(sequence, tokens, 30 * kSegmentTokens) && sequence.load_summaries());
  };
  {
    Sequence sequence(*kept.tiers);
    grown(sequence);
    EXPECT_EQ(expect_copies(kept, sequence), 60 * kSegmentBlocks);
    kept.tiers->drain();
  }
  kept.reopen(options);
  Sequence found(*kept.tiers);
  ASSERT_TRUE(find_again(kept, tokens, found));
  ASSERT_TRUE(found.load_summaries());
  EXPECT_EQ(expect_copies(kept, found), 0);
  int before = 0;
  for (int pass = 0; pass < 3; ++pass) {
    ASSERT_TRUE(read_back(found, tokens));
    const int now = expect_copies(kept, found);
    EXPECT_TRUE(now > before || before == 60 * kSegmentBlocks);
    before = now;
  }
  EXPECT_EQ(before, 60 * kSegmentBlocks);
}

// Also of what is in memory and not held, so many at one time.
TEST(TiersCopies, AreMadeOfWhatIsInMemory) {
  const KvShape shape = shape_of(2);
  const auto tokens = tokens_for_test(3, 40 * kSegmentTokens);
  TierOptions options = with_copies(Kept(shape), shape, 80);
  options.hot_bytes += 2 * 40 * kSegmentBlocks * shape.slab_bytes();
  options.bytes_max = options.hot_bytes + options.warm_bytes;
  Kept kept(shape, options);
  {
    Sequence written(*kept.tiers);
    ASSERT_TRUE(grow(written, tokens, 40 * kSegmentTokens));
    kept.tiers->drain();
  }
  kept.reopen(options);
  Sequence found(*kept.tiers);
  ASSERT_TRUE(find_again(kept, tokens, found));
  ASSERT_TRUE(read_back(found, tokens));  // without summaries no copies are made
  ASSERT_TRUE(found.whole(0) && found.whole(1));
  found.make_copies(0);
  ASSERT_TRUE(found.load_summaries());
  const int first = 0;
  for (const int layer : {0, 1}) {
    ASSERT_TRUE(found.hold_some(layer, {&first, 1}));
    found.release_some(layer, {&first, 1});
    found.make_copies(layer);
  }
  const int some = expect_copies(kept, found);
  EXPECT_GT(some, 0);
  EXPECT_LT(some, 80 * kSegmentBlocks);
  for (int pass = 0; pass < 4; ++pass) {
    ASSERT_TRUE(found.hold_some(pass % 2, {&first, 1}));
    found.release_some(pass % 2, {&first, 1});
    found.make_copies(pass % 2);
  }
  EXPECT_EQ(expect_copies(kept, found), 80 * kSegmentBlocks);
  EXPECT_LE(kept.tiers->bytes_used(), options.bytes_max);
}

// By share copies come first: the bytes of 20 % of the blocks and of 50 % at half their size hold most of
// them.
TEST(TiersCopies, TakeMostOfWhatIsShared) {
  const KvShape shape{2, 1, 64};
  const int count = 200 * kSegmentTokens;
  const auto tokens = tokens_for_test(6, static_cast<size_t>(count));
  TierOptions options;
  options.keep_summaries = options.keep_copies = true;
  options.bytes_max = 64 << 20;
  options.bytes_min = 0;
  Kept kept(shape, options);
  Sequence sequence(*kept.tiers);
  ASSERT_TRUE(grow(sequence, tokens, count));
  ASSERT_TRUE(sequence.load_summaries());
  const uint64_t all = static_cast<uint64_t>(count) * shape.token_bytes();
  EXPECT_LE(kept.tiers->bytes_used(), all * 46 / 100);
  EXPECT_GT(expect_copies(kept, sequence), 2 * 200 * kSegmentBlocks * 7 / 10);
}

// Originals that fill all the memory make room for the copies that are made of them.
TEST(TiersCopies, StayWithinTheMemory) {
  const KvShape shape = shape_of(2);
  const auto tokens = tokens_for_test(4, 30 * kSegmentTokens);
  Kept kept(shape);
  {
    Sequence written(*kept.tiers);
    ASSERT_TRUE(grow(written, tokens, 30 * kSegmentTokens));
    kept.tiers->drain();
  }
  TierOptions options = with_copies(kept, shape, 60);
  options.hot_bytes = 260 * shape.slab_bytes() - options.warm_bytes;  // of 240 for all originals
  kept.reopen(options);
  Sequence found(*kept.tiers);
  ASSERT_TRUE(find_again(kept, tokens, found));
  ASSERT_TRUE(read_back(found, tokens));  // without summaries: all originals, no copies
  EXPECT_EQ(expect_copies(kept, found), 0);
  EXPECT_GE(kept.slabs_used(), 240u);
  ASSERT_TRUE(found.load_summaries());
  for (int pass = 0; pass < 2; ++pass) {
    ASSERT_TRUE(read_back(found, tokens));
    EXPECT_LE(kept.tiers->bytes_used(), options.hot_bytes + options.warm_bytes);
  }
  EXPECT_GT(expect_copies(kept, found), 0);
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
