#include "kv/block_pool.h"

#include <algorithm>
#include <cstring>

namespace mneme::kv {

Result<BlockPool> BlockPool::create(const KvShape& shape, uint64_t bytes_max) {
  MNEME_CHECK(shape.head_dim > 0 && shape.head_dim % 2 == 0 && shape.kv_heads > 0 && shape.layers > 0,
              "head_dim {} kv_heads {} layers {}", shape.head_dim, shape.kv_heads, shape.layers);
  MNEME_CHECK(shape.windows.empty() || shape.windows.size() == static_cast<size_t>(shape.layers),
              "{} windows of {} layers", shape.windows.size(), shape.layers);
  const uint64_t slabs = bytes_max / shape.slab_bytes();
  if (slabs < static_cast<uint64_t>(shape.layers)) {
    return core::fail("a KV budget of {} bytes is too small: 64 tokens of this model take {}", bytes_max,
                      shape.slab_bytes() * static_cast<uint64_t>(shape.layers));
  }
  if (slabs > UINT32_MAX)
    return core::fail("a KV budget of {} bytes is more than can be addressed", bytes_max);
  auto arena = core::Arena::reserve(slabs * shape.slab_bytes());
  if (!arena) return core::pass(arena);
  BlockPool pool;
  pool.shape_ = shape;
  pool.arena_ = std::move(*arena);
  pool.base_ = pool.arena_.take(slabs * shape.slab_bytes()).data();
  pool.slabs_max_ = slabs;
  return pool;
}

bool BlockPool::take(size_t count, std::vector<SlabId>& out) {
  if (slabs_free() < count) return false;
  for (size_t i = 0; i < count; ++i) {
    if (free_.empty()) {
      out.push_back(static_cast<SlabId>(slabs_touched_++));
      continue;
    }
    out.push_back(free_.back());
    free_.pop_back();
    std::memset(base_ + out.back() * shape_.slab_bytes(), 0, shape_.slab_bytes());
  }
  return true;
}

void BlockPool::give_back(SlabId slab) {
  MNEME_CHECK(slab < slabs_touched_, "slab {} of {}", slab, slabs_touched_);
  free_.push_back(slab);
}

uint16_t* BlockPool::keys(SlabId slab, int kv_head) const {
  std::byte* start = base_ + slab * shape_.slab_bytes() +
                     2 * static_cast<size_t>(kv_head) * shape_.half_block_bytes();
  return reinterpret_cast<uint16_t*>(start);
}

uint16_t* BlockPool::values(SlabId slab, int kv_head) const {
  return keys(slab, kv_head) + shape_.half_block_bytes() / sizeof(uint16_t);
}

// Slabs grow with blocks, so the most blocks that fit are found by halving.
uint64_t BlockPool::tokens_free() const {
  uint64_t fits = 0, beyond = uint64_t{1} << 31;
  while (fits + 1 < beyond) {
    const uint64_t middle = (fits + beyond) / 2;
    (shape_.slabs_of(middle) <= slabs_free() ? fits : beyond) = middle;
  }
  return fits * kBlockTokens;
}

uint64_t KvShape::slabs_of(uint64_t blocks) const {
  uint64_t slabs = static_cast<uint64_t>(layers_whole()) * blocks;
  for (int layer = 0; layer < layers; ++layer) {
    if (window(layer) > 0) slabs += std::min(blocks, static_cast<uint64_t>(blocks_max(layer)));
  }
  return slabs;
}

}  // namespace mneme::kv
