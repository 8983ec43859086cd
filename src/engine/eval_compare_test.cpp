// Intervals and tests against known values, pairs, and pictures.
#include <gtest/gtest.h>

#include <cmath>

#include "core/rng.h"
#include "engine/statistics.h"

namespace mneme::engine {
namespace {

// R: binom.test(b, b + c)$p.value
TEST(Statistics, McNemarIsTheExactBinomialTest) {
  EXPECT_DOUBLE_EQ(mcnemar_p(0, 0), 1);
  EXPECT_NEAR(mcnemar_p(0, 5), 0.0625, 1e-12);
  EXPECT_NEAR(mcnemar_p(5, 0), 0.0625, 1e-12);
  EXPECT_NEAR(mcnemar_p(1, 9), 0.021484375, 1e-12);
  EXPECT_DOUBLE_EQ(mcnemar_p(7, 7), 1);
  EXPECT_NEAR(mcnemar_p(10, 20), 0.0987371, 1e-6);
  EXPECT_NEAR(mcnemar_p(500, 600), 0.00281954499, 1e-11);
}

// Newcombe 1998, table I: Wilson without continuity correction.
TEST(Statistics, WilsonHasThePublishedValues) {
  const auto expect = [](double successes, size_t count, double low, double high) {
    const Interval interval = share_interval(successes, count);
    EXPECT_NEAR(interval.low, low, 5e-5) << successes << " of " << count;
    EXPECT_NEAR(interval.high, high, 5e-5) << successes << " of " << count;
  };
  expect(81, 263, 0.2553, 0.3662);
  expect(15, 148, 0.0624, 0.1605);
  expect(0, 20, 0.0000, 0.1611);
  expect(1, 29, 0.0061, 0.1718);
  expect(29, 29, 0.8830, 1.0000);
  EXPECT_EQ(share_interval(0, 0).high, 1);
}

TEST(Statistics, BootstrapOfAKnownMeanHasItsStandardError) {
  core::Rng rng(4);
  std::vector<Cluster> clusters;
  for (int i = 0; i < 400; ++i) clusters.push_back({rng.next_unit() < 0.3f ? 1.0 : 0.0, 1});
  double mean = 0;
  for (const Cluster& one : clusters) mean += one.sum / 400;
  const double half = 1.96 * std::sqrt(mean * (1 - mean) / 400);
  const Interval interval = bootstrap_mean(clusters, 1);
  EXPECT_NEAR(interval.low, mean - half, 0.1 * half);
  EXPECT_NEAR(interval.high, mean + half, 0.1 * half);
  EXPECT_EQ(bootstrap_mean(clusters, 1).low, interval.low) << "seeded";

  // The same answers eight to a context say no more than one would.
  std::vector<Cluster> eight;
  for (size_t i = 0; i < 400; ++i) eight.push_back({8 * clusters[i].sum, 8});
  EXPECT_NEAR(bootstrap_mean(eight, 1).high, interval.high, 1e-12);
  const Cluster same[] = {{1, 2}, {2, 4}};
  EXPECT_DOUBLE_EQ(bootstrap_mean(same, 1).low, 0.5);
  EXPECT_DOUBLE_EQ(bootstrap_mean(same, 1).high, 0.5);
}

TEST(Statistics, NoDifferenceIsNotNoDoubt) {
  EXPECT_NEAR(interval_without_differences(2200).high, 0.001743, 1e-6);
  EXPECT_NEAR(interval_without_differences(10).low, -0.27753, 1e-5);
}

TEST(Statistics, QuantilesLieBetweenNeighbours) {
  const double values[] = {1, 2, 3, 4, 5};
  EXPECT_DOUBLE_EQ(quantile(values, 0), 1);
  EXPECT_DOUBLE_EQ(quantile(values, 0.5), 3);
  EXPECT_DOUBLE_EQ(quantile(values, 0.99), 4.96);
  EXPECT_DOUBLE_EQ(quantile(values, 1), 5);
  EXPECT_DOUBLE_EQ(quantile({}, 0.5), 0);
}

EvalAnswer answer_of(const std::string& task, size_t length, int sample, double score) {
  EvalAnswer answer;
  answer.task = task;
  answer.language = "en";
  answer.length = length;
  answer.sample = sample;
  answer.question = "what " + std::to_string(sample);
  answer.score = score;
  answer.correct = score >= 1;
  answer.evidence_depth = sample / 100.0;
  return answer;
}

TEST(Compare, CountsPairsByTaskLengthAndInAll) {
  std::vector<EvalAnswer> a, b;
  for (int i = 0; i < 100; ++i) {
    for (const size_t length : {1000u, 4000u}) {
      a.push_back(answer_of("one", length, i, 1));
      b.push_back(answer_of("one", length, i, i < 10 && length == 4000 ? 0 : 1));
      a.push_back(answer_of("two", length, i, 0.5));
      b.push_back(answer_of("two", length, i, 0.5));
    }
  }
  a.push_back(answer_of("one", 1000, 100, 1));  // B was stopped before
  const auto rows = compare(a, b, 3);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 7u);
  const EvalDifference& same = (*rows)[0];
  EXPECT_EQ(same.task, "one");
  EXPECT_EQ(same.length, 1000u);
  EXPECT_EQ(same.answers, 100u);
  EXPECT_EQ(same.difference, 0);
  EXPECT_DOUBLE_EQ(same.interval.high, interval_without_differences(100).high);
  const EvalDifference& worse = (*rows)[3];
  EXPECT_EQ(worse.length, 4000u);
  EXPECT_NEAR(worse.score_a, 1, 1e-12);
  EXPECT_NEAR(worse.difference, -0.1, 1e-12);
  EXPECT_NEAR(worse.interval.low, -0.16, 0.02);
  EXPECT_NEAR(worse.interval.high, -0.05, 0.02);
  EXPECT_EQ(worse.only_a, 10u);
  EXPECT_EQ(worse.only_b, 0u);
  EXPECT_NEAR(worse.mcnemar_p, 2 * std::pow(0.5, 10), 1e-12);
  const EvalDifference& all = rows->back();
  EXPECT_EQ(all.task, "");
  EXPECT_EQ(all.length, 0u);
  EXPECT_EQ(all.answers, 400u);
  EXPECT_EQ(all.contexts, 400u);
  EXPECT_NEAR(all.difference, -0.025, 1e-12);
}

TEST(Compare, OtherQuestionsAreNoPairs) {
  const std::vector<EvalAnswer> a{answer_of("one", 1000, 0, 1)};
  std::vector<EvalAnswer> b = a;
  b[0].expected = {"something else"};
  const auto rows = compare(a, b, 0);
  ASSERT_FALSE(rows);
  EXPECT_NE(rows.error().message.find("vocabularies"), std::string::npos);
  b[0] = answer_of("one", 1000, 1, 1);
  EXPECT_FALSE(compare(a, b, 0)) << "no pair";
}

TEST(Compare, PicturesHaveALineATaskAndAMapWhereThereIsADepth) {
  std::vector<EvalAnswer> answers;
  for (int i = 0; i < 100; ++i) {
    for (const size_t length : {1000u, 4000u}) answers.push_back(answer_of("one", length, i, i % 2));
    answers.push_back(answer_of("two", 1000, i, 1));
    answers.back().evidence_depth = -1;
  }
  const std::string svg = score_svg(answers, "A & B");
  EXPECT_NE(svg.find("A &amp; B"), std::string::npos);
  EXPECT_NE(svg.find(">one<"), std::string::npos);
  EXPECT_NE(svg.find("one: score in %"), std::string::npos);
  EXPECT_EQ(svg.find("two: score in %"), std::string::npos);
  EXPECT_NE(svg.find(">0.9-1.0<"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_NE(score_svg({}, "").find("</svg>"), std::string::npos);
}

}  // namespace
}  // namespace mneme::engine
