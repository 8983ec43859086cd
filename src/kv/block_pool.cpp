#include "kv/block_pool.h"

#include <algorithm>
#include <cstring>

namespace mneme::kv {

Result<BlockPool> BlockPool::create(const KvShape& shape, uint64_t bytes_max, Forms forms) {
  MNEME_CHECK(shape.head_dim > 0 && shape.head_dim % 2 == 0 && shape.kv_heads > 0 && shape.layers > 0,
              "head_dim {} kv_heads {} layers {}", shape.head_dim, shape.kv_heads, shape.layers);
  MNEME_CHECK(shape.windows.empty() || shape.windows.size() == static_cast<size_t>(shape.layers),
              "{} windows of {} layers", shape.windows.size(), shape.layers);
  const auto heads = static_cast<uint64_t>(shape.kv_heads);
  const uint64_t sealed_bytes = forms == Forms::kBlocks ? 0
                                                        : heads * (summary_bytes(shape.head_dim) +
                                                                   fp8_bytes(shape.head_dim) + sizeof(float));
  const uint64_t slabs = bytes_max / (shape.slab_bytes() + sealed_bytes);
  if (slabs < static_cast<uint64_t>(shape.layers)) {
    return core::fail("a KV budget of {} bytes is too small: 64 tokens of this model take {}", bytes_max,
                      (shape.slab_bytes() + sealed_bytes) * static_cast<uint64_t>(shape.layers));
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
  if (sealed_bytes == 0) return pool;
  auto sealed = core::Arena::reserve(slabs * sealed_bytes + 3 * core::Arena::kAlign);
  if (!sealed) return core::pass(sealed);
  pool.sealed_arena_ = std::move(*sealed);
  pool.summaries_ = pool.sealed_arena_.take(slabs * heads * summary_bytes(shape.head_dim)).data();
  pool.fp8s_ = pool.sealed_arena_.take(slabs * heads * fp8_bytes(shape.head_dim)).data();
  pool.spreads_ = pool.sealed_arena_.take_array<float>(slabs * heads);
  pool.sealed_bytes_ = sealed_bytes;
  pool.sealed_.resize(slabs);
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
  if (keeps_sealed()) set_sealed(slab, false);
  free_.push_back(slab);
}

SealedForm BlockPool::sealed_form(SlabId slab, int kv_head) const {
  MNEME_CHECK(keeps_sealed() && slab < slabs_touched_, "slab {} of {}", slab, slabs_touched_);
  const size_t index = size_t{slab} * static_cast<size_t>(shape_.kv_heads) + static_cast<size_t>(kv_head);
  return {summaries_ + index * summary_bytes(shape_.head_dim), fp8s_ + index * fp8_bytes(shape_.head_dim)};
}

float& BlockPool::value_spread(SlabId slab, int kv_head) const {
  return spreads_[size_t{slab} * static_cast<size_t>(shape_.kv_heads) + static_cast<size_t>(kv_head)];
}

void BlockPool::set_sealed(SlabId slab, bool sealed) {
  MNEME_CHECK(keeps_sealed() && slab < slabs_touched_, "slab {} of {}", slab, slabs_touched_);
  if (is_sealed(slab) == sealed) return;
  sealed_[slab] = sealed ? 1 : 0;
  sealed ? ++sealed_count_ : --sealed_count_;
}

void BlockPool::copy(SlabId from, SlabId into) {
  std::memcpy(keys(into, 0), keys(from, 0), shape_.slab_bytes());
  if (!keeps_sealed()) return;
  set_sealed(into, is_sealed(from));
  if (!is_sealed(from)) return;
  const SealedForm of = sealed_form(from, 0), to = sealed_form(into, 0);
  const auto heads = static_cast<size_t>(shape_.kv_heads);
  std::memcpy(to.summary, of.summary, heads * summary_bytes(shape_.head_dim));
  std::memcpy(to.fp8, of.fp8, heads * fp8_bytes(shape_.head_dim));
  std::copy_n(&value_spread(from, 0), heads, &value_spread(into, 0));
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
