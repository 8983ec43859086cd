#include "train/residual_stream.h"

#include <cmath>

namespace mneme::train {

using torch::Tensor;

ResidualStream::ResidualStream(const ModelOptions& options, const Tensor& embedded,
                               const ForwardOptions& forward)
    : options_(options), forward_(forward), x_(embedded) {
  if (!single())
    x_ = embedded.unsqueeze(1)
             .expand({embedded.size(0), options.streams_used(), embedded.size(1)})
             .contiguous();
}

Tensor ResidualStream::read(const HyperWeights& hyper) {
  if (single()) return x_;
  if (!read_)
    read_ = hyper_read(x_, hyper, mixing_of(options_.residual), options_.norm_epsilon, forward_.fused);
  if (forward_.mixes != nullptr)
    forward_.mixes->push_back(read_->mix.defined() ? read_->mix.detach() : Tensor());
  return read_->input;
}

void ResidualStream::write(const Tensor& y, const Tensor& scale, const HyperWeights* next) {
  if (single()) {
    x_ = x_ + (scale.defined() ? y.to(x_.scalar_type()) * scale : y);
    return;
  }
  TORCH_CHECK(read_.has_value(), "a sublayer writes before it has read");
  if (next == nullptr) {
    x_ = hyper_write(x_, *read_, y, forward_.fused);
    read_.reset();
    return;
  }
  HyperWritten written = hyper_write_read(
      x_, *read_, y, {*next, mixing_of(options_.residual), options_.norm_epsilon, forward_.fused});
  x_ = written.streams;
  read_ = written.read;
}

void ResidualStream::add(const Tensor& x) { x_ = x_ + (single() ? x : x.unsqueeze(1)); }

void ResidualStream::add_streams(const Tensor& streams) {
  x_ = x_ + (single() ? streams.squeeze(1) : streams);
}

Tensor ResidualStream::streams() const { return single() ? x_.unsqueeze(1) : x_; }

Tensor ResidualStream::mean() const { return single() ? x_ : x_.mean(1); }

Mixing mixing_of(Residual kind) {
  switch (kind) {
    case Residual::kHc: return Mixing::kFree;
    case Residual::kMhc: return Mixing::kSinkhorn;
    case Residual::kMhcLite: return Mixing::kPermutations;
    default: return Mixing::kIdentity;
  }
}

Tensor log_length_factors(const ModelOptions& options, int64_t tokens, torch::Device device) {
  const double trained = options.context_length;
  if (trained < 2 || tokens <= options.context_length) return {};
  const Tensor n = torch::arange(1, tokens + 1, torch::TensorOptions().dtype(torch::kFloat64));
  const Tensor excess = (n.log() / std::log(trained) - 1).clamp_min(0);
  return (1 + options.log_length_slope * excess).to(torch::kFloat32).to(device);
}

}  // namespace mneme::train
