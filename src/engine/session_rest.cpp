// A context leaves memory and comes back: what flush() leaves on the disk, and what is made of it again.
#include <ctime>
#include <utility>

#include "core/error.h"
#include "engine/session.h"
#include "kv/session_folder.h"

namespace mneme::engine {

using core::fail;
using core::pass;

// The open tokens' keys and values and what windows hold. Where a log is to name the segments before them, it
// has to have come that far.
Result<void> LoadedSession::save_tail() {
  if (log_ && log_->state().segments.size() != sequence_->segments().size()) return {};
  std::vector<kv::PartBuffer> buffers;
  const kv::TailPlace place{home_->model, sequence_->last_segment(), sequence_->segments().size()};
  const auto open = std::span(tokens_).subspan(place.segments * kv::kSegmentTokens,
                                               evaluated() - place.segments * kv::kSegmentTokens);
  return kv::save_tail(tail_path(), place, open, sequence_->tail_parts(buffers), home_->store->disk());
}

std::string LoadedSession::tail_path() const {
  const std::string folder = home_->store->sessions_folder();
  return name_.empty() ? kv::resting_tail_path(folder, number_) : kv::session_tail_path(folder, name_);
}

Result<void> LoadedSession::flush() {
  if (home_->tiers == nullptr) return {};
  if (!resting_) {
    text_end_ = tokens_.size();
    seal(0);
    home_->tiers->drain();
    log_segments();
  }
  if (name_.empty()) return {};
  if (!log_) return fail("session {} could not be kept", name_);
  // The log is synced whether or not the tail found room.
  const Result<void> saved = resting_ || evaluated() == 0 ? Result<void>() : save_tail();
  if (auto used = log_->mark_used(std::time(nullptr)); !used) return used;
  if (auto synced = log_->sync(); !synced) return synced;
  return saved;
}

Result<void> LoadedSession::demote() {
  if (home_->tiers == nullptr) return fail("a context leaves memory only where there is a cold tier");
  if (!wants_logits()) return fail("a context that is evaluated for its embedding alone stays in memory");
  if (resting_ || evaluated() == 0) return {};
  if (auto flushed = flush(); !flushed) return flushed;
  if (name_.empty()) {
    if (auto saved = save_tail(); !saved) return saved;
  }
  std::vector<kv::SegmentName> names;
  for (const kv::SegmentPtr& segment : sequence_->segments()) {
    if (!segment->readable()) return fail("a part of the context could not be written: it stays in memory");
    names.push_back(segment->name);
  }
  resting_ = Resting{evaluated(), names.size()};
  const kv::SegmentName root = sequence_->root();
  sequence_.emplace(*home_->tiers);
  sequence_->set_root(root);
  home_->tiers->send_away(names);
  return {};
}

// What is lost is pending afterwards.
void LoadedSession::wake() {
  if (!resting_) return;
  const Resting rest = *std::exchange(resting_, std::nullopt);
  kv::SegmentFile::Options options;
  options.disk = &home_->store->disk();
  auto tail = kv::SegmentFile::open(tail_path(), options);
  if (!tail) home_->warnings.push_back(tail.error().message);
  const bool whole = tail && resume(rest.segments, **tail) && evaluated() == rest.evaluated;
  if (!whole) {
    sequence_->truncate(0);
    logits_.clear();
    reused_ = 0;  // what is found is counted when it is found
  }
  if (name_.empty()) home_->store->disk().unlink(tail_path().c_str());
}

bool LoadedSession::resume(size_t segments, const kv::SegmentFile& tail) {
  const size_t sealed = segments * kv::kSegmentTokens, end = sealed + tail.header().tokens.size();
  const auto found = find_segments(sealed);
  if (found.size() != segments || end > tokens_.size()) return false;
  const kv::SegmentName parent = found.empty() ? sequence_->root() : found.back()->name;
  const auto open = std::span(tokens_).subspan(sealed, end - sealed);
  if (tail.header().name != kv::segment_name(home_->model, parent, open)) return false;
  if (home_->tiers->worth_reading(found, home_->seconds_each) < found.size()) return false;
  auto resumed = sequence_->resume(found, tail);
  if (!resumed) home_->warnings.push_back(resumed.error().message);
  return resumed.has_value();
}

// All segments of the log and the tail behind them; false, and nothing done, where some of that is not there.
bool LoadedSession::resume_log() {
  const kv::SessionState& state = log_->state();
  auto tail = kv::load_tail(home_->store->sessions_folder(), name_, state, home_->store->disk());
  if (!tail) home_->warnings.push_back(tail.error().message);
  if (!tail || *tail == nullptr || !resume(state.segments.size(), **tail)) return false;
  reused_ = evaluated();
  return true;
}

}  // namespace mneme::engine
