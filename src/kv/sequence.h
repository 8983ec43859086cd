#pragma once

#include <span>
#include <vector>

#include "kv/block_pool.h"

namespace mneme::kv {

// The keys and values of one context. The order of work for new tokens: extend(n); for each layer, store()
// every KV head's rows (any thread, one head a thread), then read views; a token counts for attention as soon
// as it is stored. The pool must outlive the sequence. One thread at a time, but for store() and view() of
// different heads.
class Sequence {
 public:
  explicit Sequence(BlockPool& pool);
  ~Sequence();
  Sequence(Sequence&& other) noexcept;
  Sequence& operator=(Sequence&&) = delete;
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  int token_count() const { return token_count_; }
  const KvShape& shape() const { return pool_->shape(); }

  // Makes room for `count` more tokens and counts them. An error (and no change) when the pool's budget is
  // used up.
  Result<void> extend(int count);
  // Forgets everything from token `token_count` on; blocks that become empty go back to the pool.
  void truncate(int token_count);

  // Writes rows of one layer and head, rounding to bf16: keys and values [count, head_dim] with `stride`
  // floats between rows, for the tokens first .. first + count.
  void store(int layer, int kv_head, int first, int count, const float* keys, const float* values,
             size_t stride);

  // Views of the blocks that hold tokens [0, token_count) of one layer and head, out.size() of them from
  // block `first_block`.
  void view(int layer, int kv_head, int first_block, std::span<BlockView> out) const;
  int block_count() const { return (token_count_ + kBlockTokens - 1) / kBlockTokens; }

  // Copies the contents of tokens [0, period) over tokens [period, token_count) again and again: a context of
  // any depth from a short prefill, for measuring speed at depth. `period` is a whole number of blocks.
  void repeat_for_bench(int period);

 private:
  BlockPool* pool_;
  int token_count_ = 0;
  std::vector<std::vector<SlabId>> slabs_;  // [layer][block]
};

}  // namespace mneme::kv
