#include "kv/tiers.h"

#include <algorithm>
#include <cmath>


namespace mneme::kv {

namespace {

constexpr int kSamples = 16;  // extents looked at for the coldest
                              // place

// Memory that passing extents may always have: two runs of attention (one held, one read ahead).
constexpr uint64_t kStagingSlabs = 2 * 32;

}  // namespace

Result<std::unique_ptr<Tiers>> Tiers::open(const KvShape& shape, const TierOptions& options) {
  uint64_t bytes = options.bytes_max;
  if (options.hot_bytes != TierOptions::kByShare || options.warm_bytes != TierOptions::kByShare) {
    const auto given = [](uint64_t b) { return b == TierOptions::kByShare ? 0 : b; };
    bytes = given(options.hot_bytes) + given(options.warm_bytes);
  }
  auto pool = BlockPool::create(shape, bytes);
  if (!pool) return core::pass(pool);
  std::unique_ptr<Tiers> tiers(new Tiers(std::move(*pool), options));
  if (tiers->store_ == nullptr) return tiers;
  const uint64_t least = kStagingSlabs + static_cast<uint64_t>(shape.layers) * 2 * kSegmentBlocks;
  if (bytes / shape.slab_bytes() < least) {
    return core::fail("hot and warm together are {} bytes: this model works from {} upwards", bytes,
                      least * shape.slab_bytes());
  }
  auto io = IoQueue::open(options.io);
  if (!io) return core::pass(io);
  tiers->io_ = std::move(*io);
  tiers->writer_ = std::thread([t = tiers.get()] { t->write_behind(); });
  return tiers;
}

Tiers::Tiers(BlockPool pool, const TierOptions& options)
    : pool_(std::move(pool)), options_(options), store_(options.store) {}

Tiers::~Tiers() {
  if (!writer_.joinable()) return;  // memory alone, or not opened
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  queued_.notify_all();
  writer_.join();
  io_->stop();
  for (auto& [extent, load] : loads_) (void)io_->wait(load->read);
}

// --- Budgets, in slabs ---

uint64_t Tiers::slabs_used() const { return pool_.bytes_used() / shape().slab_bytes(); }

uint64_t Tiers::slabs_limit() const {
  const uint64_t all = pool_.bytes_max() / shape().slab_bytes();
  const bool by_share = options_.hot_bytes == TierOptions::kByShare &&
                        options_.warm_bytes == TierOptions::kByShare;
  if (store_ == nullptr || !by_share) return all;
  // Warm counts by the size of its 8-bit form, whatever it holds.
  const double share = options_.hot_share + options_.warm_share / 2;
  const double bytes = share * static_cast<double>(tokens_) * static_cast<double>(shape().token_bytes());
  const auto wanted = std::max(options_.bytes_min, static_cast<uint64_t>(bytes)) / shape().slab_bytes();
  const uint64_t least = kStagingSlabs + static_cast<uint64_t>(shape().layers) * 2 * kSegmentBlocks;
  return std::min(all, std::max(wanted, least));
}

// A quarter at most passes through, and what attention needs at once at least.
uint64_t Tiers::slabs_staying() const {
  const uint64_t limit = slabs_limit();
  return limit - std::min(limit, std::max(kStagingSlabs, std::min(limit / 4, 4 * kStagingSlabs)));
}

uint64_t Tiers::tokens_free() const {
  if (store_ == nullptr) return pool_.tokens_free();
  return UINT32_MAX / 2;  // the disk is the limit, and says so itself
}

Result<void> Tiers::take(size_t count, std::vector<SlabId>& out) {
  if (store_ == nullptr) {
    if (!pool_.take(count, out)) return core::fail("the KV cache is full");
    return {};
  }
  while (slabs_used() + count > slabs_limit()) {
    if (make_room(slabs_used() + count - slabs_limit(), false)) continue;
    if (wait_for_a_write()) continue;
    break;
  }
  if (slabs_used() + count > slabs_limit() && options_.hot_bytes != TierOptions::kByShare)
    return core::fail("the KV cache is full: what is in memory can neither go nor be written to the disk");
  if (!pool_.take(count, out)) return core::fail("the KV cache is full");
  return {};
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
    const Extent& extent = it->segment->extents[static_cast<size_t>(it->layer)];
    if (extent.holds > 0 || extent.place != Place::kHere || (for_ahead && extent.ahead)) continue;
    const Resident gone = *it;
    passing_.erase(it);
    drop(*gone.segment, gone.layer);
    return true;
  }
  return false;
}

// Reads that came to an end and that nobody waited for.
void Tiers::reap() {
  std::vector<Resident> ended;
  for (const auto& [extent, load] : loads_) {
    const auto layer = extent - load->segment->extents.data();
    if (!load->read.pending()) ended.push_back({load->segment.get(), static_cast<int>(layer)});
  }
  for (const Resident& one : ended) {
    const SegmentPtr kept = loads_.at(&one.segment->extents[static_cast<size_t>(one.layer)])->segment;
    if (auto done = finish_load(*kept, one.layer); !done) warn(done.error().message);
  }
}

bool Tiers::evictable(const Resident& resident) const {
  const Extent& extent = resident.segment->extents[static_cast<size_t>(resident.layer)];
  return extent.holds == 0 && resident.segment->written() && !resident.segment->file->bad();
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
    const float own = heat(one.segment->extents[static_cast<size_t>(one.layer)]);
    if (best == SIZE_MAX || own < best_heat) best = i, best_heat = own;
  };
  for (int i = 0; i < kSamples; ++i) look(rng_.next_below(static_cast<uint32_t>(staying_.size())), false);
  for (const bool pinned : {false, true}) {
    for (size_t i = 0; best == SIZE_MAX && i < staying_.size(); ++i) look(i, pinned);
  }
  if (best == SIZE_MAX) return false;
  const Resident gone = staying_[best];
  unlist(gone.segment->extents[static_cast<size_t>(gone.layer)]);
  drop(*gone.segment, gone.layer);
  return true;
}

void Tiers::unlist(Extent& extent) {
  const uint32_t at = extent.listed;
  staying_[at] = staying_.back();
  staying_[at].segment->extents[static_cast<size_t>(staying_[at].layer)].listed = at;
  staying_.pop_back();
  if (extent.hot) hot_slabs_ -= kSegmentBlocks;
  extent.staying = extent.hot = false;
}

// Its slabs go back. The segment itself is forgotten once nobody has it and nothing of it is here.
void Tiers::drop(Segment& segment, int layer) {
  Extent& extent = segment.extents[static_cast<size_t>(layer)];
  for (SlabId& slab : extent.slabs) {
    pool_.give_back(slab);
    slab = kNoSlab;
  }
  extent.place = Place::kAway;
  extent.ahead = false;
  ++counters_.evicted;
  const auto here = [](const Extent& e) { return e.place != Place::kAway; };
  const auto known = known_.find(segment.name);
  if (known != known_.end() && known->second.use_count() == 1 &&
      std::none_of(segment.extents.begin(), segment.extents.end(), here)) {
    known_.erase(known);
  }
}

TierCounters Tiers::counters() const {
  TierCounters c = counters_;
  const uint64_t slab = shape().slab_bytes();
  c.bytes_hot = hot_slabs_ * slab;
  c.bytes_warm = (staying_.size() * kSegmentBlocks - hot_slabs_) * slab;
  c.bytes_passing = passing_.size() * kSegmentBlocks * slab;
  if (io_ != nullptr) {
    const IoCounters io = io_->counters();
    c.bytes_read = io.bytes;
    c.stalled_s = io.stalled_s;
    c.read_s = io.busy_s;
  }
  std::lock_guard lock(mutex_);
  c.bytes_written = bytes_written_;
  return c;
}

double Tiers::read_speed() const {
  if (io_ == nullptr) return 0;
  const IoCounters io = io_->counters();
  return io.busy_s > 0.01 ? static_cast<double>(io.bytes) / io.busy_s : 0;
}

}  // namespace mneme::kv
