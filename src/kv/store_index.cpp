#include "kv/store_index.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <tuple>

#include "core/file.h"
#include "kv/session_folder.h"

namespace mneme::kv {

namespace {

using core::fail;
namespace fs = std::filesystem;

constexpr size_t kExtensionBytes = 3;  // ".kv"

struct Status {
  uint64_t bytes = 0;
  int64_t changed_ns = 0;
};
std::optional<Status> status_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return Status{static_cast<uint64_t>(status.st_size),
                int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

// The name in "0123...ef.kv".
std::optional<SegmentName> name_of(const std::string& file) {
  if (file.size() < kExtensionBytes || !file.ends_with(".kv")) return std::nullopt;
  return SegmentName::parse(std::string_view(file).substr(0, file.size() - kExtensionBytes));
}

// `visit` with every file below the folder. Folders that vanish meanwhile are not an error.
template <class Visit>
Result<void> each_file(const std::string& folder, const Visit& visit) {
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!it->is_directory(error)) visit(it->path());
  }
  if (error) return fail("{}: {}", folder, error.message());
  return {};
}

}  // namespace

Result<std::vector<SegmentName>> segments_in(const std::string& store_folder) {
  std::vector<SegmentName> names;
  auto walked = each_file(store_folder + "/segments", [&](const fs::path& path) {
    if (const auto name = name_of(path.filename().string())) names.push_back(*name);
  });
  if (!walked) return core::pass(walked);
  std::sort(names.begin(), names.end());
  return names;
}

Result<StoreIndex> StoreIndex::scan(const std::string& folder, Disk& disk) {
  StoreIndex index;
  index.folder_ = folder;
  index.disk_ = &disk;
  auto walked = each_file(folder + "/segments", [&](const fs::path& path) {
    const auto status = status_of(path.string());
    if (!status) return;
    const auto name = name_of(path.filename().string());
    if (!name) {
      index.leftovers_.push_back({path.string(), status->bytes});
      index.leftover_bytes_ += status->bytes;
      return;
    }
    Segment segment;
    segment.bytes = status->bytes;
    segment.used_ns = status->changed_ns;
    index.segments_.emplace(*name, segment);
    index.segment_bytes_ += status->bytes;
  });
  if (!walked) return core::pass(walked);
  index.refresh_sessions();
  return index;
}

void StoreIndex::refresh_sessions() {
  const std::string folder = folder_ + "/sessions";
  bool changed = false;
  for (auto& [path, session] : sessions_) session.present = false;
  session_bytes_ = 0;
  // What cannot be listed or read names nothing: its segments may go, and are computed again.
  static_cast<void>(each_file(folder, [&](const fs::path& path) {
    const auto status = status_of(path.string());
    if (!status) return;
    session_bytes_ += status->bytes;
    if (path.extension() != ".log") return;
    Session& session = sessions_[path.string()];
    session.present = true;
    if (session.log_bytes == status->bytes && session.changed_ns == status->changed_ns) return;
    changed = true;
    session = {status->bytes, status->changed_ns, {}, {}, 0, true};
    auto state = read_session(folder, path.stem().string());
    if (!state) return;
    session.root = state->parent(0);
    session.segments = std::move(state->segments);
    session.used_unix_s = std::max<int64_t>(state->used_unix_s, 0);
  }));
  changed = changed || std::any_of(sessions_.begin(), sessions_.end(),
                                   [](const auto& entry) { return !entry.second.present; });
  if (!changed) return;
  std::erase_if(sessions_, [](const auto& entry) { return !entry.second.present; });
  for (auto& [name, segment] : segments_) segment.session_used_s = kUnnamed;
  for (const auto& [path, session] : sessions_) name_segments(session);
}

void StoreIndex::name_segments(const Session& session) {
  for (size_t i = 0; i < session.segments.size(); ++i) {
    const auto found = segments_.find(session.segments[i]);
    if (found == segments_.end()) continue;
    Segment& segment = found->second;
    segment.session_used_s = std::max(segment.session_used_s, session.used_unix_s);
    // The log says what the header does.
    if (!segment.header_known)
      know_header(segment, i == 0 ? session.root : session.segments[i - 1], i * kSegmentTokens);
  }
}

void StoreIndex::know_header(Segment& segment, const SegmentName& parent, uint64_t first_token) {
  segment.header_known = true;
  segment.parent = parent;
  segment.first_token = first_token;
  if (!parent.is_zero()) ++children_[parent];
}

// Of the segments that no session names: one read each, once.
void StoreIndex::know_headers() {
  SegmentFile::Options options;
  options.set_aside = false;
  options.disk = disk_;
  for (auto& [name, segment] : segments_) {
    if (segment.header_known) continue;
    auto file = SegmentFile::open(segment_path_in(folder_, name), options);
    if (file)
      know_header(segment, (*file)->header().parent, (*file)->header().first_token);
    else  // not to be used, so the first to go
      segment.header_known = true, segment.used_ns = 0;
  }
}

void StoreIndex::add(const SegmentName& name, const SegmentHeader& header, uint64_t bytes, int64_t used_ns) {
  remove(name);
  Segment segment;
  segment.bytes = bytes;
  segment.used_ns = used_ns;
  know_header(segment, header.parent, header.first_token);
  for (const auto& [path, session] : sessions_) {
    if (std::find(session.segments.begin(), session.segments.end(), name) != session.segments.end())
      segment.session_used_s = std::max(segment.session_used_s, session.used_unix_s);
  }
  segments_.emplace(name, segment);
  segment_bytes_ += bytes;
}

void StoreIndex::used(const SegmentName& name, int64_t used_ns) {
  const auto found = segments_.find(name);
  if (found != segments_.end()) found->second.used_ns = std::max(found->second.used_ns, used_ns);
}

void StoreIndex::remove(const SegmentName& name) {
  const auto found = segments_.find(name);
  if (found == segments_.end()) return;
  const Segment& segment = found->second;
  if (segment.header_known && !segment.parent.is_zero()) {
    const auto parent = children_.find(segment.parent);
    if (--parent->second == 0) children_.erase(parent);
  }
  segment_bytes_ -= segment.bytes;
  segments_.erase(found);
}

std::optional<SegmentName> StoreIndex::least_valued(const Removable& removable) {
  know_headers();
  std::optional<SegmentName> least;
  // Smaller is worth less: named at all; when it, or a session of it, was used; how shallow.
  std::tuple<bool, int64_t, uint64_t> least_value;
  for (const auto& [name, segment] : segments_) {
    const bool named = segment.session_used_s != kUnnamed;
    if (!named && children_.contains(name)) continue;
    const std::tuple value{named, named ? segment.session_used_s : segment.used_ns,
                           std::numeric_limits<uint64_t>::max() - segment.first_token};
    if (least && value >= least_value) continue;
    if (!removable(name)) continue;
    least = name;
    least_value = value;
  }
  return least;
}

uint64_t StoreIndex::bytes_removable(const Removable& removable) const {
  uint64_t bytes = leftover_bytes_;
  for (const auto& [name, segment] : segments_) {
    if (removable(name)) bytes += segment.bytes;
  }
  return bytes;
}

std::vector<SegmentName> StoreIndex::unnamed() const {
  std::vector<SegmentName> out;
  for (const auto& [name, segment] : segments_) {
    if (segment.session_used_s == kUnnamed) out.push_back(name);
  }
  return out;
}

uint64_t StoreIndex::bytes_of(const SegmentName& name) const {
  const auto found = segments_.find(name);
  return found == segments_.end() ? 0 : found->second.bytes;
}

void StoreIndex::add_leftover(const std::string& path) {
  const auto status = status_of(path);
  const auto same = [&](const Leftover& leftover) { return leftover.path == path; };
  if (!status || std::any_of(leftovers_.begin(), leftovers_.end(), same)) return;
  leftovers_.push_back({path, status->bytes});
  leftover_bytes_ += status->bytes;
}

std::vector<StoreIndex::Leftover> StoreIndex::take_leftovers() {
  leftover_bytes_ = 0;
  return std::exchange(leftovers_, {});
}

std::string segment_path_in(const std::string& folder, const SegmentName& name) {
  const std::string hex = name.hex();
  return fmt::format("{}/segments/{}/{}.kv", folder, hex.substr(0, 2), hex);
}

}  // namespace mneme::kv
