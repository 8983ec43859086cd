#include "kv/sequence.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "tensor/convert.h"

namespace mneme::kv {

Sequence::Sequence(BlockPool& pool) : pool_(&pool), slabs_(static_cast<size_t>(pool.shape().layers)) {}

Sequence::Sequence(Sequence&& other) noexcept
    : pool_(other.pool_),
      token_count_(std::exchange(other.token_count_, 0)),
      slabs_(std::move(other.slabs_)) {
  other.slabs_.clear();
}

Sequence::~Sequence() {
  for (auto& layer : slabs_) {
    for (const SlabId slab : layer) pool_->give_back(slab);
  }
}

Result<void> Sequence::extend(int count) {
  const int blocks_needed = (token_count_ + count + kBlockTokens - 1) / kBlockTokens;
  const auto blocks_new = static_cast<size_t>(blocks_needed - block_count());
  std::vector<SlabId> taken;
  if (!pool_->take(blocks_new * slabs_.size(), taken)) {
    return core::fail("the KV cache is full: {} tokens held, {} more asked, room for {} (raise --kv)",
                      token_count_, count, pool_->tokens_free());
  }
  // Block by block, all layers of each layer's run together: a layer reads its slabs in the order they lie.
  for (size_t layer = 0; layer < slabs_.size(); ++layer) {
    slabs_[layer].insert(slabs_[layer].end(), taken.begin() + static_cast<std::ptrdiff_t>(layer * blocks_new),
                         taken.begin() + static_cast<std::ptrdiff_t>((layer + 1) * blocks_new));
  }
  token_count_ += count;
  return {};
}

void Sequence::truncate(int token_count) {
  MNEME_CHECK(token_count >= 0 && token_count <= token_count_, "truncate to {} of {}", token_count,
              token_count_);
  token_count_ = token_count;
  const auto keep = static_cast<size_t>(block_count());
  for (auto& layer : slabs_) {
    for (size_t block = keep; block < layer.size(); ++block) pool_->give_back(layer[block]);
    layer.resize(keep);
  }
}

void Sequence::store(int layer, int kv_head, int first, int count, const float* keys, const float* values,
                     size_t stride) {
  const auto dim = static_cast<size_t>(shape().head_dim);
  for (int i = 0; i < count; ++i) {
    const SlabId slab = slabs_[static_cast<size_t>(layer)][static_cast<size_t>((first + i) / kBlockTokens)];
    const auto slot = static_cast<size_t>((first + i) % kBlockTokens);
    uint16_t* key = pool_->keys(slab, kv_head) + slot * 2;
    uint16_t* value = pool_->values(slab, kv_head) + (slot / 2) * dim * 2 + slot % 2;
    const float* k = keys + static_cast<size_t>(i) * stride;
    const float* v = values + static_cast<size_t>(i) * stride;
    for (size_t d = 0; d < dim; d += 2) {
      key[d / 2 * kBlockTokens * 2] = tensor::to_bf16(k[d]).bits;
      key[d / 2 * kBlockTokens * 2 + 1] = tensor::to_bf16(k[d + 1]).bits;
    }
    for (size_t d = 0; d < dim; ++d) value[d * 2] = tensor::to_bf16(v[d]).bits;
  }
}

void Sequence::view(int layer, int kv_head, int first_block, std::span<BlockView> out) const {
  const auto& slabs = slabs_[static_cast<size_t>(layer)];
  for (size_t i = 0; i < out.size(); ++i) {
    const SlabId slab = slabs[static_cast<size_t>(first_block) + i];
    out[i] = {pool_->keys(slab, kv_head), pool_->values(slab, kv_head)};
  }
}

void Sequence::repeat_for_bench(int period) {
  MNEME_CHECK(period > 0 && period % kBlockTokens == 0 && period <= token_count_, "period {} of {}", period,
              token_count_);
  const auto period_blocks = static_cast<size_t>(period / kBlockTokens);
  for (auto& layer : slabs_) {
    for (size_t block = period_blocks; block < layer.size(); ++block) {
      std::memcpy(pool_->keys(layer[block], 0), pool_->keys(layer[block % period_blocks], 0),
                  shape().slab_bytes());
    }
  }
}

}  // namespace mneme::kv
