// Contexts of which not all is in memory: a sparse step brings what it selected, and nothing else.
#include <gtest/gtest.h>

#include "attention/far_blocks_for_test.h"
#include "attention/sparse_context_for_test.h"
#include "attention/sparse_decode.h"

namespace mneme::attention {
namespace {

using Blocks = FarBlocks;

const kv::KvShape kShape{1, 2, 64};
constexpr int kHeads = 8;

SparseContext context_of(double target) {
  const SparseOptions options{.target_error = target, .begins_dense = false};
  return SparseContext(options, 1, 2);
}

struct Step {
  std::vector<float> out;
  SparseContext context = context_of(0.1);
};

class FarSparse : public testing::TestWithParam<const kernels::Ops*> {
 protected:
  // A step with a gain of 1 behind so many audits.
  Result<bool> run(TestContext& x, const Blocks& blocks, double target, Step& step) {
    step.context = context_of(target);
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

// Copies are read wherever the originals are, with the same bits. Beside a context that must be in memory,
// where bf16 costs little, less is read in it.
TEST_P(FarSparse, CopiesAreReadWhereOriginalsAreAway) {
  TestContext x(kShape, kHeads, 9001, 2.0f, 6);
  const auto want = x.dense(*GetParam(), 2);
  uint64_t spared = 0;
  for (const double target : {0.02, 0.01}) {
    Blocks all(x.sequence, true, 1000), some(x.sequence, true, 1000), near(x.sequence, false, 1000);
    all.has_copy = near.has_copy = [](int) { return true; };
    some.has_copy = [](int block) { return block % 3 != 0; };
    Step away, partly, here, memory;
    ASSERT_TRUE(*run(x, all, target, away));
    ASSERT_TRUE(*run(x, near, target, here));
    ASSERT_TRUE(*run(x, some, target, partly));
    memory.context = context_of(target);
    memory.context.layer(0).controller.observe(1, 1, 1);
    core::ThreadPool pool(2);
    SparseAttention attention(x.shape, x.heads, 2);
    ASSERT_TRUE(*attention.run(*GetParam(), pool, 0, x.job(2, memory.out), memory.context));
    EXPECT_EQ(away.out, here.out);
    const SparseCounters& m = memory.context.layer(0).counters;
    const SparseCounters &a = away.context.layer(0).counters, &p = partly.context.layer(0).counters;
    EXPECT_GT(a.tokens_eight_bit, 0u);
    EXPECT_LE(a.tokens_full, m.tokens_full);
    spared += m.tokens_full - a.tokens_full;
    EXPECT_GE(a.tokens_eight_bit, m.tokens_eight_bit);
    EXPECT_LT(std::sqrt(difference2(away.out, want, 2)), 2 * target);
    EXPECT_GT(p.tokens_eight_bit, 0u);
    EXPECT_LT(p.tokens_eight_bit, a.tokens_eight_bit);
    EXPECT_GT(p.tokens_full, a.tokens_full) << "what has no copy is read in bf16";
    EXPECT_LT(std::sqrt(difference2(partly.out, want, 2)), 2 * target);
    EXPECT_LT(all.held, some.held) << "originals of copies stay where they are";
    EXPECT_TRUE(all.holds_nothing() && some.holds_nothing());
  }
  EXPECT_GT(spared, 0u);
}

// A dense step brings each block once: its audit's, which all heads read.
TEST_P(FarSparse, ADenseStepIsReadOnce) {
  TestContext x(kShape, kHeads, 9001, 1.0f, 7);
  for (const int rows : {1, 2}) {
    const auto want = x.dense(*GetParam(), rows);
    const Blocks far(x.sequence, true, 1000);
    SparseContext context(SparseOptions{.target_error = 0.5}, 1, 2);
    core::ThreadPool pool(2);
    SparseAttention attention(x.shape, x.heads, 2);
    std::vector<float> out;
    DenseJob job = x.job(rows, out);
    job.sequence = &far;
    EXPECT_FALSE(*attention.run(*GetParam(), pool, 0, job, context)) << "nothing was observed yet";
    context.layer(0).controller.observe(1, 1, 1);
    ASSERT_TRUE(*attention.run(*GetParam(), pool, 0, job, context));
    for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(out[i], want[i], 1e-4) << i;
    ASSERT_TRUE(context.layer(0).audit);
    EXPECT_GT(context.layer(0).audit->report.expected_estimated, 0);
    EXPECT_EQ(context.layer(0).counters.steps_dense, 2u);
    EXPECT_LT(far.held, 2 * 141u) << "its blocks, and what one head selected";
    EXPECT_TRUE(far.holds_nothing());
    job.sequence = &x.sequence;
    EXPECT_FALSE(*attention.run(*GetParam(), pool, 0, job, context)) << "what is in memory the caller reads";
  }
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
