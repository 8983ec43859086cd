// Contexts over memory and disk where disks fill up, fail and lie: what is in memory always becomes free
// again.
#include "kv/tiers.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "kernels/backends.h"
#include "kernels/select.h"
#include "kv/sealed_block.h"
#include "kv/sequence.h"
#include "kv/store_for_test.h"
#include "tensor/convert.h"

namespace mneme::kv {
namespace {

namespace fs = std::filesystem;

// Slabs of 4,096 bytes.
KvShape shape_of(int layers, std::vector<int> windows = {}) { return {layers, 1, 16, std::move(windows)}; }

struct Kept {
  FolderForTest folder;
  DiskForTest disk;
  std::unique_ptr<Store> store;
  std::unique_ptr<Tiers> tiers;

  explicit Kept(const KvShape& shape, TierOptions options = {}, uint64_t cold_max = 0) {
    auto opened = Store::open({.folder = folder / "store", .bytes_max = cold_max, .disk = &disk});
    EXPECT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
    options.store = store.get();
    options.model = model_for_test();
    options.ops = kernels::available_ops().back();
    options.io.disk = &disk;
    if (options.bytes_max == 0)
      options.bytes_max = options.hot_bytes = least_bytes(shape), options.warm_bytes = 0;
    auto made = Tiers::open(shape, options);
    EXPECT_TRUE(made) << made.error().message;
    tiers = std::move(*made);
  }
  // Nothing of the segments in memory any more.
  void reopen(TierOptions options) {
    tiers.reset();
    options.store = store.get();
    options.model = model_for_test();
    options.ops = kernels::available_ops().back();
    options.io.disk = &disk;
    auto made = Tiers::open(shape_of(2), options);
    ASSERT_TRUE(made);
    tiers = std::move(*made);
  }
  // As the error message says it.
  uint64_t least_bytes(const KvShape& shape) const {
    TierOptions options;
    options.bytes_max = shape.slab_bytes() * static_cast<uint64_t>(shape.layers);
    options.store = store.get();
    options.ops = kernels::available_ops().back();
    auto made = Tiers::open(shape, options);
    EXPECT_FALSE(made);
    return made ? 0 : std::stoull(made.error().message.substr(made.error().message.find("from ") + 5));
  }
  uint64_t slabs_used() const { return tiers->pool().bytes_used() / tiers->shape().slab_bytes(); }
};

float key_of(int token, int at, int layer) { return static_cast<float>(token % 1000 + at % 100 + layer); }

// The context's tokens up to `count`, in passes of `rows`, sealed behind each.
Result<void> grow(Sequence& sequence, std::span<const int32_t> tokens, int count, int rows = 256) {
  const auto dim = static_cast<size_t>(sequence.shape().head_dim);
  while (sequence.token_count() < count) {
    const int first = sequence.token_count(), more = std::min(rows, count - first);
    if (auto extended = sequence.extend(more); !extended) return extended;
    for (int layer = 0; layer < sequence.shape().layers; ++layer) {
      std::vector<float> keys;
      for (int at = first; at < first + more; ++at)
        keys.insert(keys.end(), dim, key_of(tokens[static_cast<size_t>(at)], at, layer));
      sequence.store(layer, 0, first, more, keys.data(), keys.data(), dim);
    }
    sequence.seal(tokens, 0);
  }
  return {};
}

// Reads all of it as attention does.
Result<void> read_back(const Sequence& sequence, std::span<const int32_t> tokens) {
  constexpr int kRun = 32;
  for (int layer = 0; layer < sequence.shape().layers; ++layer) {
    if (sequence.shape().window(layer) > 0) continue;
    for (int block = 0; block < sequence.block_count(); block += kRun) {
      const int count = std::min(kRun, sequence.block_count() - block);
      if (auto held = sequence.hold(layer, block, count); !held) return held;
      std::vector<BlockView> views(static_cast<size_t>(count));
      sequence.view(layer, 0, block, views);
      for (int at = block * kBlockTokens;
           at < std::min((block + count) * kBlockTokens, sequence.token_count()); ++at) {
        const BlockView& view = views[static_cast<size_t>(at / kBlockTokens - block)];
        const float key = tensor::to_f32(tensor::Bf16{view.keys[at % kBlockTokens * 2]});
        const float expected = key_of(tokens[static_cast<size_t>(at)], at, layer);
        EXPECT_EQ(key, tensor::to_f32(tensor::to_bf16(expected))) << at;
      }
      sequence.release(layer, block, count);
    }
  }
  return {};
}

// What the next token reads of layers with a window.
void expect_windows(const Sequence& sequence, std::span<const int32_t> tokens) {
  for (int layer = 0; layer < sequence.shape().layers; ++layer) {
    const int window = sequence.shape().window(layer);
    for (int at = std::max(0, sequence.token_count() - window + 1); window > 0 && at < sequence.token_count();
         ++at) {
      BlockView view;
      sequence.view(layer, 0, at / kBlockTokens, {&view, 1});
      const float expected = key_of(tokens[static_cast<size_t>(at)], at, layer);
      EXPECT_EQ(view.keys[at % kBlockTokens * 2], tensor::to_bf16(expected).bits) << at;
    }
  }
}

// Grows it with what is lost computed again.
void evaluate(Sequence& sequence, std::span<const int32_t> tokens) {
  for (int round = 0; round < 100; ++round) {
    auto done = grow(sequence, tokens, static_cast<int>(tokens.size()));
    if (done) done = read_back(sequence, tokens);
    if (done) return;
    ASSERT_GE(sequence.damaged_segment(), 0) << done.error().message;
    sequence.truncate(sequence.damaged_segment() * kSegmentTokens);
  }
  FAIL() << "still damaged";
}

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
  ASSERT_TRUE(sequence.repeat_for_bench(64, 192, tokens));
  auto other = sequence.fork();
  ASSERT_TRUE(other);
  ASSERT_TRUE(grow(*other, tokens, 2 * kSegmentTokens));
  EXPECT_EQ(kept.tiers->find({}, 0, std::span(tokens).first(kSegmentTokens)), nullptr);
  ASSERT_TRUE(grow(sequence, tokens, 2 * kSegmentTokens));
  EXPECT_EQ(kept.tiers->find({}, 0, std::span(tokens).first(kSegmentTokens)), nullptr);
}

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
        const std::byte* made = kept.tiers->summary(segment, layer, block % kSegmentBlocks, head);
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
    kernels::SealedSummary two[2];
    sequence.summaries(2, 1, 27, two);  // the last sealed block and an open one
    ASSERT_TRUE(two[0].statistics != nullptr || !keep);
    if (keep) {
      EXPECT_EQ(two[0].statistics->count, 64u);
    }
    EXPECT_EQ(two[1].statistics, nullptr);
    ASSERT_TRUE(grow(sequence, tokens, 20 * kSegmentTokens));
    kept.tiers->drain();
    const auto& last = *sequence.segments().back();
    EXPECT_EQ(kept.tiers->summary(last, 0, 0, 0) != nullptr, keep);
    EXPECT_EQ(kept.tiers->summary(last, 1, 0, 0), nullptr) << "a layer with a window";
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
  EXPECT_EQ(worth(30000, 0), 1u) << "the one that was read to know";
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
    expect_windows(sequence, tokens);
  }
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
  Sequence other(*kept.tiers);
  evaluate(other, tokens_for_test(2, 30 * kSegmentTokens));
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
