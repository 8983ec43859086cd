#include "kv/tiers.h"

#include <algorithm>
#include <cmath>
#include <system_error>

#include "kv/recent_rows.h"

namespace mneme::kv {

namespace {

constexpr int kSamples = 16;  // extents looked at for the coldest

// Of what is shared, where copies take the rest: one part in so many.
constexpr uint64_t kHotPart = 8;

// Memory that passing extents may always have: two runs of attention (one held, one read ahead).
constexpr uint64_t kStagingSlabs = 2 * 32;

// What one context works in: what attention needs at once, the open tokens of its longest pass (no whole
// segment and what is kept open, then kRewindTokens), and windows twice: a context that goes on elsewhere has
// the old ones until the new ones are there.
uint64_t least_slabs(const KvShape& shape) {
  constexpr uint64_t kOpenBlocks = blocks_of(kSegmentTokens + kBlockTokens + kRewindTokens);
  uint64_t slabs = kStagingSlabs + static_cast<uint64_t>(shape.layers_whole()) * kOpenBlocks;
  for (int layer = 0; layer < shape.layers; ++layer)
    slabs += 2 * static_cast<uint64_t>(shape.blocks_max(layer));
  return slabs;
}

// Boundaries take up to 4 % of what the extents do, but one in 16 segments (4,096 tokens) has one in any
// case: that much is computed again at most where a context goes on from the middle of another.
int spacing_of_boundaries(const KvShape& shape) {
  constexpr uint64_t kShare = 25;
  constexpr int kMost = 16;
  uint64_t bytes = 0;
  for (int layer = 0; layer < shape.layers; ++layer)
    if (shape.window(layer) > 0)
      bytes += static_cast<uint64_t>(blocks_of(shape.window(layer))) * shape.slab_bytes();
  for (const int width : shape.recent_widths)
    bytes += static_cast<uint64_t>(shape.recent_history) * (static_cast<uint64_t>(width) + 1) * sizeof(float);
  const uint64_t extents = uint64_t{kSegmentTokens} * shape.token_bytes();
  int spacing = 1;
  while (spacing < kMost && bytes * kShare > extents * static_cast<uint64_t>(spacing)) spacing *= 2;
  return spacing;
}

}  // namespace

Result<std::unique_ptr<Tiers>> Tiers::open(const KvShape& shape, const TierOptions& options) {
  MNEME_CHECK(options.store != nullptr && options.ops != nullptr);
  uint64_t bytes = options.bytes_max;
  if (!options.by_share())
    bytes = TierOptions::given(options.hot_bytes) + TierOptions::given(options.warm_bytes);
  const uint64_t least = least_slabs(shape);
  if (bytes / shape.slab_bytes() < least) {
    return core::fail("hot and warm together are {} bytes: this model works from {} upwards", bytes,
                      least * shape.slab_bytes());
  }
  auto pool = BlockPool::create(shape, bytes);
  if (!pool) return core::pass(pool);
  std::unique_ptr<Tiers> tiers(new Tiers(std::move(*pool), options));
  auto io = IoQueue::open(options.io);
  if (!io) return core::pass(io);
  tiers->io_ = std::move(*io);
  try {
    tiers->writer_ = std::thread([t = tiers.get()] { t->write_behind(); });
  } catch (const std::system_error& error) {
    return core::fail("cold tier: no thread: {}", error.what());
  }
  return tiers;
}

Tiers::Tiers(BlockPool pool, const TierOptions& options)
    : pool_(std::move(pool)),
      options_(options),
      store_(options.store),
      boundary_spacing_(spacing_of_boundaries(pool_.shape())) {
  for (int layer = 0, kept = 0; layer < shape().layers; ++layer)
    kept_index_.push_back(shape().window(layer) == 0 ? kept++ : -1);
}

Tiers::~Tiers() {
  if (!writer_.joinable()) return;  // not opened
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  queued_.notify_all();
  writer_.join();
  io_->stop();
  for (auto& [extent, load] : loads_) (void)io_->wait(load->read);
}

// --- Budgets ---

uint64_t Tiers::slabs_used() const { return pool_.bytes_used() / shape().slab_bytes(); }

uint64_t Tiers::bytes_limit() const {
  if (!options_.by_share()) return pool_.bytes_max();
  const double bytes = options_.share_in_memory() * static_cast<double>(tokens_) *
                       static_cast<double>(shape().token_bytes());
  const uint64_t wanted = std::max(options_.bytes_min, static_cast<uint64_t>(bytes));
  return std::min(pool_.bytes_max(), std::max(wanted, least_slabs(shape()) * shape().slab_bytes()));
}

uint64_t Tiers::hot_limit() const {
  if (options_.hot_bytes != TierOptions::kByShare) return options_.hot_bytes;
  const uint64_t all = bytes_limit();
  if (options_.keep_copies && options_.by_share()) return all / kHotPart;
  return static_cast<uint64_t>(static_cast<double>(all) * options_.hot_share / options_.share_in_memory());
}

uint64_t Tiers::copies_limit() const {
  if (!options_.keep_copies) return 0;
  const uint64_t all = bytes_limit(), least = least_slabs(shape()) * shape().slab_bytes();
  const uint64_t warm = options_.by_share() ? all - hot_limit() : TierOptions::given(options_.warm_bytes);
  return std::min(warm, all - std::min(all, least));
}

uint64_t Tiers::slabs_limit() const {
  const uint64_t all = bytes_limit(), copies = *copies_sum_;
  return std::max((all - std::min(all, copies)) / shape().slab_bytes(), least_slabs(shape()));
}

// A quarter at most passes through, and what attention needs at once at least.
uint64_t Tiers::slabs_staying() const {
  const uint64_t limit = slabs_limit();
  return limit - std::min(limit, std::max(kStagingSlabs, std::min(limit / 4, 4 * kStagingSlabs)));
}

Result<void> Tiers::take(size_t count, std::vector<SlabId>& out) {
  tidy();
  while (!take_slabs(count, false, out)) {
    if (tidy()) continue;  // what the writer came to an end with meanwhile may go, or is tried once more
    const std::string held = fmt::format("keys and values fill the {} MiB of memory that they may have",
                                         pool_.bytes_max() >> 20);
    if (failing_.empty()) return core::fail("{}, and all of them are in use (raise --hot or --kv)", held);
    return core::fail("{}, and no more can be stored: {}", held, failing_);
  }
  return {};
}

// All or none. What is read ahead stays within the shares; the rest goes beyond them where nothing can make
// room and there is memory.
bool Tiers::take_slabs(size_t count, bool ahead, std::vector<SlabId>& out) {
  while (slabs_used() + count > slabs_limit()) {
    if (make_room(slabs_used() + count - slabs_limit(), ahead)) continue;
    if (ahead) return false;
    if (!wait_for_a_load() && !wait_for_a_write()) break;
  }
  return pool_.take(count, out);
}

// --- What goes ---

float Tiers::heat(const Extent& extent) const {
  return extent.heat * std::exp2(-static_cast<float>(tick_ - extent.ticked) / static_cast<float>(kHalfLife));
}

void Tiers::warm_up(Extent& extent) {
  extent.heat = heat(extent) + 1;
  extent.ticked = tick_;
}

// Frees so many slabs, or as many as can go; false where none could.
bool Tiers::make_room(size_t slabs, bool for_ahead) {
  bool any = false;
  for (size_t freed = 0; freed < slabs; freed += kSegmentBlocks) {
    if (!evict_passing(for_ahead) && (for_ahead || !evict_coldest())) return any;
    any = true;
  }
  return any;
}

// The one that passed through longest ago. What was read ahead and not yet used does not go for more of it.
bool Tiers::evict_passing(bool for_ahead) {
  reap();
  for (auto it = passing_.begin(); it != passing_.end(); ++it) {
    const Extent& extent = it->extent();
    if (extent.holds > 0 || extent.place != Place::kHere || (for_ahead && extent.ahead)) continue;
    const Resident gone = *it;
    passing_.erase(it);
    drop(gone);
    return true;
  }
  return false;
}

// Reads that came to an end and that nobody waits for.
void Tiers::reap() {
  std::vector<const Load*> ended;
  for (const auto& [extent, load] : loads_)
    if (extent->holds == 0 && !load->read.pending()) ended.push_back(load.get());
  for (const Load* load : ended) finish_ahead(*load);
}

// Until a read that nobody waits for came to an end: what it brought may go. False: there is none.
bool Tiers::wait_for_a_load() {
  for (const auto& [extent, load] : loads_) {
    if (extent->holds > 0) continue;
    finish_ahead(*load);
    return true;
  }
  return false;
}

void Tiers::finish_ahead(const Load& load) {
  const SegmentPtr segment = load.segment;
  if (auto done = finish_load(*segment, load.layer); !done) segment->trouble = done.error().message;
}

// What can be read again; else what nobody has.
bool Tiers::evictable(const Resident& resident) const {
  const Segment& segment = *resident.segment;
  if (resident.extent().holds > 0) return false;
  if (segment.readable()) return true;
  const bool failed = segment.disk.load(std::memory_order_acquire) == Segment::Disk::kFailed;
  return (failed || segment.written()) && nobody_has(resident.segment);
}

// The references that there are are those of the tiers themselves.
bool Tiers::nobody_has(const SegmentPtr& segment, long but) const {
  const auto known = known_.find(segment->name);
  long own = but;
  own += known != known_.end() && known->second == segment ? 1 : 0;
  for (const Extent& extent : segment->extents) {
    if (extent.place != Place::kAway) ++own;     // staying_ or passing_
    if (extent.place == Place::kLoading) ++own;  // loads_
  }
  return segment.use_count() <= own;
}

// Of a few drawn at random the one of least heat for what it takes to read it again (which is the same for
// all extents of a model: one read of one size); pinned ones only where there is no other.
bool Tiers::evict_coldest() {
  if (staying_.empty()) return false;
  size_t best = SIZE_MAX;
  float best_heat = 0;
  const auto look = [&](size_t i, bool pinned) {
    const Resident& one = staying_[i];
    if (!evictable(one) || (one.segment->pins > 0) != pinned) return;
    const float own = heat(one.extent());
    if (best == SIZE_MAX || own < best_heat) best = i, best_heat = own;
  };
  for (int i = 0; i < kSamples; ++i) look(rng_.next_below(static_cast<uint32_t>(staying_.size())), false);
  for (const bool pinned : {false, true}) {
    for (size_t i = 0; best == SIZE_MAX && i < staying_.size(); ++i) look(i, pinned);
  }
  if (best == SIZE_MAX) return false;
  const Resident gone = staying_[best];
  unlist(gone.extent());
  drop(gone);
  return true;
}

void Tiers::unlist(Extent& extent) {
  const uint32_t at = extent.listed;
  std::swap(staying_[at], staying_.back());
  staying_[at].extent().listed = at;
  staying_.pop_back();
  if (extent.hot) hot_slabs_ -= kSegmentBlocks;
  extent.staying = extent.hot = false;
}

// Its slabs go back. It is in no list any more.
void Tiers::drop(const Resident& gone) {
  Extent& extent = gone.extent();
  for (SlabId& slab : extent.slabs) {
    pool_.give_back(slab);
    slab = kNoSlab;
  }
  extent.place = Place::kAway;
  extent.ahead = false;
  ++counters_.evicted;
  forget_unused(gone.segment);
}

void Tiers::let_go(SegmentPtr segment) {
  unused_copies_ = true;
  forget_unused(segment);
}

void Tiers::send_away(std::span<const SegmentName> names) {
  for (const SegmentName& name : names) {
    const auto known = known_.find(name);
    if (known == known_.end()) continue;
    const SegmentPtr segment = known->second;
    for (int layer = 0; layer < shape().layers; ++layer) {
      Extent& extent = segment->extents[static_cast<size_t>(layer)];
      if (extent.place == Place::kLoading && extent.holds == 0) finish_ahead(*loads_.at(&extent));
      if (extent.place != Place::kHere || extent.holds > 0) continue;
      if (!segment->readable() || !nobody_has(segment, 1)) break;
      if (extent.staying)
        unlist(extent);
      else
        std::erase_if(passing_, [&](const Resident& r) { return r.segment == segment && r.layer == layer; });
      drop({segment, layer});
    }
    forget_unused(segment);
  }
}

// The caller's is the one reference beside those of the tiers. What can still be had stays known: from the
// disk, or, where it is not there, from memory if nothing is missing.
void Tiers::forget_unused(const SegmentPtr& segment) {
  const auto known = known_.find(segment->name);
  if (known == known_.end() || known->second != segment) return;
  long here = 0;
  for (const Extent& extent : segment->extents) {
    if (extent.place == Place::kLoading) return;
    here += extent.place == Place::kHere ? 1 : 0;
  }
  const long whole = shape().layers_whole();
  if (segment.use_count() > 2 + here) return;
  if (here == 0 || (!segment->readable() && here < whole)) known_.erase(known);
}

// Everything that can be read again and that no context has.
void Tiers::drop_unused() {
  const auto unused = [&](const Resident& one) {
    return one.extent().place == Place::kHere && one.segment->readable() && evictable(one) &&
           nobody_has(one.segment);
  };
  for (size_t i = staying_.size(); i-- > 0;) {
    if (!unused(staying_[i])) continue;
    const Resident gone = staying_[i];
    unlist(gone.extent());
    drop(gone);
  }
  for (size_t i = passing_.size(); i-- > 0;) {
    if (!unused(passing_[i])) continue;
    const Resident gone = passing_[i];
    passing_.erase(passing_.begin() + static_cast<std::ptrdiff_t>(i));
    drop(gone);
  }
}

TierCounters Tiers::counters() const {
  TierCounters c = counters_;
  const uint64_t slab = shape().slab_bytes();
  c.bytes_hot = hot_slabs_ * slab;
  c.bytes_warm = (staying_.size() * kSegmentBlocks - hot_slabs_) * slab + *copies_sum_;
  c.bytes_passing = passing_.size() * kSegmentBlocks * slab;
  const IoCounters io = io_->counters();
  c.bytes_read = io.bytes;
  c.stalled_s = io.stalled_s;
  c.read_s = io.busy_s;
  c.bytes_written = store_->bytes_written();
  return c;
}

}  // namespace mneme::kv
