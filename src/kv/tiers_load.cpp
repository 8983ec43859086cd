// What comes into memory: segments that are found or new, and extents that attention is about to read.
#include <algorithm>
#include <numeric>
#include <utility>

#include "kv/tiers.h"

namespace mneme::kv {

namespace {

constexpr float kWorthReplacing = 1.5f;  // how much warmer than the coldest an extent must be to take its
                                         // place
constexpr uint64_t kAheadExtents = 16;   // read ahead at most: two runs of attention

}  // namespace

SegmentPtr Tiers::find(const SegmentName& parent, uint64_t first_token, std::span<const int32_t> tokens) {
  const SegmentName name = segment_name(options_.model, parent, tokens);
  if (const auto known = known_.find(name); known != known_.end()) {
    const Segment& s = *known->second;
    if (s.parent == parent && std::equal(tokens.begin(), tokens.end(), s.tokens.begin(), s.tokens.end())) {
      if (s.usable()) ++counters_.segments_found;
      if (!s.usable() && !s.trouble.empty()) warn(std::exchange(known->second->trouble, {}));
      return s.usable() ? known->second : nullptr;
    }
    return nullptr;
  }
  auto file = store_->find(options_.model, parent, tokens);
  if (!file) warn(file.error().message);
  if (store_->take_other_version())
    warn(store_->folder() + ": segments of another version of this program are computed again");
  if (!file || *file == nullptr) return nullptr;
  if ((*file)->parts().size() < static_cast<size_t>(shape().layers) + 2) return nullptr;
  auto segment = std::make_shared<Segment>();
  segment->name = name;
  segment->parent = parent;
  segment->first_token = first_token;
  segment->tokens.assign(tokens.begin(), tokens.end());
  segment->extents.resize(static_cast<size_t>(shape().layers));
  segment->file = *file;
  segment->computed_s = static_cast<double>((*file)->header().computed_us) * 1e-6;
  segment->disk = Segment::Disk::kWritten;
  known_.emplace(name, segment);
  ++counters_.segments_found;
  return segment;
}

SegmentPtr Tiers::seal(SegmentPtr segment) {
  segment->name = segment_name(options_.model, segment->parent, segment->tokens);
  const auto known = known_.find(segment->name);
  if (known != known_.end()) {
    const SegmentPtr old = known->second;
    if (old->usable() && old->parent == segment->parent && old->tokens == segment->tokens) {
      join(old, *segment);
      return old;
    }
    // A damaged one, or another context of the same hash: this one takes its place in the list.
    known->second = segment;
  } else {
    known_.emplace(segment->name, segment);
  }
  for (int layer = 0; layer < shape().layers; ++layer) {
    Extent& extent = segment->extents[static_cast<size_t>(layer)];
    if (extent.slabs[0] == kNoSlab) continue;
    extent.place = Place::kHere;
    warm_up(extent);
    stay(segment, layer);
    take_copies(extent);  // the writer makes them
  }
  ++counters_.segments_sealed;
  queue(segment);
  return segment;
}

// The same tokens were computed once more: what is not in memory of them is from now on.
void Tiers::join(const SegmentPtr& old, Segment& same) {
  for (int layer = 0; layer < shape().layers; ++layer) {
    Extent& mine = old->extents[static_cast<size_t>(layer)];
    Extent& other = same.extents[static_cast<size_t>(layer)];
    if (other.slabs[0] == kNoSlab) continue;
    if (mine.place != Place::kAway) {
      for (const SlabId slab : other.slabs) pool_.give_back(slab);
      continue;
    }
    mine.slabs = other.slabs;
    mine.place = Place::kHere;
    warm_up(mine);
    stay(old, layer);
  }
  if (!has_boundary(*old)) old->boundary = std::move(same.boundary);
  if (same.computed_s > 0 && old->written()) old->computed_s = same.computed_s;  // the writer reads it
}

void Tiers::stay(const SegmentPtr& segment, int layer) {
  Extent& extent = segment->extents[static_cast<size_t>(layer)];
  extent.staying = true;
  const uint64_t hot_max = hot_limit() / shape().slab_bytes();
  extent.hot = hot_slabs_ + kSegmentBlocks <= hot_max;
  if (extent.hot) hot_slabs_ += kSegmentBlocks;
  extent.listed = static_cast<uint32_t>(staying_.size());
  staying_.push_back({segment, layer});
}

// False where there is no memory for it; an error where it cannot be read.
Result<bool> Tiers::begin_load(const SegmentPtr& segment, int layer, IoUrgency urgency) {
  const bool ahead = urgency == IoUrgency::kAhead;
  if (segment->file->bad()) {
    if (!segment->trouble.empty()) return core::fail("{}", std::exchange(segment->trouble, {}));
    return core::fail("{}: an earlier read of it failed", segment->file->path());
  }
  const SegmentPart& part = segment->file->parts()[static_cast<size_t>(layer)];
  auto file = segment->file->acquire();
  if (!file || part.bytes != kSegmentBlocks * shape().slab_bytes()) {
    segment->file->mark_unreadable();
    if (!file) return core::pass(file);
    return core::fail("{}: layer {} has {} bytes", segment->file->path(), layer, part.bytes);
  }
  std::vector<SlabId> slabs;
  if (!take_slabs(kSegmentBlocks, ahead, slabs)) return false;
  Extent& extent = segment->extents[static_cast<size_t>(layer)];
  auto load = std::make_unique<Load>();
  std::copy(slabs.begin(), slabs.end(), extent.slabs.begin());
  load->segment = segment;
  load->layer = layer;
  load->file = *file;
  load->read.descriptor = (*file)->descriptor();
  load->read.offset = part.offset;
  load->read.hash = part.xxh3;
  load->read.name = segment->file->path();
  for (const SlabId slab : slabs) {
    load->read.into.push_back(
        {reinterpret_cast<std::byte*>(pool_.keys(slab, 0)), static_cast<size_t>(shape().slab_bytes())});
  }
  extent.place = Place::kLoading;
  extent.ahead = ahead;
  io_->submit(load->read, urgency);
  loads_.emplace(&extent, std::move(load));
  passing_.push_back({segment, layer});
  return true;
}

// Waits for it. An error: its slabs are given back.
Result<void> Tiers::finish_load(Segment& segment, int layer) {
  Extent& extent = segment.extents[static_cast<size_t>(layer)];
  const auto found = loads_.find(&extent);
  MNEME_CHECK(found != loads_.end(), "layer {} is not being loaded", layer);
  const std::unique_ptr<Load> load = std::move(found->second);
  loads_.erase(found);
  auto done = io_->wait(load->read);
  if (done) {
    extent.place = Place::kHere;
    return {};
  }
  if (load->read.hash_differs()) {
    done = tl::unexpected(segment.file->reject_part(static_cast<size_t>(layer)));
  } else {
    segment.file->mark_unreadable();
  }
  std::erase_if(passing_, [&](const Resident& r) { return r.segment.get() == &segment && r.layer == layer; });
  drop({load->segment, layer});
  return done;
}

// [first, first + count), valid until the next call.
std::span<const int> Tiers::indices(int first, int count) {
  indices_.resize(static_cast<size_t>(count));
  std::iota(indices_.begin(), indices_.end(), first);
  return indices_;
}

Result<void> Tiers::hold(std::span<const SegmentPtr> segments, int layer, int first, int count,
                         int& damaged) {
  return hold_these(segments, layer, indices(first, count), first + count, damaged);
}

Result<void> Tiers::hold_some(std::span<const SegmentPtr> segments, int layer, std::span<const int> some,
                              int& damaged) {
  return hold_these(segments, layer, some, -1, damaged);
}

int Tiers::hold_some_max() const {
  constexpr uint64_t kLeast = 8, kMost = 256;  // a run of attention; descriptors
  return static_cast<int>(std::clamp(slabs_limit() / kSegmentBlocks / 4, kLeast, kMost));
}

// Reads ahead from segment `ahead_from` on; -1: nothing.
Result<void> Tiers::hold_these(std::span<const SegmentPtr> segments, int layer, std::span<const int> some,
                               int ahead_from, int& damaged) {
  if (some.front() == 0) ++tick_, copies_made_ = 0;
  const auto extent_of = [&](int i) -> Extent& {
    return segments[static_cast<size_t>(i)]->extents[static_cast<size_t>(layer)];
  };
  damaged = -1;
  Result<void> done;
  for (const int i : some) ++extent_of(i).holds;  // first of all: none goes for another
  for (const int i : some) {
    if (!done) break;
    count_hit(extent_of(i));
    if (extent_of(i).place != Place::kAway) continue;
    auto begun = begin_load(segments[static_cast<size_t>(i)], layer, IoUrgency::kDemand);
    if (!begun) damaged = i;
    if (!begun) done = core::pass(begun);
    if (begun && !*begun) done = core::fail("no memory is left to read keys and values into");
  }
  if (done && ahead_from >= 0) read_ahead(segments, layer, ahead_from);
  for (const int i : some) {
    if (!done) break;
    if (extent_of(i).place != Place::kLoading) continue;
    done = finish_load(*segments[static_cast<size_t>(i)], layer);
    if (!done) damaged = i;
  }
  for (const int i : some) {
    extent_of(i).ahead = false;
    if (done) warm_up(extent_of(i));
    if (!done) --extent_of(i).holds;
  }
  return done;
}

void Tiers::count_hit(const Extent& extent) {
  if (extent.place == Place::kAway)
    ++counters_.misses;
  else if (extent.ahead)
    ++counters_.hits_ahead;
  else if (extent.hot)
    ++counters_.hits_hot;
  else
    ++counters_.hits_warm;
}

void Tiers::release(std::span<const SegmentPtr> segments, int layer, int first, int count) {
  release_some(segments, layer, indices(first, count));
}

void Tiers::release_some(std::span<const SegmentPtr> segments, int layer, std::span<const int> some) {
  for (const int i : some) {
    const SegmentPtr& segment = segments[static_cast<size_t>(i)];
    Extent& extent = segment->extents[static_cast<size_t>(layer)];
    MNEME_CHECK(extent.holds > 0, "layer {} segment {} is not held", layer, i);
    keep_copies(*segment, layer);
    if (--extent.holds == 0 && !extent.staying) settle(segment, layer);
  }
}

// Stays where there is room, or where it is clearly warmer than one that stays; else it goes on passing.
void Tiers::settle(const SegmentPtr& segment, int layer) {
  Extent& extent = segment->extents[static_cast<size_t>(layer)];
  const uint64_t staying = staying_.size() * kSegmentBlocks;
  if (staying + kSegmentBlocks > slabs_staying()) {
    if (staying_.empty()) return;
    const Resident& other = staying_[rng_.next_below(static_cast<uint32_t>(staying_.size()))];
    const float its = heat(other.extent());
    if (other.segment->pins > 0 || !evictable(other) || heat(extent) < kWorthReplacing * its) return;
    const Resident gone = other;
    unlist(gone.extent());
    drop(gone);
  }
  std::erase_if(passing_, [&](const Resident& r) { return r.segment == segment && r.layer == layer; });
  stay(segment, layer);
}

// What follows in this layer, then the beginnings of the next ones, as long as passing extents may go for it.
void Tiers::read_ahead(std::span<const SegmentPtr> segments, int layer, int from) {
  reap();  // what nobody waited for is not under way any more
  uint64_t under_way = loads_.size();
  for (int l = layer, layers = 0; layers < shape().layers && under_way < kAheadExtents; ++layers) {
    for (size_t i = l == layer ? static_cast<size_t>(from) : 0; i < segments.size(); ++i) {
      Segment& segment = *segments[i];
      Extent& extent = segment.extents[static_cast<size_t>(l)];
      if (under_way >= kAheadExtents) return;
      if (extent.place != Place::kAway || !segment.readable()) continue;
      const auto begun = begin_load(segments[i], l, IoUrgency::kAhead);
      if (!begun) segment.trouble = begun.error().message;
      if (begun && !*begun) return;
      under_way += begun ? 1 : 0;
    }
    do l = (l + 1) % shape().layers;
    while (shape().window(l) > 0);
    if (l == layer) return;
  }
}

bool Tiers::has_boundary(const Segment& segment) const {
  if (!shape().forgets() || !segment.boundary.empty()) return true;
  if (!segment.readable()) return false;
  const auto stored = [&](int part) { return segment.file->parts()[static_cast<size_t>(part)].bytes > 0; };
  if (!shape().recent_widths.empty()) return stored(shape().layers);
  for (int layer = 0; layer < shape().layers; ++layer)
    if (shape().window(layer) > 0) return stored(layer);
  return true;
}

Result<PartBuffer> Tiers::read_boundary(const Segment& segment, int part) const {
  const auto p = static_cast<size_t>(part);
  if (segment.boundary.empty() && segment.written()) {
    const size_t bytes = segment.file->parts()[p].bytes;
    PartBuffer out{aligned_bytes(disk_padded(bytes)), bytes};
    const Bytes piece = out.span();
    if (auto read = segment.file->read_part(p, {&piece, 1}); !read) return core::pass(read);
    return out;
  }
  MNEME_CHECK(p < segment.boundary.size(), "part {} of {}", p, segment.boundary.size());
  const PartBuffer& from = segment.boundary[p];
  PartBuffer out{aligned_bytes(disk_padded(from.bytes)), from.bytes};
  std::copy_n(from.memory.get(), from.bytes, out.memory.get());
  return out;
}

}  // namespace mneme::kv
