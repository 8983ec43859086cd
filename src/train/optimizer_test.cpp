#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace mneme::train {
namespace {

using torch::Tensor;

TEST(Muon, StepsAreNearlyOrthogonal) {
  torch::manual_seed(1);
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{32, 32}, {96, 32}, {32, 80}}) {
    const Tensor x = orthogonalised(torch::randn({rows, columns}));
    const Tensor values = std::get<1>(torch::svd(x));
    EXPECT_GT(values.min().item<double>(), 0.4) << rows << " x " << columns;
    EXPECT_LT(values.max().item<double>(), 1.4) << rows << " x " << columns;
  }
}

TEST(AdamW, IsTheFormula) {
  std::vector<Parameter> parameters{
      {"x", torch::tensor({1.0f, -2.0f}).set_requires_grad(true), ParameterKind::kVector}};
  OptimizerOptions o;
  o.adam_rate = 0.1, o.beta1 = 0.9, o.beta2 = 0.99, o.adam_epsilon = 1e-8, o.clip = 0;
  Optimizer optimizer(parameters, o);
  double x = 1, first = 0, second = 0;
  for (int step = 1; step <= 5; ++step) {
    const double grad = 2 * x;
    parameters[0].value.mutable_grad() = 2 * parameters[0].value.detach();
    optimizer.step(0.5);
    first = 0.9 * first + 0.1 * grad;
    second = 0.99 * second + 0.01 * grad * grad;
    x -= 0.5 * 0.1 * (first / (1 - std::pow(0.9, step))) /
         (std::sqrt(second / (1 - std::pow(0.99, step))) + 1e-8);
    EXPECT_NEAR(parameters[0].value[0].item<double>(), x, 1e-5) << step;
  }
}

TEST(Optimizer, ClipsByTheNormOfEverything) {
  std::vector<Parameter> parameters{{"a", torch::zeros({3}).set_requires_grad(true), ParameterKind::kVector},
                                    {"b", torch::zeros({1}).set_requires_grad(true), ParameterKind::kVector}};
  OptimizerOptions o;
  o.clip = 1;
  Optimizer optimizer(parameters, o);
  parameters[0].value.mutable_grad() = torch::tensor({0.0f, 3.0f, 0.0f});
  parameters[1].value.mutable_grad() = torch::tensor({4.0f});
  EXPECT_NEAR(optimizer.step(1), 5, 1e-6);
  EXPECT_NEAR(optimizer.states()[0].first[1].item<double>(), 0.1 * 3 / 5, 1e-6);
}

TEST(Optimizer, TemperaturesHaveStepsOfTheirScale) {
  const auto fresh = [] { return torch::full({1}, 12.0f).set_requires_grad(true); };
  std::vector<Parameter> parameters{{"gain", fresh(), ParameterKind::kVector},
                                    {"temperature", fresh(), ParameterKind::kLogit}};
  OptimizerOptions o;
  o.logit_factor = 10, o.clip = 0;
  Optimizer optimizer(parameters, o);
  for (Parameter& p : parameters) p.value.mutable_grad() = torch::full({1}, -3.0f);
  optimizer.step(1);
  EXPECT_NEAR(parameters[0].value.item<double>(), 12 + o.adam_rate, 1e-5);
  EXPECT_NEAR(parameters[1].value.item<double>(), 12 + 10 * o.adam_rate, 1e-5);
}

TEST(Optimizer, AGradientThatIsNoNumberChangesNothing) {
  std::vector<Parameter> parameters{{"a", torch::ones({2}).set_requires_grad(true), ParameterKind::kVector}};
  Optimizer optimizer(parameters, {});
  parameters[0].value.mutable_grad() = torch::full({2}, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(std::isnan(optimizer.step(1)));
  EXPECT_EQ(parameters[0].value.sum().item<double>(), 2);
  EXPECT_EQ(optimizer.steps_done(), 0);
}

TEST(Schedule, RisesStaysAndFalls) {
  OptimizerOptions o;
  o.warmup = 10, o.decay_share = 0.25, o.final_share = 0.1;
  EXPECT_NEAR(rate_factor(o, 0, 400), 0.1, 1e-9);
  EXPECT_EQ(rate_factor(o, 9, 400), 1);
  EXPECT_EQ(rate_factor(o, 299, 400), 1);
  EXPECT_NEAR(rate_factor(o, 350, 400), 0.55, 1e-9);
  EXPECT_NEAR(rate_factor(o, 400, 400), 0.1, 1e-9);
}

}  // namespace
}  // namespace mneme::train
