#include "train/engram_layer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "train/engram_gather.h"
#include "train/network.h"

namespace mneme::train {

using torch::Tensor;

int EngramHash::index_of(int layer) const {
  const auto found = std::find(layers.begin(), layers.end(), layer);
  return found == layers.end() ? -1 : static_cast<int>(found - layers.begin());
}

engram::HashOptions EngramHash::options(int index) const {
  return {order_max, heads,
          primes,    std::span(multipliers).subspan(static_cast<size_t>(index) * order_max, order_max),
          token_map, pad};
}

EngramHash make_engram_hash(const ModelOptions& options, std::vector<uint32_t> token_map) {
  const EngramOptions& e = options.engram;
  EngramHash hash;
  if (e.layers.empty()) return hash;
  hash.layers = e.layers;
  hash.order_max = static_cast<uint32_t>(e.order_max);
  hash.heads = static_cast<uint32_t>(e.heads);
  hash.width = static_cast<uint32_t>(e.width);
  auto primes = engram::distinct_primes(static_cast<uint32_t>(e.rows),
                                        size_t{hash.order_max - 1} * hash.heads);
  TORCH_CHECK(primes.has_value(), "n-gram tables of ", e.rows, " rows: too few primes");
  hash.primes = std::move(*primes);
  hash.multipliers = engram::odd_multipliers(e.seed, e.layers.size(), hash.order_max);
  if (token_map.empty()) {
    token_map.resize(static_cast<size_t>(options.vocab_size));
    std::iota(token_map.begin(), token_map.end(), 0u);
  }
  hash.pad = *std::max_element(token_map.begin(), token_map.end()) + 1;
  hash.token_map = std::move(token_map);
  return hash;
}

EngramLayer::EngramLayer(const ModelOptions& options, std::shared_ptr<const EngramHash> hash, int index)
    : hash_(std::move(hash)),
      index_(index),
      streams_(options.streams_used()),
      dim_(options.dim),
      epsilon_(options.norm_epsilon) {}

std::vector<Parameter> EngramLayer::make_parameters(const std::string& prefix) {
  const int64_t rows = static_cast<int64_t>(engram::row_count(hash_->options(index_)));
  const int64_t wide = streams_ * dim_, e = int64_t{hash_->order_max - 1} * hash_->heads * hash_->width;
  std::vector<Parameter> made;
  const auto add = [&](const char* name, const Tensor& value, ParameterKind kind) {
    made.push_back({prefix + name, value.detach().set_requires_grad(true), kind});
    return made.back().value;
  };
  const double gain = 1 / std::sqrt(static_cast<double>(e));
  table_ = add("table", torch::randn({rows, hash_->width}), ParameterKind::kTable);
  key_ = add("key.weight", torch::randn({wide, e}) * gain, ParameterKind::kMatrix);
  value_ = add("value.weight", torch::zeros({dim_, e}), ParameterKind::kMatrix);
  query_norm_ = add("query_norm", torch::ones({wide}), ParameterKind::kVector);
  key_norm_ = add("key_norm", torch::ones({wide}), ParameterKind::kVector);
  conv_norm_ = add("conv_norm", torch::ones({wide}), ParameterKind::kVector);
  conv_ = add("conv", torch::zeros({4, wide}), ParameterKind::kVector);
  return made;
}

Tensor EngramLayer::row_numbers(const Tensor& tokens) const {
  const Tensor ids = tokens.to(torch::kCPU).to(torch::kInt32).contiguous();
  const int64_t batch = ids.size(0), count = ids.size(1);
  const engram::HashOptions options = hash_->options(index_);
  const auto each = static_cast<int64_t>(options.rows_per_token());
  Tensor rows = torch::empty({batch * count, each}, torch::kInt64);
  for (int64_t b = 0; b < batch; ++b) {
    engram::row_indices(options, {}, {ids.data_ptr<int32_t>() + b * count, static_cast<size_t>(count)},
                        {reinterpret_cast<uint64_t*>(rows.data_ptr<int64_t>()) + b * count * each,
                         static_cast<size_t>(count * each)});
  }
  return rows.to(tokens.device());
}

namespace {

// x / rms over the last dimension
Tensor normalised(const Tensor& x, double epsilon) {
  return x * torch::rsqrt(x.square().mean(-1, true) + epsilon);
}

// Rows `steps` back in each text, zero before it. z: [B, T, ...]
Tensor rows_back(const Tensor& z, int64_t steps) {
  const int64_t tokens = z.size(1);
  if (steps == 0) return z;
  if (steps >= tokens) return torch::zeros_like(z);
  std::vector<int64_t> shape = z.sizes().vec();
  shape[1] = steps;
  return torch::cat({torch::zeros(shape, z.options()), z.narrow(1, 0, tokens - steps)}, 1);
}

}  // namespace

Tensor EngramLayer::apply(const Tensor& tokens, const Tensor& streams, const ForwardOptions& forward) const {
  const int64_t batch = tokens.size(0), count = tokens.size(1), rows = batch * count;
  const Tensor e = engram_gather(table_, row_numbers(tokens), forward.fused).to(forward.type);
  const auto exact = streams.scalar_type();
  const Tensor keys = torch::mm(e, key_.to(forward.type).t()).to(exact).view({rows, streams_, dim_});
  const Tensor value = torch::mm(e, value_.to(forward.type).t()).to(exact).view({rows, 1, dim_});

  // gate: how well what was looked up fits the stream
  const Tensor query = normalised(streams, epsilon_) * query_norm_.view({streams_, dim_});
  const Tensor match = (query * normalised(keys, epsilon_) * key_norm_.view({streams_, dim_})).sum(-1, true);
  const Tensor z = torch::sigmoid(match / std::sqrt(static_cast<double>(dim_))) * value;

  // a short causal convolution over the texts, one channel at a time
  const Tensor taps = conv_.view({4, streams_, dim_});
  const Tensor normed =
      (normalised(z, epsilon_) * conv_norm_.view({streams_, dim_})).view({batch, count, streams_, dim_});
  Tensor sum = normed * taps[3];
  for (int64_t j = 0; j < 3; ++j) sum = sum + rows_back(normed, (3 - j) * hash_->order_max) * taps[j];
  return z + torch::silu(sum).view({rows, streams_, dim_});
}

}  // namespace mneme::train
