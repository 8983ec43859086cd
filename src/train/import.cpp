#include "train/import.h"

#include <algorithm>

#include "model/config.h"
#include "tensor/dequantize.h"

namespace mneme::train {

namespace {

using torch::Tensor;

// Of the rows' norm: rounding to Q8_0 moves them by 0.5 %.
constexpr double kSpelledErrorMax = 0.02;
constexpr int kSpelledRounds = 200;

Result<Tensor> read_tensor(const model::Gguf& file, const std::string& name, const Tensor& like) {
  std::vector<uint64_t> dims;  // the fastest first
  for (int64_t i = like.dim() - 1; i >= 0; --i) dims.push_back(static_cast<uint64_t>(like.size(i)));
  auto info = file.require_tensor(name, dims);
  if (!info) return core::pass(info);
  Tensor value = torch::empty(like.sizes(), torch::kFloat32);
  tensor::dequantize((*info)->type, (*info)->bytes,
                     {value.data_ptr<float>(), static_cast<size_t>(value.numel())});
  return value;
}

// Means of rows [n, C] over equal numbers [n], of `count` kinds.
Tensor means(const Tensor& rows, const Tensor& kinds, int64_t count) {
  const Tensor sums = torch::zeros({count, rows.size(1)}).index_add_(0, kinds, rows);
  const Tensor sizes = torch::zeros({count}).index_add_(0, kinds, torch::ones({rows.size(0)}));
  return sums / sizes.clamp_min(1).unsqueeze(1);
}

// letters[l(v)] + forms[f(v)] ~ rows[v] for every token v: least squares, one part after the other.
double split_rows(const Tensor& rows, const Spelling& spelling, Tensor& letters, Tensor& forms) {
  const Tensor letters_of = torch::tensor(spelling.letters), forms_of = torch::tensor(spelling.forms);
  forms.zero_();
  for (int round = 0; round < kSpelledRounds; ++round) {
    letters.copy_(means(rows - torch::embedding(forms, forms_of), letters_of, spelling.letters_count));
    forms.copy_(means(rows - torch::embedding(letters, letters_of), forms_of, spelling.forms_count));
  }
  const Tensor sums = torch::embedding(letters, letters_of) + torch::embedding(forms, forms_of);
  return ((rows - sums).norm() / rows.norm()).item<double>();
}

Tensor& value_of(Network& network, const std::string& name) {
  const auto found = std::find_if(network.parameters().begin(), network.parameters().end(),
                                  [&](const Parameter& p) { return p.name == name; });
  TORCH_CHECK(found != network.parameters().end(), name);
  return found->value;
}

Result<void> import_spelled(const model::Gguf& file, const std::string& rows_name, Network& network) {
  const ModelOptions& o = network.options();
  auto rows = read_tensor(file, rows_name + ".weight", torch::empty({o.vocab_size, o.dim}));
  if (!rows) return core::pass(rows);
  const double error = split_rows(*rows, network.spelling(), value_of(network, rows_name + ".letters.weight"),
                                  value_of(network, rows_name + ".forms.weight"));
  if (error > kSpelledErrorMax)
    return core::fail("{}: {}.weight is {:.1f} % away from sums of letters and forms: go on with --spelled 0",
                      file.path(), rows_name, 100 * error);
  return {};
}

Result<void> check_hash(const model::Gguf& file, const Network& network) {
  const EngramHash& hash = network.engram_hash();
  if (hash.layers.empty()) return {};
  auto config = model::read_config(file);
  if (!config) return core::pass(config);
  const model::EngramConfig& there = config->mneme.engram;
  if (there.primes == hash.primes && there.multipliers == hash.multipliers &&
      there.token_map == hash.token_map)
    return {};
  return core::fail(
      "{}: its n-gram tables are hashed otherwise: give the --engram-rows and --engram-seed it was "
      "trained with",
      file.path());
}

}  // namespace

Result<void> read_shape(const model::Gguf& file, ModelOptions& options) {
  auto config = model::read_config(file);
  if (!config) return core::pass(config);
  if (config->architecture != model::Architecture::kMneme)
    return core::fail("{}: training goes on from models of the mneme architecture alone", file.path());
  const model::MnemeConfig& m = config->mneme;
  const auto has = [&](const char* name) { return file.find_tensor(name) != nullptr; };
  options.vocab_size = config->vocab_size;
  options.dim = config->dim;
  options.layers = config->layers;
  options.heads = config->heads;
  options.kv_heads = config->kv_heads;
  options.head_dim = config->head_dim;
  options.ffn_dim = config->ffn_dim;
  options.global_layers.clear();
  for (int i = 0; i < config->layers; ++i) {
    if (config->window(i) == 0)
      options.global_layers.push_back(i);
    else
      options.window = config->window(i);
  }
  auto residual = file.require_string("mneme.residual.kind");
  if (!residual) return core::pass(residual);
  if (!parse_residual(std::string(*residual), options.residual))
    return core::fail("{}: residual kind {} is not known", file.path(), *residual);
  options.streams = m.streams > 1 ? m.streams : options.streams;
  options.norm_epsilon = config->norm_epsilon;
  options.rope_base = config->rope.base;
  options.log_length_slope = m.log_length_slope;
  if (m.look_ahead > 0) options.look_ahead = m.look_ahead;
  options.context_length = m.log_length_train > 0 ? m.log_length_train : config->context_length;
  options.tied = !has("output.weight");
  options.sinks = has("blk.0.attn_sinks");
  options.value_residual = has("blk.1.attn_value_mix");
  options.embedding_mix = has("blk.1.embedding_mix");
  options.engram.layers = m.engram.layers;
  if (!m.engram.layers.empty()) {
    options.engram.order_max = m.engram.order_max;
    options.engram.heads = m.engram.heads;
    options.engram.width = m.engram.head_width;
  }
  options.indexer = {m.indexer.heads, m.indexer.heads > 0 ? m.indexer.key_dim : options.indexer.head_dim,
                     m.indexer.heads > 0 ? m.indexer.top_k : options.indexer.top_k};
  return {};
}

Result<void> import_gguf(const model::Gguf& file, Network& network) {
  torch::NoGradGuard no_grad;
  if (auto same = check_hash(file, network); !same) return same;
  const bool spelled = network.options().spelled;
  for (Parameter& p : network.parameters()) {
    if (spelled && p.kind == ParameterKind::kEmbedding) continue;
    // A model without look-ahead is given it: its keys begin as they are.
    if (p.name.ends_with("attn_k_ahead.weight") && file.find_tensor(p.name) == nullptr) continue;
    auto value = read_tensor(file, p.name, p.value);
    if (!value) return core::pass(value);
    p.value.copy_(*value);
  }
  if (!spelled) return {};
  if (auto done = import_spelled(file, "token_embd", network); !done) return done;
  return network.options().tied ? Result<void>() : import_spelled(file, "output", network);
}

}  // namespace mneme::train
