// A context's sealed part: sealing, going on behind segments that were found, forking.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "kv/drawn_block.h"
#include "kv/sealed_block.h"
#include "kv/sequence.h"

namespace mneme::kv {

namespace {

size_t as_size(int n) { return static_cast<size_t>(n); }

// Of the last segments boundaries stay in memory, whether or not they are stored: most of what is taken back
// is near the end.
constexpr size_t kBoundariesKept = 4;

void drop_boundary(Segment& segment) {
  if (!segment.stores_boundary) segment.boundary.clear();
}

}  // namespace

// --- What a boundary holds beside the extents ---

int Sequence::window_block(int layer, int end) const {
  return std::max(0, end - shape().window(layer) + 1) / kBlockTokens;
}

PartBuffer Sequence::window_part(int layer, int end) const {
  const int first = window_block(layer, end);
  const size_t slab_bytes = shape().slab_bytes();
  PartBuffer part = part_buffer(as_size(blocks_of(end) - first) * slab_bytes);
  for (int block = first; block < blocks_of(end); ++block) {
    std::memcpy(part.memory.get() + as_size(block - first) * slab_bytes, pool_->keys(slab(layer, block), 0),
                slab_bytes);
  }
  return part;
}

PartBuffer Sequence::recent_part(int end) const {
  PartBuffer part = part_buffer(recent_.history_bytes());
  recent_.save_history(end, part.span());
  return part;
}

// Every part ends at `end`.
Result<void> Sequence::place_parts(std::span<const PartBuffer> parts, int end) {
  std::vector<SlabId> slabs;
  size_t wanted = 0;
  for (const PartBuffer& part : parts.first(layers_.size())) wanted += part.bytes / shape().slab_bytes();
  if (auto taken = tiers_->take(wanted, slabs); !taken) return taken;
  auto slab = slabs.begin();
  for (size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    keep(layer, layer.first_block, layer.first_block);
    layer.first_block = blocks_of(end) - static_cast<int>(parts[i].bytes / shape().slab_bytes());
    for (size_t at = 0; at < parts[i].bytes; at += shape().slab_bytes()) {
      std::memcpy(pool_->keys(*slab, 0), parts[i].memory.get() + at, shape().slab_bytes());
      layer.slabs.push_back(*slab++);
    }
  }
  recent_.load_history(end, parts.back().span());
  set_token_count(end);
  if (shape().forgets()) floor_ = end;
  return {};
}

Result<void> Sequence::restore_boundary() {
  const int end = sealed_tokens();
  std::vector<PartBuffer> parts(as_size(shape().layers) + 1);
  for (int i = 0; i <= shape().layers && shape().forgets(); ++i) {
    const bool rows = i == shape().layers;
    if (!rows && keeps_all(i)) continue;
    auto part = tiers_->read_boundary(*segments_.back(), i);
    if (!part) return core::pass(part);
    const size_t bytes = rows ? recent_.history_bytes()
                              : as_size(blocks_of(end) - window_block(i, end)) * shape().slab_bytes();
    if (part->bytes != bytes) return core::fail("a stored segment has {} bytes in part {}", part->bytes, i);
    parts[as_size(i)] = std::move(*part);
  }
  if (parts.back().bytes != recent_.history_bytes()) parts.back() = part_buffer(recent_.history_bytes());
  return place_parts(parts, end);
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
  summarised_segments_ = std::min(summarised_segments_, count);
  pin_ends();
  for (SegmentPtr& segment : gone) {
    drop_boundary(*segment);
    tiers_->let_go(std::move(segment));
  }
}

// The first 256 open tokens as a segment of their own.
SegmentPtr Sequence::sealed_run(std::span<const int32_t> tokens, const SealNotes& notes) {
  const int begin = sealed_tokens(), end = begin + kSegmentTokens;
  auto segment = std::make_shared<Segment>();
  segment->parent = last_segment();
  // Copied keys and values are not those of their tokens: nobody must find them by these.
  segment->parent.bytes[0] ^= std::exchange(repeated_, 0);
  segment->first_token = static_cast<uint64_t>(begin);
  const auto own = tokens.subspan(as_size(begin), kSegmentTokens);
  segment->tokens.assign(own.begin(), own.end());
  segment->computed_s = notes.seconds_each * kSegmentTokens;
  segment->extents.resize(as_size(shape().layers));
  if (shape().forgets()) segment->boundary.resize(as_size(shape().layers) + 1);
  for (int i = 0; i < shape().layers; ++i) {
    if (!keeps_all(i)) {
      segment->boundary[as_size(i)] = window_part(i, end);
      continue;
    }
    Layer& layer = layers_[as_size(i)];
    std::copy_n(layer.slabs.begin(), kSegmentBlocks, segment->extents[as_size(i)].slabs.begin());
    layer.slabs.erase(layer.slabs.begin(), layer.slabs.begin() + kSegmentBlocks);
    layer.first_block += kSegmentBlocks;
  }
  if (shape().forgets()) segment->boundary.back() = recent_part(end);
  // Whoever has the same text again computes its last token at least, and may have more text.
  const bool text_ends = end == notes.text_end ||
                         (end < notes.text_end && end + kSegmentTokens >= notes.text_end);
  segment->stores_boundary = text_ends || end / kSegmentTokens % tiers_->boundary_spacing() == 0;
  return segment;
}

void Sequence::seal(std::span<const int32_t> tokens, int keep_open, const SealNotes& notes) {
  const auto whole_run = [&] { return token_count_ - keep_open - sealed_tokens() >= kSegmentTokens; };
  if (tiers_ == nullptr || !whole_run()) return;
  while (whole_run()) {
    segments_.push_back(tiers_->seal(sealed_run(tokens, notes)));
    if (segments_.size() > kBoundariesKept) drop_boundary(*segments_.end()[-1 - ptrdiff_t{kBoundariesKept}]);
  }
  pin_ends();
}

Result<void> Sequence::attach(std::span<const SegmentPtr> segments) {
  MNEME_CHECK(tiers_ != nullptr && token_count_ == sealed_tokens(), "{} tokens are open",
              token_count_ - sealed_tokens());
  if (segments.empty()) return {};
  const size_t before = segments_.size();
  segments_.insert(segments_.end(), segments.begin(), segments.end());
  if (auto restored = restore_boundary(); !restored) {
    segments_.resize(before);
    return restored;
  }
  pin_ends();
  return {};
}

// Where the boundary of one cannot be read, that of one before it will do.
int Sequence::return_to(size_t count) {
  drop_sealed_forms(0);
  for (Layer& layer : layers_) keep(layer, layer.first_block, layer.first_block);
  for (;; --count) {
    leave_segments(count);
    if (count == 0 || (tiers_->has_boundary(*segments_.back()) && restore_boundary())) break;
  }
  damaged_ = -1;
  if (count > 0) return token_count_;
  for (Layer& layer : layers_) layer.first_block = 0;
  floor_ = 0;
  set_token_count(0);
  return 0;
}

// --- The tail of a session ---

std::vector<PartBytes> Sequence::tail_parts(std::vector<PartBuffer>& buffers) const {
  std::vector<PartBytes> parts(as_size(shape().layers) + 1);
  for (int i = 0; i < shape().layers; ++i) {
    if (!keeps_all(i)) {
      buffers.push_back(window_part(i, token_count_));
      parts[as_size(i)].push_back(buffers.back().span());
      continue;
    }
    for (const SlabId slab : layers_[as_size(i)].slabs) {
      parts[as_size(i)].push_back(
          {reinterpret_cast<const std::byte*>(pool_->keys(slab, 0)), shape().slab_bytes()});
    }
  }
  buffers.push_back(recent_part(token_count_));
  if (buffers.back().bytes > 0) parts.back().push_back(buffers.back().span());
  // What is taken back after resume() must not go back to a segment far before it.
  if (segments_.empty() || segments_.back()->stores_boundary) return parts;
  for (const PartBuffer& part : segments_.back()->boundary) {
    parts.emplace_back();
    if (part.bytes > 0) parts.back().push_back(part.span());
  }
  return parts;
}

// The layers + 1 parts from part `first` on.
Result<std::vector<PartBuffer>> Sequence::read_tail(const SegmentFile& tail, size_t first, int begin,
                                                    int end) const {
  const size_t layers = as_size(shape().layers);
  if (tail.parts().size() < first + layers + 1) return core::fail("{}: of another shape", tail.path());
  std::vector<PartBuffer> parts;
  for (size_t i = 0; i <= layers; ++i) {
    const SegmentPart& part = tail.parts()[first + i];
    const int layer = static_cast<int>(i);
    size_t bytes = recent_.history_bytes();
    if (i < layers) {
      const int from = keeps_all(layer) ? begin / kBlockTokens : window_block(layer, end);
      bytes = as_size(blocks_of(end) - from) * shape().slab_bytes();
    }
    if (part.bytes != bytes)
      return core::fail("{}: part {} has {} bytes", tail.path(), first + i, part.bytes);
    parts.push_back(part_buffer(bytes));
    const Bytes piece = parts.back().span();
    if (bytes == 0) continue;
    if (auto read = tail.read_part(first + i, {&piece, 1}); !read) return core::pass(read);
  }
  return parts;
}

Result<void> Sequence::resume(std::span<const SegmentPtr> segments, const SegmentFile& tail) {
  MNEME_CHECK(tiers_ != nullptr && token_count_ == 0, "{} tokens are there", token_count_);
  const int begin = static_cast<int>(segments.size()) * kSegmentTokens;
  const int end = begin + static_cast<int>(tail.header().tokens.size());
  auto parts = read_tail(tail, 0, begin, end);
  if (!parts) return core::pass(parts);
  const size_t count = parts->size();
  if (tail.parts().size() >= 2 * count && !segments.empty() && !tiers_->has_boundary(*segments.back())) {
    auto boundary = read_tail(tail, count, begin, begin);
    if (!boundary) return core::pass(boundary);
    segments.back()->boundary = std::move(*boundary);
  }
  if (auto placed = place_parts(*parts, end); !placed) return placed;
  segments_.assign(segments.begin(), segments.end());
  pin_ends();
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
  other.root_ = root_;
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

std::span<const int> Sequence::sealed_among(int layer, std::span<const int> blocks) const {
  among_.clear();
  for (const int block : blocks) {
    const int segment = block / kSegmentBlocks;
    if (segment >= static_cast<int>(segments_.size()) || !keeps_all(layer)) break;
    if (among_.empty() || among_.back() != segment) among_.push_back(segment);
  }
  return among_;
}

Result<void> Sequence::hold_some(int layer, std::span<const int> blocks) const {
  const auto some = sealed_among(layer, blocks);
  if (some.empty()) return {};
  return tiers_->hold_some(segments_, layer, some, damaged_);
}

void Sequence::release_some(int layer, std::span<const int> blocks) const {
  if (const auto some = sealed_among(layer, blocks); !some.empty())
    tiers_->release_some(segments_, layer, some);
}

int Sequence::hold_some_max() const {
  return tiers_ != nullptr ? tiers_->hold_some_max() : BlockSource::hold_some_max();
}

// Block after block, sealed as they fill: memory is as short as it is for any other context.
Result<void> Sequence::repeat_sealing(int period, int depth, bool drawn, std::span<const int32_t> tokens) {
  MNEME_CHECK(tokens.size() >= as_size(depth), "{} ids of {}", tokens.size(), depth);
  const PartBuffer recent = recent_part(token_count_);
  const size_t slab_bytes = shape().slab_bytes(), blocks = as_size(period / kBlockTokens);
  // A copy: the originals may leave memory while the rest is made.
  std::vector<PartBuffer> sources;
  for (int layer = 0; layer < shape().layers; ++layer) {
    sources.push_back(part_buffer(keeps_all(layer) ? blocks * slab_bytes : 0));
    for (size_t block = 0; block < blocks && keeps_all(layer); ++block) {
      if (auto held = hold(layer, static_cast<int>(block), 1); !held) return held;
      std::memcpy(sources.back().memory.get() + block * slab_bytes,
                  pool_->keys(slab_read(layer, static_cast<int>(block)), 0), slab_bytes);
      release(layer, static_cast<int>(block), 1);
    }
  }
  repeated_ = drawn ? 0xFE : 0xFF;
  while (token_count_ < depth) {
    const int block = block_count();
    const int room = token_count_ % kBlockTokens == 0 ? kBlockTokens
                                                      : kBlockTokens - token_count_ % kBlockTokens;
    const int before = token_count_;
    if (auto extended = extend(std::min(room, depth - token_count_)); !extended) return extended;
    for (int layer = 0; layer < shape().layers && before % kBlockTokens == 0; ++layer) {
      uint16_t* into = pool_->keys(slab(layer, block), 0);
      std::vector<const uint16_t*> from;
      for (size_t i = 0; i < blocks && keeps_all(layer); ++i)
        from.push_back(
            reinterpret_cast<const uint16_t*>(sources[as_size(layer)].memory.get() + i * slab_bytes));
      if (!keeps_all(layer)) from.push_back(pool_->keys(slab(layer, block - 1), 0));
      if (drawn && keeps_all(layer)) {
        draw_block(shape(), from, block, into);
      } else {
        std::memcpy(into, from[as_size(block) % from.size()], slab_bytes);
      }
    }
    seal(tokens, 0);
  }
  recent_.load_history(depth, recent.span());
  return {};
}

}  // namespace mneme::kv
