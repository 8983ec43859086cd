#pragma once

#include <algorithm>
#include <span>

#include "core/error.h"
#include "kernels/sealed.h"
#include "kv/block.h"

namespace mneme::kv {

// The sealed form of one block (sealed_block.h) as far as it is in memory. Valid as a BlockView is.
struct SealedBlock {
  kernels::SealedSummary summary;  // null statistics: the block has no sealed form
  kernels::SealedFp8 fp8;          // null keys: only the summary is in memory
  float value_spread = 0;          // rms distance of the block's values from their mean
};

// What attention reads: blocks of one context, of which not all need be in memory. Sequence is one; tests
// make others. Blocks that a layer does not hold (windows) must not be asked for.
class BlockSource {
 public:
  virtual ~BlockSource() = default;

  // Views of the blocks of one layer and head, out.size() of them from block `first_block`: all in memory, or
  // held. Any thread.
  virtual void view(int layer, int kv_head, int first_block, std::span<BlockView> out) const = 0;

  // The sealed forms of the same blocks. The first sealed_blocks() of a layer have one, at least the summary;
  // where copies_sealed() all have the 8-bit copy too, else some may. hold() is not needed to read what is
  // given. Any thread.
  virtual int sealed_blocks(int /*layer*/) const { return 0; }
  virtual bool copies_sealed(int /*layer*/) const { return true; }
  virtual void sealed(int /*layer*/, int /*kv_head*/, int /*first_block*/, std::span<SealedBlock> out) const {
    std::fill(out.begin(), out.end(), SealedBlock());
  }

  // Where copies_sealed() not all: makes some of those that are missing, as far as there is room for them.
  virtual void make_copies(int /*layer*/) const {}

  // Everything of this layer is in memory until the sequence changes: hold() is not needed.
  virtual bool whole(int /*layer*/) const { return true; }
  // Blocks [first_block, first_block + count) of a layer in memory until release() of the same: waits for
  // reads under way, and starts those of what follows. An error (nothing is held then) where the disk fails.
  virtual Result<void> hold(int /*layer*/, int /*first_block*/, int /*count*/) const { return {}; }
  virtual void release(int /*layer*/, int /*first_block*/, int /*count*/) const {}
  // The same for blocks that need not lie together, rising, at most hold_some_max() of them: all reads are
  // under way before the first is waited for, and nothing is read ahead.
  virtual Result<void> hold_some(int /*layer*/, std::span<const int> /*blocks*/) const { return {}; }
  virtual void release_some(int /*layer*/, std::span<const int> /*blocks*/) const {}
  virtual int hold_some_max() const { return 1 << 30; }
};

}  // namespace mneme::kv
