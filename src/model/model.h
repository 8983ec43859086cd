// One loaded model: configuration, packed weights, and the forward pass over a batch of sequences.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "attention/sparse_context.h"
#include "core/thread_pool.h"
#include "engram/table.h"
#include "kernels/ops.h"
#include "kv/kv.h"
#include "model/config.h"
#include "model/gguf.h"
#include "model/tokenizer.h"

namespace mneme::model {

// Which rows of a chunk want logits.
enum class LogitsOf { kNone, kLast, kAll };

// New tokens of one sequence. They stand at positions kv->token_count() .. in order; forward() extends the
// sequence itself.
struct Chunk {
  kv::Sequence* sequence = nullptr;
  std::span<const TokenId> tokens;  // at least one, each in [0, vocab_size)
  LogitsOf logits = LogitsOf::kLast;
  attention::SparseContext* sparse = nullptr;  // of the sequence; null: attention is exact
  // [dim] or empty: the rows' last states after the final norm, which the head would see, are added to it
  std::span<float> state_sum = {};
  int tokens_after = 0;  // of the same input, known to follow: an input's end is read exactly
};

class Model {
 public:
  // Reads and packs every weight with the pool's threads. Token embeddings stay in the file, which is kept
  // open, and so do n-gram tables that are placed on disk. `progress` (may be empty) is called now and then
  // with the share done, from the calling thread.
  static Result<Model> load(const Gguf& file, const kernels::Ops& ops, core::ThreadPool& pool,
                            const std::function<void(double)>& progress,
                            engram::Placement engram_placement = engram::Placement::kMemory);
  ~Model();
  Model(Model&&) noexcept;

  const Config& config() const;
  kv::KvShape kv_shape() const;
  uint64_t weight_bytes() const;  // packed, and n-gram tables in memory: resident
  uint64_t decode_bytes() const;  // weights read for one decoded token (the head included, the embedding
                                  // table not)
  uint64_t parameters() const;

  // One pass over all chunks (up to rows_max tokens in sum): for each layer every row goes through together,
  // attention sequence by sequence. `logits` receives [rows that want them, vocab_size] in chunk order. Fails
  // (with nothing changed) when the KV budget or rows_max does not allow it. Not thread safe: one forward at
  // a time.
  Result<void> forward(std::span<const Chunk> chunks, std::span<float> logits, core::ThreadPool& pool);
  static constexpr int kRowsMax = 512;

 private:
  struct State;
  explicit Model(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mneme::model
