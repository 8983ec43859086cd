// The tensors of the mneme architecture (docs/formats/mneme-gguf.md).
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "model/weight_plan.h"

namespace mneme::model {

namespace {

constexpr int kConvTaps = 4;

// Which of the config's n-gram tables stands before layer `index`; -1: none.
int engram_of(const Config& config, int index) {
  const auto& layers = config.mneme.engram.layers;
  const auto found = std::find(layers.begin(), layers.end(), index);
  return found == layers.end() ? -1 : static_cast<int>(found - layers.begin());
}

}  // namespace

Result<void> WeightPlan::mneme_residual(const std::string& prefix, ResidualWeights& residual) {
  const ResidualKind kind = config_.mneme.residual;
  switch (kind) {
    case ResidualKind::kPlain: return {};
    case ResidualKind::kAlpha:
    case ResidualKind::kRezero: return vector(prefix + "_residual.scale", 1, true, residual.scale);
    case ResidualKind::kLayerScale:
      return vector(prefix + "_residual.scale", config_.dim, true, residual.scale);
    default: break;
  }
  const auto streams = static_cast<uint64_t>(config_.mneme.streams);
  const uint64_t rows = 2 * streams + residual_coefficients(kind, config_.mneme.streams);
  auto ok = table(prefix + "_hc.weight", rows, streams * static_cast<uint64_t>(config_.dim),
                  residual.projection);
  if (ok) ok = vector(prefix + "_hc.bias", static_cast<int>(rows), true, residual.bias);
  if (ok) ok = vector(prefix + "_hc.scale", 3, true, residual.coefficient_scale);
  return ok;
}

Result<void> WeightPlan::mneme_engram(const std::string& prefix, EngramWeights& engram, DerivedJob& job) {
  const int width = config_.mneme.engram.width(), stream_dim = config_.mneme.streams * config_.dim;
  auto ok = matrix(prefix + "engram.key.weight", stream_dim, width, engram.key);
  if (ok) ok = matrix(prefix + "engram.value.weight", config_.dim, width, engram.value);
  if (ok) ok = vector(prefix + "engram.query_norm", stream_dim, true, engram.query_norm);
  if (ok) ok = vector(prefix + "engram.key_norm", stream_dim, true, engram.key_norm);
  if (ok) ok = vector(prefix + "engram.conv_norm", stream_dim, true, job.conv_norm);
  if (ok) ok = table(prefix + "engram.conv", kConvTaps, static_cast<uint64_t>(stream_dim), job.conv);
  derived_bytes += kConvTaps * static_cast<size_t>(stream_dim) * sizeof(float) + core::Arena::kAlign;
  return ok;
}

Result<void> WeightPlan::mneme_indexer(const std::string& prefix, IndexerWeights& indexer) {
  const IndexerConfig& c = config_.mneme.indexer;
  const size_t first = matrices.size();
  auto ok = matrix(prefix + "indexer.query.weight", c.heads * c.key_dim, config_.dim, indexer.query);
  if (ok) ok = matrix(prefix + "indexer.key.weight", c.key_dim, config_.dim, indexer.key);
  if (ok) ok = matrix(prefix + "indexer.key_shift.weight", c.key_dim, config_.dim, indexer.key_shift);
  if (ok) ok = matrix(prefix + "indexer.head.weight", c.heads, config_.dim, indexer.head);
  for (size_t i = first; i < matrices.size(); ++i) matrices[i].decodes = false;
  return ok;
}

Result<void> WeightPlan::mneme_layer(int index, LayerWeights& layer) {
  const std::string prefix = fmt::format("blk.{}.", index);
  const Config& c = config_;
  const bool global = c.window(index) == 0;
  DerivedJob& job = derived.emplace_back();
  derived_bytes += static_cast<size_t>((c.heads + 1) * c.head_dim) * sizeof(float) + 2 * core::Arena::kAlign;
  auto ok = vector(prefix + "attn_temperature", c.heads, true, job.temperature);
  if (ok) ok = vector(prefix + "attn_sinks", c.heads, false, layer.sinks);
  if (ok && index > 0) ok = vector(prefix + "attn_value_mix", 1, false, layer.value_mix);
  if (ok) ok = vector(prefix + "embedding_mix", 1, false, layer.embedding_mix);
  if (ok) ok = mneme_residual(prefix + "attn", layer.attention_residual);
  if (ok) ok = mneme_residual(prefix + "ffn", layer.ffn_residual);
  if (ok && global)
    ok = matrix(prefix + "attn_k_shift.weight", c.kv_heads * c.head_dim, c.dim, layer.key_shift);
  if (ok && global && c.mneme.look_ahead > 0)
    ok = matrix(prefix + "attn_k_ahead.weight", c.kv_heads * c.head_dim, c.dim, layer.key_ahead);
  if (ok && global && c.mneme.indexer.heads > 0) ok = mneme_indexer(prefix, layer.indexer);
  if (ok && engram_of(c, index) >= 0) ok = mneme_engram(prefix, layer.engram, job);
  return ok;
}

void derive_mneme(const Config& config, const WeightPlan& plan, Weights& weights) {
  const auto head_dim = static_cast<size_t>(config.head_dim), heads = static_cast<size_t>(config.heads);
  // unit(v) = v / sqrt(sum(v^2) + d eps) is an RMSNorm with this gain.
  const double unit = 1.0 / std::sqrt(static_cast<double>(config.head_dim));
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    LayerWeights& layer = weights.layers[i];
    const DerivedJob& job = plan.derived[i];
    layer.query_gain = weights.arena.take_array<float>(heads * head_dim);
    layer.key_gain = weights.arena.take_array<float>(head_dim);
    for (size_t h = 0; h < heads; ++h) {
      for (size_t c = 0; c < head_dim; ++c)
        layer.query_gain[h * head_dim + c] = static_cast<float>(job.temperature[h] * unit);
    }
    for (float& gain : layer.key_gain) gain = static_cast<float>(unit);
    if (job.conv.empty()) continue;
    layer.engram.conv = weights.arena.take_array<float>(job.conv.size());
    for (size_t c = 0; c < job.conv.size(); ++c)
      layer.engram.conv[c] = job.conv[c] * job.conv_norm[c % job.conv_norm.size()];
  }
}

Result<void> open_tables(const Gguf& file, const Config& config, engram::Placement placement,
                         Weights& weights) {
  const EngramConfig& e = config.mneme.engram;
  const uint64_t rows = std::accumulate(e.primes.begin(), e.primes.end(), uint64_t{0});
  for (const int index : e.layers) {
    const uint64_t dims[] = {static_cast<uint64_t>(e.head_width), rows};
    auto tensor = file.require_tensor(fmt::format("blk.{}.engram.table", index), dims);
    if (!tensor) return core::pass(tensor);
    auto table = engram::Table::open(
        {file.files()[static_cast<size_t>((*tensor)->file)].path(), (*tensor)->file_offset, (*tensor)->type,
         rows, static_cast<uint32_t>(e.head_width)},
        placement);
    if (!table) return core::pass(table);
    weights.layers[static_cast<size_t>(index)].engram.table = std::move(*table);
  }
  return {};
}

}  // namespace mneme::model
