#include "serve/session_pool.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "core/clock.h"
#include "core/error.h"
#include "mneme/sessions.h"
#include "serve/session_names.h"

namespace mneme::serve {

using core::fail;
using core::pass;

namespace {

// Losing so many tokens hurts nobody: an answer's end, told in other tokens.
constexpr size_t kLittle = 64;
constexpr double kKvShare = 0.75;  // of the KV budget: beyond it idle sessions are dropped

// The prompt's last token is left out: it is evaluated for its logits.
size_t kept_of(const Session& session, std::span<const TokenId> prompt) {
  return common_prefix(session.tokens(), prompt.first(prompt.size() - 1));
}

size_t evaluated(const Session& session) { return session.tokens().size() - session.pending(); }

Error unknown(const std::string& id) { return {"there is no session " + id + ", or it is in use"}; }

}  // namespace

// --- For requests ---

OwnedSession SessionPool::take(const std::string& owner, const std::string& affinity,
                               std::span<const TokenId> prompt) {
  Place best = sessions_.end();
  size_t best_kept = 0, best_common = 0;
  for (Place at = sessions_.begin(); at != sessions_.end(); ++at) {
    if (at->named || !may_see(*at, owner)) continue;
    const size_t common = kept_of(*at->session, prompt);
    const size_t kept = at->session->kept_by_truncate(common);
    const bool related = !affinity.empty() && at->affinity == affinity;
    if (kept == 0 || kept < best_kept) continue;
    if (kept == best_kept && best != sessions_.end() && !related) continue;
    best = at, best_kept = kept, best_common = common;
  }
  OwnedSession own;
  if (best != sessions_.end() && may_cut(*best, best_kept, affinity)) {
    own = take_out(best);
  } else {
    std::unique_ptr<Session> session;
    const bool open_tail = best_kept % kSegmentTokens > 0;  // not found again by itself
    if (best != sessions_.end() && open_tail) session = fork_of(*best->session);
    own = fresh(session ? std::move(session) : engine_->new_session(scope_of(owner)));
  }
  own.session->truncate(best_common);
  own.owner = owner;
  own.affinity = affinity;
  return own;
}

bool SessionPool::may_cut(const OwnedSession& own, size_t kept, const std::string& affinity) const {
  const size_t lost = evaluated(*own.session) - kept;
  if (lost <= kLittle) return true;
  if (own.pinned) return false;
  if (!affinity.empty() && own.affinity == affinity) return true;  // an earlier turn is asked again
  return !engine_->tiers().on && kept >= lost;
}

// Null where the engine cannot. A pending last token is put aside: only evaluated contexts are forked.
std::unique_ptr<Session> SessionPool::fork_of(Session& session) {
  if (!engine_->tiers().on || session.pending() > 1) return nullptr;
  const std::vector<TokenId> pending(session.tokens().end() - static_cast<std::ptrdiff_t>(session.pending()),
                                     session.tokens().end());
  session.truncate(session.tokens().size() - pending.size());
  auto forked = session.fork();
  if (auto appended = session.append(pending); !appended) note(appended.error());
  return forked ? std::move(*forked) : nullptr;
}

Result<OwnedSession> SessionPool::take_named(const std::string& owner, const std::string& name,
                                             std::span<const TokenId> prompt) {
  const auto is_it = [&](const OwnedSession& own) {
    return own.named && own.owner == owner && own.id == name;
  };
  Place at = std::find_if(sessions_.begin(), sessions_.end(), is_it);
  if (at == sessions_.end()) {
    if (auto opened = open(owner, name); !opened) return pass(opened);
    at = std::find_if(sessions_.begin(), sessions_.end(), is_it);
  }
  OwnedSession own = take_out(at);
  own.session->truncate(kept_of(*own.session, prompt));
  return own;
}

void SessionPool::put(OwnedSession own) {
  own.used_s = core::now_s();
  own.resting = false;
  if (own.named) {
    if (auto flushed = own.session->flush(); !flushed) note(flushed.error());
  }
  if (own.session->tokens().empty() && !own.named) return;
  sessions_.push_back(std::move(own));
  keep_bounds();
}

OwnedSession SessionPool::take_out(Place at) {
  OwnedSession own = std::move(*at);
  sessions_.erase(at);
  own.resting = false;
  return own;
}

OwnedSession SessionPool::fresh(std::unique_ptr<Session> session) {
  OwnedSession own;
  own.id = "~" + std::to_string(++made_);
  own.session = std::move(session);
  return own;
}

// --- Bounds ---

SessionPool::Place SessionPool::oldest(bool awake) {
  Place oldest = sessions_.end();
  for (Place at = sessions_.begin(); at != sessions_.end(); ++at) {
    if (at->pinned && !awake) continue;
    if (awake && at->resting) continue;
    const auto key = [](const OwnedSession& own) { return std::pair(own.pinned, own.used_s); };
    if (oldest == sessions_.end() || key(*at) < key(*oldest)) oldest = at;
  }
  return oldest;
}

void SessionPool::keep_bounds() {
  const auto counted = [&](bool awake) {
    return static_cast<size_t>(
        std::count_if(sessions_.begin(), sessions_.end(),
                      [&](const OwnedSession& own) { return awake ? !own.resting : !own.pinned; }));
  };
  while (counted(false) > options_.sessions_max) sessions_.erase(oldest(false));
  // Without a disk behind it some memory stays free for who comes next, but for the sake of the last one.
  const auto kv_idle_max = static_cast<uint64_t>(kKvShare * static_cast<double>(engine_->kv_bytes_max()));
  while (!engine_->tiers().on && engine_->kv_bytes_used() > kv_idle_max && sessions_.size() > 1 &&
         give_room()) {
  }
  while (engine_->tiers().on && counted(true) > options_.awake_max)
    if (!give_room()) break;
}

bool SessionPool::give_room() {
  const Place at = oldest(true);
  if (at == sessions_.end()) return false;
  if (engine_->tiers().on && at->session->demote()) {
    at->resting = true;
    return true;
  }
  if (at->pinned) note({"session " + at->id + " is pinned, but memory is needed: it is dropped"});
  sessions_.erase(at);
  return true;
}

void SessionPool::flush() {
  for (OwnedSession& own : sessions_) {
    if (!own.named || own.resting) continue;
    if (auto flushed = own.session->flush(); !flushed) note(flushed.error());
  }
}

// --- By id ---

Result<OwnedSession*> SessionPool::find(const std::string& owner, const std::string& id) {
  for (OwnedSession& own : sessions_)
    if (own.id == id && own.owner == owner) return &own;
  if (!is_kept(owner, id)) return tl::unexpected(unknown(id));
  return open(owner, id);
}

Result<OwnedSession*> SessionPool::open(const std::string& owner, const std::string& id) {
  if (!engine_->tiers().on)
    return fail("session {}: sessions are kept where there is a cold tier (--cold-dir)", id);
  if (id.starts_with('~')) return fail("session {}: a name does not begin with a tilde", id);
  auto name = kept_name(owner, id);
  if (!name) return pass(name);
  auto session = engine_->open_session(*name, scope_of(owner));
  if (!session) return pass(session);
  OwnedSession own;
  own.id = id;
  own.owner = owner;
  own.named = true;
  own.used_s = core::now_s();
  own.session = std::move(*session);
  return &sessions_.emplace_back(std::move(own));
}

std::vector<SessionState> SessionPool::on_disk(const std::set<std::string>& open) const {
  std::vector<SessionState> found;
  if (!engine_->tiers().on || options_.cold_folder.empty()) return found;
  auto listed = list_sessions(options_.cold_folder);
  if (!listed) return found;
  for (const SessionInfo& info : *listed) {
    const auto parts = parts_of_kept_name(info.name);
    if (!parts || !info.error.empty() || open.contains(info.name)) continue;
    SessionState state;
    state.id = parts->session;
    state.owner = parts->owner;
    state.named = state.resting = true;
    state.tokens = info.tokens;
    state.idle_s = std::max(0.0, static_cast<double>(std::time(nullptr) - info.used_unix_s));
    found.push_back(std::move(state));
  }
  return found;
}

// Whether the folder has it: opening a name that is unknown would make it.
bool SessionPool::is_kept(const std::string& owner, const std::string& id) const {
  const auto named = on_disk({});
  return std::any_of(named.begin(), named.end(),
                     [&](const SessionState& one) { return one.owner == owner && one.id == id; });
}

bool SessionPool::is_here(const std::string& owner, const std::string& id) const {
  return std::any_of(sessions_.begin(), sessions_.end(),
                     [&](const OwnedSession& own) { return own.owner == owner && own.id == id; });
}

Result<std::string> SessionPool::fork(const std::string& owner, const std::string& id,
                                      const std::string& name) {
  if (!engine_->tiers().on) return fail("sessions are forked where there is a cold tier (--cold-dir)");
  if (!name.empty() && (is_here(owner, name) || is_kept(owner, name)))
    return fail("there is a session {} already", name);
  auto found = find(owner, id);
  if (!found) return pass(found);
  OwnedSession& from = **found;
  if (name.empty()) {
    std::unique_ptr<Session> session = fork_of(*from.session);
    if (!session) return fail("session {} is not evaluated to its end: ask something of it first", id);
    OwnedSession own = fresh(std::move(session));
    own.owner = owner;
    const std::string new_id = own.id;
    put(std::move(own));
    return new_id;
  }
  // Under a name: its sealed segments are found again, what comes after them is evaluated when it is used.
  if (auto flushed = from.session->flush(); !flushed) note(flushed.error());
  const std::vector<TokenId> tokens(from.session->tokens().begin(), from.session->tokens().end());
  auto other = open(owner, name);
  if (!other) return pass(other);
  if (auto appended = (*other)->session->append(tokens); !appended) return pass(appended);
  if (auto flushed = (*other)->session->flush(); !flushed) return pass(flushed);
  return name;
}

Result<void> SessionPool::remove(const std::string& owner, const std::string& id) {
  bool was_named = true, was_here = false;
  for (Place at = sessions_.begin(); at != sessions_.end(); ++at) {
    if (at->owner != owner || at->id != id) continue;
    was_named = at->named, was_here = true;
    sessions_.erase(at);
    break;
  }
  if (was_here && !was_named) return {};
  if (!was_here && !is_kept(owner, id)) return tl::unexpected(unknown(id));
  auto name = kept_name(owner, id);
  if (!name) return pass(name);
  return engine_->remove_session(*name);
}

Result<void> SessionPool::export_to(const std::string& owner, const std::string& id,
                                    const std::string& path) {
  if (!engine_->tiers().on || options_.cold_folder.empty())
    return fail("sessions are exported where there is a cold tier (--cold-dir)");
  auto found = find(owner, id);
  if (!found) return pass(found);
  if (!(*found)->named) return fail("session {} has no name: fork it under one, and export that", id);
  if (auto flushed = (*found)->session->flush(); !flushed) return flushed;
  auto name = kept_name(owner, id);
  if (!name) return pass(name);
  auto done = mneme::export_session(options_.cold_folder, *name, path);
  if (!done) return pass(done);
  return {};
}

}  // namespace mneme::serve
