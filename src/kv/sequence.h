#pragma once

#include <span>
#include <vector>

#include "core/thread_pool.h"
#include "kv/block_pool.h"
#include "kv/block_source.h"
#include "kv/recent_rows.h"
#include "kv/tiers.h"

namespace mneme::kv {

// The keys and values of one context: sealed segments, which others may share and which need not be in
// memory, then open blocks of its own. Without tiers nothing is sealed. The order of work for new tokens:
// extend(n); for each layer, store() every KV head's rows (any thread, one head a thread), then read views; a
// token counts for attention as soon as it is stored. The pool must outlive the sequence. One thread at a
// time, but for store() and view() of different heads.
class Sequence : public BlockSource {
 public:
  explicit Sequence(BlockPool& pool);
  explicit Sequence(Tiers& tiers);
  ~Sequence() override;
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
  // Forgets everything from token `token_count` on, and returns how many tokens are left: fewer where a
  // sealed segment would have to be cut (its tokens are to be evaluated again), 0 where windows forgot what
  // lies there and the disk cannot bring it back.
  int truncate(int token_count);
  // How many of the last tokens truncate() can take back exactly: all open ones where the shape forgets
  // nothing, else at least kRewindTokens of those since the last truncation (or all).
  int tokens_truncatable() const { return token_count_ - std::max(floor_, sealed_tokens()); }

  // --- Segments (with tiers) ---

  int sealed_tokens() const { return static_cast<int>(segments_.size()) * kSegmentTokens; }
  std::span<const SegmentPtr> segments() const { return segments_; }
  SegmentName last_segment() const { return segments_.empty() ? root_ : segments_.back()->name; }
  // What the first segment is behind (segment_name.h); before anything is sealed or attached.
  void set_root(const SegmentName& root) { root_ = root; }
  const SegmentName& root() const { return root_; }
  struct SealNotes {
    int text_end = 0;         // where a text ended: others may go on from the last segment before it
    double seconds_each = 0;  // what computing a token took lately; 0: not known
  };
  // Seals every whole run of 256 open tokens, of which the last `keep_open` stay open to be taken back
  // exactly; `tokens` are the ids of all. After the pass that evaluated them: what layers with a window and
  // recent rows hold at the runs' ends is not far back then.
  void seal(std::span<const int32_t> tokens, int keep_open, const SealNotes& notes);
  void seal(std::span<const int32_t> tokens, int keep_open) { seal(tokens, keep_open, SealNotes()); }
  // Goes on behind these segments, which follow the sealed ones; nothing is open. The last one has a boundary
  // (Tiers::has_boundary). An error (and no change) where it cannot be read.
  Result<void> attach(std::span<const SegmentPtr> segments);
  // What resume() needs beside the segments: the open tokens' parts, [layers + 1], as segments have them,
  // with the whole windows; then the boundary of the last segment, [layers + 1], where its file has none.
  // Views into the sequence and `buffers`.
  std::vector<PartBytes> tail_parts(std::vector<PartBuffer>& buffers) const;
  // Goes on behind these segments, which begin the context, and the tail's tokens after them; there is
  // nothing yet. An error and no change where it cannot be read.
  Result<void> resume(std::span<const SegmentPtr> segments, const SegmentFile& tail);
  // The same context once more: segments are shared, open blocks copied. An error where memory is short.
  Result<Sequence> fork() const;
  // The summaries of all segments in memory, so that their blocks count as sealed_blocks(); an error as of
  // hold(). Quick where they are there. Does nothing without tiers.
  Result<void> load_summaries();
  // The segment that hold() or load_summaries() could not read, or -1: truncate() to where it begins and
  // evaluate again.
  int damaged_segment() const { return damaged_; }

  // Makes the sealed forms of whole blocks that have none yet, of layers that keep every token, where the
  // pool keeps them. After a pass.
  void make_sealed_forms(const kernels::Ops& ops, core::ThreadPool& threads);

  bool whole(int layer) const override;
  Result<void> hold(int layer, int first_block, int count) const override;
  void release(int layer, int first_block, int count) const override;
  Result<void> hold_some(int layer, std::span<const int> blocks) const override;
  void release_some(int layer, std::span<const int> blocks) const override;
  int hold_some_max() const override;

  // Writes rows of one layer and head, rounding to bf16: keys and values [count, head_dim] with `stride`
  // floats between rows, for the tokens first .. first + count.
  void store(int layer, int kv_head, int first, int count, const float* keys, const float* values,
             size_t stride);

  // Views of the blocks of one layer and head, out.size() of them from block `first_block`, which the layer
  // must hold: from the block of the first token that the newest kRewindTokens + 1 may read.
  void view(int layer, int kv_head, int first_block, std::span<BlockView> out) const override;
  int block_count() const { return blocks_of(token_count_); }
  int sealed_blocks(int layer) const override;
  bool copies_sealed(int layer) const override;
  void sealed(int layer, int kv_head, int first_block, std::span<SealedBlock> out) const override;
  void make_copies(int layer) const override;

  RecentRows& recent() { return recent_; }

  // Makes the context `depth` tokens deep from a short prefill, for measuring speed at depth: copies the
  // contents of tokens [0, period) again and again, or draws blocks from them (drawn_block.h); layers with a
  // window copy a block that they hold.
  // `period` is a whole number of blocks, none beyond token_count(). Recent rows are those of the first
  // `period` tokens. An error (and no change) when the pool's budget is used up. With tiers the ids of all
  // `depth` tokens are needed, by which segments are named.
  Result<void> repeat_for_bench(int period, int depth, bool drawn, std::span<const int32_t> tokens = {});

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

  bool keeps_all(int layer) const { return shape().window(layer) == 0; }
  SlabId slab_read(int layer, int block) const;  // sealed or open
  struct SealedRun {
    int first, count;  // segments
  };
  // The sealed segments that have some of these blocks of a layer; none where it has a window.
  SealedRun sealed_in(int layer, int first_block, int count) const;
  // The sealed segments that have some of these blocks, rising, each once.
  std::span<const int> sealed_among(int layer, std::span<const int> blocks) const;
  void set_token_count(int token_count);
  void drop_sealed_forms(int token_count);  // of blocks that are not whole with so many tokens
  void pin_ends();
  void leave_segments(size_t count);  // but the first `count`
  // Leaves the first `count` segments and nothing open; returns how many tokens are left.
  int return_to(size_t count);
  // Gives layers with a window and the recent rows what a continuation behind the last segment reads.
  Result<void> restore_boundary();
  // The first block of what a boundary at `end` holds of a layer with a window.
  int window_block(int layer, int end) const;
  PartBuffer window_part(int layer, int end) const;
  PartBuffer recent_part(int end) const;
  Result<std::vector<PartBuffer>> read_tail(const SegmentFile& tail, size_t first, int begin, int end) const;
  SegmentPtr sealed_run(std::span<const int32_t> tokens, const SealNotes& notes);
  // The layers' blocks, from where a part begins, and recent rows out of [layers + 1] parts, at `end`. All or
  // none.
  Result<void> place_parts(std::span<const PartBuffer> parts, int end);
  Result<void> repeat_sealing(int period, int depth, bool drawn, std::span<const int32_t> tokens);

  BlockPool* pool_;
  Tiers* tiers_ = nullptr;
  SegmentName root_;
  std::vector<SegmentPtr> segments_;
  std::vector<SegmentPtr> pinned_;  // the first and the last
  mutable int damaged_ = -1;
  mutable std::vector<int> among_;  // of sealed_among()
  size_t summarised_segments_ = 0;  // the first so many have their summaries in memory
  // The next segment holds keys and values that are not those of its tokens, and has a name of its own by
  // this: 0 (no), 0xFF copies, 0xFE drawn.
  uint8_t repeated_ = 0;
  int token_count_ = 0;
  int formed_blocks_ = 0;  // of layers that keep every token: the first so many blocks have sealed forms
  int floor_ = 0;          // truncate() cannot go below, but to 0
  std::vector<Layer> layers_;
  RecentRows recent_;
  std::vector<SlabId> taken_;  // of one extend()
};

}  // namespace mneme::kv
