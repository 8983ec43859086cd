#pragma once

#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "core/error.h"
#include "kv/block.h"

namespace mneme::kv {

using SlabId = uint32_t;

// Slabs out of one reservation. Memory is touched only when a slab is first used, and is reused before more
// is touched. One thread at a time.
class BlockPool {
 public:
  // `bytes_max` is rounded down to whole slabs; fewer than one slab a layer is an error.
  static Result<BlockPool> create(const KvShape& shape, uint64_t bytes_max);

  const KvShape& shape() const { return shape_; }
  // A slab, zeroed where it was used before; nothing when the budget is used up.
  bool take(size_t count, std::vector<SlabId>& out);  // all `count` or none
  void give_back(SlabId slab);

  uint16_t* keys(SlabId slab, int kv_head) const;
  uint16_t* values(SlabId slab, int kv_head) const;

  uint64_t bytes_max() const { return slabs_max_ * shape_.slab_bytes(); }
  uint64_t bytes_used() const { return (slabs_touched_ - free_.size()) * shape_.slab_bytes(); }
  uint64_t slabs_free() const { return slabs_max_ - slabs_touched_ + free_.size(); }
  // How deep one more sequence could become, in tokens (whole blocks).
  uint64_t tokens_free() const;

 private:
  BlockPool() = default;
  KvShape shape_;
  core::Arena arena_;
  std::byte* base_ = nullptr;
  uint64_t slabs_max_ = 0;
  uint64_t slabs_touched_ = 0;
  std::vector<SlabId> free_;
};

}  // namespace mneme::kv
