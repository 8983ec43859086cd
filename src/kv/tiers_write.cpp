// What is sealed goes to the disk behind the engine's back.
#include <algorithm>
#include <utility>

#include "kv/tiers.h"

namespace mneme::kv {

std::vector<PartBytes> Tiers::parts_of(const Segment& segment) const {
  const size_t layers = segment.extents.size();
  std::vector<PartBytes> parts(layers + 2);
  if (segment.summaries.bytes > 0) parts[layers + 1].push_back(segment.summaries.span());
  // Whether it has a boundary may change under this thread's feet where it is not stored.
  for (size_t i = 0; segment.stores_boundary && i < segment.boundary.size(); ++i)
    if (segment.boundary[i].bytes > 0) parts[i].push_back(segment.boundary[i].span());
  for (size_t i = 0; i < layers; ++i) {
    for (const SlabId slab : segment.extents[i].slabs) {
      if (slab == kNoSlab) break;
      parts[i].push_back({reinterpret_cast<const std::byte*>(pool_.keys(slab, 0)),
                          static_cast<size_t>(shape().slab_bytes())});
    }
  }
  return parts;
}

Result<void> Tiers::write(Segment& segment) {
  const std::vector<PartBytes> parts = parts_of(segment);
  const auto computed_us = static_cast<uint64_t>(segment.computed_s * 1e6);
  auto put = store_->put(options_.model,
                         {segment.parent, segment.first_token, segment.tokens, parts, computed_us});
  if (!put) return core::pass(put);
  if (*put == nullptr || (*put)->parts().size() < parts.size())
    return core::fail("{}: of another shape", store_->segment_path(segment.name));
  segment.file = *put;
  return {};
}

void Tiers::write_behind() {
  for (;;) {
    SegmentPtr segment;
    {
      std::unique_lock lock(mutex_);
      queued_.wait(lock, [&] { return stop_ || !to_write_.empty(); });
      if (to_write_.empty()) return;
      auto& from = to_summarise_.empty() ? to_write_ : to_summarise_;
      segment = from.front();
      from.pop_front();
      writing_ = &from == &to_write_;
    }
    if (!writing_) {  // only this thread changes it
      summarise(*segment);
      const std::lock_guard lock(mutex_);  // or whoever waits misses it
      written_.notify_all();
      continue;
    }
    // Nothing of a queued segment moves: it cannot be evicted, and contents never change.
    const auto written = write(*segment);
    if (!written) segment->trouble = written.error().message;
    segment->disk.store(written ? Segment::Disk::kWritten : Segment::Disk::kFailed,
                        std::memory_order_release);
    std::lock_guard lock(mutex_);
    ended_.push_back(std::move(segment));
    writing_ = false;
    written_.notify_all();
  }
}

// True after some segment was written, or failed to be; false where nothing is under way.
bool Tiers::wait_for_a_write() {
  std::unique_lock lock(mutex_);
  if (to_write_.empty() && !writing_) return false;
  const size_t left = to_write_.size() + (writing_ ? 1 : 0);
  written_.wait(lock, [&] { return to_write_.size() + (writing_ ? 1 : 0) < left; });
  return true;
}

void Tiers::queue(SegmentPtr segment) {
  segment->disk = Segment::Disk::kQueued;
  {
    std::lock_guard lock(mutex_);
    if (!segment->summarised.load(std::memory_order_relaxed)) to_summarise_.push_back(segment);
    to_write_.push_back(std::move(segment));
  }
  queued_.notify_one();
}

// What the writer is done with: boundaries are read from the disk from here on. What it could not write is
// tried once more: files that only memory's remains of old contexts held may have been in the way. A full
// disk is said once, not for each segment that it does not take. False: there was nothing.
bool Tiers::tidy() {
  std::vector<SegmentPtr> ended;
  {
    std::lock_guard lock(mutex_);
    ended.swap(ended_);
  }
  unused_copies_ |= !ended.empty();  // of what was let go while it was being written
  for (const SegmentPtr& segment : ended) {
    if (segment->written()) {
      if (segment->stores_boundary) segment->boundary.clear();
      if (!options_.keep_summaries) segment->summaries = {};
      failing_.clear();
    } else if (!std::exchange(segment->retried, true)) {
      drop_unused();
      queue(segment);
    } else {
      std::string why = std::exchange(segment->trouble, {});
      if (failing_.empty()) warn(why);
      failing_ = std::move(why);
    }
    forget_unused(segment);
  }
  return !ended.empty();
}

void Tiers::drain() {
  while (wait_for_a_write() || tidy()) continue;
}

void Tiers::warn(std::string message) {
  std::lock_guard lock(mutex_);
  if (std::find(warnings_.begin(), warnings_.end(), message) == warnings_.end())
    warnings_.push_back(std::move(message));
}

std::vector<std::string> Tiers::take_warnings() {
  tidy();
  std::lock_guard lock(mutex_);
  return std::exchange(warnings_, {});
}

}  // namespace mneme::kv
