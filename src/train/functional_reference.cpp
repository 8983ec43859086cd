// The definitions, as torch operations: any device, any precision.
#include <limits>

#include "train/functional.h"

namespace mneme::train {

Tensor rope_table(int64_t first, int64_t tokens, int64_t dims, double base) {
  const auto options = torch::TensorOptions().dtype(torch::kFloat64);
  const Tensor positions = torch::arange(first, first + tokens, options);
  const Tensor frequencies = torch::pow(
      base, -torch::arange(0, dims / 2, options) * 2.0 / static_cast<double>(dims));
  const Tensor angles = positions.unsqueeze(1) * frequencies.unsqueeze(0);
  return torch::cat({angles.cos(), angles.sin()}, 1).to(torch::kFloat32);
}

namespace reference {

Tensor rms_norm(const Tensor& x, const Tensor& gain, double epsilon, torch::ScalarType type) {
  return (x * gain * torch::rsqrt(x.square().mean(-1, true) + epsilon)).to(type);
}

Tensor silu_mul(const Tensor& gate, const Tensor& up) { return torch::silu(gate) * up; }

Tensor unit_heads(const Tensor& x, const Tensor& factor, const Tensor& table, const HeadLayout& layout) {
  const int64_t heads = layout.kv_heads * layout.group, d = x.size(1) / heads;
  const auto exact = x.scalar_type() == torch::kBFloat16 ? torch::kFloat32 : x.scalar_type();
  Tensor y = x.to(exact).view({layout.batch, layout.tokens, heads, d});
  y = y * torch::rsqrt(y.square().sum(-1, true) + static_cast<double>(d) * layout.epsilon);
  if (table.defined()) {
    const Tensor angles = table.to(y.options()).view({1, layout.tokens, 1, d});
    const Tensor cos = angles.narrow(-1, 0, d / 2), sin = angles.narrow(-1, d / 2, d / 2);
    const Tensor a = y.narrow(-1, 0, d / 2), b = y.narrow(-1, d / 2, d / 2);
    y = torch::cat({a * cos - b * sin, a * sin + b * cos}, -1);
  }
  if (factor.defined()) y = y * factor.view({1, 1, heads, 1});
  return y.view({layout.batch, layout.tokens, layout.kv_heads, layout.group, d})
      .permute({0, 2, 1, 3, 4})
      .to(x.scalar_type())
      .contiguous();
}

namespace {

// true where token t of row b may not see token s of row c: [B, T, B', T'] cut to what is asked.
Tensor hidden_within_row(int64_t tokens, int64_t window, torch::Device device) {
  const Tensor position = torch::arange(tokens, torch::TensorOptions().device(device));
  const Tensor back = position.unsqueeze(1) - position.unsqueeze(0);
  Tensor hidden = back < 0;
  if (window > 0) hidden = hidden.logical_or(back >= window);
  return hidden;  // [T, T]
}

}  // namespace

Tensor banded_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& sinks,
                        const AttentionSpan& span) {
  const int64_t batch = q.size(0), kv = q.size(1), tokens = q.size(2), group = q.size(3), d = q.size(4);
  const double minus = -std::numeric_limits<double>::infinity();
  const Tensor hidden = hidden_within_row(tokens, span.window, q.device());
  Tensor queries = q.to(k.scalar_type()), keys = k, values = v, mask;
  if (span.cross_rows) {  // one long row of keys for everybody
    keys = k.permute({1, 0, 2, 3}).reshape({1, kv, batch * tokens, d}).expand({batch, kv, batch * tokens, d});
    values =
        v.permute({1, 0, 2, 3}).reshape({1, kv, batch * tokens, d}).expand({batch, kv, batch * tokens, d});
    mask = torch::zeros({batch, tokens, batch, tokens}, hidden.options());
    for (int64_t b = 0; b < batch; ++b) mask.select(0, b).select(1, b).copy_(hidden);
    mask = mask.view({batch, 1, tokens, 1, batch * tokens});
  } else {
    mask = hidden.view({1, 1, tokens, 1, tokens});
  }
  Tensor scores = torch::matmul(queries.reshape({batch, kv, tokens * group, d}), keys.transpose(-1, -2));
  const int64_t columns = keys.size(2);
  scores = scores.view({batch, kv, tokens, group, columns}).masked_fill(mask, minus);
  if (sinks.defined()) {
    const Tensor column =
        sinks.to(scores.scalar_type()).view({1, kv, 1, group, 1}).expand({batch, kv, tokens, group, 1});
    scores = torch::cat({scores, column}, -1);
  }
  const Tensor weights = torch::softmax(scores, -1).narrow(-1, 0, columns);
  return torch::matmul(weights.reshape({batch, kv, tokens * group, columns}), values)
      .view({batch, kv, tokens, group, d})
      .permute({0, 2, 1, 3, 4})
      .reshape({batch * tokens, kv * group * d});
}

Tensor linear_cross_entropy(const Tensor& h, const Tensor& w, const Tensor& targets, const Tensor& weights) {
  const Tensor logits = torch::matmul(h, w.to(h.scalar_type()).t());
  const auto exact = logits.scalar_type() == torch::kBFloat16 ? torch::kFloat32 : logits.scalar_type();
  const Tensor losses = torch::nn::functional::cross_entropy(
      logits.to(exact), targets, torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kNone));
  return (losses * weights.to(exact)).sum();
}

}  // namespace reference

}  // namespace mneme::train
