// The tensors of a model by their role, packed for the kernels.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/file.h"
#include "core/thread_pool.h"
#include "engram/table.h"
#include "kernels/packed.h"
#include "model/config.h"
#include "model/gguf.h"

namespace mneme::model {

// How a sublayer is connected to the residual stream(s); what the model's kind does not have is empty.
struct ResidualWeights {
  std::span<const float> scale;              // alpha, rezero: [1]; layerscale: [dim]
  std::span<const float> projection;         // P [2n + r, n * dim]
  std::span<const float> bias;               // [2n + r]
  std::span<const float> coefficient_scale;  // [3]: a_pre, a_post, a_res
};

// mneme: docs/formats/mneme-gguf.md, section Engram.
struct EngramWeights {
  std::unique_ptr<const engram::Table> table;   // null: the layer has none
  kernels::PackedMatrix key;                    // [streams * dim, E]
  kernels::PackedMatrix value;                  // [dim, E]
  std::span<const float> query_norm, key_norm;  // [streams, dim]
  std::span<float> conv;                        // [4, streams, dim], conv_norm multiplied in
};

struct IndexerWeights {
  kernels::PackedMatrix query;           // [J * d_I, dim]
  kernels::PackedMatrix key, key_shift;  // [d_I, dim]
  kernels::PackedMatrix head;            // [J, dim]
};

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

  // Of mneme alone; spans of a layer that lacks them are empty.
  kernels::PackedMatrix key_shift;                  // [kv_heads * head_dim, dim]; global layers
  kernels::PackedMatrix key_ahead;                  // the same; of a model with look-ahead
  std::span<float> query_gain;                      // [heads, head_dim]: temperature / sqrt(head_dim)
  std::span<float> key_gain;                        // [head_dim]: 1 / sqrt(head_dim)
  std::span<const float> sinks;                     // [heads]
  std::span<const float> value_mix, embedding_mix;  // [1]
  ResidualWeights attention_residual, ffn_residual;
  EngramWeights engram;
  IndexerWeights indexer;
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
  core::Arena arena;                 // owns everything but the embedding and n-gram tables
  uint64_t parameters = 0;           // values in the file's tensors
  uint64_t decode_bytes = 0;         // read for one decoded token: layers and head
};

// Checks every tensor against the configuration, then reads and packs them in parallel. Rows are read with
// pread into a small buffer and not through the mapping: no page faults, and the file's pages never count as
// this process's memory.
Result<Weights> load_weights(const Gguf& file, const Config& config, core::ThreadPool& pool,
                             const std::function<void(double)>& progress, engram::Placement engram_placement);

}  // namespace mneme::model
