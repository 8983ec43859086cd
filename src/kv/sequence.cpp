#include "kv/sequence.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "kv/drawn_block.h"
#include "tensor/convert.h"

namespace mneme::kv {

Sequence::Sequence(BlockPool& pool)
    : pool_(&pool), layers_(static_cast<size_t>(pool.shape().layers)), recent_(pool.shape()) {}

Sequence::Sequence(Tiers& tiers) : Sequence(tiers.pool()) { tiers_ = &tiers; }

Sequence::Sequence(Sequence&& other) noexcept
    : pool_(other.pool_),
      tiers_(other.tiers_),
      root_(other.root_),
      segments_(std::move(other.segments_)),
      pinned_(std::move(other.pinned_)),
      damaged_(other.damaged_),
      summarised_segments_(std::exchange(other.summarised_segments_, 0)),
      repeated_(other.repeated_),
      token_count_(std::exchange(other.token_count_, 0)),
      formed_blocks_(std::exchange(other.formed_blocks_, 0)),
      floor_(std::exchange(other.floor_, 0)),
      layers_(std::move(other.layers_)),
      recent_(std::move(other.recent_)) {
  other.layers_.clear();
  other.segments_.clear();
  other.pinned_.clear();
}

Sequence::~Sequence() {
  for (Layer& layer : layers_) keep(layer, layer.first_block, layer.first_block);
  leave_segments(0);
  set_token_count(0);
}

void Sequence::set_token_count(int token_count) {
  if (tiers_ != nullptr) tiers_->count_tokens(int64_t{token_count} - token_count_);
  token_count_ = token_count;
}

SlabId Sequence::slab(int layer, int block) const {
  const Layer& l = layers_[static_cast<size_t>(layer)];
  MNEME_CHECK(block >= l.first_block && block < l.end_block(), "layer {} block {} of {} .. {}", layer, block,
              l.first_block, l.end_block());
  return l.slabs[static_cast<size_t>(block - l.first_block)];
}

SlabId Sequence::slab_read(int layer, int block) const {
  const auto segment = static_cast<size_t>(block / kSegmentBlocks);
  if (!keeps_all(layer) || segment >= segments_.size()) return slab(layer, block);
  const Extent& extent = segments_[segment]->extents[static_cast<size_t>(layer)];
  MNEME_CHECK(extent.place == Place::kHere, "layer {} block {} is not in memory", layer, block);
  return extent.slabs[static_cast<size_t>(block % kSegmentBlocks)];
}

void Sequence::keep(Layer& layer, int first, int end) {
  MNEME_CHECK(first >= layer.first_block && first <= layer.end_block(), "keep {} .. {} of {} .. {}", first,
              end, layer.first_block, layer.end_block());
  const std::ptrdiff_t skip = first - layer.first_block;
  const auto front = layer.slabs.begin() + skip;
  const auto back = layer.slabs.begin() +
                    std::clamp<std::ptrdiff_t>(end - layer.first_block, skip, std::ssize(layer.slabs));
  for (auto slab = layer.slabs.begin(); slab != front; ++slab) pool_->give_back(*slab);
  for (auto slab = back; slab != layer.slabs.end(); ++slab) pool_->give_back(*slab);
  layer.slabs.erase(back, layer.slabs.end());
  layer.slabs.erase(layer.slabs.begin(), front);
  layer.first_block = first;
}

int Sequence::first_block_of(int layer, int token_count) const {
  return std::max(layers_[static_cast<size_t>(layer)].first_block,
                  shape().first_kept(layer, token_count) / kBlockTokens);
}

Result<void> Sequence::fail_full(int count) const {
  return core::fail("the KV cache is full: {} tokens held, {} more asked, room for {} (raise --kv)",
                    token_count_, count, pool_->tokens_free());
}

Result<void> Sequence::extend(int count) {
  MNEME_CHECK(!shape().forgets() || count <= kRewindTokens, "{} tokens at once", count);
  const int end = blocks_of(token_count_ + count);
  // What is given back counts before what is taken, so that a full pool can go on within the windows.
  size_t wanted = 0, released = 0;
  for (int i = 0; i < shape().layers; ++i) {
    const Layer& layer = layers_[static_cast<size_t>(i)];
    wanted += static_cast<size_t>(end - layer.end_block());
    released += static_cast<size_t>(first_block_of(i, token_count_ + count) - layer.first_block);
  }
  taken_.clear();
  if (tiers_ != nullptr) {
    if (auto taken = tiers_->take(wanted, taken_); !taken) return taken;
  } else if (wanted > pool_->slabs_free() + released) {
    return fail_full(count);
  }
  for (int i = 0; i < shape().layers; ++i) {
    keep(layers_[static_cast<size_t>(i)], first_block_of(i, token_count_ + count), end);
  }
  if (tiers_ == nullptr) pool_->take(wanted, taken_);
  // Block by block, all layers of each layer's run together: a layer reads its slabs in the order they lie.
  auto next = taken_.begin();
  for (Layer& layer : layers_) {
    const auto stop = next + (end - layer.end_block());
    layer.slabs.insert(layer.slabs.end(), next, stop);
    next = stop;
  }
  set_token_count(token_count_ + count);
  if (shape().forgets()) floor_ = std::max(floor_, token_count_ - kRewindTokens);
  return {};
}

int Sequence::truncate(int token_count) {
  MNEME_CHECK(token_count >= 0 && token_count <= token_count_, "truncate to {} of {}", token_count,
              token_count_);
  if (token_count < sealed_tokens() || (token_count < floor_ && token_count > 0))
    return return_to(std::min(static_cast<size_t>(token_count / kSegmentTokens), segments_.size()));
  drop_sealed_forms(token_count);
  set_token_count(token_count);
  for (Layer& layer : layers_) {
    keep(layer, layer.first_block, block_count());
    if (token_count == 0) layer.first_block = 0;
  }
  if (token_count == 0) floor_ = 0;
  return token_count_;
}

void Sequence::store(int layer, int kv_head, int first, int count, const float* keys, const float* values,
                     size_t stride) {
  const auto dim = static_cast<size_t>(shape().head_dim);
  for (int i = 0; i < count; ++i) {
    const SlabId into = slab(layer, (first + i) / kBlockTokens);
    const auto slot = static_cast<size_t>((first + i) % kBlockTokens);
    uint16_t* key = pool_->keys(into, kv_head) + slot * 2;
    uint16_t* value = pool_->values(into, kv_head) + (slot / 2) * dim * 2 + slot % 2;
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
  for (size_t i = 0; i < out.size(); ++i) {
    const SlabId from = slab_read(layer, first_block + static_cast<int>(i));
    out[i] = {pool_->keys(from, kv_head), pool_->values(from, kv_head)};
  }
}

Result<void> Sequence::repeat_for_bench(int period, int depth, bool drawn, std::span<const int32_t> tokens) {
  if (tiers_ != nullptr) return repeat_sealing(period, depth, drawn, tokens);
  MNEME_CHECK(period > 0 && period % kBlockTokens == 0 && period <= token_count_ && period <= depth,
              "period {} of {} to {}", period, token_count_, depth);
  const PartBuffer recent = recent_part(token_count_);
  drop_sealed_forms(period);
  const bool formed = !drawn && formed_blocks_ == period / kBlockTokens;
  const auto blocks_wanted = [&](int layer) {
    return static_cast<size_t>(blocks_of(depth) - shape().first_kept(layer, depth) / kBlockTokens);
  };
  size_t wanted = 0, released = 0;
  for (int i = 0; i < shape().layers; ++i) {
    const size_t held = layers_[static_cast<size_t>(i)].slabs.size(), needed = blocks_wanted(i);
    wanted += needed > held ? needed - held : 0;
    released += held > needed ? held - needed : 0;
  }
  if (wanted > pool_->slabs_free() + released) return fail_full(depth - token_count_);
  for (int i = 0; i < shape().layers; ++i) {
    Layer& layer = layers_[static_cast<size_t>(i)];
    keep(layer, layer.first_block, layer.first_block + static_cast<int>(blocks_wanted(i)));
  }
  for (int i = 0; i < shape().layers; ++i) {
    Layer& layer = layers_[static_cast<size_t>(i)];
    const size_t held = layer.slabs.size(), needed = blocks_wanted(i);
    const size_t good = shape().window(i) > 0 ? held
                                              : std::min(held, static_cast<size_t>(period / kBlockTokens));
    pool_->take(needed - held, layer.slabs);
    std::vector<const uint16_t*> sources;
    for (size_t block = 0; block < good; ++block) sources.push_back(pool_->keys(layer.slabs[block], 0));
    for (size_t block = good; block < needed; ++block) {
      const SlabId into = layer.slabs[block];
      if (drawn && shape().window(i) == 0) {
        draw_block(shape(), sources, static_cast<int>(block), pool_->keys(into, 0));
      } else {
        pool_->copy(layer.slabs[block % good], into);
      }
    }
    layer.first_block = blocks_of(depth) - static_cast<int>(needed);
  }
  recent_.load_history(depth, recent.span());
  set_token_count(depth);
  if (formed) formed_blocks_ = depth / kBlockTokens;
  drop_sealed_forms(depth);
  if (shape().forgets()) floor_ = std::max(0, depth - kRewindTokens);
  return {};
}

}  // namespace mneme::kv
