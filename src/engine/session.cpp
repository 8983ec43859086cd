#include "engine/session.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "kv/session_folder.h"

namespace mneme::engine {

using core::fail;
using core::pass;

namespace {

// Few segments are opened one by one; then so many at once.
constexpr size_t kFewSegments = 32, kSegmentsAhead = 512;
// Of a context that waits for its next turn: so many tokens can be taken back without computing any again.
constexpr int kOpenTokens = 64;

kv::Sequence sequence_of(SessionHome& home) {
  return home.tiers != nullptr ? kv::Sequence(*home.tiers) : kv::Sequence(*home.pool);
}

Result<kv::SessionLog> open_log(const SessionHome& home, const LoadedSession::Named& named) {
  const std::string path = kv::session_log_path(home.store->sessions_folder(), named.name);
  const bool exists = kv::session_exists(home.store->sessions_folder(), named.name);
  auto log = exists ? kv::SessionLog::open(path, home.store->disk())
                    : kv::SessionLog::create(path, {home.model, named.model_path}, home.store->disk());
  // One that was created and then cut off has neither tokens nor a scope.
  if (!log || named.scope.empty() || !log->state().tokens.empty() || !log->state().scope().empty())
    return log;
  if (auto noted = log->note(kv::kScopeNote, named.scope); !noted) return pass(noted);
  if (auto synced = log->sync(); !synced) return pass(synced);
  return log;
}

// Segments that prefill of another mode made are not found under the names that this engine gives: the log
// forgets them, and the tokens are evaluated again.
Result<void> own_segments(SessionHome& home, const LoadedSession::Named& named, kv::SessionLog& log) {
  const kv::SessionState& state = log.state();
  if (state.segments.empty()) return {};
  const auto first = std::span(state.tokens).first(kv::kSegmentTokens);
  if (kv::segment_name(home.model, state.parent(0), first) == state.segments.front()) return {};
  const bool is_sparse = (home.model.content_version & kv::kSparsePrefillContent) != 0;
  home.warnings.push_back(fmt::format(
      "session {} was read with {} prefill, which this run does not do (--prefill, or --attention): it "
      "is read again",
      named.name, is_sparse ? "dense" : "sparse"));
  const std::vector<TokenId> tokens = state.tokens;
  if (auto cut = log.truncate(0); !cut) return cut;
  return log.append_tokens(tokens);
}

}  // namespace

LoadedSession::LoadedSession(SessionHome& home, const std::string& scope)
    : LoadedSession(home, sequence_of(home)) {
  sequence_->set_root(kv::scope_root(scope));
}

LoadedSession::LoadedSession(SessionHome& home, kv::Sequence sequence)
    : home_(&home), number_(++home.sessions), sequence_(std::move(sequence)) {
  const kv::KvShape& shape = sequence_->shape();
  if (home.sparse) sparse_.emplace(*home.sparse, shape.layers, shape.kv_heads);
}

LoadedSession::~LoadedSession() {
  if (resting_ && name_.empty()) home_->store->disk().unlink(tail_path().c_str());
  text_end_ = tokens_.size();
  seal(0);
  if (name_.empty()) return;
  if (auto flushed = flush(); !flushed) home_->warnings.push_back(flushed.error().message);
  home_->open_names.erase(name_);
}

Result<std::unique_ptr<LoadedSession>> LoadedSession::open(SessionHome& home, const Named& named) {
  const std::string& name = named.name;
  if (home.store == nullptr) return fail("session {}: there is no folder to keep it in", name);
  if (auto good = kv::check_session_name(name); !good) return pass(good);
  if (home.open_names.contains(name)) return fail("session {} is open already", name);
  auto log = open_log(home, named);
  if (!log) return pass(log);
  if (log->state().model.model != home.model.model || log->state().model.shape != home.model.shape)
    return fail("session {} belongs to another model than this file is now: it was made with {}", name,
                log->state().model_path);
  if (!log->warning().empty()) home.warnings.push_back(log->warning());
  if (auto own = own_segments(home, named, *log); !own) return pass(own);
  auto session = std::make_unique<LoadedSession>(home, log->state().scope());
  session->tokens_ = log->state().tokens;
  session->log_ = std::move(*log);
  session->name_ = name;
  home.open_names.insert(name);
  if (!session->resume_log()) session->begin_step(session->tokens_.size());
  return session;
}

// --- Tokens ---

Result<void> LoadedSession::append(std::span<const TokenId> tokens) {
  for (const TokenId token : tokens) {
    if (token < 0 || token >= home_->vocab_size)
      return fail("token {} is outside the vocabulary of {}", token, home_->vocab_size);
  }
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  if (tokens.size() > 1) text_end_ = tokens_.size();
  // After a long pass what was open before it is further back than windows and recent rows reach.
  if (pending() > kOpenTokens) seal(0);
  if (log_) {
    if (auto logged = log_->append_tokens(tokens); !logged) give_up_log(logged.error());
  }
  return {};
}

void LoadedSession::truncate(size_t count) {
  if (count >= tokens_.size()) return;
  tokens_.resize(count);
  if (log_) {
    if (auto logged = log_->truncate(count); !logged) give_up_log(logged.error());
  }
  // Tokens that were only pending leave the evaluated ones, and the logits after them, as they are.
  if (count >= evaluated()) return;
  wake();
  if (count >= evaluated()) return;  // more was lost
  sequence_->truncate(static_cast<int>(count));
  reused_ = std::min(reused_, evaluated());  // what is found once more counts once
  logits_.clear();
}

size_t LoadedSession::kept_by_truncate(size_t count) const {
  if (count >= evaluated()) return evaluated();
  if (resting_) return std::min(count / kv::kSegmentTokens, resting_->segments) * kv::kSegmentTokens;
  if (evaluated() - count <= static_cast<size_t>(sequence_->tokens_truncatable())) return count;
  return std::min(count / kv::kSegmentTokens, sequence_->segments().size()) * kv::kSegmentTokens;
}

std::vector<float> LoadedSession::embedding() const {
  double squares = 0;
  for (const double sum : state_sums_) squares += sum * sum;
  if (!(squares > 0)) return {};
  std::vector<float> unit;
  for (const double sum : state_sums_) unit.push_back(static_cast<float>(sum / std::sqrt(squares)));
  return unit;
}

Result<void> LoadedSession::repeat_for_bench(size_t period, size_t depth, Repetition how) {
  wake();
  if (period == 0 || period % kv::kBlockTokens != 0 || period > evaluated() || depth < period) {
    return fail("cannot repeat {} tokens to {}: a multiple of {} is needed, all evaluated", period, depth,
                kv::kBlockTokens);
  }
  std::vector<TokenId> repeated = tokens_;
  repeated.resize(period);
  repeated.reserve(depth);
  while (repeated.size() < depth) repeated.push_back(repeated[repeated.size() - period]);
  if (!name_.empty()) return fail("session {} is kept: only an unnamed context can be repeated", name_);
  if (home_->tiers != nullptr && evaluated() > period) sequence_->truncate(static_cast<int>(period));
  if (evaluated() < period) {
    return fail("cannot repeat {} tokens: they end inside a sealed segment of {}, which is not cut", period,
                kv::kSegmentTokens);
  }
  auto done = sequence_->repeat_for_bench(static_cast<int>(period), static_cast<int>(depth),
                                          how == Repetition::kDrawn, repeated);
  if (!done) {
    sequence_->truncate(static_cast<int>(period));
    return pass(done);
  }
  logits_.clear();
  tokens_ = std::move(repeated);
  return {};
}

Result<std::unique_ptr<Session>> LoadedSession::fork() {
  if (!wants_logits()) return fail("a context that is evaluated for its embedding alone is not forked");
  if (home_->tiers == nullptr) return fail("a context can be forked where there is a cold tier");
  if (pending() > 0) return fail("{} tokens of the session are not evaluated yet", pending());
  wake();
  if (pending() > 0) return fail("what the session had on the disk is lost: step it first");
  auto sequence = sequence_->fork();
  if (!sequence) return pass(sequence);
  auto other = std::make_unique<LoadedSession>(*home_, std::move(*sequence));
  other->tokens_ = tokens_;
  other->logits_ = logits_;
  other->reused_ = evaluated();
  other->sparse_ = sparse_;
  return other;
}

// --- What is found instead of computed ---

// The files of the next segments: what is found one after another need not be opened so.
std::vector<kv::Store::FilePtr> LoadedSession::open_ahead(kv::SegmentName parent, size_t begin,
                                                          size_t end) const {
  std::vector<kv::SegmentName> names;
  for (; begin + kv::kSegmentTokens <= end && names.size() < kSegmentsAhead; begin += kv::kSegmentTokens) {
    names.push_back(
        kv::segment_name(home_->model, parent, std::span(tokens_).subspan(begin, kv::kSegmentTokens)));
    parent = names.back();
  }
  std::vector<kv::Store::FilePtr> files;
  for (auto& file : home_->store->open_segments(names)) {
    if (!file) home_->warnings.push_back(file.error().message);
    if (file && *file != nullptr) files.push_back(std::move(*file));
  }
  return files;
}

// The longest run of known segments behind what is sealed, none beyond `end`.
std::vector<kv::SegmentPtr> LoadedSession::find_segments(size_t end) const {
  std::vector<kv::SegmentPtr> found;
  kv::SegmentName parent = sequence_->last_segment();
  std::vector<kv::Store::FilePtr> ahead;  // open until they are found
  size_t next_ahead = kFewSegments;
  for (size_t begin = evaluated(); begin + kv::kSegmentTokens <= end; begin += kv::kSegmentTokens) {
    if (found.size() == next_ahead) {
      ahead = open_ahead(parent, begin, end);
      next_ahead += kSegmentsAhead;
    }
    auto segment = home_->tiers->find(parent, begin, std::span(tokens_).subspan(begin, kv::kSegmentTokens));
    if (segment == nullptr) break;
    parent = segment->name;
    found.push_back(std::move(segment));
  }
  return found;
}

// Where the next segment is not known but the one behind it is (the next one was damaged): a pass that ends
// between them lets the context go on behind it.
size_t LoadedSession::rows_to_next_segment() const {
  constexpr size_t kAny = SIZE_MAX;
  const size_t begin = evaluated(), end = begin + kv::kSegmentTokens;
  if (end + kv::kSegmentTokens >= tokens_.size()) return kAny;
  const auto name_at = [&](const kv::SegmentName& parent, size_t at) {
    return kv::segment_name(home_->model, parent, std::span(tokens_).subspan(at, kv::kSegmentTokens));
  };
  const kv::SegmentName next = name_at(sequence_->last_segment(), begin);
  return home_->store->has(name_at(next, end)) ? size_t{kv::kSegmentTokens} : kAny;
}

// One token is left to compute where nothing else is said: its logits are what a step is for.
size_t LoadedSession::begin_step(size_t end) {
  if (home_->tiers == nullptr || pending() == 0 || !wants_logits()) return SIZE_MAX;
  wake();
  if (is_heard() || sequence_->token_count() != sequence_->sealed_tokens()) return SIZE_MAX;
  std::vector<kv::SegmentPtr> found = find_segments(end);
  const bool known = !found.empty();
  found.resize(home_->tiers->worth_reading(found, home_->seconds_each));
  // What stands at the end of the last one is read now: where it cannot be, one before will do.
  for (; !found.empty(); found.pop_back()) {
    if (home_->tiers->has_boundary(*found.back())) {
      auto attached = sequence_->attach(found);
      if (attached) break;
      home_->warnings.push_back(attached.error().message);
    }
    home_->tiers->let_go(std::move(found.back()));
  }
  reused_ += found.size() * kv::kSegmentTokens;
  if (!found.empty()) logits_.clear();
  return pending() > 0 && !known ? rows_to_next_segment() : SIZE_MAX;
}

void LoadedSession::seal(int keep_open) {
  if (home_->tiers == nullptr || !wants_logits()) return;
  sequence_->seal(tokens_, keep_open, {static_cast<int>(text_end_), home_->seconds_each});
}

void LoadedSession::tell(std::span<const float> rows) const {
  const auto width = static_cast<size_t>(home_->vocab_size);
  const size_t count = rows.size() / width, first = evaluated() - count;
  for (size_t i = 0; i < count; ++i) hear_(first + i, rows.subspan(i * width, width));
}

void LoadedSession::end_step(size_t count) {
  computed_ += count;
  for (size_t i = 0; i < pass_states_.size(); ++i) state_sums_[i] += static_cast<double>(pass_states_[i]);
  if (home_->tiers == nullptr) return;
  seal(pending() > 0 ? 0 : kOpenTokens);
  log_segments();
}

bool LoadedSession::recover() {
  const int damaged = sequence_->damaged_segment();
  if (damaged < 0) return false;
  sequence_->truncate(damaged * kv::kSegmentTokens);
  logits_.clear();
  return true;
}

// --- What is kept ---

// Segments that reached the disk, in order.
void LoadedSession::log_segments() {
  const auto segments = sequence_->segments();
  while (log_ && log_->state().segments.size() < segments.size()) {
    const kv::Segment& next = *segments[log_->state().segments.size()];
    if (!next.written()) return;
    if (auto logged = log_->append_segment(next.name); !logged) give_up_log(logged.error());
  }
}

// The session goes on in memory; what was logged so far stands.
void LoadedSession::give_up_log(const Error& error) {
  home_->warnings.push_back(fmt::format("session {} is not kept any further: {}", name_, error.message));
  log_.reset();
}

Result<void> LoadedSession::set_note(std::string_view key, std::string_view value) {
  if (name_.empty()) return fail("a session without a name keeps no notes");
  if (key == kv::kScopeNote) return fail("the note {} is the session's own", key);
  if (!log_) return {};  // said when it was given up
  return log_->note(key, value);
}

std::string LoadedSession::note(std::string_view key) const {
  if (!log_) return {};
  const auto& notes = log_->state().notes;
  const auto found = notes.find(std::string(key));
  return found == notes.end() ? std::string() : found->second;
}

TierMap LoadedSession::map() const {
  TierMap map;
  map.tokens = evaluated();
  const kv::KvShape& shape = sequence_->shape();
  for (int layer = 0; layer < shape.layers; ++layer) map.layers += shape.window(layer) == 0 ? 1 : 0;
  if (resting_) {
    map.extents.resize(resting_->segments * static_cast<size_t>(map.layers), TierOf::kCold);
    map.heat.resize(map.extents.size());
  }
  for (const kv::SegmentPtr& segment : sequence_->segments()) {
    for (int layer = 0; layer < shape.layers; ++layer) {
      if (shape.window(layer) > 0) continue;
      const kv::Extent& extent = segment->extents[static_cast<size_t>(layer)];
      const bool here = extent.place == kv::Place::kHere;
      map.extents.push_back(!segment->written() ? TierOf::kUnwritten
                            : !here             ? TierOf::kCold
                            : extent.hot        ? TierOf::kHot
                            : extent.staying    ? TierOf::kWarm
                                                : TierOf::kPassing);
      map.heat.push_back(home_->tiers->heat(extent));
    }
  }
  return map;
}

}  // namespace mneme::engine

namespace mneme {

static_assert(kSegmentTokens == kv::kSegmentTokens && ModelInfo::kKvBlockTokens == kv::kBlockTokens);

size_t common_prefix(std::span<const TokenId> one, std::span<const TokenId> other) {
  const auto end = std::mismatch(one.begin(), one.end(), other.begin(), other.end()).first;
  return static_cast<size_t>(end - one.begin());
}

}  // namespace mneme
