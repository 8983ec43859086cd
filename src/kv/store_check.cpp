#include "kv/store_check.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "kv/session_folder.h"

namespace mneme::kv {

namespace {

namespace fs = std::filesystem;

// One look at a store.
struct Check {
  Store& store;
  bool set_aside;
  // What became of each file, so that segments which sessions share are read once.
  std::unordered_map<SegmentName, SegmentReport, Id128Hash> files = {};

  SegmentFile::Options options() const { return {set_aside, nullptr, &store.disk()}; }
};

// The file of this name, whoever names it.
SegmentReport verify_file(const Check& check, const SegmentName& name) {
  SegmentReport report;
  report.name = name;
  const std::string path = check.store.segment_path(name);
  std::error_code error;
  if (!fs::exists(path, error)) {
    report.condition = SegmentCondition::kMissing;
    return report;
  }
  if (is_of_other_version(path, check.store.disk())) {
    report.condition = SegmentCondition::kOther;
    report.error = fmt::format("{}: of another version of this program", path);
    return report;
  }
  auto file = SegmentFile::open(path, check.options());
  Result<void> good = {};
  if (!file)
    good = core::pass(file);
  else if ((*file)->header().name != name)
    good = core::fail("{}: holds segment {}", path, (*file)->header().name.hex());
  else
    good = (*file)->verify();
  if (file) report.bytes = (*file)->file_bytes();
  if (good) return report;
  report.condition = SegmentCondition::kDamaged;
  report.error = std::move(good.error().message);
  return report;
}

// The same, and that it holds what the session's log says.
SegmentReport verify_named(const SessionState& state, size_t index, Check& check) {
  const SegmentName& name = state.segments[index];
  auto found = check.files.find(name);
  if (found == check.files.end()) found = check.files.emplace(name, verify_file(check, name)).first;
  SegmentReport report = found->second;
  report.index = index;
  const auto tokens = std::span(state.tokens).subspan(index * kSegmentTokens, kSegmentTokens);
  if (report.condition == SegmentCondition::kOk &&
      !is_segment_name(name, state.model, state.parent(index), tokens)) {
    report.condition = SegmentCondition::kDamaged;
    report.error = fmt::format("segment {} is not of the session's tokens", name.hex());
  }
  return report;
}

void verify_tail(const Check& check, std::string_view session, const SessionState& state,
                 SessionReport& report) {
  const std::string path = session_tail_path(check.store.sessions_folder(), session);
  std::error_code error;
  report.has_tail = fs::exists(path, error);
  if (!report.has_tail) return;
  auto file = SegmentFile::open(path, check.options());
  Result<void> good = {};
  if (!file)
    good = core::pass(file);
  else if (!is_segment_name((*file)->header().name, state.model, (*file)->header().parent,
                            (*file)->header().tokens))
    good = core::fail("{}: not of the session's model", path);
  else
    good = (*file)->verify();
  if (!good) report.tail_error = std::move(good.error().message);
}

SessionReport verify_with(std::string_view session, Check& check) {
  SessionReport report;
  report.session = session;
  const std::string folder = check.store.sessions_folder();
  auto state = read_session(folder, session);
  if (!state) {
    report.log_error = std::move(state.error().message);
    return report;
  }
  if (state->torn_bytes > 0)
    report.log_error = fmt::format("{}: its last {} bytes are not whole", session_log_path(folder, session),
                                   state->torn_bytes);
  report.tokens = state->tokens.size();
  for (size_t i = 0; i < state->segments.size(); ++i)
    report.segments.push_back(verify_named(*state, i, check));
  verify_tail(check, session, *state, report);
  return report;
}

}  // namespace

bool SessionReport::ok() const {
  return log_error.empty() && tail_error.empty() &&
         std::all_of(segments.begin(), segments.end(),
                     [](const SegmentReport& s) { return s.condition == SegmentCondition::kOk; });
}

bool StoreReport::ok() const {
  return std::all_of(sessions.begin(), sessions.end(), [](const SessionReport& s) { return s.ok(); }) &&
         std::all_of(unnamed.begin(), unnamed.end(),
                     [](const SegmentReport& s) { return s.condition == SegmentCondition::kOk; });
}

Result<SessionReport> verify_session(Store& store, std::string_view session, bool set_aside) {
  if (auto good = check_session_name(session); !good) return core::pass(good);
  if (!session_exists(store.sessions_folder(), session))
    return core::fail("no session is called {}", session);
  Check check{store, set_aside};
  return verify_with(session, check);
}

Result<StoreReport> verify_store(Store& store, bool set_aside) {
  auto names = session_names(store.sessions_folder());
  if (!names) return core::pass(names);
  StoreReport report;
  Check check{store, set_aside};
  for (const std::string& name : *names) report.sessions.push_back(verify_with(name, check));
  auto stored = segments_in(store.folder());
  if (!stored) return core::pass(stored);
  for (const SegmentName& name : *stored) {
    if (!check.files.contains(name)) report.unnamed.push_back(verify_file(check, name));
  }
  return report;
}

}  // namespace mneme::kv
