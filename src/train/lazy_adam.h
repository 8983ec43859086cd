// Adam for n-gram tables: a step changes the rows that its gradient has and reads no others, so that its time
// does not grow with the table.
//
// The usual lazy Adam (torch's SparseAdam): a row that a step does not touch keeps its value and both moments
// as they are; nothing decays. The bias correction is that of all steps, not of the row's. There is no weight
// decay: rows would have to be walked for it, or seldom ones shrink less than frequent ones.
#pragma once

#include <torch/types.h>

#include "train/engram_gather.h"

namespace mneme::train {

// The state of one table, all [R, w] f32 but the last two.
struct TableState {
  torch::Tensor& first;  // moments
  torch::Tensor& second;
  torch::Tensor& average;     // EMA of the values, or undefined
  torch::Tensor& average_at;  // [R] f64: what log_decay was when the row's average was last brought up to it
  double& log_decay;          // sum over the steps of the log of the EMA's decay
};

struct AdamStep {
  double rate, beta1, beta2, epsilon;
  int64_t steps = 1;     // this one is one of them
  double ema_decay = 0;  // of this step
};

// In place. fused false (and on a GPU): torch operations instead of one loop.
void lazy_adam(const TableRows& gradient, torch::Tensor value, TableState state, const AdamStep& step,
               bool fused);

// The average of every row as if each step had been applied to it: untouched rows stand still, and what the
// EMA made of them meanwhile is a power. [R, w]
torch::Tensor settled_average(const torch::Tensor& value, const torch::Tensor& average,
                              const torch::Tensor& average_at, double log_decay);

}  // namespace mneme::train
