// The sessions of a store, by name: SESSIONS/NAME.log and SESSIONS/NAME.tail. Everything here takes the
// folder of Store::sessions_folder(), whose lock the caller holds where he changes something.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kv/session_log.h"

namespace mneme::kv {

// [A-Za-z0-9._-]{1,100}, not beginning with a dot or a dash.
bool is_session_name(std::string_view name);
Result<void> check_session_name(std::string_view name);  // the same with a message

std::string session_log_path(const std::string& sessions_folder, std::string_view name);
std::string session_tail_path(const std::string& sessions_folder, std::string_view name);
// Of the `number`-th context of a process that has no name and rests on the disk. The store removes what an
// earlier process left.
std::string resting_tail_path(const std::string& sessions_folder, uint64_t number);
bool is_resting_tail(std::string_view file_name);
bool session_exists(const std::string& sessions_folder, std::string_view name);

Result<std::vector<std::string>> session_names(const std::string& sessions_folder);  // sorted

struct SessionSummary {
  std::string name;
  std::optional<SessionState> state;  // nothing where the log cannot be read
  std::string error;                  // then why
};
// By name. Reads every log.
Result<std::vector<SessionSummary>> list_sessions(const std::string& sessions_folder);
Result<SessionState> read_session(const std::string& sessions_folder, std::string_view name);

// Segments are shared: only the log is copied (4 bytes a token), the tail is linked. `from` may be in use;
// what it has appended so far is taken. Fails where `to` exists.
Result<void> fork_session(const std::string& sessions_folder, std::string_view from, std::string_view to,
                          Disk& disk = Disk::system());
Result<void> rename_session(const std::string& sessions_folder, std::string_view from, std::string_view to,
                            Disk& disk = Disk::system());
// The log and the tail; segments stay until room is needed or Store::collect_garbage().
Result<void> remove_session(const std::string& sessions_folder, std::string_view name,
                            Disk& disk = Disk::system());

// The tokens that no sealed segment of the state holds.
std::span<const int32_t> tail_tokens(const SessionState& state);
// The KV of the first `count` of tail_tokens(state), up to kSegmentTokens - 1, and what windows hold there:
// what makes a session come back without computing them. Replaces the tail before, and is synced. It stands
// beside the log and may come to be behind it (tokens were appended) or ahead (it was truncated): load_tail
// finds out.
Result<void> save_tail(const std::string& sessions_folder, std::string_view name, const SessionState& state,
                       size_t count, std::span<const PartBytes> parts, Disk& disk = Disk::system());
// The same at any path: `tokens` come after so many segments, of which `parent` is the last.
struct TailPlace {
  const SegmentModel& model;
  SegmentName parent;
  size_t segments = 0;
};
Result<void> save_tail(const std::string& path, const TailPlace& place, std::span<const int32_t> tokens,
                       std::span<const PartBytes> parts, Disk& disk);
// nullptr: none, or it is not of the state's model, last segment and next tokens (its tokens must be a prefix
// of what follows the last segment). An error: damaged, set aside; the caller computes its tokens again.
Result<std::shared_ptr<const SegmentFile>> load_tail(const std::string& sessions_folder,
                                                     std::string_view name, const SessionState& state,
                                                     Disk& disk = Disk::system());
Result<void> remove_tail(const std::string& sessions_folder, std::string_view name,
                         Disk& disk = Disk::system());

}  // namespace mneme::kv
