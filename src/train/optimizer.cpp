#include "train/optimizer.h"

#include <cmath>

#include "train/lazy_adam.h"

namespace mneme::train {

using torch::Tensor;

Optimizer::Optimizer(std::vector<Parameter>& parameters, const OptimizerOptions& options)
    : parameters_(parameters), options_(options) {
  for (const Parameter& p : parameters_) {
    ParameterState state;
    state.first = torch::zeros_like(p.value).detach();
    if (!by_muon(p)) state.second = torch::zeros_like(p.value).detach();
    if (options_.ema > 0) state.average = p.value.detach().clone();
    if (options_.ema > 0 && p.kind == ParameterKind::kTable)
      state.average_at = torch::zeros({p.value.size(0)}, p.value.options().dtype(torch::kFloat64)).detach();
    states_.push_back(std::move(state));
  }
}

double Optimizer::step(double factor) {
  torch::NoGradGuard no_grad;
  const double norm = gradient_norm();
  if (!std::isfinite(norm)) {
    for (Parameter& p : parameters_) p.value.mutable_grad() = Tensor();
    return norm;
  }
  ++steps_done_;
  const double shrink = options_.clip > 0 && norm > options_.clip ? options_.clip / norm : 1;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& p = parameters_[i];
    if (!p.value.grad().defined()) continue;
    if (shrink != 1) p.value.mutable_grad().mul_(shrink);
    const double rate = factor * rate_of(p);
    if (p.value.grad().is_sparse()) {
      step_table(p, states_[i], rate);
    } else {
      by_muon(p) ? step_muon(p, states_[i], rate) : step_adam(p, states_[i], rate);
      if (states_[i].average.defined()) states_[i].average.lerp_(p.value, 1 - ema_decay());
    }
    p.value.mutable_grad() = Tensor();
  }
  return norm;
}

// Short at first, so that the start is forgotten.
double Optimizer::ema_decay() const {
  const auto steps = static_cast<double>(steps_done_);
  return std::min(options_.ema, (1 + steps) / (10 + steps));
}

double Optimizer::gradient_norm() const {
  std::vector<Tensor> squares;
  for (const Parameter& p : parameters_) {
    const Tensor& grad = p.value.grad();
    if (!grad.defined()) continue;
    const Tensor values = grad.is_sparse() ? rows_of(grad).values : grad;
    squares.push_back(values.norm().square().to(torch::kFloat64));
  }
  return squares.empty() ? 0 : std::sqrt(torch::stack(squares).sum().item<double>());
}

bool Optimizer::by_muon(const Parameter& p) const {
  return options_.muon && p.kind == ParameterKind::kMatrix;
}

double Optimizer::rate_of(const Parameter& p) const {
  switch (p.kind) {
    case ParameterKind::kMatrix: return options_.muon ? options_.matrix_rate : options_.adam_rate;
    case ParameterKind::kHyper: return options_.adam_rate * options_.hyper_factor;
    case ParameterKind::kLogit: return options_.adam_rate * options_.logit_factor;
    case ParameterKind::kTable: return options_.adam_rate * options_.table_factor;
    default: return options_.adam_rate;
  }
}

void Optimizer::step_muon(Parameter& p, ParameterState& state, double rate) {
  const Tensor grad = p.value.grad();
  state.first.mul_(options_.momentum).add_(grad);
  const Tensor ahead = grad.add(state.first, options_.momentum);  // Nesterov
  const double rows = static_cast<double>(p.value.size(0)), columns = static_cast<double>(p.value.size(1));
  p.value.mul_(1 - rate * options_.weight_decay);
  p.value.add_(orthogonalised(ahead), -rate * std::sqrt(std::max(1.0, rows / columns)));
}

void Optimizer::step_adam(Parameter& p, ParameterState& state, double rate) {
  const Tensor grad = p.value.grad();
  const auto steps = static_cast<double>(steps_done_);
  state.first.lerp_(grad, 1 - options_.beta1);
  state.second.mul_(options_.beta2).addcmul_(grad, grad, 1 - options_.beta2);
  const double first = 1 - std::pow(options_.beta1, steps), second = 1 - std::pow(options_.beta2, steps);
  if (p.kind == ParameterKind::kMatrix) p.value.mul_(1 - rate * options_.weight_decay);
  const Tensor scale = state.second.div(second).sqrt_().add_(options_.adam_epsilon);
  p.value.addcdiv_(state.first, scale, -rate / first);
}

void Optimizer::step_table(Parameter& p, ParameterState& state, double rate) {
  const AdamStep step{rate, options_.beta1, options_.beta2, options_.adam_epsilon, steps_done_, ema_decay()};
  lazy_adam(rows_of(p.value.grad()), p.value,
            {state.first, state.second, state.average, state.average_at, state.log_decay}, step, true);
}

Tensor orthogonalised(const Tensor& matrix) {
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;  // steepest at zero that still converges (Jordan
                                                         // 2024)
  const bool tall = matrix.size(0) > matrix.size(1);
  Tensor x = (tall ? matrix.t() : matrix).to(torch::kBFloat16).contiguous();
  x = x / (x.to(torch::kFloat32).norm() + 1e-7).to(torch::kBFloat16);
  for (int i = 0; i < 5; ++i) {
    const Tensor gram = torch::mm(x, x.t());
    const Tensor poly = b * gram + c * torch::mm(gram, gram);
    x = a * x + torch::mm(poly, x);
  }
  return (tall ? x.t() : x).to(torch::kFloat32);
}

}  // namespace mneme::train
