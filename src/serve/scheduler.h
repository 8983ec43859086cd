// One loaded model as the protocols ask for it: a Backend whose one engine thread runs an EngineLoop. What
// threads share is here: the inbox, which is bounded, and what the loop last said of itself.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "serve/backend.h"
#include "serve/engine_loop.h"

namespace mneme::serve {

struct SchedulerOptions {
  // What it does
  uint64_t context_tokens_max = 0;  // of prompt and answer; 0: what the memory for keys and values holds
  bool share_prefixes = false;      // owners find each other's contexts
  std::string cold_folder = {};     // that of the engine; empty: it has none
  std::string name = {};            // the model's, to those who ask; empty: the file's own
  // How much
  size_t running_max = 64, waiting_max = 4096;         // generations
  size_t waiting_tokens_max = size_t{32} << 20;        // of all prompts that wait
  size_t idle_sessions_max = 64, idle_awake_max = 16;  // PoolOptions
  // How fast: seconds of a pass while somebody waits for his next token, and while nobody does
  double step_s = 0.05, lone_step_s = 0.5;
  std::function<void(const std::string& warning)> on_warning = {};  // from the engine's thread
};

class Scheduler final : public Backend {
 public:
  Scheduler(std::unique_ptr<Engine> engine, SchedulerOptions options);
  ~Scheduler() override;  // stops at once
  // Takes nothing more, refuses what waits, lets what runs end within the time, cancels the rest, and keeps
  // the sessions.
  void stop(std::chrono::milliseconds within);

  const ModelInfo& info() const override { return info_; }
  const Text& text() const override { return engine_->text(); }
  BackendLimits limits() const override { return {context_tokens_max_}; }
  GenerationId submit(GenerationRequest request, std::shared_ptr<GenerationListener> listener) override;
  void cancel(GenerationId id) override;
  void embed(std::vector<std::vector<TokenId>> texts, std::string owner,
             std::function<void(EmbeddingResult)> done) override;
  BackendState state() const override;
  std::vector<SessionState> sessions() const override;
  Result<TierMap> session_map(const std::string& owner, const std::string& id) override;
  tl::expected<std::string, Failure> fork_session(const std::string& owner, const std::string& id,
                                                  const std::string& name, uint64_t sessions_max) override;
  Result<void> pin_session(const std::string& owner, const std::string& id, bool pinned) override;
  Result<void> remove_session(const std::string& owner, const std::string& id) override;
  Result<void> export_session(const std::string& owner, const std::string& id,
                              const std::string& path) override;

 private:
  using Task = std::function<void(EngineLoop&)>;  // on the engine's thread, between two passes

  void run();
  void publish(const EngineLoop& loop);
  void drain(EngineLoop& loop);
  std::optional<Failure> check(const GenerationRequest& request) const;
  Failure busy_locked() const;
  bool post(Task task) const;  // false: it is stopping
  // Calls on the engine's thread and waits; `stopped` where there is no such thread any more.
  template <class Value>
  Value ask(std::function<Value(EngineLoop&)> question, Value stopped) const;
  template <class Value>
  Result<Value> ask_idle(const std::string& owner, const std::string& id,
                         std::function<Result<Value>(SessionPool&)> question) const;

  std::unique_ptr<Engine> engine_;
  SchedulerOptions options_;
  ModelInfo info_;  // the engine's, under the name that it is served by
  uint64_t context_tokens_max_ = 0;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  // guarded by mutex_:
  mutable std::deque<Task> tasks_;
  size_t submissions_ = 0, submitted_tokens_ = 0;  // among the tasks
  size_t embeddings_ = 0;                          // jobs under way
  GenerationId last_id_ = 0;
  bool stopping_ = false;  // nothing new
  bool ended_ = false;     // the thread takes no tasks any more
  std::chrono::steady_clock::time_point drain_until_ = std::chrono::steady_clock::time_point::min();
  BackendState state_;  // as of the last pass
  size_t waiting_tokens_ = 0;
  double service_s_ = 0;
  uint64_t refused_ = 0;

  std::once_flag joined_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace mneme::serve
