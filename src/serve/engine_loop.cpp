#include "serve/engine_loop.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/clock.h"
#include "core/error.h"
#include "serve/engine_running.h"
#include "serve/session_names.h"

namespace mneme::serve {

namespace {

GenerateReport cancelled_report() {
  GenerateReport report;
  report.reason = StopReason::kCancelled;
  report.complete = false;
  return report;
}

}  // namespace

EngineLoop::EngineLoop(Engine& engine, LoopOptions options)
    : engine_(&engine),
      options_(std::move(options)),
      pool_(engine, options_.pool),
      cost_(engine.info()),
      told_s_(core::now_s()) {}
EngineLoop::~EngineLoop() = default;

void EngineLoop::begin_waiting() {
  end_overdue();
  admit();
  if (core::now_s() - told_s_ >= options_.tell_s) {
    told_s_ = core::now_s();
    waiting_.tell_waiting();
  }
  fill_embeddings();
}

void EngineLoop::pass() {
  step();
  end_embeddings();
}

// --- Beginning ---

void EngineLoop::admit() {
  const auto is_paused = [](const Running& running) { return running.paused; };
  if (std::any_of(running_.begin(), running_.end(), is_paused)) return;  // memory is theirs first
  const auto running_of = [&](const std::string& owner) {
    return static_cast<size_t>(std::count_if(running_.begin(), running_.end(), [&](const Running& running) {
      return running.submission.request.from.owner == owner;
    }));
  };
  while (running_.size() < options_.running_max) {
    auto next = waiting_.take(
        core::now_s(), [&](const Submission& one) { return may_start(one); }, running_of);
    if (!next || !begin(std::move(*next))) return;
  }
}

// Batch work leaves room for others, several answers to a prompt wait for the first to have read it, and a
// named session does one thing at a time.
bool EngineLoop::may_start(const Submission& submission) const {
  const GenerationRequest& request = submission.request;
  if (request.from.priority == Priority::kLow &&
      running_.size() >= std::max<size_t>(1, options_.running_max * 3 / 4))
    return false;
  if (request.beside != 0 && reads_prompt(request.beside)) return false;
  return request.from.session.empty() || !in_use(request.from.owner, request.from.session);
}

// Whether this generation's prompt is still to be evaluated.
bool EngineLoop::reads_prompt(GenerationId id) const {
  if (waiting_.has(id)) return true;
  return std::any_of(running_.begin(), running_.end(), [&](const Running& running) {
    return running.submission.id == id && !running.decodes();
  });
}

bool EngineLoop::in_use(const std::string& owner, const std::string& id) const {
  return std::any_of(running_.begin(), running_.end(), [&](const Running& running) {
    return running.own.owner == owner && running.own.id == id;
  });
}

// Whether there will be memory for the whole context, beside what the others' prompts are yet to take.
bool EngineLoop::fits(const Session& session, size_t tokens) const {
  if (engine_->tiers().on) return true;  // the disk is the limit
  const ModelInfo& info = engine_->info();
  const auto to_come = [&](const Session& one, size_t count) {
    return info.kv_bytes(count) - info.kv_bytes(one.tokens().size() - one.pending());
  };
  uint64_t needed = engine_->kv_bytes_used() + to_come(session, tokens);
  for (const Running& running : running_) {
    const Session& other = *running.own.session;
    if (!running.paused && &other != &session) needed += to_come(other, other.tokens().size());
  }
  return needed <= engine_->kv_bytes_max();
}

// Nothing where the owner has the session already, or may have one more.
std::optional<Failure> EngineLoop::refuse_session(const std::string& owner, const std::string& name,
                                                  uint64_t sessions_max) const {
  if (sessions_max == 0) return std::nullopt;
  uint64_t others = 0;
  for (const SessionState& state : sessions()) {
    if (!state.named || state.owner != owner) continue;
    if (state.id == name) return std::nullopt;
    ++others;
  }
  if (others < sessions_max) return std::nullopt;
  return Failure{FailureKind::kNoSessions,
                 fmt::format("this key may keep no more than {} sessions of a model", sessions_max),
                 0,
                 0,
                 0,
                 "session"};
}

// False where it has to wait for memory.
bool EngineLoop::begin(Submission submission) {
  const GenerationRequest& request = submission.request;
  Running running;
  // A prompt that is scored goes on from nothing: every token of it is evaluated.
  const auto findable =
      std::span(request.prompt).first(request.generate.score_prompt ? 1 : request.prompt.size());
  if (request.from.session.empty()) {
    running.own = pool_.take(request.from.owner, request.from.affinity, findable);
  } else if (const auto refused = refuse_session(request.from.owner, request.from.session,
                                                 request.from.sessions_max)) {
    ++totals_.failures;
    submission.listener->on_failure(*refused);
    return true;
  } else {
    auto own = pool_.take_named(request.from.owner, request.from.session, findable);
    if (!own) {
      ++totals_.failures;
      submission.listener->on_failure({FailureKind::kInvalid, own.error().message, 0, 0, 0, "session"});
      return true;
    }
    running.own = std::move(*own);
  }
  Session& session = *running.own.session;
  while (!fits(session, request.prompt.size()) && pool_.give_room()) {
  }
  if (!fits(session, request.prompt.size())) {
    pool_.put(std::move(running.own));
    if (!has_running()) return refuse_too_long(submission);
    waiting_.push_front(std::move(submission));
    return false;
  }
  running.submission = std::move(submission);
  running.started_s = core::now_s();
  Running& here = running_.emplace_back(std::move(running));
  if (auto begun = begin_generation(here); !begun)
    end_failed(std::prev(running_.end()), {FailureKind::kInvalid, begun.error().message, 0, 0, 0});
  return true;
}

bool EngineLoop::refuse_too_long(const Submission& submission) {
  const uint64_t tokens = submission.request.prompt.size();
  const uint64_t tokens_max = engine_->kv_bytes_max() / std::max<uint64_t>(1, engine_->info().kv_token_bytes);
  ++totals_.failures;
  submission.listener->on_failure({FailureKind::kTooLong,
                                   "the prompt does not fit into the memory for keys and values", tokens,
                                   tokens_max, 0});
  return true;
}

Result<void> EngineLoop::begin_generation(Running& running) {
  const GenerationRequest& request = running.submission.request;
  Session& session = *running.own.session;
  const size_t there = session.tokens().size();
  if (auto appended = session.append(std::span(request.prompt).subspan(there)); !appended) return appended;
  GenerateOptions options = request.generate;
  const uint64_t left = options_.context_tokens_max -
                        std::min<uint64_t>(options_.context_tokens_max, request.prompt.size());
  if (options.tokens_max < 0 || static_cast<uint64_t>(options.tokens_max) > left)
    options.tokens_max = static_cast<int>(std::min<uint64_t>(left, INT32_MAX));
  if (request.warm_only) options.tokens_max = 0;
  GenerationListener* const listener = running.submission.listener.get();
  const size_t prompt_tokens = request.prompt.size();
  GenerateEvents events;
  events.on_prefill = [&running, listener, prompt_tokens](size_t done, size_t total) {
    if (!std::exchange(running.begun, true))
      listener->on_begin(prompt_tokens, prompt_tokens - std::min(prompt_tokens, total));
    listener->on_prefill(done, total);
  };
  events.on_prompt_token = [listener](const DrawnToken& token) { listener->on_prompt_token(token); };
  events.on_token = [listener](const DrawnToken& token) { listener->on_token(token); };
  events.on_text = [listener](std::string_view piece) { listener->on_text(piece); };
  auto generation = Generation::begin(*engine_, session, std::move(options), std::move(events));
  if (!generation) return tl::unexpected(generation.error());
  running.generation = std::move(*generation);
  return {};
}

// --- Ending ---

void EngineLoop::end(std::list<Running>::iterator at) {
  GenerateReport report = at->generation->report();
  const size_t prompt_tokens = at->submission.request.prompt.size();
  report.prompt_tokens = std::min(report.prompt_tokens, prompt_tokens);
  if (at->begun) report.found_tokens = prompt_tokens - report.prompt_tokens;
  totals_.prompt_tokens += report.prompt_tokens + report.found_tokens;
  totals_.found_tokens += report.found_tokens;
  totals_.generated_tokens += report.generated_tokens;
  totals_.cancelled += report.reason == StopReason::kCancelled ? 1 : 0;
  const double service_s = core::now_s() - at->started_s;
  service_s_ = service_s_ > 0 ? 0.9 * service_s_ + 0.1 * service_s : service_s;
  const std::shared_ptr<GenerationListener> listener = at->submission.listener;
  give_back(*at);
  running_.erase(at);
  listener->on_end(report);
}

void EngineLoop::end_failed(std::list<Running>::iterator at, const Failure& failure) {
  ++totals_.failures;
  const std::shared_ptr<GenerationListener> listener = at->submission.listener;
  give_back(*at);
  running_.erase(at);
  listener->on_failure(failure);
}

// Its session goes to the pool: what was evaluated of it may serve the next.
void EngineLoop::give_back(Running& running) {
  ended_since_pause_ = true;
  running.generation.reset();
  pool_.put(std::move(running.own));
}

void EngineLoop::cancel(GenerationId id) {
  if (auto waiting = waiting_.take_out(id)) {
    ++totals_.cancelled;
    waiting->listener->on_end(cancelled_report());
    return;
  }
  for (auto at = running_.begin(); at != running_.end(); ++at) {
    if (at->submission.id != id) continue;
    at->generation->stop(StopReason::kCancelled, "");
    return end(at);
  }
}

void EngineLoop::end_overdue() {
  const double now_s = core::now_s();
  const Failure failure{FailureKind::kOverTime, "the request's time limit has passed", 0, 0, 0};
  for (Submission& overdue : waiting_.take_overdue(now_s)) {
    ++totals_.failures;
    overdue.listener->on_failure(failure);
  }
  for (auto at = running_.begin(); at != running_.end();) {
    const auto now = at++;
    if (now->submission.deadline_s() > now_s) continue;
    now->generation->stop(StopReason::kCancelled, "");
    end_failed(now, failure);
  }
}

void EngineLoop::refuse_waiting() {
  for (Submission& refused : waiting_.take_all()) {
    ++totals_.failures;
    refused.listener->on_failure({FailureKind::kStopping, "the server is stopping", 0, 0, 0});
  }
}

void EngineLoop::cancel_running() {
  while (!running_.empty()) cancel(running_.front().submission.id);
  while (!embeddings_.empty()) {
    end_embedding(embeddings_.begin(),
                  tl::unexpected(Failure{FailureKind::kStopping, "the server is stopping", 0, 0, 0}));
  }
}

// --- Sessions by name ---

Result<void> EngineLoop::check_idle(const std::string& owner, const std::string& id) const {
  if (!in_use(owner, id)) return {};
  return core::fail("session {} is answering: try again when it is done", id);
}

tl::expected<std::string, Failure> EngineLoop::fork(const std::string& owner, const std::string& id,
                                                    const std::string& name, uint64_t sessions_max) {
  const auto refused = name.empty() ? std::nullopt : refuse_session(owner, name, sessions_max);
  if (refused) return tl::unexpected(*refused);
  auto forked = check_idle(owner, id).and_then([&] { return pool_.fork(owner, id, name); });
  if (!forked)
    return tl::unexpected(Failure{.kind = FailureKind::kInvalid, .message = forked.error().message});
  return *forked;
}

// --- Seen from outside ---

BackendState EngineLoop::state() const {
  BackendState state = totals_;
  state.running = running_.size() + embeddings_.size();
  state.waiting = waiting_.size();
  state.kv_bytes_used = engine_->kv_bytes_used();
  state.kv_bytes_max = engine_->kv_bytes_max();
  state.tiers = engine_->tiers();
  return state;
}

std::vector<SessionState> EngineLoop::sessions() const {
  std::vector<SessionState> states;
  std::set<std::string> open;
  const auto add = [&](const OwnedSession& own, bool running) {
    SessionState state;
    state.id = own.id;
    state.owner = own.owner;
    state.affinity = own.affinity;
    state.named = own.named;
    state.running = running;
    state.pinned = own.pinned;
    state.resting = own.resting;
    state.tokens = own.session->tokens().size();
    state.pending = own.session->pending();
    state.idle_s = running ? 0 : core::now_s() - own.used_s;
    states.push_back(std::move(state));
    if (!own.named) return;
    if (const auto name = kept_name(own.owner, own.id)) open.insert(*name);
  };
  for (const Running& running : running_) add(running.own, true);
  for (const OwnedSession& own : pool_.all()) add(own, false);
  for (SessionState& resting : pool_.on_disk(open)) states.push_back(std::move(resting));
  return states;
}

std::vector<std::string> EngineLoop::take_warnings() {
  std::vector<std::string> warnings = engine_->take_warnings();
  for (std::string& one : pool_.take_warnings()) warnings.push_back(std::move(one));
  return warnings;
}

}  // namespace mneme::serve
