// The tensors of a model by their role, packed for the kernels.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/file.h"
#include "core/thread_pool.h"
#include "kernels/packed.h"
#include "model/config.h"
#include "model/gguf.h"

namespace mneme::model {

struct LayerWeights {
  std::span<const float> attention_norm;                    // [dim]
  kernels::PackedMatrix query;                              // [heads * head_dim, dim]
  kernels::PackedMatrix key, value;                         // [kv_heads * head_dim, dim]
  std::span<const float> query_bias, key_bias, value_bias;  // empty where the model has none
  std::span<const float> query_norm, key_norm;              // [head_dim] (qwen3), else empty
  kernels::PackedMatrix output;                             // [dim, heads * head_dim]
  std::span<const float> output_bias;                       // [dim] or empty
  std::span<const float> ffn_norm;                          // [dim]
  kernels::PackedMatrix gate, up;                           // [ffn_dim, dim]
  kernels::PackedMatrix down;                               // [dim, ffn_dim]
};

// Token embeddings stay in the file: a token needs one row, which the page cache gives in a microsecond.
// (Through the mapping each row would pull in 64 KiB of neighbours, and a file cut short by somebody else
// would end the process instead of failing a read.)
struct EmbeddingTable {
  tensor::DType type = tensor::DType::kF32;
  uint64_t offset = 0;  // of row 0 in `file`
  size_t row_bytes = 0;
  std::optional<core::File> file;  // set once loaded

  // row: [dim]; `raw`: [row_bytes]
  Result<void> read_row(int index, std::span<std::byte> raw, std::span<float> row) const;
};

struct Weights {
  std::vector<LayerWeights> layers;
  EmbeddingTable embedding;            // [vocab_size, dim]
  std::span<const float> output_norm;  // [dim]
  kernels::PackedMatrix head;  // [vocab_size, dim]; the embedding again where the file has no output.weight
  std::vector<float> rope_divisors;  // [rope dims / 2] or empty
  core::Arena arena;                 // owns everything but the embedding table
  uint64_t parameters = 0;           // values in the file's tensors
  uint64_t decode_bytes = 0;         // packed bytes of layers and head
};

// Checks every tensor against the configuration, then reads and packs them in parallel. Rows are read with
// pread into a small buffer and not through the mapping: no page faults, and the file's pages never count as
// this process's memory.
Result<Weights> load_weights(const Gguf& file, const Config& config, core::ThreadPool& pool,
                             const std::function<void(double)>& progress);

}  // namespace mneme::model
