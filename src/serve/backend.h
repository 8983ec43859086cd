// What the protocols ask of a model. One Backend is one loaded model with its engine thread (scheduler.h);
// tests put a scripted one in its place (backend_for_test.h). Thread safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mneme/engine.h"

namespace mneme::serve {

enum class Priority : uint8_t { kHigh, kNormal, kLow };  // low: batch work, warming of caches

// Who asks, and what for.
struct Origin {
  // Whose it is: contexts are found again for the same owner alone, unless sharing is on. Empty: nobody's,
  // that is everybody's (a server without keys).
  std::string owner;
  // Which conversation it belongs to as the client sees it (x-session-id, prompt_cache_key); a hint.
  std::string affinity;
  // A session that is kept under this name in the owner's space, created where there is none. Empty: none.
  std::string session;
  // Limits of the owner's; 0: none.
  uint64_t sessions_max = 0;        // named ones, this one included
  uint64_t context_tokens_max = 0;  // of prompt and answer together, beside the backend's own limit
  Priority priority = Priority::kNormal;
};

// Refers to a generation that was submitted; 0: none.
using GenerationId = uint64_t;

struct GenerationRequest {
  Origin from;
  std::vector<TokenId> prompt;  // at least one token
  GenerateOptions generate;
  double time_limit_s = 0;  // from submission; 0: none
  // Only evaluate the prompt, so that it is found later.
  bool warm_only = false;
  // Another answer to the same prompt: this one waits until that one's prompt is evaluated, and finds it.
  GenerationId beside = 0;
};

// How a request ended without an end of its generation.
enum class FailureKind : uint8_t {
  kInvalid,   // the request cannot be served as it is: `message` says why
  kTooLong,   // the prompt, or prompt and answer, against `tokens_max`
  kBusy,      // queues are full: again in retry_after_s
  kOverTime,  // time_limit_s
  kStopping,  // the server is being stopped
  kInternal,
  kNoModel,     // there is none of the name
  kNoSessions,  // the owner may keep no more of them
};
struct Failure {
  FailureKind kind = FailureKind::kInternal;
  std::string message;
  uint64_t tokens = 0, tokens_max = 0;  // kTooLong
  double retry_after_s = 0;             // kBusy
  std::string param = {};               // kInvalid: the request's field that is wrong; may be empty
};

// What happens to one generation, in this order: on_prefill* (now and then while it waits for its turn, with
// nothing done), on_begin, (on_prefill, on_prompt_token*)*, (on_token, on_text)*, then one of on_end and
// on_failure, which may also come alone. Called on the engine's thread: quick, no blocking.
class GenerationListener {
 public:
  virtual ~GenerationListener() = default;
  // `found`: tokens of the prompt that need no computing.
  virtual void on_begin(size_t prompt_tokens, size_t found) { (void)prompt_tokens, (void)found; }
  virtual void on_prefill(size_t done, size_t total) { (void)done, (void)total; }
  // Where score_prompt: of every token but the first.
  virtual void on_prompt_token(const DrawnToken& token) { (void)token; }
  virtual void on_token(const DrawnToken& token) { (void)token; }
  virtual void on_text(std::string_view piece) = 0;
  virtual void on_end(const GenerateReport& report) = 0;
  virtual void on_failure(const Failure& failure) = 0;
};

struct BackendLimits {
  uint64_t context_tokens_max = 0;  // of prompt and answer together
};

class ConstraintCache;  // constraint_cache.h
std::shared_ptr<ConstraintCache> make_constraint_cache();

// Seen from outside, for /health, /props, /metrics and mneme top.
struct BackendState {
  size_t running = 0, waiting = 0;  // generations
  uint64_t requests = 0, failures = 0, cancelled = 0;
  uint64_t prompt_tokens = 0, found_tokens = 0, generated_tokens = 0;  // so far
  double prefill_s = 0, decode_s = 0;                                  // busy with
  uint64_t kv_bytes_used = 0, kv_bytes_max = 0;
  TierReport tiers;
};
struct SessionState {
  std::string id;  // stable while it lives; of a named one its name
  std::string owner, affinity;
  bool named = false, running = false, pinned = false, resting = false;  // resting: on the disk alone
  size_t tokens = 0, pending = 0;
  double idle_s = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const ModelInfo& info() const = 0;
  virtual const Text& text() const = 0;
  virtual BackendLimits limits() const = 0;
  ConstraintCache& constraints() { return *constraints_; }

  // The listener hears of everything else, failures too, even before this returns.
  virtual GenerationId submit(GenerationRequest request, std::shared_ptr<GenerationListener> listener) = 0;
  // Within one step; the listener hears on_end with kCancelled. Unknown or ended: nothing.
  virtual void cancel(GenerationId id) = 0;

  // One vector for each text's tokens, [dim], of length 1: the mean of the last layer's normed states. Called
  // back on the engine's thread.
  virtual void embed(std::vector<std::vector<TokenId>> texts, std::string owner,
                     std::function<void(tl::expected<std::vector<std::vector<float>>, Failure>)> done) = 0;

  virtual BackendState state() const = 0;
  virtual std::vector<SessionState> sessions() const = 0;
  // Of a session that is idle; each waits for the engine's thread. `owner` as above.
  virtual Result<TierMap> session_map(const std::string& owner, const std::string& id) = 0;
  // The new one's id. With a name it counts among the named ones that the owner may have; `sessions_max` 0:
  // no limit.
  virtual tl::expected<std::string, Failure> fork_session(const std::string& owner, const std::string& id,
                                                          const std::string& name, uint64_t sessions_max) = 0;
  virtual Result<void> pin_session(const std::string& owner, const std::string& id, bool pinned) = 0;
  virtual Result<void> remove_session(const std::string& owner, const std::string& id) = 0;
  // To a file in the format of `mneme session export`; the caller removes it.
  virtual Result<void> export_session(const std::string& owner, const std::string& id,
                                      const std::string& path) = 0;

 private:
  std::shared_ptr<ConstraintCache> constraints_ = make_constraint_cache();
};

}  // namespace mneme::serve
