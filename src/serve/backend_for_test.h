// A Backend that answers from a script, token by token on a thread of its own, and remembers what it was
// asked. Generations take turns, a token each.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "serve/backend.h"
#include "serve/byte_text_for_test.h"

namespace mneme::serve {

class ScriptedBackend final : public Backend {
 public:
  explicit ScriptedBackend(std::string answer = "Hello!", std::shared_ptr<const Text> text = nullptr)
      : text_(text ? std::move(text) : std::make_shared<ByteText>()), answer_(std::move(answer)) {
    info_.name = "scripted";
    info_.path = "scripted.gguf";
    info_.architecture = "none";
    info_.vocab_size = text_->vocab_size();
    info_.context_length = 4096;
    info_.dim = 4;
    thread_ = std::thread([this] { run(); });
  }
  ~ScriptedBackend() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  // --- The script ---

  // What every generation says; special tokens written in it are tokens. The end token follows by itself.
  void set_answer(std::string answer) {
    locked([&] { answer_ = std::move(answer); });
  }
  // What the next generations say, one each, before answers come from set_answer() again.
  void push_answer(std::string answer) {
    locked([&] { answers_.push_back(std::move(answer)); });
  }
  // The next generations (or embeddings) fail; `after` tokens, 0: before on_begin.
  void push_failure(Failure failure, size_t after = 0) {
    locked([&] { failures_.push_back({std::move(failure), after}); });
  }
  void set_found(size_t tokens) {
    locked([&] { found_ = tokens; });
  }
  // Prompts are read so many tokens a pass; 0: at once.
  void set_prefill_rows(size_t rows) {
    locked([&] { prefill_rows_ = rows; });
  }
  // Reported as the reason instead of kEnd.
  void set_end(StopReason reason, std::string message = "") {
    locked([&] {
      end_ = reason;
      end_message_ = std::move(message);
    });
  }
  void set_token_time(std::chrono::milliseconds time) {
    locked([&] { token_time_ = time; });
  }
  // No generation says anything while held (nor ends, nor fails).
  void set_held(bool held) {
    locked([&] { held_ = held; });
  }
  void set_limits(BackendLimits limits) {
    locked([&] { limits_ = limits; });
  }

  // --- What was asked ---

  std::vector<GenerationRequest> requests() const {
    std::lock_guard lock(mutex_);
    return requests_;
  }
  std::string last_prompt() const {
    std::lock_guard lock(mutex_);
    return requests_.empty() ? "" : text_->decode(requests_.back().prompt, true);
  }
  std::vector<GenerationId> cancelled() const {
    std::lock_guard lock(mutex_);
    return cancelled_;
  }
  std::vector<std::vector<std::vector<TokenId>>> embeddings() const {
    std::lock_guard lock(mutex_);
    return embeddings_;
  }
  // Waits until nothing runs; false after `time`.
  bool wait_until_idle(std::chrono::milliseconds time = std::chrono::seconds(10)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [&] { return jobs_.empty() && calls_.empty() && !busy_; });
  }

  // --- Backend ---

  const ModelInfo& info() const override { return info_; }
  const Text& text() const override { return *text_; }
  BackendLimits limits() const override {
    std::lock_guard lock(mutex_);
    return limits_;
  }
  GenerationId submit(GenerationRequest request, std::shared_ptr<GenerationListener> listener) override {
    GenerationId id = 0;
    locked([&] {
      id = ++submitted_;
      Job job;
      job.id = id;
      job.listener = std::move(listener);
      std::string answer = answer_;
      if (!answers_.empty()) {
        answer = std::move(answers_.front());
        answers_.pop_front();
      }
      if (!failures_.empty()) {
        job.failure = std::move(failures_.front());
        failures_.pop_front();
      }
      job.script = text_->encode(answer, {.add_bos_eos = false});
      job.stream = text_->stream(false);
      if (request.generate.constraint) job.guide = request.generate.constraint->guide();
      job.request = request;
      requests_.push_back(std::move(request));
      jobs_.push_back(std::move(job));
    });
    return id;
  }
  void cancel(GenerationId id) override {
    locked([&] { cancelled_.push_back(id); });
  }
  void embed(std::vector<std::vector<TokenId>> texts, std::string,
             std::function<void(tl::expected<std::vector<std::vector<float>>, Failure>)> done) override {
    locked([&] {
      embeddings_.push_back(texts);
      std::optional<Failure> failure;
      if (!failures_.empty()) {
        failure = std::move(failures_.front().failure);
        failures_.pop_front();
      }
      calls_.push_back([texts = std::move(texts), done = std::move(done), failure] {
        if (failure) return done(tl::unexpected(*failure));
        std::vector<std::vector<float>> vectors;
        for (const auto& tokens : texts) {  // unit vectors that tell lengths apart
          vectors.push_back({0, 0, 0, 0});
          vectors.back()[tokens.size() % 4] = 1;
        }
        done(std::move(vectors));
      });
    });
  }
  BackendState state() const override {
    std::lock_guard lock(mutex_);
    BackendState state;
    state.running = jobs_.size();
    state.requests = submitted_;
    state.cancelled = cancelled_.size();
    return state;
  }
  std::vector<SessionState> sessions() const override {
    std::lock_guard lock(mutex_);
    return sessions_;
  }
  void set_sessions(std::vector<SessionState> sessions) {
    locked([&] { sessions_ = std::move(sessions); });
  }
  Result<TierMap> session_map(const std::string& owner, const std::string& id) override {
    auto found = find(owner, id);
    if (!found) return tl::unexpected(found.error());
    TierMap map;
    map.layers = 1;
    map.tokens = found->tokens;
    map.extents.assign(found->tokens / map.segment_tokens, TierOf::kHot);
    map.heat.assign(map.extents.size(), 1.0f);
    return map;
  }
  tl::expected<std::string, Failure> fork_session(const std::string& owner, const std::string& id,
                                                  const std::string& name, uint64_t sessions_max) override {
    auto found = find(owner, id);
    if (!found)
      return tl::unexpected(Failure{.kind = FailureKind::kInvalid, .message = found.error().message});
    uint64_t named = 0;
    for (const SessionState& session : sessions()) named += session.named && session.owner == owner;
    if (!name.empty() && sessions_max > 0 && named >= sessions_max)
      return tl::unexpected(Failure{.kind = FailureKind::kNoSessions, .message = "no more"});
    SessionState other = *found;
    other.id = name.empty() ? id + "-fork" : name;
    other.named = !name.empty();
    locked([&] { sessions_.push_back(other); });
    return other.id;
  }
  Result<void> pin_session(const std::string& owner, const std::string& id, bool pinned) override {
    return change(owner, id, [&](auto at) { at->pinned = pinned; });
  }
  Result<void> remove_session(const std::string& owner, const std::string& id) override {
    return change(owner, id, [&](auto at) { sessions_.erase(at); });
  }
  Result<void> export_session(const std::string& owner, const std::string& id,
                              const std::string& path) override {
    auto found = find(owner, id);
    if (!found) return tl::unexpected(found.error());
    std::ofstream file(path, std::ios::binary);
    file << "session " << id;
    if (!file.flush()) return tl::unexpected(Error{"cannot write " + path});
    return {};
  }

 private:
  struct ScriptedFailure {
    Failure failure;
    size_t after = 0;
  };
  struct Job {
    GenerationId id = 0;
    GenerationRequest request;
    std::shared_ptr<GenerationListener> listener;
    std::vector<TokenId> script;
    std::unique_ptr<Text::Stream> stream;
    std::optional<grammar::Guide> guide;
    std::optional<ScriptedFailure> failure;
    bool begun = false, stopped = false;
    std::string unseen;  // held back: may be the beginning of a stop text
    GenerateReport report;
  };

  template <class Change>
  void locked(Change change) {
    {
      std::lock_guard lock(mutex_);
      change();
    }
    changed_.notify_all();
  }
  Result<SessionState> find(const std::string& owner, const std::string& id) const {
    std::lock_guard lock(mutex_);
    for (const SessionState& session : sessions_)
      if (session.id == id && session.owner == owner) return session;
    return tl::unexpected(Error{"there is no session " + id});
  }
  template <class Change>
  Result<void> change(const std::string& owner, const std::string& id, Change change) {
    std::lock_guard lock(mutex_);
    const auto at = std::find_if(sessions_.begin(), sessions_.end(), [&](const SessionState& session) {
      return session.id == id && session.owner == owner;
    });
    if (at == sessions_.end()) return tl::unexpected(Error{"there is no session " + id});
    change(at);
    return {};
  }

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock,
                    [&] { return stopping_ || !calls_.empty() || (!held_ && !jobs_.empty()) || cut(); });
      if (stopping_) break;
      busy_ = true;
      std::vector<std::function<void()>> calls = std::exchange(calls_, {});
      std::list<Job> now;
      now.splice(now.end(), jobs_);
      const auto cancelled = cancelled_;
      const auto time = token_time_;
      const bool held = held_;
      lock.unlock();
      for (const auto& call : calls) call();
      for (auto job = now.begin(); job != now.end();) {
        const bool gone = std::find(cancelled.begin(), cancelled.end(), job->id) != cancelled.end();
        job = (gone || !held) && !turn(*job, gone) ? now.erase(job) : std::next(job);
      }
      if (time.count() > 0) std::this_thread::sleep_for(time);
      lock.lock();
      jobs_.splice(jobs_.begin(), now);
      busy_ = false;
      changed_.notify_all();
    }
    std::list<Job> left;
    left.splice(left.end(), jobs_);
    lock.unlock();
    for (Job& job : left)
      job.listener->on_failure({FailureKind::kStopping, "the server is stopping", 0, 0, 0});
  }
  bool cut() const {
    return std::any_of(jobs_.begin(), jobs_.end(), [&](const Job& job) {
      return std::find(cancelled_.begin(), cancelled_.end(), job.id) != cancelled_.end();
    });
  }

  // False once it has ended.
  bool turn(Job& job, bool cancelled) {
    if (job.failure && job.report.generated_tokens >= job.failure->after) {
      job.listener->on_failure(job.failure->failure);
      return false;
    }
    if (cancelled) return end(job, StopReason::kCancelled);
    if (!job.begun) begin(job);
    const int tokens_max = job.request.generate.tokens_max;
    const size_t at = job.report.generated_tokens;
    if (job.request.warm_only || (tokens_max >= 0 && at >= static_cast<size_t>(tokens_max)))
      return end(job, StopReason::kLength);
    const TokenId token = at < job.script.size() ? job.script[at] : ByteText::kEndToken;
    if (job.guide && !job.guide->accept(token)) {
      if (job.guide->finished()) return end(job, StopReason::kEnd);
      job.report.message = "no token that the grammar allows here may be drawn";
      return end(job, StopReason::kNoToken);
    }
    ++job.report.generated_tokens;
    if (job.request.generate.top_logprobs >= 0)
      job.listener->on_token(drawn(job, token, job.report.generated_tokens));
    if (text_->is_end_of_generation(token)) return end(job, end_reason());
    return say(job, job.stream->push(token)) || end(job, StopReason::kStopText);
  }
  void begin(Job& job) {
    job.begun = true;
    const size_t tokens = job.request.prompt.size();
    size_t found = 0, pass = 0;
    locked([&] {
      found = std::min(found_, tokens);
      pass = prefill_rows_ > 0 ? prefill_rows_ : tokens;
    });
    job.report.prompt_tokens = tokens - found;
    job.report.found_tokens = found;
    job.listener->on_begin(tokens, found);
    for (size_t done = 0; done < tokens - found;) {
      done = std::min(done + pass, tokens - found);
      job.listener->on_prefill(done, tokens - found);
    }
    for (size_t i = 1; i < tokens && job.request.generate.score_prompt; ++i)
      job.listener->on_prompt_token(drawn(job, job.request.prompt[i], i));
  }
  StopReason end_reason() {
    std::lock_guard lock(mutex_);
    return end_;
  }
  // False at a stop text; what may begin one is held back.
  bool say(Job& job, const std::string& piece) {
    job.unseen += piece;
    size_t keep = 0;
    for (const std::string& stop : job.request.generate.stop) {
      if (const size_t at = job.unseen.find(stop); at != std::string::npos) {
        show(job, at);
        job.unseen.clear();
        job.report.stop_text = stop;
        return false;
      }
      for (size_t n = std::min(stop.size(), job.unseen.size()); n > keep; --n)
        if (job.unseen.ends_with(stop.substr(0, n))) keep = n;
    }
    show(job, job.unseen.size() - keep);
    return true;
  }
  void show(Job& job, size_t count) {
    if (count == 0) return;
    job.report.text += job.unseen.substr(0, count);
    job.listener->on_text(job.unseen.substr(0, count));
    job.unseen.erase(0, count);
  }
  bool end(Job& job, StopReason reason) {
    if (reason != StopReason::kStopText) show(job, job.unseen.size());
    job.report.reason = reason;
    job.report.complete = !job.guide || job.guide->complete();
    if (job.report.message.empty()) {
      std::lock_guard lock(mutex_);
      job.report.message = reason == end_ ? end_message_ : "";
    }
    const size_t generated = job.report.generated_tokens;
    job.report.decode_s = 0.001 * static_cast<double>(generated - std::min<size_t>(generated, 1));
    job.report.prefill_s = 0.001 * static_cast<double>(job.report.prompt_tokens);
    job.listener->on_end(job.report);
    return false;
  }
  // Log probabilities that follow from the token's place: -1/2, -1, -3/2, -2, -1/2, ...
  DrawnToken drawn(const Job& job, TokenId token, size_t place) const {
    DrawnToken drawn;
    drawn.token = token;
    drawn.bytes = text_->decode({&token, 1}, false);
    drawn.logprob = -0.5f * static_cast<float>((place - 1) % 4 + 1);
    for (int i = 0; i < job.request.generate.top_logprobs; ++i) {
      const TokenId other = i == 0 ? token : static_cast<TokenId>('a' + i);
      drawn.top.push_back({other, text_->decode({&other, 1}, false), drawn.logprob - static_cast<float>(i)});
    }
    return drawn;
  }

  ModelInfo info_;
  std::shared_ptr<const Text> text_;
  std::thread thread_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // guarded by mutex_:
  std::string answer_, end_message_;
  std::deque<std::string> answers_;
  std::deque<ScriptedFailure> failures_;
  StopReason end_ = StopReason::kEnd;
  std::chrono::milliseconds token_time_{0};
  size_t found_ = 0, prefill_rows_ = 0;
  BackendLimits limits_{4096};
  std::vector<GenerationRequest> requests_;
  std::vector<GenerationId> cancelled_;
  std::vector<std::vector<std::vector<TokenId>>> embeddings_;
  std::vector<SessionState> sessions_;
  std::vector<std::function<void()>> calls_;
  std::list<Job> jobs_;
  GenerationId submitted_ = 0;
  bool held_ = false, busy_ = false, stopping_ = false;
};

}  // namespace mneme::serve
