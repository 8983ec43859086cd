#include "train/engram_gather.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace mneme::train {
namespace {

using torch::Tensor;

void expect_ascending(const Tensor& numbers) {
  for (int64_t i = 1; i < numbers.numel(); ++i)
    ASSERT_LT(numbers[i - 1].item<int64_t>(), numbers[i].item<int64_t>()) << i;
}

TEST(EngramGather, IsIndexingWithAGradientOfRows) {
  torch::manual_seed(5);
  const int64_t rows = 101, width = 12;
  for (const int64_t tokens : {1, 7, 65}) {
    const Tensor indices = torch::randint(0, 40, {tokens, 5}, torch::kLong);
    const Tensor factors = torch::randn({tokens, 5 * width});
    const Tensor dense = torch::randn({rows, width}).requires_grad_(true);
    const Tensor want = dense.index({indices}).reshape({tokens, -1});
    (want * factors).sum().backward();
    for (const bool fused : {false, true}) {
      const Tensor table = dense.detach().clone().requires_grad_(true);
      const Tensor got = engram_gather(table, indices, fused);
      EXPECT_TRUE(torch::equal(got, want));
      (got * factors).sum().backward();
      ASSERT_TRUE(table.grad().is_sparse());
      // sums of up to 20 values, in another order
      EXPECT_TRUE(torch::allclose(table.grad().to_dense(), dense.grad(), 1e-5, 1e-5)) << fused;
      const TableRows touched = rows_of(table.grad());
      EXPECT_EQ(touched.numbers.numel(), std::get<0>(torch::_unique(indices)).numel());
      expect_ascending(touched.numbers);
    }
  }
}

TEST(EngramGather, BackwardsOfOneStepAddUp) {
  const Tensor table = torch::zeros({4, 2}).requires_grad_(true);
  const Tensor indices = torch::tensor({3, 1, 3, 3}, torch::kLong).view({2, 2});
  for (int i = 0; i < 2; ++i) engram_gather(table, indices, true).sum().backward();
  EXPECT_TRUE(torch::equal(table.grad().to_dense().select(1, 0), torch::tensor({0.0F, 2.0F, 0.0F, 6.0F})));
  const TableRows rows = rows_of(table.grad());
  EXPECT_TRUE(torch::equal(rows.numbers, torch::tensor({1, 3}, torch::kLong)));
  EXPECT_TRUE(torch::equal(rows.values, torch::tensor({2.0F, 2.0F, 6.0F, 6.0F}).view({2, 2})));
}

TEST(EngramGather, GradientIsTheSlope) {
  torch::manual_seed(6);
  const Tensor table = torch::randn({9, 3}).requires_grad_(true);
  const Tensor indices = torch::randint(0, 9, {11, 4}, torch::kLong), factors = torch::randn({11, 12});
  const auto loss = [&](const Tensor& of) {
    return (engram_gather(of, indices, true).sin() * factors).sum();
  };
  loss(table).backward();
  const Tensor direction = torch::randn({9, 3});
  const double step = 1e-2, along = (table.grad().to_dense() * direction).sum().item<double>();
  torch::NoGradGuard no_grad;
  const double up = loss(table + step * direction).item<double>();
  const double down = loss(table - step * direction).item<double>();
  EXPECT_NEAR((up - down) / (2 * step), along, 2e-3 * std::abs(along) + 1e-3);
}

TEST(EngramGather, SumsDoNotDependOnTheThreads) {
  torch::manual_seed(7);
  const Tensor numbers = torch::randint(0, 1000, {20011}, torch::kLong), d = torch::randn({20011, 7});
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const TableRows one = sum_by_row(numbers, d);
  at::set_num_threads(4);
  const TableRows four = sum_by_row(numbers, d);
  at::set_num_threads(before);
  EXPECT_TRUE(torch::equal(one.numbers, four.numbers));
  EXPECT_TRUE(torch::equal(one.values, four.values));
  EXPECT_TRUE(torch::allclose(torch::zeros({1000, 7}).index_add_(0, numbers, d).index_select(0, one.numbers),
                              one.values, 1e-5, 1e-4));
  const TableRows none = sum_by_row(torch::empty({0}, torch::kLong), torch::empty({0, 7}));
  EXPECT_EQ(none.numbers.numel(), 0);
  EXPECT_EQ(none.values.size(1), 7);
}

}  // namespace
}  // namespace mneme::train
