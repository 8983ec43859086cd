#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/rng.h"
#include "engram/hash.h"
#include "model/mneme_model_for_test.h"
#include "model/tokenizer_vocabulary.h"
#include "tensor/dequantize.h"
#include "tensor/quantize.h"

namespace mneme::model {

namespace {

class Builder {
 public:
  Builder(MnemeModelForTest& model, uint64_t seed) : model_(model), rng_(seed) {}

  // Uniform around `mean`, `spread` to either side.
  void vector(const std::string& name, uint64_t size, float mean, float spread) {
    add(name, tensor::DType::kF32, {size}, mean, spread);
  }
  // The same, but for the last streams^2 values, which are those of an identity and a little more.
  void near_identity(const std::string& name, uint64_t size, uint64_t streams, float mean, float spread) {
    vector(name, size, mean, spread);
    auto& tensor = model_.tensors[name];
    for (uint64_t i = 0; i < streams * streams; ++i) {
      float& value = tensor.values[size - streams * streams + i];
      value = 0.2f * (value - mean) + (i % (streams + 1) == 0 ? 1.0f : 0.0f);
    }
    tensor.bytes = tensor::quantize(tensor.type, tensor.values);
  }
  void table(const std::string& name, uint64_t rows, uint64_t columns, float spread,
             tensor::DType type = tensor::DType::kF32, float mean = 0) {
    add(name, type, {columns, rows}, mean, spread);
  }
  // A matrix whose products with inputs near one are near `level`.
  void matrix(const std::string& name, int rows, int columns, float level = 1.0f) {
    add(name, model_.options.matrix_type, {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)}, 0.0f,
        level * std::sqrt(3.0f / static_cast<float>(columns)));
  }

 private:
  void add(const std::string& name, tensor::DType type, std::vector<uint64_t> dims, float mean,
           float spread) {
    size_t count = 1;
    for (const uint64_t dim : dims) count *= dim;
    std::vector<float> values(count);
    for (float& v : values) v = mean + spread * (2 * rng_.next_unit() - 1);
    std::vector<std::byte> bytes = tensor::quantize(type, values);
    tensor::dequantize(type, bytes, values);
    model_.tensors[name] = {type, std::move(dims), std::move(values), std::move(bytes)};
  }

  MnemeModelForTest& model_;
  core::Rng rng_;
};

ResidualKind kind_of(const std::string& name) {
  if (name == "hc") return ResidualKind::kHc;
  if (name == "mhc") return ResidualKind::kMhc;
  if (name == "mhc-lite") return ResidualKind::kMhcLite;
  if (name == "mhc-identity") return ResidualKind::kMhcIdentity;
  if (name == "layerscale") return ResidualKind::kLayerScale;
  return name == "plain" ? ResidualKind::kPlain : ResidualKind::kAlpha;
}

void add_residual(Builder& build, const MnemeOptionsForTest& o, const std::string& prefix) {
  const ResidualKind kind = kind_of(o.residual);
  if (kind == ResidualKind::kPlain) return;
  if (kind == ResidualKind::kAlpha) return build.vector(prefix + "_residual.scale", 1, 0.7f, 0.3f);
  if (kind == ResidualKind::kLayerScale)
    return build.vector(prefix + "_residual.scale", static_cast<uint64_t>(o.dim), 0.6f, 0.4f);
  const auto n = static_cast<uint64_t>(o.streams);
  const uint64_t rows = 2 * n + residual_coefficients(kind, o.streams);
  const float columns = static_cast<float>(o.streams * o.dim);
  build.table(prefix + "_hc.weight", rows, n * static_cast<uint64_t>(o.dim), std::sqrt(3.0f / columns));
  if (kind == ResidualKind::kHc) {
    // Without constraints random matrices amplify without bounds: they stay near the identity here.
    build.near_identity(prefix + "_hc.bias", rows, n, 0.7f, 0.3f);
    return build.vector(prefix + "_hc.scale", 3, 0.1f, 0.1f);
  }
  build.vector(prefix + "_hc.bias", rows, 0.2f, 0.5f);
  build.vector(prefix + "_hc.scale", 3, 0.5f, 0.3f);
}

void add_engram(Builder& build, const MnemeModelForTest& model, const std::string& prefix) {
  const MnemeOptionsForTest& o = model.options;
  const EngramConfig& e = model.engram;
  const auto wide = static_cast<uint64_t>(o.streams * o.dim);
  build.table(prefix + "engram.table", std::accumulate(e.primes.begin(), e.primes.end(), uint64_t{0}),
              static_cast<uint64_t>(e.head_width), 1.0f, o.engram_type);
  build.matrix(prefix + "engram.key.weight", o.streams * o.dim, e.width());
  build.matrix(prefix + "engram.value.weight", o.dim, e.width());
  for (const char* norm : {"query_norm", "key_norm", "conv_norm"})
    build.vector(prefix + "engram." + norm, wide, 1.0f, 0.5f);
  build.table(prefix + "engram.conv", 4, wide, 1.0f);
}

void add_layer(Builder& build, const MnemeModelForTest& model, uint32_t index) {
  const MnemeOptionsForTest& o = model.options;
  const std::string prefix = fmt::format("blk.{}.", index);
  const auto listed = [&](const std::vector<uint32_t>& list) {
    return std::find(list.begin(), list.end(), index) != list.end();
  };
  const bool global = listed(o.global_layers);
  const auto dim = static_cast<uint64_t>(o.dim), heads = static_cast<uint64_t>(o.heads);
  build.vector(prefix + "attn_norm.weight", dim, 1.0f, 0.3f);
  build.vector(prefix + "ffn_norm.weight", dim, 1.0f, 0.3f);
  build.matrix(prefix + "attn_q.weight", o.heads * o.head_dim, o.dim);
  build.matrix(prefix + "attn_k.weight", o.kv_heads * o.head_dim, o.dim);
  build.matrix(prefix + "attn_v.weight", o.kv_heads * o.head_dim, o.dim);
  if (global) build.matrix(prefix + "attn_k_shift.weight", o.kv_heads * o.head_dim, o.dim);
  if (global && o.look_ahead > 0)
    build.matrix(prefix + "attn_k_ahead.weight", o.kv_heads * o.head_dim, o.dim);
  build.matrix(prefix + "attn_output.weight", o.dim, o.heads * o.head_dim);
  build.vector(prefix + "attn_temperature", heads, 6.0f, 3.0f);
  if (o.sinks) build.vector(prefix + "attn_sinks", heads, 1.0f, 2.0f);
  if (o.value_mix && index > 0) build.vector(prefix + "attn_value_mix", 1, 0.4f, 0.2f);
  if (o.embedding_mix) build.vector(prefix + "embedding_mix", 1, 0.1f, 0.2f);
  build.matrix(prefix + "ffn_gate.weight", o.ffn_dim, o.dim);
  build.matrix(prefix + "ffn_up.weight", o.ffn_dim, o.dim);
  build.matrix(prefix + "ffn_down.weight", o.dim, o.ffn_dim);
  add_residual(build, o, prefix + "attn");
  add_residual(build, o, prefix + "ffn");
  if (listed(o.engram_layers)) add_engram(build, model, prefix);
  if (!global || o.indexer_heads == 0) return;
  build.matrix(prefix + "indexer.query.weight", o.indexer_heads * o.indexer_key_dim, o.dim);
  build.matrix(prefix + "indexer.key.weight", o.indexer_key_dim, o.dim);
  build.matrix(prefix + "indexer.key_shift.weight", o.indexer_key_dim, o.dim);
  build.matrix(prefix + "indexer.head.weight", o.indexer_heads, o.dim);
}

// Small primes, so that rows collide, and a map that gives several tokens one id.
EngramConfig random_engram(const MnemeOptionsForTest& o, uint64_t seed) {
  EngramConfig e;
  if (o.engram_layers.empty()) return e;
  e.layers.assign(o.engram_layers.begin(), o.engram_layers.end());
  e.order_max = o.engram_order_max;
  e.heads = o.engram_heads;
  e.head_width = o.engram_head_width;
  auto primes = engram::distinct_primes(211, static_cast<size_t>(e.rows_per_token()));
  MNEME_CHECK(primes.has_value());
  e.primes = std::move(*primes);
  e.multipliers = engram::odd_multipliers(seed, e.layers.size(), static_cast<uint32_t>(e.order_max));
  for (int token = 0; token < o.vocab_size; ++token)
    e.token_map.push_back(static_cast<uint32_t>(token - token / 7));
  e.pad = static_cast<uint32_t>(o.vocab_size);
  return e;
}

void add_tokenizer(GgufWriter& writer, int vocab_size) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) {
    const char raw = static_cast<char>(byte);
    append_byte_level({&raw, 1}, tokens.emplace_back());
  }
  std::vector<int32_t> types(tokens.size(), static_cast<int32_t>(TokenType::kNormal));
  for (const char* special : {"<|bos|>", "<|eos|>", "<|im_end|>"}) {
    tokens.emplace_back(special);
    types.push_back(static_cast<int32_t>(TokenType::kControl));
  }
  MNEME_CHECK(vocab_size >= static_cast<int>(tokens.size()), "a vocabulary of {}", vocab_size);
  while (static_cast<int>(tokens.size()) < vocab_size) {
    tokens.push_back(fmt::format("<|unused {}|>", tokens.size()));
    types.push_back(static_cast<int32_t>(TokenType::kControl));
  }
  writer.add("tokenizer.ggml.model", "gpt2");
  writer.add("tokenizer.ggml.pre", "qwen2");
  writer.add_array("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  writer.add_array("tokenizer.ggml.token_type", std::span<const int32_t>(types));
  writer.add_array("tokenizer.ggml.merges", std::span<const std::string>());
  writer.add("tokenizer.ggml.bos_token_id", uint32_t{256});
  writer.add("tokenizer.ggml.eos_token_id", uint32_t{257});
}

void add_keys(GgufWriter& writer, const MnemeModelForTest& model) {
  const MnemeOptionsForTest& o = model.options;
  const auto number = [&](const char* key, int value) {
    writer.add(std::string("mneme.") + key, static_cast<uint32_t>(value));
  };
  writer.add("general.architecture", "mneme");
  writer.add("general.name", "random");
  number("block_count", o.layers);
  number("context_length", o.context_length);
  number("embedding_length", o.dim);
  number("feed_forward_length", o.ffn_dim);
  number("attention.head_count", o.heads);
  number("attention.head_count_kv", o.kv_heads);
  number("attention.key_length", o.head_dim);
  number("attention.value_length", o.head_dim);
  number("attention.sliding_window", o.window);
  number("attention.log_length_train", o.log_length_train);
  if (o.look_ahead > 0) number("attention.look_ahead", o.look_ahead);
  number("rope.dimension_count", o.rope_dims > 0 ? o.rope_dims : o.head_dim);
  number("residual.streams", o.streams);
  writer.add("mneme.residual.kind", o.residual);
  writer.add("mneme.attention.layer_norm_rms_epsilon", 1e-5f);
  writer.add("mneme.attention.log_length_slope", o.log_length_slope);
  writer.add("mneme.rope.freq_base", 10000.0f);
  writer.add_array("mneme.attention.global_layers", std::span<const uint32_t>(o.global_layers));
  if (o.indexer_heads > 0) {
    number("attention.indexer.head_count", o.indexer_heads);
    number("attention.indexer.key_length", o.indexer_key_dim);
    number("attention.indexer.top_k", o.indexer_top_k);
  }
  const EngramConfig& e = model.engram;
  if (e.layers.empty()) return;
  writer.add_array("mneme.engram.layers", std::span<const uint32_t>(o.engram_layers));
  number("engram.order_max", e.order_max);
  number("engram.head_count", e.heads);
  number("engram.head_width", e.head_width);
  number("engram.pad", static_cast<int>(e.pad));
  writer.add_array("mneme.engram.primes", std::span<const uint32_t>(e.primes));
  writer.add_array("mneme.engram.multipliers", std::span<const uint64_t>(e.multipliers));
  writer.add_array("mneme.engram.token_map", std::span<const uint32_t>(e.token_map));
}

}  // namespace

GgufWriter MnemeModelForTest::writer() const {
  GgufWriter writer;
  add_keys(writer, *this);
  if (options.byte_tokenizer) add_tokenizer(writer, options.vocab_size);
  for (const auto& [name, tensor] : tensors) writer.add_tensor(name, tensor.type, tensor.dims, tensor.bytes);
  return writer;
}

MnemeModelForTest random_mneme_model(const MnemeOptionsForTest& options, uint64_t seed) {
  MnemeModelForTest model{options, random_engram(options, seed), {}};
  Builder build(model, seed);
  const auto dim = static_cast<uint64_t>(options.dim);
  build.table("token_embd.weight", static_cast<uint64_t>(options.vocab_size), dim, 1.0f, options.matrix_type);
  build.vector("output_norm.weight", dim, 1.0f, 0.3f);
  if (!options.tied) build.matrix("output.weight", options.vocab_size, options.dim, 2.0f);
  for (uint32_t i = 0; i < static_cast<uint32_t>(options.layers); ++i) add_layer(build, model, i);
  return model;
}

}  // namespace mneme::model
