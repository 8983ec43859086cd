#pragma once

#include <span>
#include <vector>

#include "kv/block_pool.h"
#include "kv/recent_rows.h"

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

  // Makes room for `count` more tokens and counts them. Layers with a window give back the blocks that no
  // token can read any more; they allow up to kRewindTokens at once. An error (and no change) when the pool's
  // budget is used up.
  Result<void> extend(int count);
  // Forgets everything from token `token_count` on; blocks that become empty go back to the pool. Only
  // tokens_truncatable() tokens can be taken back; 0 is always possible and empties the sequence.
  void truncate(int token_count);
  // How many of the last tokens truncate() can take back: all of them where the shape forgets nothing, else
  // at least kRewindTokens of those since the last truncation (or all).
  int tokens_truncatable() const { return token_count_ - floor_; }

  // Writes rows of one layer and head, rounding to bf16: keys and values [count, head_dim] with `stride`
  // floats between rows, for the tokens first .. first + count.
  void store(int layer, int kv_head, int first, int count, const float* keys, const float* values,
             size_t stride);

  // Views of the blocks of one layer and head, out.size() of them from block `first_block`, which the layer
  // must hold: from the block of the first token that the newest kRewindTokens + 1 may read.
  void view(int layer, int kv_head, int first_block, std::span<BlockView> out) const;
  int block_count() const { return blocks_of(token_count_); }

  RecentRows& recent() { return recent_; }

  // Makes the context `depth` tokens deep from a short prefill, for measuring speed at depth: copies the
  // contents of tokens [0, period) again and again (layers with a window: of a block that they hold).
  // `period` is a whole number of blocks, none beyond token_count(). Recent rows stay as they are. An error
  // (and no change) when the pool's budget is used up.
  Result<void> repeat_for_bench(int period, int depth);

 private:
  // The slabs of one layer: those of the blocks from first_block on.
  struct Layer {
    int first_block = 0;
    std::vector<SlabId> slabs;

    int end_block() const { return first_block + static_cast<int>(slabs.size()); }
  };
  SlabId slab(int layer, int block) const;
  void keep(Layer& layer, int first, int end);  // blocks [first, end); the others go back to the pool
  // The first block that a layer holds once there are `token_count` tokens.
  int first_block_of(int layer, int token_count) const;
  Result<void> fail_full(int count) const;

  BlockPool* pool_;
  int token_count_ = 0;
  int floor_ = 0;  // truncate() cannot go below, but to 0
  std::vector<Layer> layers_;
  RecentRows recent_;
  std::vector<SlabId> taken_;  // of one extend()
};

}  // namespace mneme::kv
