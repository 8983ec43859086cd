#include "train/export.h"

#include "model/gguf_writer.h"
#include "tensor/quantize.h"

namespace mneme::train {

namespace {

using tensor::DType;

std::vector<std::byte> encoded(const torch::Tensor& value, DType type) {
  const torch::Tensor flat = value.detach().cpu().to(torch::kFloat32).contiguous();
  return tensor::quantize(type, {flat.data_ptr<float>(), static_cast<size_t>(flat.numel())});
}

DType type_of(const Parameter& p, const ExportOptions& options) {
  const bool table = p.kind == ParameterKind::kTable;
  const bool matrix = p.kind == ParameterKind::kMatrix || p.kind == ParameterKind::kEmbedding;
  if (!matrix && !table) return DType::kF32;
  const DType type = table ? options.table_type : options.matrix_type;
  return type == DType::kQ8_0 && p.value.size(-1) % 32 != 0 ? DType::kF16 : type;
}

void add_shape(model::GgufWriter& writer, const ModelOptions& o, const ExportOptions& options) {
  const auto u32 = [&](const char* key, int value) {
    writer.add(std::string("mneme.") + key, static_cast<uint32_t>(value));
  };
  u32("block_count", o.layers);
  u32("context_length", o.context_length);
  u32("embedding_length", o.dim);
  u32("feed_forward_length", o.ffn_dim);
  u32("attention.head_count", o.heads);
  u32("attention.head_count_kv", o.kv_heads);
  u32("attention.key_length", o.head_dim);
  u32("attention.value_length", o.head_dim);
  u32("attention.sliding_window", o.window);
  u32("attention.log_length_train",
      options.log_length_train < 0 ? o.context_length : options.log_length_train);
  if (o.look_ahead > 0) u32("attention.look_ahead", o.look_ahead);
  u32("rope.dimension_count", o.head_dim);
  u32("residual.streams", o.streams_used());
  writer.add("mneme.attention.layer_norm_rms_epsilon", o.norm_epsilon);
  writer.add("mneme.attention.log_length_slope",
             options.log_length_slope < 0 ? o.log_length_slope : options.log_length_slope);
  writer.add("mneme.rope.freq_base", o.rope_base);
  writer.add("mneme.residual.kind", residual_name(o.residual));
  const std::vector<uint32_t> global(o.global_layers.begin(), o.global_layers.end());
  writer.add_array("mneme.attention.global_layers", std::span<const uint32_t>(global));
}

void add_indexer(model::GgufWriter& writer, const ModelOptions& o) {
  if (o.indexer.heads == 0) return;
  writer.add("mneme.attention.indexer.head_count", static_cast<uint32_t>(o.indexer.heads));
  writer.add("mneme.attention.indexer.key_length", static_cast<uint32_t>(o.indexer.head_dim));
  writer.add("mneme.attention.indexer.top_k", static_cast<uint32_t>(o.indexer.top_k));
}

void add_engram(model::GgufWriter& writer, const EngramHash& hash) {
  if (hash.layers.empty()) return;
  const std::vector<uint32_t> layers(hash.layers.begin(), hash.layers.end());
  writer.add_array("mneme.engram.layers", std::span<const uint32_t>(layers));
  writer.add("mneme.engram.order_max", hash.order_max);
  writer.add("mneme.engram.head_count", hash.heads);
  writer.add("mneme.engram.head_width", hash.width);
  writer.add_array("mneme.engram.primes", std::span<const uint32_t>(hash.primes));
  writer.add_array("mneme.engram.multipliers", std::span<const uint64_t>(hash.multipliers));
  writer.add_array("mneme.engram.token_map", std::span<const uint32_t>(hash.token_map));
  writer.add("mneme.engram.pad", hash.pad);
}

}  // namespace

Result<void> export_gguf(const std::string& path, const Network& network,
                         const corpus::Vocabulary* vocabulary, const ExportOptions& options) {
  model::GgufWriter writer;
  writer.add("general.architecture", "mneme");
  writer.add("general.name", options.name);
  if (!options.licence.empty()) writer.add("general.license", options.licence);
  if (!options.description.empty()) writer.add("general.description", options.description);
  add_shape(writer, network.options(), options);
  add_engram(writer, network.engram_hash());
  add_indexer(writer, network.options());
  if (vocabulary != nullptr) {
    if (vocabulary->size() != network.options().vocab_size)
      return core::fail("a vocabulary of {} for a network of {} tokens", vocabulary->size(),
                        network.options().vocab_size);
    vocabulary->add_to(writer);
  }
  for (const Parameter& p : network.file_tensors()) {
    std::vector<uint64_t> dims;  // the fastest first
    for (int64_t i = p.value.dim() - 1; i >= 0; --i) dims.push_back(static_cast<uint64_t>(p.value.size(i)));
    writer.add_tensor(p.name, type_of(p, options), std::move(dims), encoded(p.value, type_of(p, options)));
  }
  return writer.write(path);
}

}  // namespace mneme::train
