// One sealed run of 256 tokens of all layers, in memory: shared by every context that begins with the same
// tokens. Its contents never change; which of its extents are in memory does, and only the engine's thread
// changes that (tiers.h).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "kv/block_pool.h"
#include "kv/io_queue.h"
#include "kv/segment_file.h"

namespace mneme::kv {

inline constexpr int kSegmentBlocks = kSegmentTokens / kBlockTokens;
inline constexpr SlabId kNoSlab = UINT32_MAX;

enum class Place : uint8_t { kAway, kLoading, kHere };

// The 8-bit copies (sealed_block.h) of an extent's blocks, [kSegmentBlocks][kv_heads] fp8_bytes(head_dim),
// counted in a sum as long as they are there.
class ExtentCopies {
 public:
  using Sum = std::shared_ptr<std::atomic<uint64_t>>;

  ExtentCopies() = default;
  ExtentCopies(Sum sum, size_t bytes) : memory_(aligned_bytes(bytes)), bytes_(bytes), sum_(std::move(sum)) {
    *sum_ += bytes_;
  }
  ExtentCopies(ExtentCopies&& other) noexcept { swap(other); }
  ExtentCopies& operator=(ExtentCopies other) noexcept {
    swap(other);
    return *this;
  }
  ~ExtentCopies() {
    if (sum_) *sum_ -= bytes_;
  }

  explicit operator bool() const { return memory_ != nullptr; }
  std::byte* get() const { return memory_.get(); }

 private:
  void swap(ExtentCopies& other) {
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
    std::swap(sum_, other.sum_);
  }
  AlignedBytes memory_;
  size_t bytes_ = 0;
  Sum sum_;
};

// 256 tokens of one layer that keeps every token. Layers with a window have none.
struct Extent {
  std::array<SlabId, kSegmentBlocks> slabs{kNoSlab, kNoSlab, kNoSlab, kNoSlab};
  Place place = Place::kAway;
  bool hot = false;      // else warm; of extents that are here to stay
  bool staying = false;  // else it is passing through: the first to go
  bool ahead = false;    // loaded before anybody asked
  uint16_t holds = 0;    // by passes under way
  float heat = 0;        // holds, halved every Tiers::kHalfLife ticks; as of `ticked`
  uint32_t ticked = 0;
  uint32_t listed = 0;  // its place in Tiers' list of those that stay
  ExtentCopies copies;  // wherever the bf16 original is; the writer thread fills those of a new segment,
                        // before Segment::summarised
};

// The bytes of a part that are not slabs, aligned for the disk.
struct PartBuffer {
  AlignedBytes memory;
  size_t bytes = 0;
  std::span<std::byte> span() const { return {memory.get(), bytes}; }
};

inline PartBuffer part_buffer(size_t bytes) {
  return {aligned_bytes(disk_padded(std::max<size_t>(bytes, 1))), bytes};
}

struct Segment {
  SegmentName name;
  SegmentName parent;
  uint64_t first_token = 0;
  std::vector<int32_t> tokens;  // kSegmentTokens
  std::vector<Extent> extents;  // [layers]

  // What a continuation behind this segment reads beside its extents: [layers + 1], the windows of layers
  // that have one, then the recent rows. Empty where the file has it, and where nobody is likely to ask for
  // it.
  std::vector<PartBuffer> boundary;
  bool stores_boundary = false;  // the file has it too

  // Summaries (sealed_block.h) of the blocks of layers that keep every token: [such layers][kSegmentBlocks]
  // [kv_heads] summary_bytes(head_dim). The writer thread makes them; they are the engine's from `summarised`
  // on, and empty once they are on the disk unless the tiers keep them.
  PartBuffer summaries;
  std::vector<float> value_spreads;  // of each, once Tiers::load_summaries() saw them
  std::atomic<bool> summarised{false};

  double computed_s = 0;  // what computing it took; 0: not known

  enum class Disk : uint8_t { kNone, kQueued, kWritten, kFailed };
  std::atomic<Disk> disk{Disk::kNone};
  std::shared_ptr<const SegmentFile> file;  // of kWritten; set before `disk` is
  int pins = 0;                             // contexts that want it near: sinks, window
  bool retried = false;                     // to write it
  std::string trouble;                      // why it could not be read ahead, until somebody wants it

  // On the disk, as far as is known.
  bool readable() const { return written() && !file->bad(); }
  // The same, or in memory as it was sealed.
  bool usable() const { return !written() || !file->bad(); }
  bool written() const { return disk.load(std::memory_order_acquire) == Disk::kWritten; }
};
using SegmentPtr = std::shared_ptr<Segment>;

}  // namespace mneme::kv
