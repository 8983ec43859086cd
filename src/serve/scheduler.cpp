#include "serve/scheduler.h"

#include <algorithm>
#include <future>
#include <optional>
#include <utility>

#include "core/clock.h"
#include "core/error.h"

namespace mneme::serve {

using core::fail;

namespace {

uint64_t context_limit(const Engine& engine, const SchedulerOptions& options) {
  if (options.context_tokens_max > 0) return options.context_tokens_max;
  constexpr uint64_t kWithDisk = uint64_t{1} << 24;
  const uint64_t token_bytes = engine.info().kv_token_bytes;
  if (engine.tiers().on || token_bytes == 0) return kWithDisk;
  constexpr uint64_t kBlock = ModelInfo::kKvBlockTokens;
  const uint64_t tokens = engine.kv_bytes_max() / token_bytes / kBlock * kBlock;
  return std::clamp<uint64_t>(tokens, 1, kWithDisk);
}

LoopOptions loop_options(const SchedulerOptions& options, uint64_t context_tokens_max) {
  LoopOptions loop;
  loop.running_max = std::clamp<size_t>(options.running_max, 1, 256);
  loop.step_s = options.step_s;
  loop.lone_step_s = options.lone_step_s;
  loop.context_tokens_max = context_tokens_max;
  loop.pool = {options.idle_sessions_max, options.idle_awake_max, options.share_prefixes,
               options.cold_folder};
  return loop;
}

const Failure kStopped{FailureKind::kStopping, "the server is stopping", 0, 0, 0};

Error stopped_error() { return {kStopped.message}; }

}  // namespace

Scheduler::Scheduler(std::unique_ptr<Engine> engine, SchedulerOptions options)
    : engine_(std::move(engine)),
      options_(std::move(options)),
      info_(engine_->info()),
      context_tokens_max_(context_limit(*engine_, options_)) {
  if (!options_.name.empty()) info_.name = options_.name;
  state_.kv_bytes_max = engine_->kv_bytes_max();
  state_.tiers = engine_->tiers();
  thread_ = std::thread([this] { run(); });
}

Scheduler::~Scheduler() { stop(std::chrono::milliseconds(0)); }

void Scheduler::stop(std::chrono::milliseconds within) {
  {
    std::lock_guard lock(mutex_);
    if (!stopping_) drain_until_ = std::chrono::steady_clock::now() + within;
    stopping_ = true;
  }
  changed_.notify_all();
  std::call_once(joined_, [this] { thread_.join(); });
}

// --- The engine's thread ---

void Scheduler::run() {
  EngineLoop loop(*engine_, loop_options(options_, context_tokens_max_));
  for (;;) {
    std::deque<Task> tasks;
    bool stopping = false;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !tasks_.empty() || loop.has_work(); });
      tasks.swap(tasks_);
      state_.waiting += std::exchange(submissions_, 0);
      waiting_tokens_ += std::exchange(submitted_tokens_, 0);
      stopping = stopping_;
    }
    for (const Task& task : tasks) task(loop);
    if (stopping) break;
    loop.begin_waiting();
    publish(loop);
    loop.pass();
    publish(loop);
    for (const std::string& warning : loop.take_warnings())
      if (options_.on_warning) options_.on_warning(warning);
  }
  drain(loop);
}

void Scheduler::publish(const EngineLoop& loop) {
  const BackendState state = loop.state();
  std::lock_guard lock(mutex_);
  state_ = state;
  waiting_tokens_ = loop.waiting_tokens();
  service_s_ = loop.service_s();
}

void Scheduler::drain(EngineLoop& loop) {
  loop.refuse_waiting();
  const auto take_tasks = [&] {
    std::lock_guard lock(mutex_);
    if (!loop.has_running()) ended_ = true;
    return std::exchange(tasks_, {});
  };
  for (bool more = true; more;) {
    if (std::chrono::steady_clock::now() >= drain_until_) loop.cancel_running();
    if (loop.has_running()) loop.turn();
    more = loop.has_running();
    for (const Task& task : take_tasks()) task(loop);
    loop.refuse_waiting();
  }
  for (const Task& task : take_tasks()) task(loop);
  loop.refuse_waiting();
  loop.cancel_running();
  loop.pool().flush();
  const BackendState last = loop.state();
  loop.pool().clear();
  for (const std::string& warning : loop.take_warnings())
    if (options_.on_warning) options_.on_warning(warning);
  std::lock_guard lock(mutex_);
  state_ = last;
}

bool Scheduler::post(Task task) const {
  {
    std::lock_guard lock(mutex_);
    if (ended_) return false;
    tasks_.push_back(std::move(task));
  }
  changed_.notify_all();
  return true;
}

// --- Requests ---

std::optional<Failure> Scheduler::check(const GenerationRequest& request) const {
  if (request.prompt.empty()) return Failure{FailureKind::kInvalid, "the prompt has no tokens", 0, 0, 0};
  const size_t tokens = request.prompt.size();
  if (tokens < context_tokens_max_) return std::nullopt;
  return Failure{FailureKind::kTooLong,
                 fmt::format("the prompt has {} tokens, at most {} are possible with room for an answer",
                             tokens, context_tokens_max_ - 1),
                 tokens, context_tokens_max_, 0};
}

// After as long as it takes until what waits has found a place, at the speed of late.
Failure Scheduler::busy_locked() const {
  constexpr double kLeastS = 1, kMostS = 120;
  const double waiting = static_cast<double>(state_.waiting + submissions_ + 1);
  const double seconds = service_s_ * waiting /
                         static_cast<double>(std::max<size_t>(1, options_.running_max));
  return {FailureKind::kBusy, "too many requests are waiting", 0, 0, std::clamp(seconds, kLeastS, kMostS)};
}

GenerationId Scheduler::submit(GenerationRequest request, std::shared_ptr<GenerationListener> listener) {
  std::optional<Failure> failure = check(request);
  const size_t tokens = request.prompt.size();
  GenerationId id = 0;
  {
    std::lock_guard lock(mutex_);
    if (!failure && stopping_) failure = kStopped;
    const bool full = submissions_ + state_.waiting >= options_.waiting_max ||
                      (submissions_ + state_.waiting > 0 &&
                       submitted_tokens_ + waiting_tokens_ + tokens > options_.waiting_tokens_max);
    if (!failure && full) failure = busy_locked();
    if (!failure) {
      id = ++last_id_;
      ++submissions_;
      submitted_tokens_ += tokens;
      // std::function wants what can be copied.
      auto submission = std::make_shared<Submission>(
          Submission{id, std::move(request), listener, core::now_s()});
      tasks_.push_back([submission](EngineLoop& loop) { loop.submit(std::move(*submission)); });
    } else {
      ++refused_;
    }
  }
  if (failure) {
    listener->on_failure(*failure);
    return 0;
  }
  changed_.notify_all();
  return id;
}

void Scheduler::cancel(GenerationId id) {
  if (id != 0) post([id](EngineLoop& loop) { loop.cancel(id); });
}

void Scheduler::embed(std::vector<std::vector<TokenId>> texts, std::string owner,
                      std::function<void(EmbeddingResult)> done) {
  (void)owner;  // nothing of an embedding is found again by anybody
  std::optional<Failure> failure;
  for (const auto& tokens : texts) {
    if (tokens.empty())
      failure = Failure{FailureKind::kInvalid, "a text without tokens has no embedding", 0, 0, 0};
    if (tokens.size() > context_tokens_max_) {
      failure = Failure{
          FailureKind::kTooLong,
          fmt::format("a text has {} tokens, at most {} are possible", tokens.size(), context_tokens_max_),
          tokens.size(), context_tokens_max_, 0};
    }
  }
  {
    std::lock_guard lock(mutex_);
    if (!failure && stopping_) failure = kStopped;
    if (!failure && embeddings_ >= options_.waiting_max) failure = busy_locked();
    if (!failure)
      ++embeddings_;
    else
      ++refused_;
  }
  if (failure) return done(tl::unexpected(*failure));
  auto counted = [this, done](EmbeddingResult result) {
    {
      std::lock_guard lock(mutex_);
      --embeddings_;
    }
    done(std::move(result));
  };
  auto job = std::make_shared<EmbeddingJob>(EmbeddingJob{std::move(texts), std::move(counted)});
  if (!post([job](EngineLoop& loop) { loop.embed(std::move(*job)); })) job->done(tl::unexpected(kStopped));
}

// --- Seen from outside ---

BackendState Scheduler::state() const {
  std::lock_guard lock(mutex_);
  BackendState state = state_;
  state.waiting += submissions_;
  state.requests = last_id_ + refused_;
  state.failures += refused_;
  return state;
}

template <class Value>
Value Scheduler::ask(std::function<Value(EngineLoop&)> question, Value stopped) const {
  auto answer = std::make_shared<std::promise<Value>>();
  auto future = answer->get_future();
  if (!post(
          [answer, question = std::move(question)](EngineLoop& loop) { answer->set_value(question(loop)); }))
    return stopped;
  return future.get();
}

template <class Value>
Result<Value> Scheduler::ask_idle(const std::string& owner, const std::string& id,
                                  std::function<Result<Value>(SessionPool&)> question) const {
  std::function<Result<Value>(EngineLoop&)> guarded = [owner, id,
                                                       question](EngineLoop& loop) -> Result<Value> {
    if (auto idle = loop.check_idle(owner, id); !idle) return core::pass(idle);
    return question(loop.pool());
  };
  return ask<Result<Value>>(std::move(guarded), tl::unexpected(stopped_error()));
}

std::vector<SessionState> Scheduler::sessions() const {
  std::function<std::vector<SessionState>(EngineLoop&)> list = [](EngineLoop& loop) {
    return loop.sessions();
  };
  return ask<std::vector<SessionState>>(std::move(list), {});
}

Result<TierMap> Scheduler::session_map(const std::string& owner, const std::string& id) {
  return ask_idle<TierMap>(owner, id, [owner, id](SessionPool& pool) -> Result<TierMap> {
    auto found = pool.find(owner, id);
    if (!found) return tl::unexpected(found.error());
    return (*found)->session->map();
  });
}

tl::expected<std::string, Failure> Scheduler::fork_session(const std::string& owner, const std::string& id,
                                                           const std::string& name, uint64_t sessions_max) {
  using Forked = tl::expected<std::string, Failure>;
  std::function<Forked(EngineLoop&)> fork = [=](EngineLoop& loop) {
    return loop.fork(owner, id, name, sessions_max);
  };
  return ask<Forked>(std::move(fork), tl::unexpected(kStopped));
}

Result<void> Scheduler::pin_session(const std::string& owner, const std::string& id, bool pinned) {
  return ask_idle<void>(owner, id, [owner, id, pinned](SessionPool& pool) -> Result<void> {
    auto found = pool.find(owner, id);
    if (!found) return tl::unexpected(found.error());
    (*found)->pinned = pinned;
    return {};
  });
}

Result<void> Scheduler::remove_session(const std::string& owner, const std::string& id) {
  return ask_idle<void>(owner, id, [owner, id](SessionPool& pool) { return pool.remove(owner, id); });
}

Result<void> Scheduler::export_session(const std::string& owner, const std::string& id,
                                       const std::string& path) {
  return ask_idle<void>(owner, id,
                        [owner, id, path](SessionPool& pool) { return pool.export_to(owner, id, path); });
}

}  // namespace mneme::serve
