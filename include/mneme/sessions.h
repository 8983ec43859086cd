// The cold tier seen without a model: the sessions that are kept in a folder.
//
// Reading needs no lock and may go on beside a running engine; what changes something (fork, import, remove,
// collect) takes the folder's lock, and fails where an engine has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mneme/result.h"

namespace mneme {

// MNEME_HOME, or ~/.local/share/mneme; then /store.
std::string default_cold_folder();

struct SessionInfo {
  std::string name;
  std::string model_path;  // where its model was when it was created
  std::string model_id;    // 32 hex digits; equal models have equal ids
  uint64_t tokens = 0;
  uint64_t segments = 0;          // sealed, 256 tokens each
  uint64_t segments_missing = 0;  // of those: removed to make room, or damaged; computed again when needed
  // mneme run is under way, or was killed: the next one takes back what it added, so many tokens.
  uint64_t tokens_unfinished = 0;
  bool has_tail = false;  // the tokens after the last segment need no computing
  uint64_t bytes = 0;     // of its files; segments may be shared with others
  int64_t created_unix_s = 0, used_unix_s = 0;
  std::string error;  // where its log cannot be read: why; the rest is then empty
};
// By name. An empty list where there is no such folder.
Result<std::vector<SessionInfo>> list_sessions(const std::string& folder);

struct SessionDetail {
  SessionInfo info;
  std::vector<bool> segments_here;  // [segments]: on the disk
  int layers = 1;                   // that keep every token: those that segments are of
  std::vector<int32_t> tokens;
};
Result<SessionDetail> show_session(const std::string& folder, const std::string& name);

Result<void> fork_session(const std::string& folder, const std::string& from, const std::string& to);
Result<void> remove_session(const std::string& folder, const std::string& name);

struct VerifyReport {
  uint64_t sessions = 0, segments = 0, bytes = 0;
  std::vector<std::string> problems;  // one line each
};
// Reads everything; of one session where a name is given. With `set_aside` damaged files are renamed to
// *.bad, so that their tokens are computed again when they are next asked for; that takes the folder's lock.
Result<VerifyReport> verify_sessions(const std::string& folder, const std::optional<std::string>& name,
                                     bool set_aside = false);

struct TransferReport {
  uint64_t bytes = 0, segments = 0, segments_missing = 0, segments_shared = 0;
};
Result<TransferReport> export_session(const std::string& folder, const std::string& name,
                                      const std::string& path);
Result<TransferReport> import_session(const std::string& folder, const std::string& path,
                                      const std::string& name);

struct CollectReport {
  uint64_t files = 0, bytes = 0;
};
// Removes segments that no session names.
Result<CollectReport> collect_sessions_garbage(const std::string& folder);

}  // namespace mneme
