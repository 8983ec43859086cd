// What a store holds and what of it is worth least: made by looking at every file once, when room is needed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "kv/segment_file.h"

namespace mneme::kv {

std::string segment_path_in(const std::string& store_folder, const SegmentName& name);

// Of every segment file, sorted.
Result<std::vector<SegmentName>> segments_in(const std::string& store_folder);

// One thread at a time.
class StoreIndex {
 public:
  // Looks at every file of the store's folder and replays its sessions' logs.
  static Result<StoreIndex> scan(const std::string& folder, Disk& disk);

  // Of segments, sessions and leftovers.
  uint64_t bytes() const { return segment_bytes_ + session_bytes_ + leftover_bytes_; }
  // Logs and tails change without this index being told: looks at them again, and replays logs that changed.
  void refresh_sessions();

  void add(const SegmentName& name, const SegmentHeader& header, uint64_t bytes, int64_t used_ns);
  void used(const SegmentName& name, int64_t used_ns);  // unix time
  void remove(const SegmentName& name);

  // Whether a segment may go; called for few of them.
  using Removable = std::function<bool(const SegmentName&)>;
  // The segment to remove first of those that may go: of those that no session names the least recently used
  // one that nothing continues; else, of the session least recently used, the deepest. Nothing where none may
  // go. Where headers are not known, they are read, once.
  std::optional<SegmentName> least_valued(const Removable& removable);
  uint64_t bytes_removable(const Removable& removable) const;
  std::vector<SegmentName> unnamed() const;          // in any order
  uint64_t bytes_of(const SegmentName& name) const;  // 0: there is none

  // Damaged files that were set aside, what a crash left unfinished, and whatever else lies there.
  struct Leftover {
    std::string path;
    uint64_t bytes = 0;
  };
  void add_leftover(const std::string& path);
  std::vector<Leftover> take_leftovers();

 private:
  static constexpr int64_t kUnnamed = -1;
  struct Segment {
    uint64_t bytes = 0;
    int64_t used_ns = 0;        // unix time
    bool header_known = false;  // parent and first_token are valid, and the parent counts this child
    SegmentName parent;
    uint64_t first_token = 0;
    int64_t session_used_s = kUnnamed;  // of the session used last among those that name it
  };
  struct Session {
    uint64_t log_bytes = 0;
    int64_t changed_ns = 0;
    SegmentName root;
    std::vector<SegmentName> segments;
    int64_t used_unix_s = 0;
    bool present = false;
  };
  void name_segments(const Session& session);
  void know_header(Segment& segment, const SegmentName& parent, uint64_t first_token);
  void know_headers();

  std::string folder_;
  Disk* disk_ = nullptr;
  std::unordered_map<SegmentName, Segment, Id128Hash> segments_;
  std::unordered_map<SegmentName, uint32_t, Id128Hash> children_;  // how many segments continue one
  std::unordered_map<std::string, Session> sessions_;              // by the log's path
  uint64_t segment_bytes_ = 0;
  uint64_t session_bytes_ = 0;
  uint64_t leftover_bytes_ = 0;
  std::vector<Leftover> leftovers_;
};

}  // namespace mneme::kv
