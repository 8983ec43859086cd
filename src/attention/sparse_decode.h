// Sparse mixed-precision attention of decode steps, over the blocks of one context in one layer:
//   1. scan    a Scorer's estimate of every block's mass, for each query head
//   2. select  which blocks are read in bf16, which in 8 bits, which are estimated (selection.h), so that the
//              error that is expected stays below what the layer's controller allows. With p a block's share
//              of the softmax, n how many of its tokens share it, s the spread of its values, v their norm
//              and rho, kappa what audits taught (controller.h), summed over the heads of a KV head:
//                estimated p^2 / n (rho s)^2        8 bits p^2 / n (kappa v)^2
//              since n errors of either sign, each of a share p / n, add up to sqrt(n) of them.
//   3. read    each as selected; what is estimated counts as its mass times its mean value
//   4. audit   now and then, one KV head densely too
// The first block and the last ones are always read in bf16. Blocks are read in runs of fixed length whose
// softmax states are merged in order: the result does not depend on the number of threads.
//
// Where blocks are on the disk, those that were selected in bf16 are brought into memory, all at once, and
// the others stay where they are: a step reads what matters. Contexts with a cold tier have 8-bit copies of
// some blocks in memory (kv/tiers.h); what has none is read in bf16 instead. They are audited less often, as
// an audit reads everything. Wherever the originals are, the bits are the same; which copies there are does
// change them, within the error that is allowed.
#pragma once

#include <memory>

#include "attention/dense.h"
#include "attention/scorer.h"
#include "attention/sparse_context.h"

namespace mneme::attention {

// Query tokens of a step that may be sparse.
inline constexpr int kSparseTokensMax = 4;

// Workspace of one engine. run() is called from one thread at a time.
class SparseAttention {
 public:
  SparseAttention(const kv::KvShape& shape, int heads, int threads);
  ~SparseAttention();
  SparseAttention(SparseAttention&&) noexcept;

  // Computes the job's output and returns true, or returns false where it is to be computed densely: the
  // context is short, its sealed forms are not there, or the layer's controller wants it. May leave an audit
  // pending in the layer either way. An error, with `out` undefined, where blocks cannot be read.
  [[nodiscard]] Result<bool> run(const kernels::Ops& ops, core::ThreadPool& pool, int layer,
                                 const DenseJob& job, SparseContext& context);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace mneme::attention
