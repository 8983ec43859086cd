#include "kv/session_folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/file.h"

namespace mneme::kv {

namespace {

using core::fail;
using core::pass;
namespace fs = std::filesystem;

constexpr size_t kNameBytesMax = 100;
constexpr const char* kResting = ".resting-";  // no session's name begins with a dot

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

Result<void> rename_file(const std::string& from, const std::string& to, Disk& disk) {
  if (disk.rename(from.c_str(), to.c_str()) != 0)
    return fail("{}: rename to {}: {}", from, to, std::strerror(errno));
  return {};
}

// What is not there is removed.
Result<void> remove_file(const std::string& path, Disk& disk) {
  if (disk.unlink(path.c_str()) != 0 && errno != ENOENT) return fail("{}: {}", path, std::strerror(errno));
  return {};
}

Result<void> check_pair(const std::string& folder, std::string_view from, std::string_view to) {
  if (auto good = check_session_name(from); !good) return good;
  if (auto good = check_session_name(to); !good) return good;
  if (!session_exists(folder, from)) return fail("no session is called {}", from);
  if (session_exists(folder, to)) return fail("there is a session called {} already", to);
  return {};
}

// The valid bytes of a log and what they say.
struct LogBytes {
  std::string text;
  SessionState state;
};
Result<LogBytes> read_log(const std::string& path) {
  auto text = core::read_text_file(path);
  if (!text) return pass(text);
  auto state = replay_session(std::as_bytes(std::span(*text)), path);
  if (!state) return pass(state);
  text->resize(state->log_bytes);
  return LogBytes{std::move(*text), std::move(*state)};
}

}  // namespace

bool is_session_name(std::string_view name) {
  constexpr std::string_view kAllowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !name.empty() && name.size() <= kNameBytesMax && name.front() != '.' && name.front() != '-' &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

Result<void> check_session_name(std::string_view name) {
  if (is_session_name(name)) return {};
  return fail("'{}' cannot name a session: 1 to {} of A-Z a-z 0-9 . _ - neither . nor - in front", name,
              kNameBytesMax);
}

std::string session_log_path(const std::string& sessions_folder, std::string_view name) {
  return fmt::format("{}/{}.log", sessions_folder, name);
}
std::string session_tail_path(const std::string& sessions_folder, std::string_view name) {
  return fmt::format("{}/{}.tail", sessions_folder, name);
}
std::string resting_tail_path(const std::string& sessions_folder, uint64_t number) {
  return fmt::format("{}/{}{}.tail", sessions_folder, kResting, number);
}
bool is_resting_tail(std::string_view file_name) { return file_name.starts_with(kResting); }
bool session_exists(const std::string& sessions_folder, std::string_view name) {
  return exists(session_log_path(sessions_folder, name));
}

Result<std::vector<std::string>> session_names(const std::string& sessions_folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(sessions_folder, error), end; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    if (path.extension() == ".log" && is_session_name(path.stem().string())) names.push_back(path.stem());
  }
  if (error) return fail("{}: {}", sessions_folder, error.message());
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::vector<SessionSummary>> list_sessions(const std::string& sessions_folder) {
  auto names = session_names(sessions_folder);
  if (!names) return pass(names);
  std::vector<SessionSummary> out;
  for (std::string& name : *names) {
    auto state = read_session(sessions_folder, name);
    SessionSummary summary;
    summary.name = std::move(name);
    if (state)
      summary.state = std::move(*state);
    else
      summary.error = std::move(state.error().message);
    out.push_back(std::move(summary));
  }
  return out;
}

Result<SessionState> read_session(const std::string& sessions_folder, std::string_view name) {
  if (auto good = check_session_name(name); !good) return pass(good);
  if (!session_exists(sessions_folder, name)) return fail("no session is called {}", name);
  auto log = read_log(session_log_path(sessions_folder, name));
  if (!log) return pass(log);
  return std::move(log->state);
}

Result<void> fork_session(const std::string& sessions_folder, std::string_view from, std::string_view to,
                          Disk& disk) {
  if (auto good = check_pair(sessions_folder, from, to); !good) return good;
  auto log = read_log(session_log_path(sessions_folder, from));
  if (!log) return pass(log);
  // The tail first: without a log it is nobody's. A tail is replaced, never written to, so a link will do.
  const std::string tail = session_tail_path(sessions_folder, from);
  const std::string tail_to = session_tail_path(sessions_folder, to);
  if (auto removed = remove_file(tail_to, disk); !removed) return removed;
  std::error_code error;
  if (exists(tail)) fs::create_hard_link(tail, tail_to, error);
  if (error) fs::copy_file(tail, tail_to, error);
  if (error) return fail("{}: {}", tail_to, error.message());
  const ConstBytes bytes = std::as_bytes(std::span(log->text));
  return replace_file(session_log_path(sessions_folder, to), false, disk,
                      [&](DiskFile& file) { return file.write(0, std::span(&bytes, 1)); });
}

Result<void> rename_session(const std::string& sessions_folder, std::string_view from, std::string_view to,
                            Disk& disk) {
  if (auto good = check_pair(sessions_folder, from, to); !good) return good;
  const std::string tail = session_tail_path(sessions_folder, from);
  const std::string tail_to = session_tail_path(sessions_folder, to);
  if (auto removed = remove_file(tail_to, disk); !removed) return removed;
  auto renamed = rename_file(session_log_path(sessions_folder, from), session_log_path(sessions_folder, to),
                             disk);
  if (!renamed) return renamed;
  // Between the two a crash loses the tail: its tokens are computed again.
  if (exists(tail)) {
    if (auto moved = rename_file(tail, tail_to, disk); !moved) return moved;
  }
  return sync_folder(sessions_folder, disk);
}

Result<void> remove_session(const std::string& sessions_folder, std::string_view name, Disk& disk) {
  if (auto good = check_session_name(name); !good) return good;
  if (!session_exists(sessions_folder, name)) return fail("no session is called {}", name);
  for (const std::string& path :
       {session_log_path(sessions_folder, name), session_tail_path(sessions_folder, name)}) {
    for (const char* ending : {"", kUnfinished, kSetAside}) {
      if (auto removed = remove_file(path + ending, disk); !removed) return removed;
    }
  }
  return sync_folder(sessions_folder, disk);
}

Result<void> save_tail(const std::string& sessions_folder, std::string_view name, const SessionState& state,
                       size_t count, std::span<const PartBytes> parts, Disk& disk) {
  return save_tail(session_tail_path(sessions_folder, name),
                   {state.model, state.last_segment(), state.segments.size()},
                   tail_tokens(state).first(count), parts, disk);
}

Result<void> save_tail(const std::string& path, const TailPlace& place, std::span<const int32_t> tokens,
                       std::span<const PartBytes> parts, Disk& disk) {
  MNEME_CHECK(tokens.size() < kSegmentTokens, "a tail of {} tokens", tokens.size());
  SegmentHeader header;
  header.model = place.model.model;
  header.parent = place.parent;
  header.name = segment_name(place.model, place.parent, tokens);
  header.first_token = place.segments * kSegmentTokens;
  header.tokens.assign(tokens.begin(), tokens.end());
  return write_segment_file(path, header, parts, disk);
}

std::span<const int32_t> tail_tokens(const SessionState& state) {
  return std::span(state.tokens).subspan(state.segments.size() * kSegmentTokens);
}

Result<std::shared_ptr<const SegmentFile>> load_tail(const std::string& sessions_folder,
                                                     std::string_view name, const SessionState& state,
                                                     Disk& disk) {
  const std::string path = session_tail_path(sessions_folder, name);
  if (!exists(path)) return nullptr;
  SegmentFile::Options options;
  options.disk = &disk;
  auto file = SegmentFile::open(path, options);
  if (!file) return pass(file);
  const SegmentHeader& header = (*file)->header();
  const auto tokens = tail_tokens(state);
  const bool fits = header.model == state.model.model && header.parent == state.last_segment() &&
                    header.first_token == state.segments.size() * kSegmentTokens &&
                    is_segment_name(header.name, state.model, header.parent, header.tokens) &&
                    header.tokens.size() <= tokens.size() &&
                    std::equal(header.tokens.begin(), header.tokens.end(), tokens.begin());
  if (!fits) return nullptr;
  return std::shared_ptr<const SegmentFile>(std::move(*file));
}

Result<void> remove_tail(const std::string& sessions_folder, std::string_view name, Disk& disk) {
  return remove_file(session_tail_path(sessions_folder, name), disk);
}

}  // namespace mneme::kv
