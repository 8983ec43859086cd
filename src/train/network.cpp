#include "train/network.h"

#include <cmath>
#include <utility>

#include "train/functional.h"
#include "train/residual_stream.h"

namespace mneme::train {

// One forward pass on its way through the layers.
struct Network::Pass {
  const ForwardOptions& forward;
  int64_t batch, tokens;
  Tensor rope;         // [T, d]
  Tensor sharpening;   // [T, 1] of global layers; undefined where the text is no longer than the trained one
  Tensor value_first;  // [B, K, T, d]: layer 0's values
};

Tensor Network::hidden(const Tensor& tokens, const ForwardOptions& forward) const {
  const int64_t batch = tokens.size(0), count = tokens.size(1);
  Pass pass{forward,
            batch,
            count,
            rope_table(0, count, options_.head_dim, options_.rope_base).to(tokens.device()),
            log_length_factors(options_, count, tokens.device()),
            {}};
  const Tensor embedded = torch::embedding(weight(embedding_), tokens.reshape({-1}));
  ResidualStream stream(options_, embedded, forward);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    if (layer.embedding_mix.defined()) stream.add(layer.embedding_mix * embedded);
    if (layer.engram) stream.add_streams(layer.engram->apply(tokens, stream.streams(), forward));
    const bool last = i + 1 == layers_.size();
    const bool plain_next = !last && !layers_[i + 1].embedding_mix.defined() && !layers_[i + 1].engram;
    const HyperWeights* after_ffn = plain_next ? &layers_[i + 1].attention.hyper : nullptr;

    const Tensor a = stream.read(layer.attention.hyper);
    stream.write(attention(layer, a, pass), layer.attention.scale, &layer.ffn.hyper);
    const Tensor f = stream.read(layer.ffn.hyper);
    stream.write(feed_forward(layer, f, pass), layer.ffn.scale, after_ffn);
  }
  return rms_norm(stream.mean(), output_norm_, options_.norm_epsilon, forward.type, forward.fused);
}

namespace {

Tensor project(const Tensor& x, const Tensor& w) { return torch::mm(x, w.to(x.scalar_type()).t()); }

// Row t of each text becomes row t - by; the first ones zero.
Tensor shifted(const Tensor& x, int64_t batch, int64_t tokens, int64_t by) {
  if (by == 0) return x;
  by = std::min(by, tokens);
  const Tensor rows = x.view({batch, tokens, -1});
  const Tensor zero = torch::zeros({batch, by, rows.size(2)}, rows.options());
  return torch::cat({zero, rows.narrow(1, 0, tokens - by)}, 1).view(x.sizes());
}

// The last `count` rows of each text up to t, summed and divided by sqrt(count).
Tensor recent_sum(const Tensor& x, int64_t batch, int64_t tokens, int64_t count) {
  const Tensor sums = x.view({batch, tokens, -1}).to(torch::kFloat32).cumsum(1).view(x.sizes());
  const Tensor recent = sums - shifted(sums, batch, tokens, count);
  return (recent / std::sqrt(static_cast<double>(count))).to(x.scalar_type());
}

// [B, K, T, d]: token t becomes token t - by; the first ones zero.
Tensor delayed(const Tensor& x, int64_t by) {
  if (by == 0) return x;
  const int64_t tokens = x.size(2), kept = std::max<int64_t>(tokens - by, 0);
  return torch::constant_pad_nd(x.slice(2, 0, kept), {0, 0, tokens - kept, 0});
}

}  // namespace

// Before unit and rope: W_k y_t; in global layers W_k y_s + W_k_shift y_{s-1} + W_k_ahead (y_{s+1} + ... +
// y_t) / sqrt(a), s = t - a, with a tokens of look-ahead.
Tensor Network::raw_key(const Layer& layer, const Tensor& y, const Pass& pass) const {
  if (!layer.global) return project(y, layer.key);
  const int64_t ahead = options_.look_ahead;
  const Tensor key = shifted(project(y, layer.key), pass.batch, pass.tokens, ahead) +
                     shifted(project(y, layer.key_shift), pass.batch, pass.tokens, ahead + 1);
  if (ahead == 0) return key;
  return key + project(recent_sum(y, pass.batch, pass.tokens, ahead), layer.key_ahead);
}

// W_o softmax(tau q k) v
Tensor Network::attention(const Layer& layer, const Tensor& h, Pass& pass) const {
  const ModelOptions& o = options_;
  const ForwardOptions& f = pass.forward;
  const HeadLayout keys{pass.batch, pass.tokens, o.kv_heads, 1, o.norm_epsilon};
  const HeadLayout queries{pass.batch, pass.tokens, o.kv_heads, o.heads / o.kv_heads, o.norm_epsilon};
  const Tensor rope = layer.global ? Tensor() : pass.rope;

  const Tensor y = rms_norm(h, layer.attention.norm, o.norm_epsilon, f.type, f.fused);
  const Tensor key = raw_key(layer, y, pass);
  Tensor q = unit_heads(project(y, layer.query), layer.temperature, rope, queries, f.fused);
  Tensor k = unit_heads(key, Tensor(), rope, keys, f.fused).squeeze(3);
  Tensor v =
      project(y, layer.value).view({pass.batch, pass.tokens, o.kv_heads, o.head_dim}).permute({0, 2, 1, 3});
  if (!pass.value_first.defined()) pass.value_first = v;
  if (layer.value_mix.defined()) v = torch::lerp(v, pass.value_first, layer.value_mix.to(v.scalar_type()));
  if (layer.global) v = delayed(v, o.look_ahead);
  if (layer.global && pass.sharpening.defined())
    q = q * pass.sharpening.to(q.scalar_type()).view({1, 1, pass.tokens, 1, 1});
  if (f.round_kv) {
    k = k.to(torch::kBFloat16).to(k.scalar_type());
    v = v.to(torch::kBFloat16).to(v.scalar_type());
  }
  return project(attend(layer, {y, q, k, layer.sinks, layer.global && f.cross_rows}, v, f), layer.output);
}

Tensor Network::attend(const Layer& layer, const AttentionInputs& in, const Tensor& value,
                       const ForwardOptions& forward) const {
  Tensor hidden;  // dense
  if (layer.indexer && forward.sparse_top_k > 0)
    hidden = layer.indexer->hidden_keys(in, forward.sparse_top_k, forward.fused);
  if (layer.indexer && forward.indexer != nullptr)
    layer.indexer->note(in, hidden, forward.fused, *forward.indexer);
  if (hidden.defined()) return sparse_attention(in, value, hidden);
  const AttentionSpan span{layer.global ? 0 : options_.window, in.cross_rows};
  return banded_attention(in.query, in.key, value, in.sinks, span, forward.fused);
}

// W_down (silu(W_gate y) * W_up y)
Tensor Network::feed_forward(const Layer& layer, const Tensor& h, const Pass& pass) const {
  const Tensor y = rms_norm(h, layer.ffn.norm, options_.norm_epsilon, pass.forward.type, pass.forward.fused);
  return project(silu_mul(project(y, layer.gate), project(y, layer.up), pass.forward.fused), layer.down);
}

Tensor Network::logits(const Tensor& tokens, const ForwardOptions& forward) const {
  return project(hidden(tokens, forward), weight(has_head() ? head_ : embedding_)).to(torch::kFloat32);
}

Tensor Network::loss_sum(const Tensor& tokens, const Tensor& targets, const Tensor& weights,
                         const ForwardOptions& forward) const {
  const Tensor flat = weights.reshape({-1});
  const Tensor wanted = flat.nonzero().squeeze(1);
  const Tensor h = hidden(tokens, forward).index_select(0, wanted);
  return linear_cross_entropy(h, weight(has_head() ? head_ : embedding_),
                              targets.reshape({-1}).index_select(0, wanted), flat.index_select(0, wanted),
                              forward.fused);
}

namespace {
constexpr double kHeadDeviation = 0.02;  // of the output rows at the start
constexpr double kFormShare = 0.2;       // of a spelled row's variance at the start
}  // namespace

Network::Network(const ModelOptions& options, uint64_t seed, std::vector<uint32_t> token_map,
                 Spelling spelling)
    : options_(options),
      engram_hash_(std::make_shared<EngramHash>(make_engram_hash(options, std::move(token_map)))),
      spelling_(std::move(spelling)) {
  torch::manual_seed(seed);
  const int64_t c = options_.dim;
  if (options_.spelled) {
    TORCH_CHECK(std::ssize(spelling_.letters) == options_.vocab_size, "a spelling of another vocabulary");
    letters_of_ = torch::tensor(spelling_.letters);
    forms_of_ = torch::tensor(spelling_.forms);
  }
  embedding_ = make_rows("token_embd", options_.embedding_std);
  if (has_head()) head_ = make_rows("output", kHeadDeviation);
  output_norm_ = add("output_norm.weight", torch::ones({c}), ParameterKind::kVector);
  for (int i = 0; i < options_.layers; ++i) make_layer(i, seed);
}

Network::Rows Network::make_rows(const std::string& name, double deviation) {
  const auto fresh = [&](const std::string& part, int64_t count, double share) {
    return add(name + part + ".weight", torch::randn({count, options_.dim}) * (deviation * std::sqrt(share)),
               ParameterKind::kEmbedding);
  };
  if (!options_.spelled) return {fresh("", options_.vocab_size, 1), {}, {}};
  return {{},
          fresh(".letters", spelling_.letters_count, 1 - kFormShare),
          fresh(".forms", spelling_.forms_count, kFormShare)};
}

Tensor Network::weight(const Rows& rows) const {
  if (rows.whole.defined()) return rows.whole;
  return torch::embedding(rows.letters, letters_of_) + torch::embedding(rows.forms, forms_of_);
}

std::vector<Parameter> Network::file_tensors() const {
  if (!options_.spelled) return parameters_;
  torch::NoGradGuard no_grad;
  std::vector<Parameter> tensors{{"token_embd.weight", weight(embedding_), ParameterKind::kEmbedding}};
  if (has_head()) tensors.push_back({"output.weight", weight(head_), ParameterKind::kEmbedding});
  for (const Parameter& p : parameters_)
    if (p.kind != ParameterKind::kEmbedding) tensors.push_back(p);
  return tensors;
}

void Network::make_layer(int index, uint64_t seed) {
  const ModelOptions& o = options_;
  const std::string prefix = "blk." + std::to_string(index) + ".";
  const int64_t query_dim = int64_t{o.heads} * o.head_dim, kv_dim = int64_t{o.kv_heads} * o.head_dim;
  Layer layer;
  layer.global = o.is_global(index);
  make_sublayer(layer.attention, prefix + "attn", 2 * index);
  layer.query = matrix(prefix + "attn_q.weight", query_dim, o.dim, 1);
  layer.key = matrix(prefix + "attn_k.weight", kv_dim, o.dim, 1);
  if (layer.global) layer.key_shift = matrix(prefix + "attn_k_shift.weight", kv_dim, o.dim, 1);
  if (layer.global && o.look_ahead > 0)
    layer.key_ahead = matrix(prefix + "attn_k_ahead.weight", kv_dim, o.dim, 0);
  layer.value = matrix(prefix + "attn_v.weight", kv_dim, o.dim, 1);
  layer.output = matrix(prefix + "attn_output.weight", o.dim, query_dim, 0);
  const double tau = layer.global ? o.temperature_global : o.temperature_local;
  layer.temperature = add(prefix + "attn_temperature", torch::full({o.heads}, tau), ParameterKind::kLogit);
  if (o.sinks) layer.sinks = add(prefix + "attn_sinks", torch::zeros({o.heads}), ParameterKind::kLogit);
  if (o.value_residual && index > 0)
    layer.value_mix = add(prefix + "attn_value_mix", torch::full({1}, 0.5), ParameterKind::kVector);
  if (o.embedding_mix && index > 0)
    layer.embedding_mix = add(prefix + "embedding_mix", torch::zeros({1}), ParameterKind::kVector);
  make_sublayer(layer.ffn, prefix + "ffn", 2 * index + 1);
  layer.gate = matrix(prefix + "ffn_gate.weight", o.ffn_dim, o.dim, 1);
  layer.up = matrix(prefix + "ffn_up.weight", o.ffn_dim, o.dim, 1);
  layer.down = matrix(prefix + "ffn_down.weight", o.dim, o.ffn_dim, 0);
  if (const int table = engram_hash_->index_of(index); table >= 0) {
    layer.engram = std::make_unique<EngramLayer>(options_, engram_hash_, table);
    for (Parameter& p : layer.engram->make_parameters(prefix + "engram.")) parameters_.push_back(p);
  }
  if (layer.global && o.indexer.heads > 0) {
    layer.indexer = std::make_unique<Indexer>(options_);
    const uint64_t own_seed = seed + static_cast<uint64_t>(index) * 0x9E3779B97F4A7C15u;
    for (Parameter& p : layer.indexer->make_parameters(prefix + "indexer.", own_seed))
      parameters_.push_back(p);
  }
  layers_.push_back(std::move(layer));
}

void Network::make_sublayer(Sublayer& sublayer, const std::string& prefix, int index) {
  const ModelOptions& o = options_;
  sublayer.norm = add(prefix + "_norm.weight", torch::ones({o.dim}), ParameterKind::kVector);
  const std::string scale = prefix + "_residual.scale";
  if (o.residual == Residual::kAlpha) sublayer.scale = add(scale, torch::ones({1}), ParameterKind::kVector);
  if (o.residual == Residual::kRezero) sublayer.scale = add(scale, torch::zeros({1}), ParameterKind::kVector);
  if (o.residual == Residual::kLayerScale)
    sublayer.scale = add(scale, torch::full({o.dim}, 0.1), ParameterKind::kVector);
  if (o.streams_used() == 1) return;
  const HyperWeights start = initial_hyper_weights(mixing_of(o.residual), o.streams, o.dim, index,
                                                   o.hyper_scale);
  sublayer.hyper = {add(prefix + "_hc.weight", start.weight, ParameterKind::kHyper),
                    add(prefix + "_hc.bias", start.bias, ParameterKind::kHyper),
                    add(prefix + "_hc.scale", start.scale, ParameterKind::kHyper)};
}

Tensor Network::add(std::string name, Tensor value, ParameterKind kind) {
  value = value.to(torch::kFloat32).contiguous().detach().set_requires_grad(true);
  parameters_.push_back({std::move(name), value, kind});
  return value;
}

// Normal with variance gain^2 / columns. Matrices that write to the stream start at zero: the block begins as
// the identity (helps every residual kind).
Tensor Network::matrix(const std::string& name, int64_t rows, int64_t columns, double gain) {
  return add(name, torch::randn({rows, columns}) * (gain / std::sqrt(static_cast<double>(columns))),
             ParameterKind::kMatrix);
}

int64_t Network::parameter_count() const {
  int64_t count = 0;
  for (const Parameter& p : parameters_) count += p.value.numel();
  return count;
}

void Network::to(torch::Device device) {
  torch::NoGradGuard no_grad;
  for (Parameter& p : parameters_) p.value.set_data(p.value.to(device));
  if (!options_.spelled) return;
  letters_of_ = letters_of_.to(device);
  forms_of_ = forms_of_.to(device);
}

}  // namespace mneme::train
