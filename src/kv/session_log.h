// One session's append-only log: its tokens and the names of its sealed segments. docs/formats/session.md.
//
// Records are framed and checked. Replay takes the longest valid prefix: a torn end (a crash while appending)
// is ignored, said in warning(), and cut off by the next append. What is appended is in the file at once, and
// on the disk after sync(), or at most kLogSyncSeconds of appending later.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kv/segment_file.h"

namespace mneme::kv {

inline constexpr uint32_t kSessionLogVersion = 1;
inline constexpr double kLogSyncSeconds = 5;
inline constexpr const char* kScopeNote = "scope";  // whose the session is; there from its creation on

// Never renumbered.
enum class RecordType : uint32_t { kCreated = 1, kTokens, kSegment, kTruncated, kUsed, kNote };

// What a log says, replayed.
struct SessionState {
  SegmentModel model;
  std::string model_path;  // for people: where the model file was when the session was created
  std::vector<int32_t> tokens;
  std::vector<SegmentName> segments;         // of tokens [256 i, 256 i + 256)
  std::map<std::string, std::string> notes;  // e.g. seed, title
  int64_t created_unix_s = 0;
  int64_t used_unix_s = 0;
  uint64_t log_bytes = 0;   // that were valid
  uint64_t torn_bytes = 0;  // after them

  std::string scope() const {
    const auto found = notes.find(kScopeNote);
    return found == notes.end() ? std::string() : found->second;
  }
  // The parent of the segment that follows the first `count` (segment_name.h).
  SegmentName parent(size_t count) const { return count == 0 ? scope_root(scope()) : segments[count - 1]; }
  SegmentName last_segment() const { return parent(segments.size()); }
};

// The state of the longest valid prefix of a log's bytes. An error: not a log, another version, or not even
// its first record is whole.
Result<SessionState> replay_session(std::span<const std::byte> log, std::string_view path);

// One thread at a time. Errors of the disk leave the log as it was before the call, for the caller to go on
// without it or to try again; an error of sync() says that what was appended since the last one may be lost.
class SessionLog {
 public:
  struct Created {
    SegmentModel model;
    std::string model_path;
  };
  // Synced before it returns. Fails where the name is taken.
  static Result<SessionLog> create(const std::string& path, const Created& created,
                                   Disk& disk = Disk::system());
  static Result<SessionLog> open(const std::string& path, Disk& disk = Disk::system());

  const SessionState& state() const { return state_; }
  const std::string& path() const { return path_; }
  // One line about a torn end that open() found, or empty.
  const std::string& warning() const { return warning_; }

  Result<void> append_tokens(std::span<const int32_t> tokens);
  // The next 256 tokens' segment, which is in the store and synced; the tokens have been appended.
  Result<void> append_segment(const SegmentName& name);
  // Forgets tokens from `token_count` on, and the segments that are not whole any more.
  Result<void> truncate(uint64_t token_count);
  Result<void> mark_used(int64_t unix_s);
  Result<void> note(std::string_view key, std::string_view value);  // key: no '=', neither has a zero byte
  Result<void> sync();

  uint64_t bytes_written() const { return bytes_written_; }

 private:
  SessionLog(std::string path, Disk& disk) : path_(std::move(path)), disk_(&disk) {}
  Result<void> append(RecordType type, std::span<const std::byte> payload);
  Result<void> cut_torn_end();

  std::string path_;
  Disk* disk_;
  std::shared_ptr<DiskFile> file_;
  SessionState state_;
  std::string warning_;
  bool torn_ = false;  // bytes after state_.log_bytes must go before the next append
  bool sync_failed_ = false;
  uint64_t synced_ = 0;  // bytes of the log known to be on the disk
  double unsynced_since_s_ = 0;
  uint64_t bytes_written_ = 0;
};

}  // namespace mneme::kv
