// The summaries of sealed segments: made behind the engine's back, stored with the segment, brought back.
#include <algorithm>
#include <utility>

#include "kv/sealed_block.h"
#include "kv/tiers.h"

namespace mneme::kv {

size_t Tiers::summaries_bytes() const {
  return static_cast<size_t>(shape().layers_whole()) * kSegmentBlocks *
         static_cast<size_t>(shape().kv_heads) * summary_bytes(shape().head_dim);
}

// On the writer thread. The 8-bit copies that come with them are dropped: to make one of its block again
// takes about as long as reading it would.
void Tiers::summarise(Segment& segment) {
  PartBuffer made = part_buffer(summaries_bytes());
  const AlignedBytes copy = aligned_bytes(fp8_bytes(shape().head_dim));
  std::byte* out = made.memory.get();
  for (const Extent& extent : segment.extents) {
    if (extent.slabs[0] == kNoSlab) continue;
    for (const SlabId slab : extent.slabs) {
      for (int head = 0; head < shape().kv_heads; ++head, out += summary_bytes(shape().head_dim)) {
        kv::seal(*options_.ops, {pool_.keys(slab, head), pool_.values(slab, head)}, kBlockTokens,
                 shape().head_dim, {out, copy.get()});
      }
    }
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

}  // namespace mneme::kv
