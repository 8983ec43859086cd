#include "attention/sparse_decode.h"

#include <gtest/gtest.h>

#include <cmath>

#include "attention/sparse_context_for_test.h"

namespace mneme::attention {
namespace {

const kv::KvShape kShape{1, 2, 64};
constexpr int kHeads = 8;

// A context whose layer has a gain of 1: allowed errors are in units of the attention output.
SparseContext context_of(double target, int kv_heads = 2) {
  SparseContext context({.target_error = target, .begins_dense = false}, 1, kv_heads);
  context.layer(0).controller.observe(1, 1, 1);
  return context;
}

class Sparse : public testing::TestWithParam<const kernels::Ops*> {
 protected:
  std::vector<float> sparse(TestContext& x, int count, SparseContext& context, int threads = 2,
                            const float* sinks = nullptr) {
    core::ThreadPool pool(threads);
    SparseAttention attention(x.shape, x.heads, threads);
    std::vector<float> out;
    DenseJob job = x.job(count, out);
    job.sinks = sinks;
    const auto done = attention.run(*GetParam(), pool, 0, job, context);
    EXPECT_TRUE(done && *done);
    return out;
  }
};

TEST_P(Sparse, WithNoErrorAllowedItIsDense) {
  const std::vector<float> sinks{1, -2, 3, 0, 5, -1, 2, 4};
  for (const int count : {1, 3}) {
    TestContext x(kShape, kHeads, 3000 + count, 1.0f, 5);
    SparseContext context = context_of(1e-12);
    for (const float* s : {static_cast<const float*>(nullptr), sinks.data()}) {
      const auto out = sparse(x, count, context, 2, s), want = x.dense(*GetParam(), count, s);
      for (size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], want[i], 0.01f) << i;
    }
    EXPECT_EQ(context.layer(0).counters.tokens_eight_bit, 0u);
    EXPECT_EQ(context.layer(0).counters.tokens_estimated, 0u);
  }
}

TEST_P(Sparse, ErrorsStayNearWhatIsAllowedAndFallWithIt) {
  for (const float sharpness : {0.0f, 0.5f, 1.5f}) {
    TestContext x(kShape, kHeads, 6000, sharpness, 6);
    const auto want = x.dense(*GetParam(), 1);
    double before = 1e9;
    for (const double allowed : {1.0, 0.2, 0.05}) {
      SparseContext context = context_of(allowed);
      const double error = std::sqrt(difference2(sparse(x, 1, context), want, 1));
      EXPECT_LT(error, 2 * allowed) << "sharpness " << sharpness;
      EXPECT_LT(error, before * 1.3) << "sharpness " << sharpness;
      before = error;
    }
  }
}

TEST_P(Sparse, TheBitsDoNotDependOnTheNumberOfThreads) {
  TestContext x(kShape, kHeads, 7003, 1.0f, 7);
  for (const double allowed : {0.5, 0.1}) {
    SparseContext one = context_of(allowed), three = context_of(allowed);
    EXPECT_EQ(sparse(x, 2, one, 1), sparse(x, 2, three, 3));
    ASSERT_EQ(one.layer(0).audit.has_value(), three.layer(0).audit.has_value());
    ASSERT_TRUE(one.layer(0).audit.has_value()) << "the first steps are audited";
    EXPECT_EQ(one.layer(0).audit->difference, three.layer(0).audit->difference);
    EXPECT_EQ(one.layer(0).audit->report.error_estimated, three.layer(0).audit->report.error_estimated);
    EXPECT_EQ(one.layer(0).counters.bytes_read, three.layer(0).counters.bytes_read);
  }
}

TEST_P(Sparse, AuditsTellTheTruth) {
  TestContext x({1, 1, 64}, 4, 9000, 0.7f, 8);  // one KV head, so that its audit is of everything
  for (const double allowed : {2.0, 0.3, 0.1}) {
    SparseContext context = context_of(allowed, 1);
    const auto out = sparse(x, 1, context), want = x.dense(*GetParam(), 1);
    ASSERT_TRUE(context.layer(0).audit.has_value());
    const PendingAudit& audit = *context.layer(0).audit;
    double audited = 0;
    for (const float d : audit.difference) audited += double{d} * double{d};
    const double truth = difference2(out, want, 1);
    EXPECT_NEAR(std::sqrt(audited), std::sqrt(truth), 0.02 * std::sqrt(truth) + 1e-3);
    // The parts make up the whole, as far as they are independent.
    const double parts = audit.report.error_estimated + audit.report.error_eight_bit;
    EXPECT_GT(parts, 0.2 * truth);
    EXPECT_LT(truth, 4 * parts + 1e-6);
    EXPECT_GE(audit.report.missed_mass, 0);
    EXPECT_LE(audit.report.missed_mass, 1);
  }
}

// With everything estimated: the sketch's masses and the means, in double.
TEST_P(Sparse, EstimatesAreMassesTimesMeans) {
  TestContext x({1, 1, 64}, 2, 5000, 0.5f, 9);
  SparseContext context = context_of(1e6, 1);
  const auto out = sparse(x, 1, context);
  const SparseCounters& counters = context.layer(0).counters;
  const int fixed = 1 + 2 + (4999 - 4999 / 64 * 64 + 63) / 64;
  EXPECT_EQ(counters.tokens_full, static_cast<uint64_t>(fixed * 64));
  EXPECT_EQ(counters.tokens_estimated, static_cast<uint64_t>((kv::blocks_of(5000) - fixed) * 64));
  const auto want = x.dense(*GetParam(), 1);
  // Estimates are no worse than leaving everything out, by far.
  double size = 0;
  for (const float v : want) size += double{v} * double{v};
  EXPECT_LT(difference2(out, want, 1), size);
}

TEST_P(Sparse, ShortContextsAndThoseWithoutSealedFormsAreDense) {
  core::ThreadPool pool(1);
  SparseAttention attention(kShape, kHeads, 1);
  std::vector<float> out;
  SparseContext context = context_of(0.1);
  TestContext shorter(kShape, kHeads, 2000, 1.0f, 5), longer(kShape, kHeads, 5000, 1.0f, 5);
  EXPECT_FALSE(*attention.run(*GetParam(), pool, 0, shorter.job(1, out), context));
  SparseContext unknown({SparseMode::kAdaptive, 0.1}, 1, 2);
  EXPECT_FALSE(*attention.run(*GetParam(), pool, 0, longer.job(1, out), unknown)) << "no gain is known";
  EXPECT_EQ(unknown.layer(0).counters.steps_dense, 1u);
  longer.sequence.truncate(64);
  EXPECT_FALSE(
      *attention.run(*GetParam(), pool, 0, DenseJob{&longer.sequence, 63, 1, nullptr, out.data()}, context));
}

// While a layer is dense its audits go on, of one head.
TEST_P(Sparse, ADenseLayerIsStillAudited) {
  TestContext x(kShape, kHeads, 5000, 1.0f, 5);
  core::ThreadPool pool(2);
  SparseAttention attention(kShape, kHeads, 2);
  SparseContext context = context_of(0.1);
  AuditReport bad;
  bad.residual_error = 1;
  context.layer(0).controller.learn(bad);
  ASSERT_TRUE(context.layer(0).controller.dense());
  int audits = 0;
  std::vector<float> out;
  for (int i = 0; i < 40; ++i) {
    DenseJob job = x.job(1, out);
    job.first -= i;
    EXPECT_FALSE(*attention.run(*GetParam(), pool, 0, job, context));
    if (!context.layer(0).audit) continue;
    ++audits;
    context.layer(0).finish_audit(0.001, 2);
    if (!context.layer(0).controller.dense()) break;
  }
  EXPECT_EQ(audits, 2);
  EXPECT_FALSE(context.layer(0).controller.dense());
}

INSTANTIATE_TEST_SUITE_P(Isa, Sparse, testing::ValuesIn(kernels::available_ops()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace mneme::attention
