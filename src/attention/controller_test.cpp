#include "attention/controller.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "core/rng.h"

namespace mneme::attention {
namespace {

constexpr double kTarget = 0.004;
constexpr int kHeads = 8;

LayerController observed() {
  LayerController c(kTarget, kHeads, kDecodeAudits, false);
  c.observe(10, 2, 4);
  return c;
}

// A layer whose error is `factor` times what was allowed, in heads that differ by a lot.
AuditReport audit_of(const LayerController& c, double factor, core::Rng& rng) {
  const double allowed = std::sqrt(c.allowed_error()) * (4 / (10 * 2.0));  // relative to the stream
  const double square = -std::log(1.0 - double{rng.next_unit()});          // mean 1
  AuditReport audit;
  audit.residual_error = factor * allowed * std::sqrt(square / kHeads);
  return audit;
}

TEST(Controller, NothingIsAllowedBeforeAnythingWasSeen) {
  LayerController c(kTarget, kHeads);
  EXPECT_EQ(c.allowed_error(), 0);
  c.observe(0, 0, 0);
  c.observe(std::numeric_limits<double>::infinity(), 1, 1);
  EXPECT_EQ(c.allowed_error(), 0);
  c.observe(10, 2, 4);
  EXPECT_NEAR(std::sqrt(c.allowed_error()), kTarget / 0.2, 1e-9);
}

TEST(Controller, BringsTheErrorToItsTarget) {
  for (const double factor : {0.8, 1.0, 3.0, 20.0}) {
    core::Rng rng(11);
    LayerController c = observed();
    double squares = 0;
    constexpr int kSteps = 400, kSettling = 100;
    for (int i = 0; i < kSteps; ++i) {
      const AuditReport audit = audit_of(c, factor, rng);
      if (i >= kSettling) squares += audit.residual_error * audit.residual_error * kHeads;
      c.learn(audit);
    }
    const double error = std::sqrt(squares / (kSteps - kSettling));
    EXPECT_GT(error, 0.5 * kTarget) << factor;
    EXPECT_LT(error, 2 * kTarget) << factor;
  }
}

TEST(Controller, ALayerThatFailsBadlyIsDenseUntilAuditsAreFine) {
  LayerController c = observed();
  AuditReport audit;
  audit.residual_error = 5 * kTarget / std::sqrt(double{kHeads});
  c.learn(audit);
  EXPECT_TRUE(c.dense());
  audit.residual_error /= 10;
  c.learn(audit);
  EXPECT_TRUE(c.dense()) << "once is luck";
  c.learn(audit);
  EXPECT_FALSE(c.dense());
  audit.residual_error = std::nan("");
  c.learn(audit);
  EXPECT_TRUE(c.dense());
  EXPECT_TRUE(std::isfinite(c.allowed_error()));
}

TEST(Controller, BeginsDenseUntilAuditsAreFine) {
  LayerController c(kTarget, kHeads);
  c.observe(10, 2, 4);
  EXPECT_TRUE(c.dense());
  EXPECT_TRUE(c.draw_audit(0, 0, true).has_value()) << "and finds out at once";
  AuditReport audit;
  audit.residual_error = 28 * kTarget;  // the first guess was far too trusting
  c.learn(audit);
  EXPECT_TRUE(c.dense());
  EXPECT_LT(c.held_error(), kTarget / 8);
  audit.residual_error = 0.5 * kTarget / std::sqrt(double{kHeads});
  c.learn(audit);
  EXPECT_TRUE(c.dense()) << "once is luck";
  c.learn(audit);
  EXPECT_FALSE(c.dense());
}

TEST(Controller, LearnsWhatTheWaysOfReadingCost) {
  LayerController c = observed();
  EXPECT_EQ(c.estimate_share(), 1);
  for (int i = 0; i < 40; ++i) {
    AuditReport audit;
    audit.expected_estimated = 9 * c.estimate_share() * c.estimate_share();
    audit.error_estimated = 9 * 2.5 * 2.5;
    audit.expected_eight_bit = 4 * c.eight_bit_share() * c.eight_bit_share();
    audit.error_eight_bit = 4 * 0.1 * 0.1;
    audit.log_bias = -0.2;
    c.learn(audit);
  }
  EXPECT_NEAR(c.estimate_share(), 2.5, 0.2);
  EXPECT_NEAR(c.eight_bit_share(), 0.1, 0.02);
  EXPECT_NEAR(c.log_bias(), -0.2, 1e-6);
}

// However many easy steps there were.
TEST(Controller, DoesNotBecomeCareless) {
  LayerController c = observed();
  for (int i = 0; i < 1000; ++i) {
    AuditReport audit;
    audit.expected_estimated = c.estimate_share() * c.estimate_share();
    audit.expected_eight_bit = c.eight_bit_share() * c.eight_bit_share();
    c.learn(audit);
  }
  EXPECT_GE(c.estimate_share(), 0.5);
  EXPECT_GE(c.eight_bit_share(), 0.02);
  EXPECT_LE(c.allowed_error(), 1.01 * std::pow(1.5 * kTarget / 0.2, 2));
}

TEST(Controller, DrawsTheSameAuditsAgainAndAllHeads) {
  LayerController c = observed();
  for (int i = 0; i < 10; ++i) c.learn({});
  std::set<int> heads;
  int audits = 0;
  for (uint64_t position = 0; position < 4000; ++position) {
    const auto head = c.draw_audit(position, 3, true);
    EXPECT_EQ(head, c.draw_audit(position, 3, true));
    if (!head) continue;
    heads.insert(*head), ++audits;
  }
  EXPECT_EQ(heads.size(), size_t{kHeads});
  EXPECT_NEAR(audits, 4000 / 16, 60);
}

TEST(Controller, AuditsOfWhatIsFarAreRareButWhereStepsReadItAnyway) {
  LayerController dense(kTarget, kHeads), sparse = observed();
  AuditReport bad;
  bad.residual_error = 100 * kTarget;
  for (int i = 0; i < 10; ++i) sparse.learn({}), dense.learn(bad);
  ASSERT_TRUE(dense.dense());
  ASSERT_FALSE(sparse.dense());
  int near = 0, far_dense = 0, far_sparse = 0;
  for (uint64_t position = 0; position < 4000; ++position) {
    near += dense.draw_audit(position, 0, true) ? 1 : 0;
    far_dense += dense.draw_audit(position, 0, false) ? 1 : 0;
    far_sparse += sparse.draw_audit(position, 0, false) ? 1 : 0;
  }
  EXPECT_NEAR(near, 4000 / 4, 120);
  EXPECT_EQ(far_dense, 4000);
  EXPECT_NEAR(far_sparse, 4000 / 128, 24);
}

}  // namespace
}  // namespace mneme::attention
