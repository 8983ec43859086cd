// Blocks that are not in memory: the same bits as if they were.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <vector>

#include "attention/dense.h"
#include "core/rng.h"
#include "kernels/select.h"

namespace mneme::attention {
namespace {

// A sequence whose blocks exist only while they are held.
class FarBlocks final : public kv::BlockSource {
 public:
  explicit FarBlocks(const kv::Sequence& of) : of_(of) {}

  bool whole(int) const override { return false; }

  Result<void> hold(int layer, int first_block, int count) const override {
    if (holds_left_-- == 0) return core::fail("far.kv: the disk is gone");
    held_blocks_max = std::max(held_blocks_max, count);
    EXPECT_TRUE(copies_.empty());
    for (int head = 0; head < of_.shape().kv_heads; ++head) {
      std::vector<kv::BlockView> views(static_cast<size_t>(count));
      of_.view(layer, head, first_block, views);
      const size_t half = of_.shape().half_block_bytes() / sizeof(uint16_t);
      for (int b = 0; b < count; ++b) {
        auto& copy = copies_[{layer, head, first_block + b}];
        copy.assign(views[static_cast<size_t>(b)].keys, views[static_cast<size_t>(b)].keys + half);
        copy.insert(copy.end(), views[static_cast<size_t>(b)].values,
                    views[static_cast<size_t>(b)].values + half);
      }
    }
    held_ = {layer, first_block, count};
    return {};
  }

  void release(int layer, int first_block, int count) const override {
    EXPECT_EQ(held_, (std::vector{layer, first_block, count}));
    held_.clear();
    copies_.clear();
  }

  void view(int layer, int kv_head, int first_block, std::span<kv::BlockView> out) const override {
    for (size_t i = 0; i < out.size(); ++i) {
      const auto copy = copies_.find({layer, kv_head, first_block + static_cast<int>(i)});
      MNEME_CHECK(copy != copies_.end(), "block {} is not held", first_block + static_cast<int>(i));
      out[i] = {copy->second.data(), copy->second.data() + copy->second.size() / 2};
    }
  }

  void fail_after(int holds) const { holds_left_ = holds; }
  bool holds_nothing() const { return copies_.empty(); }
  mutable int held_blocks_max = 0;

 private:
  const kv::Sequence& of_;
  mutable int holds_left_ = -1;
  mutable std::vector<int> held_;
  mutable std::map<std::vector<int>, std::vector<uint16_t>> copies_;
};

// A sequence of random keys and values in layer 1, and queries of its last tokens.
struct Context {
  kv::BlockPool pool;
  kv::Sequence sequence;
  std::vector<float> queries;  // [count_max, heads, head_dim]

  Context(const kv::KvShape& shape, int heads, int tokens, int count_max)
      : pool(*kv::BlockPool::create(shape, uint64_t{256} << 20)), sequence(pool) {
    core::Rng rng(5);
    const auto width = static_cast<size_t>(shape.kv_heads * shape.head_dim);
    std::vector<float> keys(static_cast<size_t>(tokens) * width), values(keys.size());
    for (auto* side : {&keys, &values}) {
      for (auto& v : *side) v = 3 * rng.next_unit() - 1.5f;
    }
    queries.resize(static_cast<size_t>(count_max * heads * shape.head_dim));
    for (auto& v : queries) v = 4 * rng.next_unit() - 2;
    EXPECT_TRUE(sequence.extend(tokens));
    for (int head = 0; head < shape.kv_heads; ++head) {
      const auto offset = static_cast<size_t>(head * shape.head_dim);
      sequence.store(1, head, 0, tokens, &keys[offset], &values[offset], width);
    }
  }
};

class FarAndNear : public testing::TestWithParam<const kernels::Ops*> {
 protected:
  std::vector<float> attend(const kv::KvShape& shape, int heads, int threads, DenseJob job) const {
    core::ThreadPool pool(threads);
    DenseAttention attention(shape, heads, threads);
    std::vector<float> out(static_cast<size_t>(job.count * heads * shape.head_dim));
    job.out = out.data();
    EXPECT_TRUE(attention.run(*GetParam(), pool, 1, {&job, 1}));
    return out;
  }

  // Decode and prefill that end at `tokens`, windows and sinks on and off.
  void compare(const kv::KvShape& shape, int heads, int tokens, std::span<const int> counts) const {
    const Context context(shape, heads, tokens, counts.back());
    std::vector<float> sinks;
    for (int h = 0; h < heads; ++h) sinks.push_back(2.0f * static_cast<float>(h) - 3.0f);
    const FarBlocks far(context.sequence);
    for (const int count : counts) {
      for (const int window : {0, 100, 2100}) {
        DenseJob job{&context.sequence, tokens - count, count, context.queries.data()};
        job.window = window;
        job.sinks = (count + window) % 2 == 0 ? sinks.data() : nullptr;
        const auto want = attend(shape, heads, 1, job);
        job.sequence = &far;
        for (const int threads : {1, 2}) {
          const auto got = attend(shape, heads, threads, job);
          EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0)
              << tokens << " tokens, " << count << " new, window " << window << ", threads " << threads;
        }
      }
    }
    EXPECT_LE(far.held_blocks_max, 32);
    EXPECT_TRUE(far.holds_nothing());
  }

  bool slow() const { return GetParam()->name == std::string("scalar"); }
};

TEST_P(FarAndNear, BlocksThatAreHeldInRunsGiveTheBitsOfAllInMemory) {
  const int few[] = {1, 4, 5, 40}, least[] = {1, 4, 5};
  for (const int tokens : {63, 64, 65, 127, 128, 129, 255, 256, 257, 2047, 2048, 2049, 4095, 4096, 4097})
    compare({2, 2, 32}, 4, tokens, slow() && tokens > 1000 ? std::span<const int>(least) : few);
}

TEST_P(FarAndNear, SoDoOtherShapes) {
  const int counts[] = {1, 4, 5, 150};
  const auto few = std::span(counts).first(3);
  for (const int tokens : {2050, 4160}) {
    compare({2, 1, 64}, 7, tokens, slow() ? few : counts);  // a tile with a rest that fills no matrix tile
    compare({2, 1, 32}, 20, tokens, few);                   // 3 tokens a tile: decode has two
    compare({2, 1, 24}, 2, tokens, few);                    // fills no vector
    compare({2, 2, 128}, 2, tokens, slow() ? few : counts);
  }
}

TEST_P(FarAndNear, NearAndFarSequencesTogetherGiveTheBitsOfEachAlone) {
  const kv::KvShape shape{2, 2, 32};
  const Context near(shape, 4, 3000, 20), far(shape, 4, 2500, 20);
  const FarBlocks away(far.sequence);
  const DenseJob jobs[] = {{&away, 2480, 20, far.queries.data()},
                           {&near.sequence, 2999, 1, near.queries.data()},
                           {&away, 2499, 1, far.queries.data()}};
  core::ThreadPool pool(2);
  DenseAttention attention(shape, 4, 2);
  std::vector<std::vector<float>> together;
  std::vector<DenseJob> all(std::begin(jobs), std::end(jobs));
  for (DenseJob& job : all) together.emplace_back(static_cast<size_t>(job.count * 4 * 32));
  for (size_t i = 0; i < all.size(); ++i) all[i].out = together[i].data();
  EXPECT_TRUE(attention.run(*GetParam(), pool, 1, all));
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(together[i], attend(shape, 4, 1, jobs[i]));
}

TEST_P(FarAndNear, ADiskThatFailsFailsThePassAndTheNextOneIsRight) {
  const kv::KvShape shape{2, 2, 32};
  const Context context(shape, 4, 5000, 20);
  const FarBlocks far(context.sequence);
  core::ThreadPool pool(2);
  DenseAttention attention(shape, 4, 2);
  for (const int count : {1, 20}) {
    std::vector<float> out(static_cast<size_t>(count * 4 * 32));
    DenseJob job{&far, 5000 - count, count, context.queries.data(), out.data()};
    for (const int holds : {0, 1, 2}) {
      far.fail_after(holds);
      const auto failed = attention.run(*GetParam(), pool, 1, {&job, 1});
      ASSERT_FALSE(failed);
      EXPECT_EQ(failed.error().message, "far.kv: the disk is gone");
      EXPECT_TRUE(far.holds_nothing());
    }
    far.fail_after(-1);
    EXPECT_TRUE(attention.run(*GetParam(), pool, 1, {&job, 1}));
    job.sequence = &context.sequence;
    EXPECT_EQ(out, attend(shape, 4, 1, job));
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, FarAndNear, testing::ValuesIn(kernels::available_ops()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace mneme::attention
