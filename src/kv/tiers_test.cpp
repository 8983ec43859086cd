// Contexts over memory and disk where disks fill up, fail and lie: what is in memory always becomes free
// again.
#include <gtest/gtest.h>

#include "kv/tiers_for_test.h"

namespace mneme::kv {
namespace {

TEST(TiersFaults, WhatCouldNotBeWrittenGoesWithItsContext) {
  Kept kept(shape_of(2));
  kept.disk.write_error = ENOSPC;
  for (uint64_t i = 0; i < 10; ++i) {
    Sequence sequence(*kept.tiers);
    const auto tokens = tokens_for_test(i, 6 * kSegmentTokens);
    const auto done = grow(sequence, tokens, 6 * kSegmentTokens);
    ASSERT_TRUE(done) << "context " << i << ": " << done.error().message;
    ASSERT_TRUE(read_back(sequence, tokens));
    kept.tiers->drain();
  }
  EXPECT_EQ(kept.tiers->take_warnings().size(), 1u);  // it is said once
  kept.disk.write_error = 0;
  Sequence sequence(*kept.tiers);
  evaluate(sequence, tokens_for_test(99, 30 * kSegmentTokens));
  EXPECT_TRUE(kept.tiers->take_warnings().empty());
}

TEST(TiersFaults, DamagedSegmentsLeaveNothingBehind) {
  Kept kept(shape_of(3));
  core::Rng rng(3);
  for (uint64_t i = 0; i < 12; ++i) {
    SCOPED_TRACE(i);
    Sequence sequence(*kept.tiers);
    const auto tokens = tokens_for_test(i, 16 * kSegmentTokens);
    evaluate(sequence, tokens);
    kept.tiers->drain();
    for (int hits = 0; hits < 4; ++hits) {
      const auto& segment = sequence.segments()[rng.next_below(16)];
      const std::string path = kept.store->segment_path(segment->name);
      std::string bytes = bytes_of_file(path);
      if (bytes.empty()) continue;
      bytes[4096 + rng.next_below(static_cast<uint32_t>(bytes.size()) - 4096)] ^= 1;
      write_file(path, bytes);
      Sequence other(*kept.tiers);  // pushes the first one out
      evaluate(other, tokens_for_test(100, 16 * kSegmentTokens));
      evaluate(sequence, tokens);
    }
  }
  // All of the memory serves a new context.
  Sequence sequence(*kept.tiers);
  evaluate(sequence, tokens_for_test(200, 40 * kSegmentTokens));
  kept.tiers->drain();
  std::vector<SlabId> all;
  auto taken = kept.tiers->take(kept.tiers->pool().bytes_max() / kept.tiers->shape().slab_bytes(), all);
  EXPECT_TRUE(taken) << taken.error().message << ", " << kept.slabs_used() << " in use";
}

// A context that went is not in the way of the next one, on the disk either: the folder has room for one and
// what memory still has of others.
TEST(TiersFaults, SegmentsThatNobodyHasAreForgotten) {
  for (const KvShape& shape : {shape_of(2), shape_of(2, {70, 70})}) {
    Kept kept(shape, {}, 60 * 36864);
    for (uint64_t i = 0; i < 6; ++i) {
      Sequence sequence(*kept.tiers);
      evaluate(sequence, tokens_for_test(i, 30 * kSegmentTokens));
      kept.tiers->drain();
    }
    for (const std::string& warning : kept.tiers->take_warnings()) ADD_FAILURE() << warning;
  }
}

TEST(TiersFaults, BoundariesLeaveMemoryOnceTheyAreOnTheDisk) {
  Kept kept(shape_of(2, {70, 0}));
  Sequence sequence(*kept.tiers);
  const auto tokens = tokens_for_test(1, 20 * kSegmentTokens);
  ASSERT_TRUE(grow(sequence, tokens, 19 * kSegmentTokens));
  kept.tiers->drain();
  ASSERT_TRUE(grow(sequence, tokens, 20 * kSegmentTokens));
  for (size_t i = 0; i < 16; ++i) EXPECT_TRUE(sequence.segments()[i]->boundary.empty()) << i;
  for (size_t i = 16; i < 20; ++i) EXPECT_TRUE(kept.tiers->has_boundary(*sequence.segments()[i])) << i;
}

TEST(TiersFaults, TheLeastMemoryServesWholePasses) {
  for (const KvShape& shape : {shape_of(48), shape_of(48, std::vector<int>(48, 300))}) {
    Kept kept(shape);
    Sequence sequence(*kept.tiers);
    const auto tokens = tokens_for_test(1, 3000);
    ASSERT_TRUE(grow(sequence, tokens, 255));  // nothing sealed: passes end anywhere
    const auto done = grow(sequence, tokens, 3000, kRewindTokens);
    ASSERT_TRUE(done) << done.error().message;
    ASSERT_TRUE(read_back(sequence, tokens));
    sequence.truncate(2500);
    EXPECT_EQ(sequence.token_count(), 2304);
  }
}

// The share is what is aimed at; a full disk is no reason to fail while there is memory.
TEST(TiersFaults, WhereTheDiskIsFullMemoryGoesOn) {
  TierOptions options;
  options.bytes_max = 64 << 20;
  options.bytes_min = 1;
  Kept kept(shape_of(2), options);
  Sequence sequence(*kept.tiers);
  const auto tokens = tokens_for_test(1, 120 * kSegmentTokens);
  ASSERT_TRUE(grow(sequence, tokens, 60 * kSegmentTokens));
  kept.tiers->drain();
  kept.disk.write_error = ENOSPC;
  ASSERT_TRUE(grow(sequence, tokens, 120 * kSegmentTokens));
  EXPECT_GT(kept.tiers->counters().evicted, 0u);
  const auto read = read_back(sequence, tokens);
  EXPECT_TRUE(read) << read.error().message;
}

TEST(TiersFaults, ReadErrorsAreComputedAgainAndSaidOnce) {
  Kept kept(shape_of(2));
  Sequence sequence(*kept.tiers);
  const auto tokens = tokens_for_test(1, 30 * kSegmentTokens);
  evaluate(sequence, tokens);
  kept.tiers->drain();
  (void)kept.tiers->take_warnings();
  kept.disk.read_error = EIO;
  const auto failed = read_back(sequence, tokens);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find(".kv"), std::string::npos) << failed.error().message;
  EXPECT_GE(sequence.damaged_segment(), 0);
  kept.disk.read_error = 0;
  sequence.truncate(sequence.damaged_segment() * kSegmentTokens);
  evaluate(sequence, tokens);
}

TEST(TiersFaults, AForkOfCopiedTokensIsNotTakenForTheirs) {
  Kept kept(shape_of(2));
  const auto tokens = tokens_for_test(1, 2 * kSegmentTokens);
  Sequence sequence(*kept.tiers);
  ASSERT_TRUE(grow(sequence, tokens, 64));
  ASSERT_TRUE(sequence.repeat_for_bench(64, 192, false, tokens));
  auto other = sequence.fork();
  ASSERT_TRUE(other);
  ASSERT_TRUE(grow(*other, tokens, 2 * kSegmentTokens));
  EXPECT_EQ(kept.tiers->find({}, 0, std::span(tokens).first(kSegmentTokens)), nullptr);
  ASSERT_TRUE(grow(sequence, tokens, 2 * kSegmentTokens));
  EXPECT_EQ(kept.tiers->find({}, 0, std::span(tokens).first(kSegmentTokens)), nullptr);
}

TEST(TiersFaults, SegmentsOfAnotherVersionAreWrittenAnew) {
  const auto tokens = tokens_for_test(1, 4 * kSegmentTokens);
  Kept kept(shape_of(2));
  std::string path;
  {
    Sequence sequence(*kept.tiers);
    evaluate(sequence, tokens);
    kept.tiers->drain();
    path = kept.store->segment_path(sequence.segments()[0]->name);
  }
  TierOptions options;
  options.bytes_max = 64 << 20;
  kept.reopen(options);
  std::string bytes = bytes_of_file(path);
  bytes[8] = 1;
  write_file(path, bytes);
  const auto first = std::span(tokens).first(kSegmentTokens);
  EXPECT_EQ(kept.tiers->find({}, 0, first), nullptr);
  const auto warnings = kept.tiers->take_warnings();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("another version"), std::string::npos) << warnings[0];
  Sequence again(*kept.tiers);
  evaluate(again, tokens);
  kept.tiers->drain();
  EXPECT_EQ(bytes_of_file(path)[8], 2);
  EXPECT_TRUE(kept.tiers->take_warnings().empty());
}

// Contexts go while extents of theirs are being read.
TEST(TiersFaults, AContextMayGoWhileItIsRead) {
  Kept kept(shape_of(3));
  core::Rng rng(4);
  for (uint64_t i = 0; i < 40; ++i) {
    Sequence sequence(*kept.tiers);
    const auto tokens = tokens_for_test(i % 5, 16 * kSegmentTokens);
    std::vector<SegmentPtr> found;
    SegmentName parent;
    for (uint64_t at = 0; at + kSegmentTokens <= tokens.size(); at += kSegmentTokens) {
      auto segment = kept.tiers->find(parent, at, std::span(tokens).subspan(at, kSegmentTokens));
      if (segment == nullptr) break;
      parent = segment->name;
      found.push_back(std::move(segment));
    }
    ASSERT_TRUE(sequence.attach(found));
    evaluate(sequence, tokens);
    const int layer = static_cast<int>(rng.next_below(3));
    ASSERT_TRUE(sequence.hold(layer, 0, 8));  // what follows is read ahead
    sequence.release(layer, 0, 8);
    if (i % 3 == 0) sequence.truncate(static_cast<int>(rng.next_below(4000)));
  }
}

}  // namespace
}  // namespace mneme::kv
