// Where sealed segments are: hot and warm in memory, cold on the disk. One Tiers serves every context of an
// engine: it finds segments by what they hold, brings extents into memory before attention reads them,
// chooses what goes when memory is short, and writes what is new behind the engine's back.
//
// Exact attention reads originals, so hot and warm both hold bf16: on a machine without a device they are two
// parts of one arena, and moving between them is a change of label. For sparse attention, which reads most of
// what it reads in 8 bits, warm holds 8-bit copies instead: what was selected as such is not missed in fast
// memory, wherever the original is, and an original is read from the disk where bf16 matters. Copies are made
// of new segments, and of old ones as they pass through memory, until the tier is full. What stays is what
// was held most, lately (heat); an extent that is read once passes through and makes nothing else go: a scan
// of a context larger than memory leaves the part that stays where it is.
//
// Everything but the counters belongs to the engine's thread; a writer thread and an I/O thread work behind.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/rng.h"
#include "kernels/ops.h"
#include "kv/segment.h"
#include "kv/store.h"

namespace mneme::kv {

struct TierOptions {
  uint64_t bytes_max = 0;  // of all keys and values in memory, whatever follows
  // Bytes of hot and warm, or, where both are kByShare, shares of what the contexts' keys and values take:
  // hot_share of them in bf16 and warm_share at half their size, but never less than bytes_min. With copies
  // the same bytes are shared out anew: to copies but for an eighth, as one keeps as much from being read as
  // two originals do, and little is read in bf16 (docs/adr/0007).
  uint64_t hot_bytes = kByShare, warm_bytes = kByShare;
  double hot_share = 0.2, warm_share = 0.5;
  uint64_t bytes_min = uint64_t{256} << 20;
  Store* store = nullptr;             // must outlive the tiers
  const kernels::Ops* ops = nullptr;  // make the summaries
  // Summaries stay in memory, beside bytes_max: 8 % of the keys and values of all that contexts have.
  // Without, they are there until they are written, and when load_summaries() brought them.
  bool keep_summaries = false;
  // With summaries: warm is 8-bit copies.
  bool keep_copies = false;
  SegmentModel model;
  IoOptions io;

  static constexpr uint64_t kByShare = UINT64_MAX;
  bool by_share() const { return hot_bytes == kByShare && warm_bytes == kByShare; }
  // Of what the keys and values take: warm counts by the size of its 8-bit form, whatever it holds.
  double share_in_memory() const { return hot_share + warm_share / 2; }
  static uint64_t given(uint64_t bytes) { return bytes == kByShare ? 0 : bytes; }  // where one of two is
};

struct TierCounters {
  uint64_t hits_hot = 0, hits_warm = 0;  // extents that a pass found in memory
  uint64_t hits_ahead = 0, misses = 0;   // found because they were read ahead; waited for
  uint64_t bytes_read = 0, bytes_written = 0;
  double stalled_s = 0;  // passes waited for the disk
  double read_s = 0;     // the disk read
  uint64_t evicted = 0;  // extents
  uint64_t segments_found = 0, segments_sealed = 0;
  uint64_t bytes_hot = 0, bytes_warm = 0, bytes_passing = 0;  // now; copies are warm
};

class Tiers {
 public:
  static Result<std::unique_ptr<Tiers>> open(const KvShape& shape, const TierOptions& options);
  ~Tiers();  // writes what is queued

  const KvShape& shape() const { return pool_.shape(); }
  BlockPool& pool() { return pool_; }

  // Slabs for new tokens, all or none: what is sealed and worth least goes. Waits for the writer where only
  // unwritten segments could go.
  Result<void> take(size_t count, std::vector<SlabId>& out);
  // Contexts tell how their number of tokens changes: shares are of their sum.
  void count_tokens(int64_t change) { tokens_ += change; }

  // The sealed segment of these 256 tokens behind `parent`, in memory or on the disk; null: there is none. A
  // damaged one is a warning and none.
  SegmentPtr find(const SegmentName& parent, uint64_t first_token, std::span<const int32_t> tokens);
  // How many of these segments, found one after another, are to be read rather than computed again: by what
  // the disk did lately, and what computing took when they were made, or `seconds_each` token (0: not known)
  // now where that is more. May read the first one to see how long it takes.
  size_t worth_reading(std::span<const SegmentPtr> found, double seconds_each);
  // Takes the slabs of a new segment over ([layers], those of windowed layers not in use), or finds that it
  // is there already and gives them back. Then it is written behind.
  SegmentPtr seal(SegmentPtr segment);
  // A context does not have it any more. Where nobody has and nothing of it is in memory, it is forgotten, so
  // that its file may go for others.
  void let_go(SegmentPtr segment);
  // Extents of these segments leave memory where they are on the disk and no context has them.
  void send_away(std::span<const SegmentName> names);

  // Extents of `layer` of segments[first, first + count) in memory until released, reading ahead what follows
  // them in the context, then in the next layers. An error: nothing is held; `damaged` says which segment
  // could not be read (-1: memory is short).
  Result<void> hold(std::span<const SegmentPtr> segments, int layer, int first, int count, int& damaged);
  void release(std::span<const SegmentPtr> segments, int layer, int first, int count);
  // The same of segments that need not lie together (`some`: their indices, rising, at most hold_some_max()),
  // without reading ahead.
  Result<void> hold_some(std::span<const SegmentPtr> segments, int layer, std::span<const int> some,
                         int& damaged);
  void release_some(std::span<const SegmentPtr> segments, int layer, std::span<const int> some);
  // So many fit into memory beside what else is held.
  int hold_some_max() const;

  // Contexts of models that forget go on behind segments with a boundary only. Every boundary_spacing()-th
  // segment of a context stores one, and where its text ended.
  bool has_boundary(const Segment& segment) const;
  int boundary_spacing() const { return boundary_spacing_; }
  // Part `part` of a segment's boundary ([layers]: recent rows), bytes as written.
  Result<PartBuffer> read_boundary(const Segment& segment, int part) const;

  // The summaries of these segments in memory, reading those that are not, one read a segment; waits for the
  // writer to make those of new segments. An error: `damaged` says whose could not be read.
  Result<void> load_summaries(std::span<const SegmentPtr> segments, int& damaged);
  bool keeps_summaries() const { return options_.keep_summaries; }
  struct BlockSummary {
    const std::byte* bytes = nullptr;
    float value_spread = 0;  // sealed_block.h; of load_summaries()
  };
  // Of block 0..3 of a segment whose summaries are in memory; null where they are not, or the layer has a
  // window.
  BlockSummary summary(const Segment& segment, int layer, int block, int kv_head) const;
  // The 8-bit copy of such a block; null where there is none. Stays as long as somebody has the segment.
  const std::byte* copy(const Segment& segment, int layer, int block, int kv_head) const;
  // Of those that are missing some, of extents that are in memory.
  void make_copies(std::span<const SegmentPtr> segments, int layer);
  void pin(Segment& segment, int change) { segment.pins += change; }

  // Until everything sealed is on the disk, or failed to get there.
  void drain();
  // What went wrong without stopping anybody, each said once. Empties the list.
  std::vector<std::string> take_warnings();
  // How often it was held lately: holds, halved every kHalfLife ticks.
  float heat(const Extent& extent) const;
  TierCounters counters() const;
  // Keys and values in memory now, in all forms but summaries.
  uint64_t bytes_used() const { return pool_.bytes_used() + *copies_sum_; }

 private:
  struct Load {  // an extent on its way from the disk
    SegmentPtr segment;
    int layer = 0;
    std::shared_ptr<DiskFile> file;
    IoRead read;
  };
  struct Resident {  // an extent that has slabs
    SegmentPtr segment;
    int layer;
    Extent& extent() const { return segment->extents[static_cast<size_t>(layer)]; }
  };
  static constexpr uint32_t kHalfLife = 64;  // ticks; a tick is one hold of a layer's first run
  static constexpr int kCopiesAtOnce = 32;   // of old segments, a tick

  Tiers(BlockPool pool, const TierOptions& options);
  uint64_t bytes_limit() const;    // of everything
  uint64_t hot_limit() const;      // of it, what is called hot
  uint64_t copies_limit() const;   // of it, 8-bit copies
  uint64_t slabs_limit() const;    // in use at once, beside the copies that there are
  uint64_t slabs_staying() const;  // of those, what may stay
  uint64_t slabs_used() const;

  void warm_up(Extent& extent);
  void count_hit(const Extent& extent);
  std::span<const int> indices(int first, int count);
  Result<void> hold_these(std::span<const SegmentPtr> segments, int layer, std::span<const int> some,
                          int ahead_from, int& damaged);
  void reap();
  bool make_room(size_t slabs, bool for_ahead);
  bool evict_passing(bool for_ahead);
  bool evict_coldest();
  bool evictable(const Resident& resident) const;
  bool nobody_has(const SegmentPtr& segment, long but = 0) const;  // `but` so many references of the caller
  void drop(const Resident& gone);
  void forget_unused(const SegmentPtr& segment);
  bool tidy();
  void drop_unused();
  void queue(SegmentPtr segment);
  bool wait_for_a_write();
  bool wait_for_a_load();
  void finish_ahead(const Load& load);
  bool take_slabs(size_t count, bool ahead, std::vector<SlabId>& out);
  Result<bool> begin_load(const SegmentPtr& segment, int layer, IoUrgency urgency);
  Result<void> finish_load(Segment& segment, int layer);
  void read_ahead(std::span<const SegmentPtr> segments, int layer, int from);
  void join(const SegmentPtr& old, Segment& same);
  void settle(const SegmentPtr& segment, int layer);
  void stay(const SegmentPtr& segment, int layer);
  void unlist(Extent& extent);
  void warn(std::string message);
  void write_behind();
  uint64_t bytes_away(const Segment& segment) const;
  double read_pace(std::span<const SegmentPtr> found);
  double probe(const SegmentPtr& segment);
  size_t copies_bytes() const;  // of an extent
  bool take_copies(Extent& extent);
  void drop_unused_copies();
  void seal_extent(const Extent& extent, std::byte* summaries, std::byte* copies) const;
  void keep_copies(Segment& segment, int layer);
  void summarise(Segment& segment);
  size_t summaries_bytes() const;
  void spread_values(Segment& segment) const;
  bool wait_until_summarised(const Segment& segment);
  Result<void> write(Segment& segment);
  std::vector<PartBytes> parts_of(const Segment& segment) const;

  BlockPool pool_;
  TierOptions options_;
  Store* store_;
  std::unique_ptr<IoQueue> io_;
  core::Rng rng_{0x7469657273};
  int64_t tokens_ = 0;
  uint32_t tick_ = 0;
  int boundary_spacing_ = 1;
  std::vector<int> indices_;     // of indices()
  std::vector<int> kept_index_;  // [layers]: how many layers before it keep every token; -1: it has a window

  std::unordered_map<SegmentName, SegmentPtr, Id128Hash> known_;
  std::vector<Resident> staying_;
  std::deque<Resident> passing_;
  std::unordered_map<Extent*, std::unique_ptr<Load>> loads_;
  uint64_t hot_slabs_ = 0;
  ExtentCopies::Sum copies_sum_ = std::make_shared<std::atomic<uint64_t>>(0);
  int copies_made_ = 0;                 // of old segments, since the last tick
  bool unused_copies_ = false;          // segments were let go since the last look for their copies
  double read_pace_ = 0, paced_s_ = 0;  // seconds a byte, and of the disk's time that it is made of
  uint64_t paced_bytes_ = 0;
  std::string failing_;  // why the last write did, which was said; empty: it did not
  TierCounters counters_;

  mutable std::mutex mutex_;  // of these
  std::condition_variable queued_, written_;
  std::deque<SegmentPtr> to_summarise_;  // before anything is written
  std::deque<SegmentPtr> to_write_;
  std::vector<SegmentPtr> ended_;  // written, or failed to be; tidy() has not seen them
  bool writing_ = false, stop_ = false;
  std::vector<std::string> warnings_;
  std::thread writer_;
};

}  // namespace mneme::kv
