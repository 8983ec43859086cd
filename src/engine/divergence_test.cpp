// KL against values worked out by hand, which tokens are decoded, and engines that say the same.
#include "engine/divergence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>

#include "core/rng.h"

namespace mneme::engine {
namespace {

TEST(Kl, HasTheValuesOfItsDefinition) {
  const auto logs = [](std::vector<double> p) {
    std::vector<float> out;
    for (const double one : p) out.push_back(static_cast<float>(std::log(one) + 3));
    return out;
  };
  const auto p = logs({0.5, 0.25, 0.25}), q = logs({0.25, 0.25, 0.5});
  EXPECT_NEAR(kl_of(p, q), 0.5 * std::log(2.0) + 0.25 * std::log(0.5), 1e-6);
  EXPECT_EQ(kl_of(p, p), 0);
  const auto r = logs({0.98, 0.01, 0.01});
  EXPECT_NEAR(kl_of(p, r), 0.5 * std::log(0.5 / 0.98) + 0.5 * std::log(25.0), 1e-5);
  EXPECT_NEAR(kl_of(r, p), 0.98 * std::log(1.96) + 0.02 * std::log(0.04), 1e-5);
  // Logits that are impossible, or huge.
  const float none = -std::numeric_limits<float>::infinity();
  const std::vector<float> a{1000, none, 1000}, b{1000, 0, 1000};
  EXPECT_NEAR(kl_of(a, b), 0, 1e-12);
}

TEST(Nmse, IsRelativeAndKnowsNoConstant) {
  const std::vector<float> a{1, 2, 3, 6}, b{11.5f, 11.5f, 13, 16};
  EXPECT_NEAR(nmse_of(a, b), 0.5 / 14, 1e-12);  // differences of 10.5, 9.5, 10, 10; squares about 3
  EXPECT_EQ(nmse_of(a, a), 0);
  EXPECT_EQ(nmse_of(std::vector<float>(4, 2.0f), b), 0);
}

// Predicts the token after the last one it read, sharply or not; keeps what it was asked.
class Counting final : public Predictor {
 public:
  Counting(size_t vocabulary, float sharpness) : logits_(vocabulary), sharpness_(sharpness) {}
  size_t tokens_held() const override { return held.size(); }
  Result<void> prefill(size_t count, std::span<const TokenId> tokens,
                       const std::function<bool(size_t)>& on_tokens) override {
    held.resize(count);
    held.insert(held.end(), tokens.begin() + static_cast<ptrdiff_t>(count), tokens.end());
    prefilled += tokens.size() - count;
    on_tokens(tokens.size() - count);
    return {};
  }
  Result<std::span<const float>> decode(TokenId token) override {
    held.push_back(token);
    decoded.push_back(token);
    std::fill(logits_.begin(), logits_.end(), 0.0f);
    logits_[static_cast<size_t>(token + 1)] = sharpness_;
    return std::span<const float>(logits_);
  }

  std::vector<TokenId> held, decoded;
  size_t prefilled = 0;

 private:
  std::vector<float> logits_;
  float sharpness_;
};

TEST(Divergence, DecodesTheTokensBehindEachDepthAndPrefillsTheRest) {
  std::vector<TokenId> text(6000);
  std::iota(text.begin(), text.end(), 0);
  Counting a(7000, 4), b(7000, 6);
  DivergenceOptions options;
  options.depths = {10, 20, 5000};
  options.tokens = 16;
  size_t last = 0, all = 0;
  DivergenceEvents events;
  events.on_work = [&](size_t, size_t done, size_t total) {
    EXPECT_GT(done, last);
    last = done;
    all = total;
  };
  const auto report = divergence_over(a, b, text, options, events);
  ASSERT_TRUE(report);
  EXPECT_EQ(last, all);
  std::vector<TokenId> decoded;
  for (const TokenId from : {10, 20, 5000}) {
    for (TokenId i = 0; i < 16; ++i) decoded.push_back(from + i);
  }
  EXPECT_EQ(a.decoded, decoded);
  EXPECT_EQ(a.prefilled, 5000u);
  EXPECT_EQ(b.held, std::vector<TokenId>(text.begin(), text.begin() + 5016));
  ASSERT_EQ(report->rows.size(), 4u);
  EXPECT_EQ(report->rows[2].depth, 5000u);
  EXPECT_FALSE(report->rows[3].depth);
  EXPECT_EQ(report->rows[3].tokens, 48u);
  // Both are right; b is surer.
  const double sum_a = std::exp(4.0) + 6999, sum_b = std::exp(6.0) + 6999;
  const double kl = std::exp(4.0) / sum_a * -2 + std::log(sum_b / sum_a);
  for (const DivergenceRow& row : report->rows) {
    EXPECT_NEAR(row.kl_mean, kl, 1e-6);
    EXPECT_NEAR(row.kl_max, kl, 1e-6);
    EXPECT_NEAR(row.kl_mean_low, kl, 1e-6);
    EXPECT_NEAR(row.nll_a, std::log(sum_a) - 4, 1e-6);
    EXPECT_EQ(row.top1_agreement, 1);
  }
}

TEST(Divergence, CancelledKeepsWhatWasMeasured) {
  std::vector<TokenId> text(200);
  std::iota(text.begin(), text.end(), 0);
  Counting a(300, 4), b(300, 4);
  DivergenceOptions options;
  options.depths = {10, 100};
  options.tokens = 16;
  DivergenceEvents events;
  events.cancelled = [&] { return a.decoded.size() >= 5; };
  const auto report = divergence_over(a, b, text, options, events);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->cancelled);
  EXPECT_EQ(report->rows.back().tokens, 5u);
}

class Engines : public testing::Test {
 protected:
  static std::unique_ptr<Engine> open(int threads) {
    auto engine = Engine::open({.model_path = std::string(MNEME_SOURCE_DIR) + "/tests/data/fixture.gguf",
                                .kv_bytes_max = 32 << 20,
                                .threads = threads});
    EXPECT_TRUE(engine);
    return std::move(*engine);
  }
  std::string text_ = [] {
    std::string text;
    for (int i = 0; i < 900; ++i) text += std::to_string(i * 7919) + (i % 7 == 0 ? ".\n" : " ");
    return text;
  }();
};

TEST_F(Engines, OneThreadAndTwoSayTheSame) {
  const auto a = open(1), b = open(2);
  DivergenceOptions options;
  options.depths = {1, 300, 700};
  options.tokens = 20;
  const auto report = divergence(*a, *b, text_, options, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->rows.back().tokens, 60u);
  EXPECT_EQ(report->rows.back().kl_max, 0);
  EXPECT_EQ(report->rows.back().top1_agreement, 1);
  EXPECT_GT(report->rows.back().nll_a, 0);
  EXPECT_EQ(report->rows.back().nll_a, report->rows.back().nll_b);
  EXPECT_EQ(a->kv_bytes_used(), 0u);
  EXPECT_TRUE(divergence(*a, *a, text_, options, {})) << "one engine is both";
}

TEST_F(Engines, DepthsAreFilledTheSameWayInBoth) {
  const auto a = open(1), b = open(2);
  DivergenceOptions options;
  options.depths = {64, 700, 1100};
  options.tokens = 8;
  const auto read = divergence(*a, *b, text_, options, {});
  options.fill = Repetition::kDrawn, options.fill_period = 128;
  const auto drawn = divergence(*a, *b, text_, options, {});
  ASSERT_TRUE(read && drawn);
  EXPECT_EQ(drawn->rows.back().tokens, 24u);
  EXPECT_EQ(drawn->rows.back().kl_max, 0);
  EXPECT_EQ(drawn->rows[0].nll_a, read->rows[0].nll_a) << "not deeper than what is read";
  EXPECT_NE(drawn->rows[2].nll_a, read->rows[2].nll_a);
  options.fill_period = 100;
  EXPECT_FALSE(divergence(*a, *b, text_, options, {})) << "no whole blocks";
}

TEST_F(Engines, WhatCannotBeMeasuredIsSaid) {
  const auto a = open(1);
  const auto message = [&](DivergenceOptions options, const std::string& text) {
    const auto report = divergence(*a, *a, text, options, {});
    return report ? std::string() : report.error().message;
  };
  EXPECT_NE(message({.depths = {}}, text_), "");
  EXPECT_NE(message({.depths = {0}}, text_), "");
  EXPECT_NE(message({.depths = {20, 10}}, text_), "");
  EXPECT_NE(message({.depths = {10}, .tokens = 0}, text_), "");
  EXPECT_NE(message({.depths = {1000}}, "short").find("1065"), std::string::npos);
}

}  // namespace
}  // namespace mneme::engine
