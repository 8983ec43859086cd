#include "train/indexer_loss.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <vector>

namespace mneme::train {
namespace {

torch::Tensor unit(const torch::Tensor& t) { return t / t.norm(2, -1, true); }

struct Case {
  IndexerScores scores;
  torch::Tensor target;

  [[nodiscard]] std::vector<torch::Tensor> leaves() const { return {scores.query, scores.key, scores.head}; }
};

// target: softmax of random logits over visible keys, some of them exactly 0.
Case random_case(int64_t rows, int64_t first, int64_t heads, int64_t dim, torch::Dtype dtype) {
  torch::manual_seed(static_cast<uint64_t>(rows * 100 + first));
  const int64_t keys = first + rows + 3;  // the last three nobody sees
  const auto options = torch::TensorOptions().dtype(torch::kDouble);
  const auto leaf = [&](const torch::Tensor& t) { return t.to(dtype).detach().requires_grad_(true); };
  auto logits = torch::randn({rows, keys}, options) * 3;
  for (int64_t t = 0; t < rows; ++t) logits[t].slice(0, first + t + 1).fill_(-INFINITY);
  logits.select(1, 0).slice(0, 1).fill_(-INFINITY);
  if (first == 0) logits[0][0] = 0;
  return {
      {leaf(unit(torch::randn({rows, heads, dim}, options))), leaf(unit(torch::randn({keys, dim}, options))),
       leaf(torch::randn({rows, heads}, options) * 4), first},
      torch::softmax(logits, 1).to(dtype)};
}

TEST(IndexerLoss, FusedIsTheReference) {
  for (const auto dtype : {torch::kDouble, torch::kFloat}) {
    // Sums of at most 200 terms of size one: 1e-5 in f32.
    const double tolerance = dtype == torch::kDouble ? 1e-12 : 1e-5;
    for (const auto& [rows, first] : {std::pair<int64_t, int64_t>{1, 0}, {7, 0}, {65, 0}, {130, 20}}) {
      const auto one = random_case(rows, first, 3, 10, dtype);
      const auto want = indexer_loss(one.scores, one.target, false),
                 got = indexer_loss(one.scores, one.target, true);
      EXPECT_NEAR(got.item<double>(), want.item<double>(), tolerance * (1 + want.item<double>()));
      EXPECT_GE(want.item<double>(), -tolerance);
      const auto d_want = torch::autograd::grad({want * 3}, one.leaves());
      const auto d_got = torch::autograd::grad({got * 3}, one.leaves());
      for (size_t i = 0; i < d_want.size(); ++i) {
        EXPECT_TRUE(d_got[i].isfinite().all().item<bool>());
        EXPECT_LT((d_got[i] - d_want[i]).norm().item<double>(),
                  tolerance * (1e-3 + d_want[i].norm().item<double>()));
      }
    }
  }
}

// Against the definition, one query and key at a time.
TEST(IndexerLoss, IsTheDivergence) {
  const auto one = random_case(9, 2, 2, 5, torch::kDouble);
  double sum = 0;
  for (int64_t t = 0; t < 9; ++t) {
    std::vector<double> index;
    double total = 0;
    for (int64_t s = 0; s <= 2 + t; ++s) {
      double value = 0;
      for (int64_t j = 0; j < 2; ++j) {
        const double dot = (one.scores.query[t][j] * one.scores.key[s]).sum().item<double>();
        value += one.scores.head[t][j].item<double>() * std::max(dot, 0.0);
      }
      index.push_back(value);
      total += std::exp(value);
    }
    for (int64_t s = 0; s <= 2 + t; ++s) {
      const double p = one.target[t][s].item<double>();
      if (p > 0) sum += p * (std::log(p) - index[static_cast<size_t>(s)] + std::log(total));
    }
  }
  EXPECT_NEAR(indexer_loss(one.scores, one.target, true).item<double>(), sum / 9, 1e-12);
}

TEST(IndexerLoss, HasTheSlopeOfItsGradient) {
  auto one = random_case(33, 4, 4, 8, torch::kDouble);
  const auto d = torch::autograd::grad({indexer_loss(one.scores, one.target, true)}, one.leaves());
  std::vector<torch::Tensor> direction;
  double expected = 0, size = 0;
  for (size_t i = 0; i < d.size(); ++i) {
    direction.push_back(torch::randn_like(d[i]).detach());
    expected += (d[i] * direction[i]).sum().item<double>();
    size += d[i].square().sum().item<double>();
  }
  const auto at = [&](double step) {
    const torch::NoGradGuard no_grad;
    const auto leaves = one.leaves();
    for (size_t i = 0; i < leaves.size(); ++i) leaves[i].add_(direction[i], step);
    const double value = indexer_loss(one.scores, one.target, false).item<double>();
    for (size_t i = 0; i < leaves.size(); ++i) leaves[i].sub_(direction[i], step);
    return value;
  };
  const double h = 1e-6;  // 1e-16 / h of rounding; the kinks of relu are rarely that near
  EXPECT_NEAR((at(h) - at(-h)) / (2 * h), expected, 1e-6 * std::sqrt(size) + 1e-8);
}

}  // namespace
}  // namespace mneme::train
