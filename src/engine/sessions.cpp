// Sessions in a folder, without a model: include/mneme/sessions.h over the store.
#include "mneme/sessions.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <unordered_set>

#include "core/error.h"
#include "engine/model_id.h"
#include "kv/session_archive.h"
#include "kv/session_folder.h"
#include "kv/store.h"
#include "kv/store_check.h"

namespace mneme {

using core::fail;
using core::pass;

namespace {

namespace fs = std::filesystem;

Result<std::unique_ptr<kv::Store>> open_store(const std::string& folder, bool read_only) {
  std::error_code code;
  if (!fs::is_directory(folder, code)) {
    return fs::exists(folder, code) ? fail("{}: not a folder", folder)
                                    : fail("{}: there are no sessions", folder);
  }
  return kv::Store::open({.folder = folder, .read_only = read_only});
}

uint64_t size_of(const std::string& path) {
  std::error_code code;
  const auto size = fs::file_size(path, code);
  return code ? 0 : static_cast<uint64_t>(size);
}

SessionInfo info_of(const kv::Store& store, const std::string& name, const kv::SessionState& state) {
  SessionInfo info;
  info.name = name;
  info.model_path = state.model_path;
  info.model_id = state.model.model.hex();
  info.tokens = state.tokens.size();
  info.segments = state.segments.size();
  info.created_unix_s = state.created_unix_s;
  info.used_unix_s = state.used_unix_s;
  for (const kv::SegmentName& segment : state.segments) {
    const uint64_t bytes = size_of(store.segment_path(segment));
    info.bytes += bytes;
    info.segments_missing += bytes == 0 ? 1 : 0;
  }
  if (const auto note = state.notes.find("unfinished"); note != state.notes.end() && !note->second.empty()) {
    const uint64_t begun = std::strtoull(note->second.c_str(), nullptr, 10);
    info.tokens_unfinished = info.tokens - std::min(info.tokens, begun);
  }
  const uint64_t tail = size_of(kv::session_tail_path(store.sessions_folder(), name));
  info.has_tail = tail > 0;
  info.bytes += tail + size_of(kv::session_log_path(store.sessions_folder(), name));
  return info;
}

// Sums up a look at a store. A file that several sessions share was read once: it counts once, and what is
// wrong with it is said once.
struct Verification {
  VerifyReport report;
  std::unordered_set<kv::SegmentName, kv::Id128Hash> counted;
  std::unordered_set<std::string> said;

  void add(const kv::SegmentReport& segment) {
    if (counted.insert(segment.name).second) {
      ++report.segments;
      report.bytes += segment.bytes;
    }
    if (segment.condition > kv::SegmentCondition::kMissing && said.insert(segment.error).second)
      report.problems.push_back(segment.error);
  }
  void add(const kv::SessionReport& session) {
    ++report.sessions;
    for (const kv::SegmentReport& segment : session.segments) {
      add(segment);
      if (segment.condition == kv::SegmentCondition::kMissing)
        report.problems.push_back(fmt::format("{}: segment {} is missing", session.session, segment.index));
    }
    for (const std::string& error : {session.tail_error, session.log_error})
      if (!error.empty()) report.problems.push_back(error);
  }
};

}  // namespace

std::string default_cold_folder() {
  if (const char* home = std::getenv("MNEME_HOME"); home != nullptr && *home != '\0')
    return std::string(home) + "/store";
  const char* user = std::getenv("HOME");
  return (user != nullptr && *user != '\0' ? std::string(user) : ".") + "/.local/share/mneme/store";
}

Result<std::vector<SessionInfo>> list_sessions(const std::string& folder) {
  std::error_code code;
  if (!fs::exists(folder, code)) return std::vector<SessionInfo>{};
  auto store = open_store(folder, true);
  if (!store) return pass(store);
  auto summaries = kv::list_sessions((*store)->sessions_folder());
  if (!summaries) return pass(summaries);
  std::vector<SessionInfo> all;
  for (const kv::SessionSummary& one : *summaries) {
    SessionInfo info;
    if (one.state) info = info_of(**store, one.name, *one.state);
    info.name = one.name;
    info.error = one.error;
    all.push_back(std::move(info));
  }
  return all;
}

Result<SessionDetail> show_session(const std::string& folder, const std::string& name) {
  auto store = open_store(folder, true);
  if (!store) return pass(store);
  auto state = kv::read_session((*store)->sessions_folder(), name);
  if (!state) return pass(state);
  SessionDetail detail;
  detail.info = info_of(**store, name, *state);
  detail.layers = engine::layers_whole(state->model);
  detail.tokens = std::move(state->tokens);
  for (const kv::SegmentName& segment : state->segments)
    detail.segments_here.push_back((*store)->has(segment));
  return detail;
}

Result<void> fork_session(const std::string& folder, const std::string& from, const std::string& to) {
  auto store = open_store(folder, false);
  if (!store) return pass(store);
  return kv::fork_session((*store)->sessions_folder(), from, to);
}

Result<void> remove_session(const std::string& folder, const std::string& name) {
  auto store = open_store(folder, false);
  if (!store) return pass(store);
  return kv::remove_session((*store)->sessions_folder(), name);
}

Result<VerifyReport> verify_sessions(const std::string& folder, const std::optional<std::string>& name,
                                     bool set_aside) {
  auto store = open_store(folder, !set_aside);
  if (!store) return pass(store);
  Verification sum;
  if (name) {
    auto session = kv::verify_session(**store, *name, set_aside);
    if (!session) return pass(session);
    sum.add(*session);
    return sum.report;
  }
  auto whole = kv::verify_store(**store, set_aside);
  if (!whole) return pass(whole);
  for (const kv::SessionReport& session : whole->sessions) sum.add(session);
  for (const kv::SegmentReport& segment : whole->unnamed) sum.add(segment);
  return sum.report;
}

Result<TransferReport> export_session(const std::string& folder, const std::string& name,
                                      const std::string& path) {
  auto store = open_store(folder, true);
  if (!store) return pass(store);
  auto done = kv::export_session(**store, name, path);
  if (!done) return pass(done);
  return TransferReport{done->bytes, done->segments, done->segments_missing, done->segments_shared};
}

Result<TransferReport> import_session(const std::string& folder, const std::string& path,
                                      const std::string& name) {
  auto store = kv::Store::open({.folder = folder});
  if (!store) return pass(store);
  auto done = kv::import_session(**store, path, name);
  if (!done) return pass(done);
  return TransferReport{done->bytes, done->segments, done->segments_missing, done->segments_shared};
}

Result<CollectReport> collect_sessions_garbage(const std::string& folder) {
  auto store = open_store(folder, false);
  if (!store) return pass(store);
  auto done = (*store)->collect_garbage();
  if (!done) return pass(done);
  return CollectReport{done->files, done->bytes};
}

}  // namespace mneme
