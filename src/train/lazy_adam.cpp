#include "train/lazy_adam.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <cmath>

#include "train/row_kernels.h"

namespace mneme::train {
namespace {

using torch::Tensor;

constexpr int64_t kRowsEach = 256;  // of one piece of work

void step_by_torch(const TableRows& gradient, Tensor& value, TableState& state, const AdamStep& step,
                   const rows::AdamFactors& factors) {
  const auto of = [&](const Tensor& table) { return table.index_select(0, gradient.numbers); };
  const Tensor first = of(state.first).mul_(step.beta1).add_(gradient.values, 1 - step.beta1);
  const Tensor second =
      of(state.second).mul_(step.beta2).addcmul_(gradient.values, gradient.values, 1 - step.beta2);
  const Tensor root = second.mul(factors.second_scale).sqrt_().add_(step.epsilon);
  value.index_copy_(0, gradient.numbers, of(value).addcdiv_(first, root, -factors.rate));
  state.first.index_copy_(0, gradient.numbers, first);
  state.second.index_copy_(0, gradient.numbers, second);
}

void step_in_one_loop(const TableRows& gradient, Tensor& value, TableState& state,
                      const rows::AdamFactors& factors) {
  const Tensor numbers = gradient.numbers.contiguous(), d = gradient.values.contiguous();
  const int64_t width = d.size(1);
  at::parallel_for(0, numbers.numel(), kRowsEach, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = numbers.data_ptr<int64_t>()[i] * width;
      rows::adam(d.data_ptr<float>() + i * width, state.first.data_ptr<float>() + at,
                 state.second.data_ptr<float>() + at, value.data_ptr<float>() + at,
                 static_cast<size_t>(width), factors);
    }
  });
}

// average' where the value stood still since `average_at`, up to `log_decay`.
Tensor caught_up(const Tensor& value, const Tensor& average, const Tensor& average_at, double log_decay) {
  const Tensor share = average_at.neg().add_(log_decay).exp_().to(torch::kFloat32).unsqueeze(1);
  return torch::lerp(value, average, share);
}

}  // namespace

void lazy_adam(const TableRows& gradient, Tensor value, TableState state, const AdamStep& step, bool fused) {
  torch::NoGradGuard no_grad;
  const Tensor& numbers = gradient.numbers;
  Tensor average;  // of these rows before the step
  if (state.average.defined()) {
    average = caught_up(value.index_select(0, numbers), state.average.index_select(0, numbers),
                        state.average_at.index_select(0, numbers), state.log_decay);
  }
  const auto steps = static_cast<double>(step.steps);
  const rows::AdamFactors factors{static_cast<float>(step.rate / (1 - std::pow(step.beta1, steps))),
                                  static_cast<float>(step.beta1), static_cast<float>(step.beta2),
                                  static_cast<float>(1 / (1 - std::pow(step.beta2, steps))),
                                  static_cast<float>(step.epsilon)};
  if (fused && value.is_cpu()) {
    step_in_one_loop(gradient, value, state, factors);
  } else {
    step_by_torch(gradient, value, state, step, factors);
  }
  if (!average.defined()) return;
  state.log_decay += std::log(step.ema_decay);
  average.lerp_(value.index_select(0, numbers), 1 - step.ema_decay);
  state.average.index_copy_(0, numbers, average);
  state.average_at.index_fill_(0, numbers, state.log_decay);
}

Tensor settled_average(const Tensor& value, const Tensor& average, const Tensor& average_at,
                       double log_decay) {
  torch::NoGradGuard no_grad;
  return caught_up(value.detach(), average, average_at, log_decay);
}

}  // namespace mneme::train
