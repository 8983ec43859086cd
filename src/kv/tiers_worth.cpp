// Reading what was found, or computing it again: whichever takes less time here.
#include <algorithm>

#include "core/clock.h"
#include "kv/tiers.h"

namespace mneme::kv {

namespace {

// What computing again has to save to be chosen: both sides are estimates, and reading is sure to be exact.
constexpr double kSavingLeast_s = 0.5;

}  // namespace

uint64_t Tiers::bytes_away(const Segment& segment) const {
  uint64_t extents = 0;
  for (int layer = 0; layer < shape().layers; ++layer) {
    const Extent& extent = segment.extents[static_cast<size_t>(layer)];
    extents += shape().window(layer) == 0 && extent.place == Place::kAway ? 1 : 0;
  }
  return extents * kSegmentBlocks * shape().slab_bytes();
}

// Seconds a byte, of the last reads. Where there were none, the first ones found are read to know: they are
// wanted next. Of three the middle one counts, since any disk stalls once; of fewer there is little to save.
double Tiers::read_pace(std::span<const SegmentPtr> found) {
  constexpr uint64_t kEnough = uint64_t{4} << 20;
  constexpr size_t kProbes = 3;
  const IoCounters io = io_->counters();
  if (const uint64_t bytes = io.bytes - paced_bytes_; bytes >= kEnough) {
    const double lately = (io.busy_s - paced_s_) / static_cast<double>(bytes);
    read_pace_ = read_pace_ == 0 ? lately : (read_pace_ + lately) / 2;
    paced_bytes_ = io.bytes;
    paced_s_ = io.busy_s;
  }
  std::vector<double> paces;
  for (const SegmentPtr& segment : found) {
    if (read_pace_ > 0) break;
    if (bytes_away(*segment) == 0) continue;
    const double pace = probe(segment);
    if (pace == 0) return 0;
    paces.push_back(pace);
    if (paces.size() < kProbes) continue;
    std::nth_element(paces.begin(), paces.begin() + kProbes / 2, paces.end());
    read_pace_ = paces[kProbes / 2];
  }
  return read_pace_;
}

// Seconds a byte that reading this one took; 0, and the trouble noted, where it could not be read.
double Tiers::probe(const SegmentPtr& segment) {
  const uint64_t away = bytes_away(*segment);
  const double start_s = core::now_s();
  for (int layer = 0, damaged = 0; layer < shape().layers; ++layer) {
    if (shape().window(layer) > 0) continue;
    if (auto held = hold({&segment, 1}, layer, 0, 1, damaged); !held) {
      segment->trouble = held.error().message;  // attention will meet it, and say so
      return 0;
    }
    release({&segment, 1}, layer, 0, 1);
  }
  return (core::now_s() - start_s) / static_cast<double>(away);
}

size_t Tiers::worth_reading(std::span<const SegmentPtr> found, double seconds_each) {
  if (found.empty()) return 0;
  // What does not stay in memory is read for every token, whoever computed it.
  const uint64_t blocks = (found.back()->first_token + kSegmentTokens) / kBlockTokens;
  if (blocks * static_cast<uint64_t>(shape().layers_whole()) > slabs_staying()) return found.size();
  const auto compute_s = [&](const Segment& segment) {
    return std::max(segment.computed_s, seconds_each * kSegmentTokens);
  };
  const auto first_away = std::find_if(found.begin(), found.end(),
                                       [&](const SegmentPtr& s) { return bytes_away(*s) > 0; });
  const bool known = std::all_of(found.begin(), found.end(),
                                 [&](const SegmentPtr& s) { return compute_s(*s) > 0; });
  if (first_away == found.end() || !known) return found.size();
  const double pace = read_pace(found.subspan(static_cast<size_t>(first_away - found.begin())));
  // Saved by reading the first `count`, which is the best so far.
  double saved_s = 0, best_s = 0;
  size_t count = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    saved_s += compute_s(*found[i]) - pace * static_cast<double>(bytes_away(*found[i]));
    if (saved_s < best_s) continue;
    best_s = saved_s;
    count = i + 1;
  }
  return best_s - saved_s < kSavingLeast_s ? found.size() : count;
}

}  // namespace mneme::kv
