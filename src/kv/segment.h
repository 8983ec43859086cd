// One sealed run of 256 tokens of all layers, in memory: shared by every context that begins with the same
// tokens. Its contents never change; which of its extents are in memory does, and only the engine's thread
// changes that (tiers.h).
#pragma once

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
};

// The bytes of a part that are not slabs, aligned for the disk.
struct PartBuffer {
  AlignedBytes memory;
  size_t bytes = 0;
  std::span<std::byte> span() const { return {memory.get(), bytes}; }
};

struct Segment {
  SegmentName name;
  SegmentName parent;
  uint64_t first_token = 0;
  std::vector<int32_t> tokens;  // kSegmentTokens
  std::vector<Extent> extents;  // [layers]

  // What a continuation behind this segment reads beside its extents: [layers + 1], the last blocks of layers
  // with a window, then the recent rows. Empty once it is on the disk.
  std::vector<PartBuffer> boundary;

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
