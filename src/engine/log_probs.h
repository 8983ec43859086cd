#pragma once

#include <span>
#include <vector>

#include "mneme/engine.h"

namespace mneme::engine {

// The logarithms of the probabilities that a row of logits stands for: log p_i = x_i - log sum e^x. NaN
// counts as -infinity, as it does where tokens are drawn.
class LogProbs {
 public:
  // Reads the row, which need not live on, and finds its `top` likeliest: the lower id first among equals.
  void read(std::span<const float> logits, int top);
  float of(std::span<const float> logits, TokenId token) const;
  struct Entry {
    TokenId token;
    float logprob;
  };
  std::span<const Entry> top() const { return top_; }  // falling

 private:
  double log_sum_ = 0;
  std::vector<Entry> top_;  // while it is read: a heap of logits, the least likely in front
};

}  // namespace mneme::engine
