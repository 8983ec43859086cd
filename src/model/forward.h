// The forward pass of llama, qwen2, qwen3 and mneme over a batch of rows (one row = one new token of some
// sequence).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "attention/attention.h"
#include "core/arena.h"
#include "engram/fetch.h"
#include "kernels/matmul.h"
#include "kernels/ops.h"
#include "model/config.h"
#include "model/model.h"
#include "model/rope_frequencies.h"
#include "model/weights.h"

namespace mneme::model {

// Which token a row is.
struct RowPlace {
  kv::Sequence* sequence;
  int position;
};

// The n-gram layer's part of the scratch; empty where the model has none.
struct EngramScratch {
  std::vector<std::unique_ptr<engram::Fetch>> fetches;  // [engram layers]
  std::vector<int> previous;                            // [order_max - 1] tokens
  std::vector<uint64_t> indices;                        // [rows, rows_per_token]
  std::span<float> fetched;                             // [rows, E]
  std::span<float> keys;                                // [rows, streams * dim]
  std::span<float> values;                              // [rows, dim]
  std::span<float> gates;                               // [rows, streams]
  std::vector<float> ones;                              // [dim]
};

// Activations of up to rows_max rows, f32, row-major and contiguous; touched as far as rows are used.
struct Scratch {
  static Result<Scratch> reserve(const Config& config, const Weights& weights, int rows_max, int threads);

  std::vector<RowPlace> places;   // [rows]
  std::span<float> residual;      // [rows, streams, dim]: the residual stream(s)
  std::span<float> coefficients;  // [rows, residual_coefficient_stride]: of the sublayer that runs
  std::span<float> read;          // [rows, dim]: what a sublayer reads of several streams
  std::span<float> embedded;      // [rows, dim]: where later layers read it again
  std::span<float> normed;        // [rows, dim]
  std::span<float> query;         // [rows, heads * head_dim]
  std::span<float> key, value;    // [rows, kv_heads * head_dim]
  std::span<float> key_shift;     // [rows, kv_heads * head_dim]: for the key of the token after
  std::span<float> key_ahead;     // the same: for the keys of the tokens before, where there is look-ahead
  std::span<float> first_value;   // [rows, kv_heads * head_dim]: layer 0's, where later layers mix it in
  std::span<float> attended;      // [rows, heads * head_dim]
  std::span<float> gate, up;      // [rows, ffn_dim]
  std::span<float> rope;          // [rows, rope dims]: cos and sin of each row's position
  EngramScratch engram;
  std::vector<attention::DenseJob> jobs;
  std::vector<std::byte> embedding_row;  // as in the file
  core::Arena arena;
  kernels::MatmulScratch matmul;
  attention::DenseAttention attention;
  attention::SparseAttention sparse;
  attention::SparsePrefill prefill;
  std::vector<float> audited;  // [tokens, dim]: the output product of an audit

 private:
  Scratch(kernels::MatmulScratch&& m, attention::DenseAttention&& a, attention::SparseAttention&& s,
          attention::SparsePrefill&& p)
      : matmul(std::move(m)), attention(std::move(a)), sparse(std::move(s)), prefill(std::move(p)) {}
};

// Everything a pass reads and where it works, passed explicitly.
struct Pass {
  const Config& config;
  const Weights& weights;
  const RopeFrequencies& rope;
  const kernels::Ops& ops;
  core::ThreadPool& pool;
  Scratch& scratch;
  std::span<const Chunk> chunks;
  int rows;  // of all chunks
};

// Logits of the rows that want them, in chunk order: [rows wanted, vocab_size]. The sequences are extended
// already.
Result<void> run_forward(const Pass& pass, std::span<float> logits);

}  // namespace mneme::model
