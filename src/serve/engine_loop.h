// Continuous batching over one Engine, seen from its thread: generations and embeddings come in, and every
// turn() is one pass of the model over all that decode and as many prompts as there is time for. No locks:
// the Scheduler (scheduler.h) brings requests to this thread and owns it.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mneme/generation.h"
#include "serve/prefill_plan.h"
#include "serve/session_pool.h"
#include "serve/step_cost.h"
#include "serve/waiting_queue.h"

namespace mneme::serve {

struct LoopOptions {
  size_t running_max = 64;  // generations at once, at most 256
  // How long a pass may take while somebody waits for his next token, as well as can be told before; and
  // while nobody does, so that who comes, or goes, need not wait for long.
  double step_s = 0.05, lone_step_s = 0.5;
  double tell_s = 1;  // between two signs of life to those that wait
  uint64_t context_tokens_max = 0;
  PoolOptions pool;
};

using EmbeddingResult = tl::expected<std::vector<std::vector<float>>, Failure>;
struct EmbeddingJob {
  std::vector<std::vector<TokenId>> texts;
  std::function<void(EmbeddingResult)> done;
};

class EngineLoop {
 public:
  EngineLoop(Engine& engine, LoopOptions options);
  ~EngineLoop();

  void submit(Submission submission) { waiting_.push(std::move(submission)); }
  void cancel(GenerationId id);
  void embed(EmbeddingJob job);
  void begin_waiting();  // what may begin
  void pass();           // one, over what has begun
  void turn() { begin_waiting(), pass(); }
  bool has_work() const { return waiting_.size() + running_.size() + embeddings_.size() > 0; }
  bool has_running() const { return running_.size() + embeddings_.size() > 0; }
  // Ends what waits (as kStopping), or what runs (as cancelled).
  void refuse_waiting();
  void cancel_running();

  SessionPool& pool() { return pool_; }
  std::vector<SessionState> sessions() const;
  // An error where a running generation has this session.
  Result<void> check_idle(const std::string& owner, const std::string& id) const;
  // As of Backend::fork_session.
  tl::expected<std::string, Failure> fork(const std::string& owner, const std::string& id,
                                          const std::string& name, uint64_t sessions_max);
  BackendState state() const;
  size_t waiting_tokens() const { return waiting_.tokens(); }
  double service_s() const { return service_s_; }  // of a generation, lately; 0: none has ended
  std::vector<std::string> take_warnings();

 private:
  struct Running;
  struct RunningEmbedding;
  // What a pass is over, in the order of Engine::step.
  struct Batch {
    std::vector<Running*> generations;          // null: of an embedding
    std::vector<RunningEmbedding*> embeddings;  // likewise the other way round
    std::vector<Session*> sessions;
    std::vector<size_t> rows, evaluated;
    StepShape shape;
  };

  // engine_loop.cpp: how things begin and end
  void end_overdue();
  void admit();
  bool may_start(const Submission& submission) const;
  bool in_use(const std::string& owner, const std::string& id) const;
  bool reads_prompt(GenerationId id) const;
  bool begin(Submission submission);
  bool refuse_too_long(const Submission& submission);
  Result<void> begin_generation(Running& running);
  bool fits(const Session& session, size_t tokens) const;
  std::optional<Failure> refuse_session(const std::string& owner, const std::string& name,
                                        uint64_t sessions_max) const;
  void end(std::list<Running>::iterator at);
  void end_failed(std::list<Running>::iterator at, const Failure& failure);
  void give_back(Running& running);

  // engine_step.cpp: passes
  void step();
  void wake_paused();
  Batch compose();
  void add_prompts(Batch& batch);
  void after(const Batch& batch, double seconds);
  void relieve(const Error& error);
  void pause(Running& running);
  void end_newest(const Error& error);

  // engine_embeddings.cpp
  void fill_embeddings();
  void end_embeddings();
  void end_embedding(std::list<RunningEmbedding>::iterator at, EmbeddingResult result);
  bool thin_embeddings(const Error& error);

  Engine* engine_;
  LoopOptions options_;
  SessionPool pool_;
  StepCost cost_;
  WaitingQueue waiting_;
  std::list<Running> running_;  // in the order of their beginning
  std::list<RunningEmbedding> embeddings_;
  uint64_t passes_ = 0;
  double told_s_;  // when those that wait were last told so
  bool ended_since_pause_ = false;
  double service_s_ = 0;
  BackendState totals_;
};

}  // namespace mneme::serve
