#include "attention/sparse_prefill.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "attention/far_blocks_for_test.h"
#include "attention/prefill_context_for_test.h"

namespace mneme::attention {
namespace {

constexpr int kFirst = 9001;
constexpr double kNoSink = -std::numeric_limits<double>::infinity();
const kv::KvShape kShape{1, 2, 64};

// A context whose layer has a gain of 1: allowed errors are in units of the attention output.
SparseContext context_of(double target, int kv_heads = 2) {
  SparseOptions options;
  options.prefill = true, options.prefill_target_error = target;
  SparseContext context(options, 1, kv_heads);
  context.prefill(0).controller.observe(1, 1, 1);
  return context;
}

class Prefill : public testing::TestWithParam<const kernels::Ops*> {
 protected:
  Result<int> run(PrefillContext& x, const DenseJob& job, int tokens_after, SparseContext& context,
                  int threads = 2, bool unread = false) {
    core::ThreadPool pool(threads);
    SparsePrefill attention(x.shape, x.heads, threads);
    return attention.run(*GetParam(), pool, 0, job, {tokens_after, unread}, context);
  }
  // All of the pass.
  std::vector<float> sparse(PrefillContext& x, SparseContext& context, int threads = 2,
                            const float* sinks = nullptr) {
    std::vector<float> out;
    DenseJob job = x.job(out);
    job.sinks = sinks;
    const auto done = run(x, job, kPrefillEndTokens, context, threads);
    EXPECT_TRUE(done && *done == x.count);
    return out;
  }
};

// The mean over tokens of |a - b|^2.
double mean_difference2(const std::vector<float>& a, const std::vector<float>& b, int count) {
  double sum = 0;
  for (int token = 0; token < count; ++token) sum += token_difference2(a, b, token, count);
  return sum / count;
}

TEST_P(Prefill, WithNoErrorAllowedItIsDense) {
  const std::vector<float> sinks{1, -2, 3, 0, 5, -1, 2, 4, 0, 1, 3, -3, 2, 1};
  for (const auto& [heads, count] : {std::pair(8, 64), std::pair(2, 65), std::pair(14, 100)}) {
    PrefillContext x(kShape, heads, kFirst, count, 1.0f, 5);
    for (const float* s : {static_cast<const float*>(nullptr), sinks.data()}) {
      SparseContext context = context_of(1e-12);
      const auto out = sparse(x, context, 2, s), want = x.dense(*GetParam(), s);
      for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], want[i], 0.01f) << i;
      for (const int token : {0, count / 2, count - 1}) {
        const int head = token % heads;
        const auto exact = x.exact(token, head,
                                   s == nullptr ? kNoSink : double{sinks[static_cast<size_t>(head)]});
        for (size_t c = 0; c < exact.size(); ++c) {
          const size_t at = (static_cast<size_t>(token) * static_cast<size_t>(heads) +
                             static_cast<size_t>(head)) *
                                exact.size() +
                            c;
          ASSERT_NEAR(double{out[at]}, exact[c], 0.03) << token;
        }
      }
      EXPECT_EQ(context.prefill(0).counters.tokens_estimated, 0u);
      EXPECT_EQ(context.prefill(0).counters.steps, 1u);
    }
  }
}

// Where nearly all is read anyway the next passes are dense, and then it is tried again.
TEST_P(Prefill, WhereNothingIsGainedSomePassesAreDense) {
  PrefillContext x(kShape, 2, kFirst, 100, 1.0f, 17);
  for (const auto& [target, dense] : {std::pair(1e-12, 6u), std::pair(1e3, 0u)}) {
    SparseContext context = context_of(target);
    std::vector<int> done;
    for (int pass = 0; pass < 8; ++pass) {
      std::vector<float> out;
      DenseJob job = x.job(out);
      job.first -= pass;
      done.push_back(*run(x, job, kPrefillEndTokens, context));
    }
    EXPECT_EQ(context.prefill(0).counters.steps_dense, dense);
    for (size_t pass = 0; pass < done.size(); ++pass)
      EXPECT_EQ(done[pass], dense > 0 && pass % 4 != 0 ? 0 : x.count) << pass;
  }
}

TEST_P(Prefill, ErrorsStayNearWhatIsAllowedAndFallWithIt) {
  for (const float sharpness : {0.0f, 0.5f, 1.5f}) {
    PrefillContext x(kShape, 4, kFirst, 130, sharpness, 6, 130);
    const auto want = x.dense(*GetParam());
    double before = 1e9;
    uint64_t full_before = 0;
    for (const double allowed : {1.0, 0.2, 0.05}) {
      SparseContext context = context_of(allowed);
      const double error = std::sqrt(mean_difference2(sparse(x, context), want, x.count));
      EXPECT_LT(error, 3 * allowed) << "sharpness " << sharpness;
      EXPECT_LT(error, before * 1.3) << "sharpness " << sharpness;
      EXPECT_GE(context.prefill(0).counters.tokens_full, full_before);
      before = error, full_before = context.prefill(0).counters.tokens_full;
    }
  }
}

// Rows that look for tokens of their own: what the samples look at says nothing of the others, and shows that
// it does.
TEST_P(Prefill, WhatEveryRowLooksUpForItselfIsReadInTheFirstPass) {
  for (const float sharpness : {0.8f, 1.5f, 3.0f}) {
    PrefillContext x(kShape, 4, kFirst, 130, sharpness, 16);
    const auto want = x.dense(*GetParam());
    for (const double allowed : {1.0, 0.2}) {
      SparseContext context = context_of(allowed);
      const double error = std::sqrt(mean_difference2(sparse(x, context), want, x.count));
      EXPECT_LT(error, 3 * allowed) << "sharpness " << sharpness;
    }
  }
}

// Flat attention is its blocks' means: nearly nothing has to be read.
TEST_P(Prefill, FlatAttentionIsEstimated) {
  PrefillContext x(kShape, 8, kFirst, 100, 0.0f, 7);
  SparseContext context = context_of(0.4);
  const auto out = sparse(x, context), want = x.dense(*GetParam());
  const SparseCounters& counters = context.prefill(0).counters;
  EXPECT_GT(counters.tokens_estimated, 9 * counters.tokens_full);
  EXPECT_LT(mean_difference2(out, want, x.count), 0.2 * 0.2);
}

TEST_P(Prefill, TheBitsDoNotDependOnTheNumberOfThreads) {
  PrefillContext x(kShape, 8, kFirst, 140, 0.5f, 8);
  for (const double allowed : {0.5, 0.1}) {
    SparseContext one = context_of(allowed), three = context_of(allowed);
    EXPECT_EQ(sparse(x, one, 1), sparse(x, three, 3));
    ASSERT_TRUE(one.prefill(0).audit && three.prefill(0).audit) << "the first passes are audited";
    EXPECT_EQ(one.prefill(0).audit->difference, three.prefill(0).audit->difference);
    EXPECT_EQ(one.prefill(0).audit->report.error_estimated, three.prefill(0).audit->report.error_estimated);
    EXPECT_EQ(one.prefill(0).counters.bytes_read, three.prefill(0).counters.bytes_read);
  }
}

TEST_P(Prefill, AuditsTellTheTruth) {
  PrefillContext x(kShape, 6, kFirst, 180, 0.5f, 9);
  for (const double allowed : {2.0, 0.2}) {
    SparseContext context = context_of(allowed);
    const auto out = sparse(x, context), want = x.dense(*GetParam());
    ASSERT_TRUE(context.prefill(0).audit.has_value());
    const PendingAudit& audit = *context.prefill(0).audit;
    ASSERT_EQ(audit.tokens.size(), 4u);
    const size_t width = static_cast<size_t>(6 * 64), of_kv_head = static_cast<size_t>(3 * 64);
    double squares = 0;
    for (size_t i = 0; i < audit.tokens.size(); ++i) {
      for (size_t c = 0; c < of_kv_head; ++c) {  // the first audit is of the first KV head
        const size_t at = static_cast<size_t>(audit.tokens[i]) * width + c;
        const float difference = audit.difference[i * width + c];
        EXPECT_NEAR(difference, out[at] - want[at], 0.01f);
        squares += double{difference} * double{difference} / 4;
      }
      for (size_t c = of_kv_head; c < width; ++c) ASSERT_EQ(audit.difference[i * width + c], 0.0f);
    }
    EXPECT_NEAR(audit.report.error_estimated, squares, 1e-6 * squares);
    EXPECT_GT(audit.report.missed_mass, 0);
    EXPECT_LE(audit.report.missed_mass, 1);
    EXPECT_GT(audit.report.expected_estimated, 0);
    EXPECT_LT(audit.report.error_estimated, 16 * audit.report.expected_estimated);
  }
}

// What only one row looks for shows in no sample: that row misses it and no other row is the worse.
TEST_P(Prefill, ANeedleOfOneUnsampledRowIsMissedByThatRowAlone) {
  PrefillContext x(kShape, 2, kFirst, 128, 0.0f, 10);
  const size_t dim = 64, width = 2 * dim, needle = 4000, looking = 50;
  for (size_t c = 0; c < dim; ++c) {
    const float sign = c % 2 == 0 ? 1.0f : -1.0f;
    x.keys[needle * width + c] = 3 * sign;
    x.values[needle * width + c] = 4.0f;
    x.queries[looking * width + c] = 6 * sign;
  }
  x.store();
  SparseContext context = context_of(0.3);
  const auto out = sparse(x, context), want = x.dense(*GetParam());
  double others = 0;
  for (int token = 0; token < x.count; ++token) {
    if (token != static_cast<int>(looking))
      others = std::max(others, token_difference2(out, want, token, x.count));
  }
  EXPECT_LT(std::sqrt(others), 0.3);
  const double missed = std::sqrt(token_difference2(out, want, looking, x.count));
  EXPECT_GT(missed, 1) << "if it is found, so much the better: say so in sparse_prefill.h";
  EXPECT_LT(missed, 4.0 * std::sqrt(64.0) * 1.5) << "a weighted mean of values for another";
}

// Where all rows but the sampled ones look things up, the first audit sees it and the layer runs dense, until
// it is better.
TEST_P(Prefill, AuditsSeeWhatNoSampleShows) {
  PrefillContext x(kShape, 2, kFirst, 128, 1.5f, 11);
  const size_t width = 128;
  for (size_t i = 0; i < 8; ++i) {  // the sampled tokens (sparse_prefill_scan.cpp)
    std::fill_n(&x.queries[((i + 1) * 16 - 1) * width], width, 0.0f);
  }
  SparseContext context = context_of(0.2);
  SparseLayer& layer = context.prefill(0);
  const auto square_root = [](const AuditReport& report) { return std::sqrt(report.error_estimated); };
  sparse(x, context);
  ASSERT_TRUE(layer.audit);
  EXPECT_GT(square_root(layer.audit->report), 4 * 0.2);
  layer.finish_audit(square_root(layer.audit->report), 2);
  EXPECT_TRUE(layer.controller.dense());
  EXPECT_GT(layer.controller.estimate_share(), 1.0);
  for (int pass = 0; pass < 30; ++pass) {
    std::vector<float> out;
    DenseJob job = x.job(out);
    job.first -= pass;
    const auto done = run(x, job, kPrefillEndTokens, context);
    ASSERT_TRUE(done);
    EXPECT_EQ(*done, 0) << "still " << square_root(layer.audit->report);
    if (layer.audit) layer.finish_audit(square_root(layer.audit->report), 2);
    if (!layer.controller.dense()) break;
  }
}

TEST_P(Prefill, WhatIsDense) {
  PrefillContext x(kShape, 2, kFirst, 300, 0.5f, 12);
  std::vector<float> out;
  DenseJob job = x.job(out);
  SparseContext context = context_of(0.2);
  EXPECT_EQ(*run(x, job, 0, context), 0) << "the end of an input";
  EXPECT_EQ(*run(x, job, kPrefillEndTokens - 200, context), 100);
  EXPECT_EQ(*run(x, job, kPrefillEndTokens - 250, context), 0) << "50 tokens are too few";
  EXPECT_EQ(context.prefill(0).counters.steps, 1u);
  job.window = 4096;
  EXPECT_EQ(*run(x, job, kPrefillEndTokens, context), 0);
  job.window = 0, job.first = kPrefillDenseTokens - 1;
  EXPECT_EQ(*run(x, job, kPrefillEndTokens, context), 0);
  SparseOptions options;
  options.prefill = true;
  SparseContext unknown(options, 1, 2);
  job.first = kFirst;
  EXPECT_EQ(*run(x, job, kPrefillEndTokens, unknown), 0) << "no gain is known";
  EXPECT_EQ(unknown.prefill(0).counters.steps_dense, 1u);
  x.sequence.truncate(0);
  EXPECT_EQ(*run(x, job, kPrefillEndTokens, context), 0) << "nothing is sealed";
}

// Of rows whose output nothing reads: nothing but the first and the last blocks is read, nothing audited.
TEST_P(Prefill, UnreadRowsAreEstimated) {
  PrefillContext x(kShape, 4, kFirst, 100, 0.0f, 15);
  const FarBlocks far(x.sequence, true, 1000);
  SparseContext context = context_of(0.001);
  std::vector<float> out;
  DenseJob job = x.job(out);
  job.sequence = &far;
  EXPECT_EQ(*run(x, job, kPrefillUnreadEndTokens - 50, context, 2, true), 0) << "50 tokens are too few";
  EXPECT_EQ(*run(x, job, kPrefillUnreadEndTokens, context, 2, true), x.count);
  EXPECT_EQ(far.held, 1u + 2u + 3u);
  EXPECT_TRUE(far.holds_nothing());
  EXPECT_FALSE(context.prefill(0).audit);
  EXPECT_EQ(context.prefill(0).counters.steps, 0u);
  EXPECT_GT(context.prefill(0).counters.tokens_unread, 0u);
  EXPECT_LT(mean_difference2(out, x.dense(*GetParam()), x.count), 1) << "flat attention: all the same";
}

TEST_P(Prefill, TheBitsAreThoseOfMemoryWhereBlocksAreFar) {
  PrefillContext x(kShape, 4, kFirst, 150, 0.8f, 13);
  for (const double target : {1e-12, 1.0}) {
    for (const int hold_max : {1, 40}) {
      const FarBlocks here(x.sequence, false, hold_max), far(x.sequence, true, hold_max);
      SparseContext near = context_of(target), away = context_of(target);
      std::vector<float> want, got;
      DenseJob job = x.job(want);
      job.sequence = &here;
      ASSERT_EQ(*run(x, job, kPrefillEndTokens, near), x.count);
      got.assign(want.size(), 0.0f);
      job.sequence = &far, job.out = got.data();
      ASSERT_EQ(*run(x, job, kPrefillEndTokens, away), x.count);
      EXPECT_EQ(want, got);
      ASSERT_TRUE(near.prefill(0).audit && away.prefill(0).audit);
      EXPECT_EQ(near.prefill(0).audit->difference, away.prefill(0).audit->difference);
      EXPECT_TRUE(far.holds_nothing());
    }
  }
}

TEST_P(Prefill, ADiskThatFailsIsAnErrorAndNothingStaysHeld) {
  PrefillContext x(kShape, 2, kFirst, 70, 1.0f, 14);
  int failed = 0;
  for (int holds = 0; holds < 40; ++holds) {
    const FarBlocks far(x.sequence, true, 33);
    far.holds_left = holds;
    SparseContext context = context_of(1e-12);
    std::vector<float> out;
    DenseJob job = x.job(out);
    job.sequence = &far;
    const auto done = run(x, job, kPrefillEndTokens, context);
    EXPECT_TRUE(far.holds_nothing());
    if (done) break;
    ++failed;
    EXPECT_EQ(done.error().message, "far.kv: the disk is gone");
    EXPECT_FALSE(context.prefill(0).audit);
  }
  EXPECT_GT(failed, 3);
}

INSTANTIATE_TEST_SUITE_P(Isa, Prefill, testing::ValuesIn(kernels::available_ops()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace mneme::attention
