// A context's sealed part: sealing, going on behind segments that were found, forking.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "kv/sequence.h"

namespace mneme::kv {

namespace {

size_t as_size(int n) { return static_cast<size_t>(n); }

PartBuffer buffer_of(size_t bytes) { return {aligned_bytes(disk_padded(std::max<size_t>(bytes, 1))), bytes}; }

}  // namespace

// --- What a boundary holds beside the extents ---

int Sequence::boundary_block(int layer, int begin, int end) const {
  return std::max(begin, end - shape().window(layer) + 1) / kBlockTokens;
}

PartBuffer Sequence::window_part(int layer, int begin, int end) const {
  const int first = boundary_block(layer, begin, end);
  const size_t slab_bytes = shape().slab_bytes();
  PartBuffer part = buffer_of(as_size(blocks_of(end) - first) * slab_bytes);
  for (int block = first; block < blocks_of(end); ++block) {
    std::memcpy(part.memory.get() + as_size(block - first) * slab_bytes, pool_->keys(slab(layer, block), 0),
                slab_bytes);
  }
  return part;
}

PartBuffer Sequence::recent_part() const {
  PartBuffer part = buffer_of(recent_.history_bytes());
  recent_.save_history(token_count_, part.span());
  return part;
}

// Of the last segment, and of those before it as far as the window reaches.
Result<Sequence::Window> Sequence::read_window(int layer) const {
  const int end = sealed_tokens();
  Window window{layer, boundary_block(layer, 0, end), {}};
  for (size_t i = segments_.size(); i-- > 0;) {
    auto part = tiers_->read_boundary(*segments_[i], layer);
    if (!part) return core::pass(part);
    const int begin = static_cast<int>(i) * kSegmentTokens;
    const int first = boundary_block(layer, begin, begin + kSegmentTokens);
    if (part->bytes != as_size(begin / kBlockTokens + kSegmentBlocks - first) * shape().slab_bytes())
      return core::fail("a stored segment has {} bytes of layer {}", part->bytes, layer);
    window.parts.insert(window.parts.begin(), std::move(*part));
    if (begin <= window.first_block * kBlockTokens) {
      window.first_block = first;
      return window;
    }
  }
  return window;
}

void Sequence::place_window(const Window& window, std::span<const SlabId> slabs) {
  Layer& layer = layers_[as_size(window.layer)];
  layer.first_block = window.first_block;
  layer.slabs.assign(slabs.begin(), slabs.end());
  auto slab = slabs.begin();
  for (const PartBuffer& part : window.parts) {
    for (size_t at = 0; at < part.bytes; at += shape().slab_bytes())
      std::memcpy(pool_->keys(*slab++, 0), part.memory.get() + at, shape().slab_bytes());
  }
}

Result<void> Sequence::restore_boundary() {
  if (!shape().forgets() || segments_.empty()) return {};
  std::vector<Window> windows;
  size_t wanted = 0;
  for (int layer = 0; layer < shape().layers; ++layer) {
    if (keeps_all(layer)) continue;
    auto window = read_window(layer);
    if (!window) return core::pass(window);
    windows.push_back(std::move(*window));
    wanted += as_size(blocks_of(sealed_tokens()) - windows.back().first_block);
  }
  auto recent = tiers_->read_boundary(*segments_.back(), shape().layers);
  if (!recent) return core::pass(recent);
  if (recent->bytes != recent_.history_bytes()) return core::fail("a stored segment has other recent rows");
  std::vector<SlabId> slabs;
  if (auto taken = tiers_->take(wanted, slabs); !taken) return taken;
  std::span<const SlabId> rest = slabs;
  for (const Window& window : windows) {
    const size_t count = as_size(blocks_of(sealed_tokens()) - window.first_block);
    place_window(window, rest.first(count));
    rest = rest.subspan(count);
  }
  recent_.load_history(sealed_tokens(), recent->span());
  floor_ = sealed_tokens();
  return {};
}

// --- Sealing and going on ---

void Sequence::pin_ends() {
  if (tiers_ == nullptr) return;
  for (const SegmentPtr& segment : pinned_) tiers_->pin(*segment, -1);
  pinned_.clear();
  if (segments_.empty()) return;
  pinned_ = {segments_.front(), segments_.back()};
  for (const SegmentPtr& segment : pinned_) tiers_->pin(*segment, 1);
}

void Sequence::leave_segments(size_t count) {
  std::vector<SegmentPtr> gone(
      std::make_move_iterator(segments_.begin() + static_cast<std::ptrdiff_t>(count)),
      std::make_move_iterator(segments_.end()));
  segments_.resize(count);
  pin_ends();
  for (SegmentPtr& segment : gone) tiers_->let_go(std::move(segment));
}

void Sequence::seal(std::span<const int32_t> tokens, int keep_open) {
  const auto whole_run = [&] { return token_count_ - keep_open - sealed_tokens() >= kSegmentTokens; };
  if (tiers_ == nullptr || !whole_run()) return;
  while (whole_run()) {
    const int begin = sealed_tokens(), end = begin + kSegmentTokens;
    auto segment = std::make_shared<Segment>();
    segment->parent = last_segment();
    // Copied keys and values are not those of their tokens: nobody must find them by these.
    if (std::exchange(repeated_, false)) segment->parent.bytes[0] ^= 0xFF;
    segment->first_token = static_cast<uint64_t>(begin);
    const auto own = tokens.subspan(as_size(begin), kSegmentTokens);
    segment->tokens.assign(own.begin(), own.end());
    segment->extents.resize(as_size(shape().layers));
    segment->boundary.resize(as_size(shape().layers) + 1);
    for (int i = 0; i < shape().layers; ++i) {
      if (!keeps_all(i)) {
        segment->boundary[as_size(i)] = window_part(i, begin, end);
        continue;
      }
      Layer& layer = layers_[as_size(i)];
      std::copy_n(layer.slabs.begin(), kSegmentBlocks, segment->extents[as_size(i)].slabs.begin());
      layer.slabs.erase(layer.slabs.begin(), layer.slabs.begin() + kSegmentBlocks);
      layer.first_block += kSegmentBlocks;
    }
    segment->boundary.back() = buffer_of(recent_.history_bytes());
    recent_.save_history(end, segment->boundary.back().span());
    segments_.push_back(tiers_->seal(std::move(segment)));
  }
  pin_ends();
}

Result<void> Sequence::attach(std::span<const SegmentPtr> segments) {
  MNEME_CHECK(tiers_ != nullptr && token_count_ == sealed_tokens(), "{} tokens are open",
              token_count_ - sealed_tokens());
  if (segments.empty()) return {};
  const size_t before = segments_.size();
  segments_.insert(segments_.end(), segments.begin(), segments.end());
  std::vector<Layer> old = layers_;
  if (auto restored = restore_boundary(); !restored) {
    segments_.resize(before);
    layers_ = std::move(old);
    return restored;
  }
  for (int i = 0; i < shape().layers; ++i) {
    Layer& layer = layers_[as_size(i)];
    if (keeps_all(i)) layer.first_block = static_cast<int>(segments_.size()) * kSegmentBlocks;
    if (!keeps_all(i))
      for (const SlabId slab : old[as_size(i)].slabs) pool_->give_back(slab);
  }
  set_token_count(sealed_tokens());
  pin_ends();
  return {};
}

int Sequence::return_to(size_t count) {
  drop_sealed_forms(0);
  for (Layer& layer : layers_) keep(layer, layer.first_block, layer.first_block);
  leave_segments(count);
  // What windows read there may be lost: then from the beginning.
  if (!restore_boundary()) leave_segments(0);
  if (segments_.empty()) floor_ = 0;
  for (int i = 0; i < shape().layers; ++i) {
    if (keeps_all(i) || segments_.empty()) layers_[as_size(i)].first_block = sealed_tokens() / kBlockTokens;
  }
  damaged_ = -1;
  set_token_count(sealed_tokens());
  return token_count_;
}

// --- The tail of a session ---

std::vector<PartBytes> Sequence::tail_parts(std::vector<PartBuffer>& buffers) const {
  std::vector<PartBytes> parts(as_size(shape().layers) + 1);
  for (int i = 0; i < shape().layers; ++i) {
    if (!keeps_all(i)) {
      buffers.push_back(window_part(i, sealed_tokens(), token_count_));
      parts[as_size(i)].push_back(buffers.back().span());
      continue;
    }
    for (const SlabId slab : layers_[as_size(i)].slabs) {
      parts[as_size(i)].push_back(
          {reinterpret_cast<const std::byte*>(pool_->keys(slab, 0)), shape().slab_bytes()});
    }
  }
  buffers.push_back(recent_part());
  if (buffers.back().bytes > 0) parts.back().push_back(buffers.back().span());
  return parts;
}

Result<void> Sequence::attach_tail(const SegmentFile& tail, int count) {
  MNEME_CHECK(tiers_ != nullptr && token_count_ == sealed_tokens(), "{} tokens are open",
              token_count_ - sealed_tokens());
  const int begin = sealed_tokens(), end = begin + count;
  // A window that reaches behind the tail needs the blocks before it, which are here already.
  const auto first_of = [&](int i) {
    return keeps_all(i) ? begin / kBlockTokens : boundary_block(i, begin, end);
  };
  if (tail.parts().size() <= as_size(shape().layers) || tail.header().tokens.size() != as_size(count))
    return core::fail("{}: of another shape", tail.path());
  std::vector<PartBuffer> parts;
  size_t wanted = 0;
  for (int i = 0; i <= shape().layers; ++i) {
    const SegmentPart& part = tail.parts()[as_size(i)];
    const bool rows = i == shape().layers;
    const size_t blocks = rows ? 0 : as_size(blocks_of(end) - first_of(i));
    if (part.bytes != (rows ? recent_.history_bytes() : blocks * shape().slab_bytes()))
      return core::fail("{}: part {} has {} bytes", tail.path(), i, part.bytes);
    parts.push_back(buffer_of(part.bytes));
    const Bytes piece = parts.back().span();
    if (part.bytes > 0) {
      if (auto read = tail.read_part(as_size(i), {&piece, 1}); !read) return read;
    }
    wanted += blocks;
  }
  std::vector<SlabId> slabs;
  if (auto taken = tiers_->take(wanted, slabs); !taken) return taken;
  auto slab = slabs.begin();
  for (int i = 0; i < shape().layers; ++i) {
    Layer& layer = layers_[as_size(i)];
    // Where the tail is longer than the window there is a gap: what is before it is not read any more.
    const bool joins = first_of(i) >= layer.first_block && first_of(i) <= layer.end_block();
    if (!keeps_all(i)) keep(layer, layer.first_block, joins ? first_of(i) : layer.first_block);
    if (layer.slabs.empty()) layer.first_block = first_of(i);
    for (size_t at = 0; at < parts[as_size(i)].bytes; at += shape().slab_bytes()) {
      std::memcpy(pool_->keys(*slab, 0), parts[as_size(i)].memory.get() + at, shape().slab_bytes());
      layer.slabs.push_back(*slab++);
    }
  }
  recent_.load_history(end, parts.back().span());
  set_token_count(end);
  if (shape().forgets()) floor_ = end;
  return {};
}

Result<Sequence> Sequence::fork() const {
  MNEME_CHECK(tiers_ != nullptr);
  Sequence other(*tiers_);
  size_t wanted = 0;
  for (const Layer& layer : layers_) wanted += layer.slabs.size();
  std::vector<SlabId> slabs;
  if (auto taken = tiers_->take(wanted, slabs); !taken) return core::pass(taken);
  auto slab = slabs.begin();
  for (size_t i = 0; i < layers_.size(); ++i) {
    other.layers_[i].first_block = layers_[i].first_block;
    for (const SlabId from : layers_[i].slabs) {
      std::memcpy(pool_->keys(*slab, 0), pool_->keys(from, 0), shape().slab_bytes());
      other.layers_[i].slabs.push_back(*slab++);
    }
  }
  other.segments_ = segments_;
  other.recent_.copy_from(recent_);
  other.floor_ = floor_;
  other.repeated_ = repeated_;
  other.set_token_count(token_count_);
  other.pin_ends();
  return other;
}

// --- What attention reads ---

bool Sequence::whole(int layer) const {
  if (tiers_ == nullptr || !keeps_all(layer)) return true;
  return std::all_of(segments_.begin(), segments_.end(), [&](const SegmentPtr& segment) {
    return segment->extents[as_size(layer)].place == Place::kHere;
  });
}

Sequence::SealedRun Sequence::sealed_in(int layer, int first_block, int count) const {
  const int first = first_block / kSegmentBlocks;
  const int end = std::min((first_block + count + kSegmentBlocks - 1) / kSegmentBlocks,
                           static_cast<int>(segments_.size()));
  return {first, keeps_all(layer) ? std::max(0, end - first) : 0};
}

Result<void> Sequence::hold(int layer, int first_block, int count) const {
  const auto [first, segments] = sealed_in(layer, first_block, count);
  if (segments == 0) return {};
  return tiers_->hold(segments_, layer, first, segments, damaged_);
}

void Sequence::release(int layer, int first_block, int count) const {
  const auto [first, segments] = sealed_in(layer, first_block, count);
  if (segments > 0) tiers_->release(segments_, layer, first, segments);
}

// Block after block, sealed as they fill: memory is as short as it is for any other context.
Result<void> Sequence::repeat_sealing(int period, int depth, std::span<const int32_t> tokens) {
  MNEME_CHECK(tokens.size() >= as_size(depth), "{} ids of {}", tokens.size(), depth);
  const PartBuffer recent = recent_part();
  repeated_ = true;
  while (token_count_ < depth) {
    const int block = block_count();
    const int room = token_count_ % kBlockTokens == 0 ? kBlockTokens
                                                      : kBlockTokens - token_count_ % kBlockTokens;
    const int before = token_count_;
    if (auto extended = extend(std::min(room, depth - token_count_)); !extended) return extended;
    for (int layer = 0; layer < shape().layers && before % kBlockTokens == 0; ++layer) {
      const int from = keeps_all(layer) ? block % (period / kBlockTokens) : block - 1;
      if (auto held = hold(layer, from, 1); !held) return held;
      std::memcpy(pool_->keys(slab(layer, block), 0), pool_->keys(slab_read(layer, from), 0),
                  shape().slab_bytes());
      release(layer, from, 1);
    }
    seal(tokens, 0);
  }
  recent_.load_history(depth, recent.span());
  return {};
}

}  // namespace mneme::kv
