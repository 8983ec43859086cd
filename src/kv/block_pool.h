#pragma once

#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "core/error.h"
#include "kv/block.h"
#include "kv/sealed_block.h"

namespace mneme::kv {

using SlabId = uint32_t;

// Slabs out of one reservation. Memory is touched only when a slab is first used, and is reused before more
// is touched. One thread at a time.
class BlockPool {
 public:
  enum class Forms { kBlocks, kBlocksAndSealed };

  // `bytes_max` is rounded down to whole slabs; fewer than one slab a layer is an error. With sealed forms
  // every slab has room for those of its blocks beside it, which counts.
  static Result<BlockPool> create(const KvShape& shape, uint64_t bytes_max, Forms forms = Forms::kBlocks);

  const KvShape& shape() const { return shape_; }
  // A slab, zeroed where it was used before; nothing when the budget is used up.
  bool take(size_t count, std::vector<SlabId>& out);  // all `count` or none
  void give_back(SlabId slab);

  uint16_t* keys(SlabId slab, int kv_head) const;
  uint16_t* values(SlabId slab, int kv_head) const;

  // --- Sealed forms (sealed_block.h) of the blocks of a slab, which come and go with it ---

  bool keeps_sealed() const { return sealed_bytes_ > 0; }
  uint64_t sealed_bytes() const { return sealed_bytes_; }  // of a slab; 0: none are kept
  // Where those of one head are; what lies there counts once the slab is_sealed().
  SealedForm sealed_form(SlabId slab, int kv_head) const;
  float& value_spread(SlabId slab, int kv_head) const;  // kept beside them
  bool is_sealed(SlabId slab) const { return keeps_sealed() && sealed_[slab] != 0; }
  void set_sealed(SlabId slab, bool sealed);
  // Contents of a slab, and its sealed forms where it has them.
  void copy(SlabId from, SlabId into);

  uint64_t bytes_max() const { return slabs_max_ * (shape_.slab_bytes() + sealed_bytes_); }
  uint64_t bytes_used() const {
    return (slabs_touched_ - free_.size()) * shape_.slab_bytes() + sealed_count_ * sealed_bytes_;
  }
  uint64_t slabs_free() const { return slabs_max_ - slabs_touched_ + free_.size(); }
  // How deep one more sequence could become, in tokens (whole blocks).
  uint64_t tokens_free() const;

 private:
  BlockPool() = default;
  KvShape shape_;
  core::Arena arena_;
  std::byte* base_ = nullptr;
  // Summaries apart from 8-bit copies: a scan reads them all, and nothing else.
  core::Arena sealed_arena_;
  std::byte* summaries_ = nullptr;  // [slabs][kv_heads] summary_bytes
  std::byte* fp8s_ = nullptr;       // [slabs][kv_heads] fp8_bytes
  std::span<float> spreads_;        // [slabs][kv_heads]
  uint64_t sealed_bytes_ = 0;       // of a slab; 0: none are kept
  uint64_t sealed_count_ = 0;
  std::vector<uint8_t> sealed_;  // [slabs]
  uint64_t slabs_max_ = 0;
  uint64_t slabs_touched_ = 0;
  std::vector<SlabId> free_;
};

}  // namespace mneme::kv
