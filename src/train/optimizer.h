// The optimiser: Muon for inner matrices, AdamW for the rest, each parameter with a rate of its kind.
//
//   Muon (Jordan et al. 2024): momentum, then the matrix is replaced by the nearest half-orthogonal one by
//   five Newton-Schulz iterations; rate x sqrt(max(1, rows / columns)).
//   AdamW (arXiv 1711.05101).
//   Tables have sparse gradients: train/lazy_adam.h.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "train/network.h"
#include "train/options.h"

namespace mneme::train {

// State of one parameter; undefined tensors are not used for it.
struct ParameterState {
  torch::Tensor first;       // Muon: momentum; AdamW: first moment
  torch::Tensor second;      // AdamW: second moment
  torch::Tensor average;     // EMA of the values; of a table: brought up to date by settled_average()
  torch::Tensor average_at;  // of tables: TableState (train/lazy_adam.h)
  double log_decay = 0;
};

class Optimizer {
 public:
  // Keeps a reference to the parameters.
  Optimizer(std::vector<Parameter>& parameters, const OptimizerOptions& options);

  // Clips the gradients, steps, clears them. factor: of the schedule. Returns the gradient norm before
  // clipping; a gradient that is not finite changes nothing and is returned as it is.
  double step(double factor);

  std::vector<ParameterState>& states() { return states_; }
  int64_t steps_done() const { return steps_done_; }
  void set_steps_done(int64_t steps) { steps_done_ = steps; }

 private:
  double gradient_norm() const;
  double ema_decay() const;  // of this step
  void step_muon(Parameter& parameter, ParameterState& state, double rate);
  void step_adam(Parameter& parameter, ParameterState& state, double rate);
  void step_table(Parameter& parameter, ParameterState& state, double rate);
  bool by_muon(const Parameter& parameter) const;
  double rate_of(const Parameter& parameter) const;

  std::vector<Parameter>& parameters_;
  std::vector<ParameterState> states_;
  OptimizerOptions options_;
  int64_t steps_done_ = 0;
};

// The half-orthogonal factor of a matrix, approximately (singular values in about [0.7, 1.2]).
torch::Tensor orthogonalised(const torch::Tensor& matrix);

}  // namespace mneme::train
