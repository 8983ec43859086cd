// The fused functions against their definitions, values and gradients.
#include "train/functional.h"

#include <gtest/gtest.h>

namespace mneme::train {
namespace {

double relative_error(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(torch::kFloat64), y = b.to(torch::kFloat64);
  return ((x - y).square().sum() / (y.square().sum() + 1e-30)).sqrt().item<double>();
}

Tensor random(std::vector<int64_t> shape, torch::ScalarType type = torch::kFloat32) {
  return torch::randn(shape).to(type);
}

// Runs f on copies of the inputs fused and plain, with the same random gradient, and compares everything.
template <class F>
void expect_same(const std::vector<Tensor>& inputs, double tolerance, F f) {
  std::vector<Tensor> results[2];
  Tensor seed;
  for (const bool fused : {false, true}) {
    std::vector<Tensor> x;
    for (const Tensor& input : inputs)
      x.push_back(input.defined() ? input.clone().set_requires_grad(input.is_floating_point()) : Tensor());
    const Tensor y = f(x, fused);
    if (!seed.defined()) seed = torch::randn(y.sizes()).to(y.scalar_type());
    y.backward(seed);
    results[fused].push_back(y.detach());
    for (const Tensor& input : x)
      if (input.defined() && input.grad().defined()) results[fused].push_back(input.grad());
  }
  ASSERT_EQ(results[0].size(), results[1].size());
  for (size_t i = 0; i < results[0].size(); ++i)
    EXPECT_LT(relative_error(results[1][i], results[0][i]), tolerance) << "result " << i;
}

class Functional : public testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(7); }
};

TEST_F(Functional, RmsNorm) {
  for (const int64_t width : {1, 7, 64, 250}) {
    expect_same({random({300, width}), random({width})}, 1e-5,
                [](const auto& x, bool fused) { return rms_norm(x[0], x[1], 1e-6, torch::kFloat32, fused); });
  }
}

TEST_F(Functional, SiluMul) {
  expect_same({random({65, 37}) * 10, random({65, 37})}, 1e-5,
              [](const auto& x, bool fused) { return silu_mul(x[0], x[1], fused); });
  expect_same({random({65, 37}, torch::kBFloat16), random({65, 37}, torch::kBFloat16)}, 2e-2,
              [](const auto& x, bool fused) { return silu_mul(x[0], x[1], fused); });
}

TEST_F(Functional, UnitHeads) {
  const Tensor table = rope_table(3, 5, 12, 10000);
  for (const bool rotate : {false, true}) {
    expect_same({random({2 * 5, 6 * 12}), random({6})}, 1e-5, [&](const auto& x, bool fused) {
      return unit_heads(x[0], x[1], rotate ? table : Tensor(), {2, 5, 3, 2, 1e-3}, fused);
    });
  }
  expect_same({random({2 * 5, 6 * 12})}, 1e-5, [&](const auto& x, bool fused) {
    return unit_heads(x[0], Tensor(), table, {2, 5, 6, 1, 1e-3}, fused);
  });
}

TEST_F(Functional, BandedAttention) {
  struct Case {
    int64_t batch, kv, tokens, group, d, window;
    bool cross, sinks;
  } const cases[] = {
      {1, 1, 1, 1, 8, 0, false, false}, {2, 2, 130, 2, 16, 0, false, true},
      {2, 1, 64, 3, 8, 5, false, true}, {1, 2, 200, 2, 16, 64, false, true},
      {3, 2, 70, 2, 8, 0, true, true},  {2, 1, 129, 1, 24, 100, false, false},
  };
  for (const Case& c : cases) {
    expect_same({random({c.batch, c.kv, c.tokens, c.group, c.d}), random({c.batch, c.kv, c.tokens, c.d}),
                 random({c.batch, c.kv, c.tokens, c.d}), c.sinks ? random({c.kv * c.group}) : Tensor()},
                2e-5, [&](const auto& x, bool fused) {
                  return banded_attention(x[0], x[1], x[2], x[3], {c.window, c.cross}, fused);
                });
  }
}

TEST_F(Functional, LinearCrossEntropy) {
  const Tensor targets = torch::randint(0, 97, {1100}, torch::kInt64);
  const Tensor weights = torch::rand({1100});
  expect_same({random({1100, 16}), random({97, 16})}, 1e-5, [&](const auto& x, bool fused) {
    return linear_cross_entropy(x[0], x[1], targets, weights, fused);
  });
}

}  // namespace
}  // namespace mneme::train
