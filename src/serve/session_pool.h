// Contexts between two requests. A finished generation leaves its session here, and a request that begins
// with the same tokens goes on from it without anybody asking.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "mneme/engine.h"
#include "serve/backend.h"

namespace mneme::serve {

struct OwnedSession {
  std::string id;  // of a named one its name, else "~" and a number
  std::string owner, affinity;
  bool named = false, pinned = false;
  bool resting = false;  // was sent to the disk, and not asked for since
  double used_s = 0;
  std::unique_ptr<Session> session;
};

struct PoolOptions {
  size_t sessions_max = 64;  // kept here; pinned ones and those of running generations do not count
  size_t awake_max = 16;     // of those with a cold tier: the others rest on the disk
  bool share = false;        // owners find each other's contexts
  std::string cold_folder = {};
};

// Belongs to the engine's thread.
class SessionPool {
 public:
  SessionPool(Engine& engine, PoolOptions options) : engine_(&engine), options_(std::move(options)) {}

  // A session whose tokens begin `prompt` and leave at least one of its tokens to evaluate: of those that the
  // owner may see the one that saves most (of equals that of the same affinity), or a new one.
  //
  // A conversation that shares only its beginning with the prompt (the same system prompt, say) stays as it
  // is: its session is taken where little of it is lost, else forked where that saves more than the sealed
  // segments that the engine finds by itself, else, without a cold tier, taken if half of it is kept.
  OwnedSession take(const std::string& owner, const std::string& affinity, std::span<const TokenId> prompt);
  // The owner's session of this name, opened where it is not here.
  Result<OwnedSession> take_named(const std::string& owner, const std::string& name,
                                  std::span<const TokenId> prompt);
  // After its generation. A named one is flushed.
  void put(OwnedSession own);

  // Gives back memory of the session that was not used for longest, pinned ones last: it is sent to the disk,
  // or dropped. False: there is none.
  bool give_room();
  void flush();  // all named ones
  void clear() { sessions_.clear(); }

  const std::list<OwnedSession>& all() const { return sessions_; }
  // An idle one that there is; of a named one that rests on the disk alone the session is opened. The pool
  // keeps it.
  Result<OwnedSession*> find(const std::string& owner, const std::string& id);
  Result<std::string> fork(const std::string& owner, const std::string& id, const std::string& name);
  Result<void> remove(const std::string& owner, const std::string& id);
  Result<void> export_to(const std::string& owner, const std::string& id, const std::string& path);
  // Those on the disk alone, whose names are not among `open`.
  std::vector<SessionState> on_disk(const std::set<std::string>& open) const;
  size_t count() const { return sessions_.size(); }
  void note(const Error& error) { warnings_.push_back(error.message); }
  std::vector<std::string> take_warnings() { return std::exchange(warnings_, {}); }

 private:
  using Place = std::list<OwnedSession>::iterator;
  bool may_see(const OwnedSession& own, const std::string& owner) const {
    return options_.share || own.owner == owner;
  }
  Result<OwnedSession*> open(const std::string& owner, const std::string& name);
  bool is_here(const std::string& owner, const std::string& id) const;
  bool is_kept(const std::string& owner, const std::string& id) const;
  OwnedSession take_out(Place at);
  OwnedSession fresh(std::unique_ptr<Session> session);
  bool may_cut(const OwnedSession& own, size_t kept, const std::string& affinity) const;
  std::unique_ptr<Session> fork_of(Session& session);
  Place oldest(bool awake);
  void keep_bounds();

  Engine* engine_;
  PoolOptions options_;
  std::list<OwnedSession> sessions_;
  uint64_t made_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace mneme::serve
