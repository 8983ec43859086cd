// What flows between the layers: one residual stream or several, and the way every residual kind reads a
// sublayer's input from it and writes the output back.
#pragma once

#include <torch/torch.h>

#include <optional>

#include "train/hyper_connection.h"
#include "train/network.h"
#include "train/options.h"

namespace mneme::train {

// n = 1: x [R, C]; else X [R, n, C]. The order of work: read(), then write() of the same sublayer.
class ResidualStream {
 public:
  // embedded: [R, C], repeated over the streams.
  ResidualStream(const ModelOptions& options, const torch::Tensor& embedded, const ForwardOptions& forward);

  // The sublayer's input [R, C]: x, or sum_j pre[j] x_j.
  torch::Tensor read(const HyperWeights& hyper);
  // x += scale * y (scale may be undefined: 1), or x_i <- sum_j mix[i, j] x_j + post[i] y. `next` (may be
  // null): the connection that reads next, if nothing touches the streams before: both in one pass.
  void write(const torch::Tensor& y, const torch::Tensor& scale, const HyperWeights* next);

  void add(const torch::Tensor& x);                // [R, C], to every stream
  void add_streams(const torch::Tensor& streams);  // [R, n, C]
  torch::Tensor streams() const;                   // [R, n, C]
  torch::Tensor mean() const;                      // [R, C]

 private:
  bool single() const { return options_.streams_used() == 1; }

  const ModelOptions& options_;
  const ForwardOptions& forward_;
  torch::Tensor x_;
  std::optional<HyperRead> read_;  // of the sublayer at hand
};

Mixing mixing_of(Residual kind);

// Sharpening of global layers by position: [T], or undefined where tokens <= the trained length.
torch::Tensor log_length_factors(const ModelOptions& options, int64_t tokens, torch::Device device);

}  // namespace mneme::train
