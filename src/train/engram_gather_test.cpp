#include "train/engram_gather.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <set>

namespace mneme::train {
namespace {

// The gradients as a dense table.
torch::Tensor dense(RowGradients& gradients, int64_t rows) {
  auto all = torch::zeros({rows, gradients.width()});
  for (size_t i = 0; i < gradients.touched().size(); ++i) {
    const auto one = gradients.gradient(i);
    all[gradients.touched()[i]] = torch::from_blob(one.data(), {gradients.width()}).clone();
  }
  return all;
}

TEST(EngramGather, IsIndexingWithAGradientByRow) {
  torch::manual_seed(5);
  const int64_t rows = 101, width = 12;
  RowGradients gradients(rows, width);
  const auto table = torch::randn({rows, width}).requires_grad_(true);
  const auto dense_table = table.detach().clone().requires_grad_(true);
  for (const int64_t tokens : {1, 7, 65}) {  // the second and third without a new table: clear leaves nothing
                                             // behind
    gradients.clear();
    const auto indices = torch::randint(0, 40, {tokens, 5}, torch::kLong);
    const auto factors = torch::randn({tokens, 5 * width});
    const auto got = engram_gather(table, indices, gradients);
    const auto want = dense_table.index({indices}).reshape({tokens, -1});
    EXPECT_TRUE(torch::equal(got, want));
    (got * factors).sum().backward();
    const auto d = torch::autograd::grad({(want * factors).sum()}, {dense_table})[0];
    EXPECT_FALSE(table.grad().defined());
    EXPECT_TRUE(torch::allclose(dense(gradients, rows), d, 1e-5, 1e-5));  // sums of up to 20 values, in
                                                                          // another order
    const std::set<int64_t> touched(gradients.touched().begin(), gradients.touched().end());
    EXPECT_EQ(touched.size(), gradients.touched().size());
    EXPECT_EQ(static_cast<int64_t>(touched.size()), std::get<0>(torch::_unique(indices)).numel());
  }
}

TEST(EngramGather, BackwardsOfOneStepAddUp) {
  RowGradients gradients(4, 2);
  const auto table = torch::zeros({4, 2}).requires_grad_(true);
  const auto indices = torch::tensor({3, 1, 3, 3}, torch::kLong).view({2, 2});
  for (int i = 0; i < 2; ++i) engram_gather(table, indices, gradients).sum().backward();
  EXPECT_TRUE(torch::equal(dense(gradients, 4).select(1, 0), torch::tensor({0.0F, 2.0F, 0.0F, 6.0F})));
}

}  // namespace
}  // namespace mneme::train
