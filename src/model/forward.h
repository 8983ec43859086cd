// The forward pass of llama, qwen2 and qwen3 over a batch of rows (one row = one new token of some sequence).
#pragma once

#include <span>
#include <vector>

#include "attention/attention.h"
#include "core/arena.h"
#include "kernels/matmul.h"
#include "kernels/ops.h"
#include "model/config.h"
#include "model/model.h"
#include "model/rope_frequencies.h"
#include "model/weights.h"

namespace mneme::model {

// Activations of up to rows_max rows, f32, row-major and contiguous; touched as far as rows are used.
struct Scratch {
  static Result<Scratch> reserve(const Config& config, int rows_max, int threads);

  std::span<float> residual;    // [rows, dim]: the residual stream
  std::span<float> normed;      // [rows, dim]
  std::span<float> query;       // [rows, heads * head_dim]
  std::span<float> key, value;  // [rows, kv_heads * head_dim]
  std::span<float> attended;    // [rows, heads * head_dim]
  std::span<float> gate, up;    // [rows, ffn_dim]
  std::span<float> rope;        // [rows, rope dims]: cos and sin of each row's position
  std::vector<attention::DenseJob> jobs;
  std::vector<std::byte> embedding_row;  // as in the file
  core::Arena arena;
  kernels::MatmulScratch matmul;
  attention::DenseAttention attention;

 private:
  Scratch(kernels::MatmulScratch&& m, attention::DenseAttention&& a)
      : matmul(std::move(m)), attention(std::move(a)) {}
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
