#pragma once

#include <memory>
#include <span>

#include "core/thread_pool.h"
#include "kernels/ops.h"
#include "kv/kv.h"

namespace mneme::attention {

// New tokens of one sequence in one layer. Their keys and values are stored already.
struct DenseJob {
  const kv::Sequence* sequence = nullptr;
  int first = 0;                   // position of the first query token
  int count = 0;                   // query tokens; token i sees positions 0 .. first + i
  const float* queries = nullptr;  // [count, heads * head_dim], rotated, not scaled
  float* out = nullptr;            // [count, heads * head_dim]
};

// Workspace of one engine. run() is called from one thread at a time.
class DenseAttention {
 public:
  DenseAttention(const kv::KvShape& shape, int heads, int threads);
  ~DenseAttention();
  DenseAttention(DenseAttention&&) noexcept;

  // softmax(q k / sqrt(head_dim)) v, causal, for every job. The result does not depend on the number of
  // threads.
  void run(const kernels::Ops& ops, core::ThreadPool& pool, int layer, std::span<const DenseJob> jobs);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mneme::attention
