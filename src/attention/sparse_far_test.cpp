// Contexts of which not all is in memory: a sparse step brings what it selected, and nothing else.
#include <gtest/gtest.h>

#include <map>

#include "attention/sparse_context_for_test.h"
#include "attention/sparse_decode.h"

namespace mneme::attention {
namespace {

// The blocks of a context, without 8-bit copies. Where `far`, those of whole segments may be read only while
// they are held.
class Blocks final : public kv::BlockSource {
 public:
  Blocks(const kv::Sequence& of, bool far, int hold_max) : of_(of), far_(far), hold_max_(hold_max) {}

  void view(int layer, int kv_head, int first_block, std::span<kv::BlockView> out) const override {
    for (int block = first_block; block < first_block + static_cast<int>(out.size()); ++block)
      MNEME_CHECK(!far_ || holds_.contains(block), "block {} is not held", block);
    of_.view(layer, kv_head, first_block, out);
  }
  int sealed_blocks(int layer) const override { return of_.sealed_blocks(layer); }
  bool copies_sealed(int) const override { return false; }
  void sealed(int layer, int kv_head, int first_block, std::span<kv::SealedBlock> out) const override {
    of_.sealed(layer, kv_head, first_block, out);
    for (kv::SealedBlock& block : out) block.fp8 = {};
  }
  bool whole(int) const override { return !far_; }
  Result<void> hold_some(int, std::span<const int> blocks) const override {
    if (holds_left-- == 0) return core::fail("far.kv: the disk is gone");
    for (const int block : blocks) ++holds_[block];
    held += blocks.size();
    held_most = std::max(held_most, static_cast<int>(blocks.size()));
    return {};
  }
  void release_some(int, std::span<const int> blocks) const override {
    for (const int block : blocks) {
      const auto found = holds_.find(block);
      MNEME_CHECK(found != holds_.end(), "block {} was not held", block);
      if (--found->second == 0) holds_.erase(found);
    }
  }
  int hold_some_max() const override { return hold_max_; }

  bool holds_nothing() const { return holds_.empty(); }
  mutable size_t held = 0;
  mutable int held_most = 0, holds_left = -1;

 private:
  const kv::Sequence& of_;
  bool far_;
  int hold_max_;
  mutable std::map<int, int> holds_;
};

const kv::KvShape kShape{1, 2, 64};
constexpr int kHeads = 8;

struct Step {
  std::vector<float> out;
  SparseContext context{{SparseMode::kAdaptive, 0.1}, 1, 2};
};

class FarSparse : public testing::TestWithParam<const kernels::Ops*> {
 protected:
  // A step with a gain of 1 behind so many audits.
  Result<bool> run(TestContext& x, const Blocks& blocks, double target, Step& step) {
    step.context = SparseContext({SparseMode::kAdaptive, target}, 1, 2);
    step.context.layer(0).controller.observe(1, 1, 1);
    core::ThreadPool pool(2);
    SparseAttention attention(x.shape, x.heads, 2);
    DenseJob job = x.job(2, step.out);
    job.sequence = &blocks;
    return attention.run(*GetParam(), pool, 0, job, step.context);
  }
};

TEST_P(FarSparse, TheBitsAreThoseOfMemory) {
  TestContext x(kShape, kHeads, 9001, 1.0f, 7);
  for (const double target : {1e-12, 0.05, 0.5}) {
    for (const int hold_max : {1, 40, 1000}) {
      const Blocks here(x.sequence, false, hold_max), far(x.sequence, true, hold_max);
      Step near, away;
      ASSERT_TRUE(*run(x, here, target, near));
      ASSERT_TRUE(*run(x, far, target, away));
      EXPECT_EQ(near.out, away.out);
      const SparseCounters &a = near.context.layer(0).counters, &b = away.context.layer(0).counters;
      EXPECT_EQ(a.tokens_full, b.tokens_full);
      EXPECT_EQ(a.tokens_eight_bit, 0u);
      EXPECT_EQ(b.tokens_eight_bit, 0u);
      EXPECT_EQ(a.bytes_read, b.bytes_read);
      ASSERT_TRUE(near.context.layer(0).audit && away.context.layer(0).audit);
      EXPECT_EQ(near.context.layer(0).audit->difference, away.context.layer(0).audit->difference);
      EXPECT_TRUE(far.holds_nothing());
      EXPECT_LE(far.held_most, std::max(hold_max, 32)) << "a run at least";
    }
  }
}

TEST_P(FarSparse, ErrorsStayNearWhatIsAllowedWithoutCopies) {
  TestContext x(kShape, kHeads, 9001, 0.5f, 6);
  const auto want = x.dense(*GetParam(), 2);
  uint64_t full_before = 0;
  for (const double target : {1.0, 0.2, 0.05}) {
    Step step;
    const Blocks far(x.sequence, true, 64);
    ASSERT_TRUE(*run(x, far, target, step));
    EXPECT_LT(std::sqrt(difference2(step.out, want, 2)), 2 * target);
    const SparseCounters& counters = step.context.layer(0).counters;
    EXPECT_GE(counters.tokens_full, full_before);
    full_before = counters.tokens_full;
  }
}

TEST_P(FarSparse, OnlyWhatWasSelectedIsBrought) {
  TestContext x(kShape, kHeads, 9001, 2.0f, 8);
  Step step;
  const Blocks far(x.sequence, true, 1000);
  ASSERT_TRUE(*run(x, far, 0.5, step));
  const size_t audited = 141;  // all blocks once more, for the audit of the first step
  const size_t blocks = far.held - audited;
  EXPECT_LT(blocks, 100u);
  EXPECT_GE(blocks * 64 * 2, step.context.layer(0).counters.tokens_full);
}

TEST_P(FarSparse, ADiskThatFailsIsAnErrorAndNothingStaysHeld) {
  TestContext x(kShape, kHeads, 9001, 1.0f, 7);
  int failed = 0;
  for (int holds = 0; holds < 40; ++holds) {
    const Blocks far(x.sequence, true, 33);
    far.holds_left = holds;
    Step step;
    const auto done = run(x, far, 1e-12, step);
    EXPECT_TRUE(far.holds_nothing());
    if (done) break;
    ++failed;
    EXPECT_EQ(done.error().message, "far.kv: the disk is gone");
    EXPECT_FALSE(step.context.layer(0).audit);
  }
  EXPECT_GT(failed, 3);
}

INSTANTIATE_TEST_SUITE_P(Isa, FarSparse, testing::ValuesIn(kernels::available_ops()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace mneme::attention
