#pragma once

#include <memory>
#include <span>

#include "core/error.h"
#include "core/thread_pool.h"
#include "kernels/ops.h"
#include "kv/kv.h"

namespace mneme::attention {

// New tokens of one sequence in one layer. Their keys and values are stored already.
struct DenseJob {
  const kv::BlockSource* sequence = nullptr;
  int first = 0;                   // position of the first query token
  int count = 0;                   // query tokens; token i sees positions up to first + i
  const float* queries = nullptr;  // [count, heads * head_dim], rotated, not scaled
  float* out = nullptr;            // [count, heads * head_dim]
  float scale = 0.0f;              // of the logits; 0: 1 / sqrt(head_dim)
  int window = 0;                  // a token sees this many, itself the last; 0: all
  const float* sinks = nullptr;    // [heads]: one more logit of each head, whose value is zero; null: none
};

// Workspace of one engine. run() is called from one thread at a time.
class DenseAttention {
 public:
  DenseAttention(const kv::KvShape& shape, int heads, int threads);
  ~DenseAttention();
  DenseAttention(DenseAttention&&) noexcept;

  // softmax(scale q k) v, causal, for every job. The result depends neither on the number of threads nor on
  // which blocks are in memory: sequences that are not whole() in this layer are held a run of blocks at a
  // time. An error where that fails; what the jobs' `out` holds is then undefined.
  [[nodiscard]] Result<void> run(const kernels::Ops& ops, core::ThreadPool& pool, int layer,
                                 std::span<const DenseJob> jobs);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mneme::attention
