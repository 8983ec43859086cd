// The summaries of sealed segments: made behind the engine's back, stored with the segment, brought back. And
// the 8-bit copies that come with them, which are not stored: they are made again of what passes through
// memory.
#include <algorithm>
#include <utility>

#include "kv/sealed_block.h"
#include "kv/tiers.h"

namespace mneme::kv {

size_t Tiers::summaries_bytes() const {
  return static_cast<size_t>(shape().layers_whole()) * kSegmentBlocks *
         static_cast<size_t>(shape().kv_heads) * summary_bytes(shape().head_dim);
}

// Both sealed forms of an extent's blocks, one after the other; null: they are not kept.
void Tiers::seal_extent(const Extent& extent, std::byte* summaries, std::byte* copies) const {
  const size_t summary_size = summary_bytes(shape().head_dim), copy_size = fp8_bytes(shape().head_dim);
  const AlignedBytes summary = aligned_bytes(summary_size), copy = aligned_bytes(copy_size);
  size_t at = 0;
  for (const SlabId slab : extent.slabs) {
    for (int head = 0; head < shape().kv_heads; ++head, ++at) {
      kv::seal(*options_.ops, {pool_.keys(slab, head), pool_.values(slab, head)}, kBlockTokens,
               shape().head_dim,
               {summaries != nullptr ? summaries + at * summary_size : summary.get(),
                copies != nullptr ? copies + at * copy_size : copy.get()});
    }
  }
}

// On the writer thread. 8-bit copies come with them, and are kept where seal() found room.
void Tiers::summarise(Segment& segment) {
  PartBuffer made = part_buffer(summaries_bytes());
  std::byte* out = made.memory.get();
  for (const Extent& extent : segment.extents) {
    if (extent.slabs[0] == kNoSlab) continue;
    seal_extent(extent, out, extent.copies.get());
    out += summaries_bytes() / static_cast<size_t>(shape().layers_whole());
  }
  segment.summaries = std::move(made);
  segment.summarised.store(true, std::memory_order_release);
}

// False where nobody is going to make them: they are on the disk, if anywhere.
bool Tiers::wait_until_summarised(const Segment& segment) {
  const auto made = [&] { return segment.summarised.load(std::memory_order_acquire); };
  if (segment.disk.load(std::memory_order_acquire) == Segment::Disk::kQueued && !made()) {
    std::unique_lock lock(mutex_);
    written_.wait(lock, made);
  }
  return made() && segment.summaries.bytes > 0;
}

Result<void> Tiers::load_summaries(std::span<const SegmentPtr> segments, int& damaged) {
  constexpr size_t kAtOnce = 64;  // descriptors
  struct Coming {
    int index = 0;
    PartBuffer into;
    std::shared_ptr<DiskFile> file;
    IoRead read;
  };
  damaged = -1;
  const size_t part = static_cast<size_t>(shape().layers) + 1, bytes = summaries_bytes();
  for (size_t next = 0; bytes > 0 && next < segments.size();) {
    std::vector<std::unique_ptr<Coming>> coming;
    Result<void> done;
    for (; next < segments.size() && coming.size() < kAtOnce && done; ++next) {
      const Segment& segment = *segments[next];
      if (wait_until_summarised(segment)) continue;
      done = segment.readable() ? Result<void>()
                                : core::fail("segment {} cannot be read", segment.name.hex());
      auto file = done ? segment.file->acquire() : Result<std::shared_ptr<DiskFile>>();
      if (done && !file) done = core::pass(file);
      if (done && segment.file->parts()[part].bytes != bytes)
        done = core::fail("{}: summaries of {} bytes", segment.file->path(),
                          segment.file->parts()[part].bytes);
      if (!done) damaged = static_cast<int>(next);
      if (!done) break;
      coming.push_back(std::make_unique<Coming>());
      Coming& one = *coming.back();
      one.index = static_cast<int>(next);
      one.into = part_buffer(bytes);
      one.file = std::move(*file);
      one.read.descriptor = one.file->descriptor();
      one.read.offset = segment.file->parts()[part].offset;
      one.read.hash = segment.file->parts()[part].xxh3;
      one.read.name = segment.file->path();
      one.read.into.push_back(one.into.span());
      io_->submit(one.read, IoUrgency::kDemand);
    }
    for (const auto& one : coming) {
      Segment& segment = *segments[static_cast<size_t>(one->index)];
      auto read = io_->wait(one->read);
      if (read) {
        segment.summaries = std::move(one->into);
        segment.summarised.store(true, std::memory_order_release);
        continue;
      }
      if (one->read.hash_differs())
        read = tl::unexpected(segment.file->reject_part(part));
      else
        segment.file->mark_unreadable();
      if (damaged < 0 || one->index < damaged) damaged = one->index, done = read;
    }
    if (!done) return done;
  }
  for (const SegmentPtr& segment : segments) spread_values(*segment);
  return {};
}

Tiers::BlockSummary Tiers::summary(const Segment& segment, int layer, int block, int kv_head) const {
  const int kept = kept_index_[static_cast<size_t>(layer)];
  if (kept < 0 || !segment.summarised.load(std::memory_order_acquire) || segment.summaries.bytes == 0)
    return {};
  const auto at = static_cast<size_t>((kept * kSegmentBlocks + block) * shape().kv_heads + kv_head);
  return {segment.summaries.memory.get() + at * summary_bytes(shape().head_dim),
          at < segment.value_spreads.size() ? segment.value_spreads[at] : 0};
}

void Tiers::spread_values(Segment& segment) const {
  const size_t each = summary_bytes(shape().head_dim);
  if (!segment.value_spreads.empty()) return;
  for (size_t at = 0; at < segment.summaries.bytes; at += each) {
    const auto summary = summary_at(segment.summaries.memory.get() + at, shape().head_dim);
    segment.value_spreads.push_back(value_spread(summary, shape().head_dim));
  }
}

// --- 8-bit copies ---

size_t Tiers::copies_bytes() const {
  return static_cast<size_t>(kSegmentBlocks) * static_cast<size_t>(shape().kv_heads) *
         fp8_bytes(shape().head_dim);
}

// Room for those of an extent, to be filled, for which originals go where memory is short; false where the
// tier is full of copies that somebody needs.
bool Tiers::take_copies(Extent& extent) {
  const uint64_t limit = copies_limit();
  if (limit < copies_bytes()) return false;
  if (*copies_sum_ + copies_bytes() > limit) drop_unused_copies();
  if (*copies_sum_ + copies_bytes() > limit) return false;
  extent.copies = ExtentCopies(copies_sum_, copies_bytes());
  if (slabs_used() > slabs_limit()) make_room(slabs_used() - slabs_limit(), false);
  return true;
}

// Of segments that no context has any more.
void Tiers::drop_unused_copies() {
  if (!std::exchange(unused_copies_, false)) return;
  for (const auto& [name, segment] : known_) {
    if (!segment->summarised.load(std::memory_order_acquire) || !nobody_has(segment)) continue;
    for (Extent& extent : segment->extents) extent.copies = {};
  }
}

// Of an extent in memory that has none. It takes as long as reading one from the disk does, so that a pass
// makes some of them only.
void Tiers::keep_copies(Segment& segment, int layer) {
  Extent& extent = segment.extents[static_cast<size_t>(layer)];
  if (extent.copies || copies_made_ >= kCopiesAtOnce || extent.place != Place::kHere) return;
  if (!segment.summarised.load(std::memory_order_acquire) || !take_copies(extent)) return;
  seal_extent(extent, nullptr, extent.copies.get());
  ++copies_made_;
}

void Tiers::make_copies(std::span<const SegmentPtr> segments, int layer) {
  const uint64_t limit = copies_limit(), each = copies_bytes();
  if (limit < each) return;
  for (const SegmentPtr& segment : segments) {
    const bool full = *copies_sum_ + each > limit && !unused_copies_;
    if (full || copies_made_ >= kCopiesAtOnce) return;
    keep_copies(*segment, layer);
  }
}

const std::byte* Tiers::copy(const Segment& segment, int layer, int block, int kv_head) const {
  const Extent& extent = segment.extents[static_cast<size_t>(layer)];
  if (!extent.copies || !segment.summarised.load(std::memory_order_acquire)) return nullptr;
  return extent.copies.get() +
         static_cast<size_t>(block * shape().kv_heads + kv_head) * fp8_bytes(shape().head_dim);
}

}  // namespace mneme::kv
