#include "model/weight_plan.h"

#include <utility>

namespace mneme::model {

using kernels::PackedMatrix;

Result<void> WeightPlan::matrix(const std::string& name, int rows, int columns, PackedMatrix& out) {
  const uint64_t dims[] = {static_cast<uint64_t>(columns), static_cast<uint64_t>(rows)};
  auto tensor = file_.require_tensor(name, dims);
  if (!tensor) return core::pass(tensor);
  if (columns % 32 != 0)
    return core::fail("{}: tensor {} has {} columns: only multiples of 32 are supported", file_.path(), name,
                      columns);
  out = {(*tensor)->type, rows, columns, nullptr};
  matrices.push_back({*tensor, &out, true});
  return {};
}

Result<void> WeightPlan::vector(const std::string& name, int size, bool required,
                                std::span<const float>& out) {
  if (!required && file_.find_tensor(name) == nullptr) return {};
  const uint64_t dims[] = {static_cast<uint64_t>(size)};
  auto tensor = file_.require_tensor(name, dims);
  if (!tensor) return core::pass(tensor);
  vectors.push_back({*tensor, &out});
  return {};
}

Result<void> WeightPlan::table(const std::string& name, uint64_t rows, uint64_t columns,
                               std::span<const float>& out) {
  const uint64_t dims[] = {columns, rows};
  auto tensor = file_.require_tensor(name, dims);
  if (!tensor) return core::pass(tensor);
  vectors.push_back({*tensor, &out});
  return {};
}

Result<void> WeightPlan::layer(int index, LayerWeights& layer) {
  const std::string prefix = fmt::format("blk.{}.", index);
  const Config& c = config_;
  const int query_dim = c.heads * c.head_dim, kv_dim = c.kv_heads * c.head_dim;
  struct {
    const char* name;
    int rows, columns;
    PackedMatrix* out;
  } const matrices_wanted[] = {{"attn_q.weight", query_dim, c.dim, &layer.query},
                               {"attn_k.weight", kv_dim, c.dim, &layer.key},
                               {"attn_v.weight", kv_dim, c.dim, &layer.value},
                               {"attn_output.weight", c.dim, query_dim, &layer.output},
                               {"ffn_gate.weight", c.ffn_dim, c.dim, &layer.gate},
                               {"ffn_up.weight", c.ffn_dim, c.dim, &layer.up},
                               {"ffn_down.weight", c.dim, c.ffn_dim, &layer.down}};
  for (const auto& want : matrices_wanted) {
    if (auto ok = matrix(prefix + want.name, want.rows, want.columns, *want.out); !ok) return ok;
  }
  const bool biases = c.architecture == Architecture::kQwen2;
  struct {
    const char* name;
    int size;
    bool required;
    std::span<const float>* out;
  } const vectors_wanted[] = {{"attn_norm.weight", c.dim, true, &layer.attention_norm},
                              {"ffn_norm.weight", c.dim, true, &layer.ffn_norm},
                              {"attn_q.bias", query_dim, biases, &layer.query_bias},
                              {"attn_k.bias", kv_dim, biases, &layer.key_bias},
                              {"attn_v.bias", kv_dim, biases, &layer.value_bias},
                              {"attn_output.bias", c.dim, false, &layer.output_bias}};
  for (const auto& want : vectors_wanted) {
    if (auto ok = vector(prefix + want.name, want.size, want.required, *want.out); !ok) return ok;
  }
  if (c.architecture == Architecture::kMneme) return mneme_layer(index, layer);
  if (!c.qk_norm) return {};
  if (auto ok = vector(prefix + "attn_q_norm.weight", c.head_dim, true, layer.query_norm); !ok) return ok;
  return vector(prefix + "attn_k_norm.weight", c.head_dim, true, layer.key_norm);
}

Result<void> WeightPlan::rest(Weights& weights) {
  const uint64_t dims[] = {static_cast<uint64_t>(config_.dim), static_cast<uint64_t>(config_.vocab_size)};
  auto embedding = file_.require_tensor("token_embd.weight", dims);
  if (!embedding) return core::pass(embedding);
  weights.embedding.type = (*embedding)->type;
  weights.embedding.offset = (*embedding)->file_offset;
  weights.embedding.row_bytes = (*embedding)->bytes.size() / static_cast<size_t>(config_.vocab_size);
  auto part = core::File::open_read(file_.files()[static_cast<size_t>((*embedding)->file)].path());
  if (!part) return core::pass(part);
  weights.embedding.file = std::move(*part);
  const bool untied = file_.find_tensor("output.weight") != nullptr;
  if (auto ok = matrix(untied ? "output.weight" : "token_embd.weight", config_.vocab_size, config_.dim,
                       weights.head);
      !ok)
    return ok;
  return vector("output_norm.weight", config_.dim, true, weights.output_norm);
}

size_t WeightPlan::bytes() const {
  size_t total = core::Arena::kAlign;
  for (const auto& job : matrices) {
    total += kernels::packed_bytes(job.matrix->type, job.matrix->rows, job.matrix->columns) +
             core::Arena::kAlign;
  }
  for (const auto& job : vectors)
    total += job.tensor->columns() * job.tensor->rows() * sizeof(float) + core::Arena::kAlign;
  return total + derived_bytes;
}

}  // namespace mneme::model
