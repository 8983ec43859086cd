#include "train/lazy_adam.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "train/optimizer.h"

namespace mneme::train {
namespace {

using torch::Tensor;

struct Table {
  Tensor value, first, second, average, average_at;
  double log_decay = 0;

  explicit Table(const Tensor& start)
      : value(start.clone()),
        first(torch::zeros_like(start)),
        second(torch::zeros_like(start)),
        average(start.clone()),
        average_at(torch::zeros({start.size(0)}, torch::kFloat64)) {}
  TableState state() { return {first, second, average, average_at, log_decay}; }
};

TableRows random_rows(int64_t rows, int64_t width) {
  const Tensor numbers = torch::randint(0, rows, {rows / 2}, torch::kLong);
  return sum_by_row(numbers, torch::randn({rows / 2, width}));
}

double distance(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

// Row by row, in double: what the header says.
TEST(LazyAdam, IsAdamOfTheTouchedRows) {
  torch::manual_seed(3);
  const int64_t rows = 41, width = 5;
  const Tensor start = torch::randn({rows, width});
  Tensor x = start.to(torch::kFloat64), m = torch::zeros_like(x), v = torch::zeros_like(x),
         average = x.clone();
  Table fused(start), plain(start);
  for (int64_t t = 1; t <= 12; ++t) {
    const TableRows gradient = random_rows(rows, width);
    const double rate = 0.03 / static_cast<double>(t),
                 decay = std::min(0.9, (1.0 + double(t)) / (10.0 + double(t)));
    const AdamStep step{rate, 0.9, 0.95, 1e-10, t, decay};
    lazy_adam(gradient, fused.value, fused.state(), step, true);
    lazy_adam(gradient, plain.value, plain.state(), step, false);
    for (int64_t i = 0; i < gradient.numbers.numel(); ++i) {
      const int64_t row = gradient.numbers[i].item<int64_t>();
      const Tensor g = gradient.values[i].to(torch::kFloat64);
      m[row] = 0.9 * m[row] + 0.1 * g;
      v[row] = 0.95 * v[row] + 0.05 * g * g;
      x[row] -= rate * (m[row] / (1 - std::pow(0.9, t))) /
                ((v[row] / (1 - std::pow(0.95, t))).sqrt() + 1e-10);
    }
    average = decay * average + (1 - decay) * x;  // of every row at every step
    for (const Table* table : {&fused, &plain}) {
      EXPECT_LT(distance(table->value, x), 1e-5) << t;
      EXPECT_LT(distance(table->first, m), 1e-5) << t;
      EXPECT_LT(distance(table->second, v), 1e-5) << t;
      const Tensor settled = settled_average(table->value, table->average, table->average_at,
                                             table->log_decay);
      EXPECT_LT(distance(settled, average), 1e-5) << t;
    }
  }
}

TEST(LazyAdam, LeavesOtherRowsAlone) {
  torch::manual_seed(4);
  Table table(torch::randn({6, 4}));
  const Tensor before = table.value.clone();
  const TableRows gradient{torch::tensor({1, 4}, torch::kLong), torch::randn({2, 4})};
  lazy_adam(gradient, table.value, table.state(), {0.1, 0.9, 0.95, 1e-10, 7, 0.5}, true);
  for (int64_t row = 0; row < 6; ++row) {
    const bool touched = row == 1 || row == 4;
    EXPECT_EQ(torch::equal(table.value[row], before[row]), !touched) << row;
    EXPECT_EQ(table.first[row].abs().sum().item<double>() == 0, !touched) << row;
  }
}

TEST(LazyAdam, TheClippedNormCountsRows) {
  std::vector<Parameter> parameters{
      {"table", torch::zeros({5, 1}).set_requires_grad(true), ParameterKind::kTable},
      {"b", torch::zeros({1}).set_requires_grad(true), ParameterKind::kVector}};
  OptimizerOptions o;
  o.clip = 1;
  Optimizer optimizer(parameters, o);
  // row 3 twice: 1 + 2
  parameters[0].value.mutable_grad() = torch::sparse_coo_tensor(torch::tensor({{3, 3}}, torch::kLong),
                                                                torch::tensor({{1.0f}, {2.0f}}), {5, 1});
  parameters[1].value.mutable_grad() = torch::tensor({4.0f});
  EXPECT_NEAR(optimizer.step(1), 5, 1e-6);
  EXPECT_NEAR(optimizer.states()[0].first[3].item<double>(), 0.1 * 3 / 5, 1e-6);
  EXPECT_LT(parameters[0].value[3].item<double>(), 0);
  EXPECT_EQ(parameters[0].value[2].item<double>(), 0);
}

}  // namespace
}  // namespace mneme::train
