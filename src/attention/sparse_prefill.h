// Sparse attention of prefill passes over long inputs, over the blocks of one context in one layer. The query
// tokens of a pass go in tiles; for the rows of a tile (tokens times the query heads of a KV head):
//   1. fixed     the first block and the last ones, densely
//   2. scan      the Scorer's masses of all other blocks, for a few rows spread over the tile, the last one
//                among them: to score all rows would cost more than to read the blocks
//   3. select    blocks are estimated, those that cost least first, while the error that is expected stays
//                below what the layer's controller allows. With p a block's share of the softmax, n how many
//                of its tokens share it, s the spread of its values, m the norm of their mean, p' the share
//                that step 5 would give it and rho what audits taught, summed over the query heads, mean
//                over their sampled rows:
//                  p^2 / n (rho s)^2 + (p - p')^2 (rho m)^2
//                Rows that are not sampled find what others have chosen. So the error that stays is
//                cross-validated: a sample's errors stay where the other samples alone would not have chosen
//                the block (leave-one-out), and what surprises one sample of n is expected to surprise one
//                row in n + 1 (the rule of succession) wherever the threshold is. Rows that look up tokens
//                of their own are thereby read whole.
//   4. read      the other blocks in bf16, by the kernel of dense attention
//   5. estimate  every row's own mass of an estimated block, exp(q . centre + c), times the block's mean
//                value. c makes the masses of the sampled rows of a query head add up to what was scanned
//   6. audit     now and then, a few rows of one tile and KV head densely too, drawn at random: rows that
//                were not sampled count as those that were
// A tile is a property of the pass and its blocks are read in order: the result depends neither on the number
// of threads nor on which blocks are in memory. Where blocks are on the disk, those that some tile chose are
// brought, and no others.
//
// The end of an input is dense: what is asked stands there, and what looks one thing up once shows in no
// sample. Rows whose output nothing will read (PrefillPlace::unread) are not scanned: all their candidates
// are estimated, at the mass of equal keys. A pass that read nearly all is followed by some dense ones: there
// is nothing to gain.
#pragma once

#include <memory>

#include "attention/dense.h"
#include "attention/scorer.h"
#include "attention/sparse_context.h"

namespace mneme::attention {

// Tokens in front of this position are dense: there is little to save.
inline constexpr int kPrefillDenseTokens = 8192;
// So many tokens at the end of an input are dense; of unread rows so many that a context can be taken back
// (kv::kRewindTokens) and windows behind the layer (this many tokens at most in sum) still see none of them.
inline constexpr int kPrefillEndTokens = 512;
inline constexpr int kPrefillUnreadEndTokens = kv::kRewindTokens + 512;

// Where a job stands in its input.
struct PrefillPlace {
  int tokens_after = 0;  // of the same input follow the job
  // What the layer adds to the residual stream of the job's tokens is not read by anything that is kept, but
  // near the end of the input: no layer behind it keeps all tokens, and the rows give no logits.
  bool unread = false;
};

// Workspace of one engine. run() is called from one thread at a time.
class SparsePrefill {
 public:
  SparsePrefill(const kv::KvShape& shape, int heads, int threads);
  ~SparsePrefill();
  SparsePrefill(SparsePrefill&&) noexcept;

  // Computes the output of the job's first tokens and returns how many; the others (all of them: 0) are to be
  // computed densely. May leave an audit pending in context.prefill(layer). An error, with `out` undefined,
  // where blocks cannot be read.
  [[nodiscard]] Result<int> run(const kernels::Ops& ops, core::ThreadPool& pool, int layer,
                                const DenseJob& job, const PrefillPlace& place, SparseContext& context);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace mneme::attention
