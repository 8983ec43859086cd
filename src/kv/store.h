// The cold tier: a folder of sealed segments, found by what they hold, and of sessions' logs.
//
//   mneme-store          one line: "mneme-store 1"
//   lock                 flock, exclusive: one writing process at a time
//   segments/ab/HEX.kv   segment_file.h; ab are the first two digits of the name
//   sessions/NAME.log    session_log.h; NAME.tail: the tokens since the last sealed segment
//
// docs/formats/session.md has the formats, what is synced when, and what makes room under a quota.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "kv/segment_file.h"
#include "kv/store_index.h"

namespace mneme::kv {

struct StoreOptions {
  std::string folder;      // made where it is missing
  uint64_t bytes_max = 0;  // of all files in it; 0: until the disk is full
  bool read_only = false;  // looks without the lock, changes nothing; the folder must exist
  size_t files_open_max = 128;
  Disk* disk = nullptr;  // nullptr: the system's; must outlive the store
};

// What put() writes.
struct NewSegment {
  SegmentName parent;
  uint64_t first_token = 0;
  std::span<const int32_t> tokens;  // kSegmentTokens of them
  std::span<const PartBytes> parts;
  uint64_t computed_us = 0;  // SegmentHeader's
};

// Thread safe: typically one thread puts while the engine's thread finds. Files that it gave out may outlive
// neither the store nor its disk.
class Store {
 public:
  // Takes the lock, so that a second process gets an error that names the folder. The time it takes does not
  // depend on what is stored.
  static Result<std::unique_ptr<Store>> open(const StoreOptions& options);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // The segment of these tokens after this parent, or nullptr where there is none, or one of another version
  // of the file format, which put() replaces. Model, parent and tokens have been compared. An error: it is
  // there but damaged (it has been set aside: put() may write it anew) or cannot be read; the caller says so
  // once and computes the tokens again. Reads one header the first time. As long as the file is held, it is
  // not removed to make room.
  using FilePtr = std::shared_ptr<const SegmentFile>;
  Result<FilePtr> find(const SegmentModel& model, const SegmentName& parent, std::span<const int32_t> tokens);
  // Whether find() met files that another version of the program wrote, since it was last asked.
  bool take_other_version() { return met_other_version_.exchange(false); }
  // By name alone, as a session's log gives it; whoever serves it compares parent and tokens, as find() does.
  Result<FilePtr> open_segment(const SegmentName& name);
  // Many of them at once, on threads of their own where it pays: headers are small reads, one after another
  // each would wait for the disk. In the order of the names.
  std::vector<Result<FilePtr>> open_segments(std::span<const SegmentName> names);
  // Whether there is a file of this name: one look at the folder, nothing read or compared.
  bool has(const SegmentName& name) const;

  // Stores a segment, or finds that it is stored already. Where bytes_max asks for it, less valued segments
  // go first. On success it survives a crash. An error (disk full, no room to be made) changes nothing: the
  // context goes on from memory.
  Result<FilePtr> put(const SegmentModel& model, const NewSegment& segment);

  // Removes a segment that nobody holds: put or adopted for something that failed.
  void discard(const SegmentName& name);
  // Moves a whole segment file, which lies on the same file system and is synced, into the store, after all
  // of it has been checked and found to be what the header says. Otherwise as put().
  Result<FilePtr> adopt(const std::string& path, const SegmentHeader& header);

  // Segments that are not to be removed although nobody holds their file. Counted: one unpin for each pin.
  void pin(const SegmentName& name);
  void unpin(const SegmentName& name);
  // It was used now. find() and open_segment() say so themselves.
  void touch(const SegmentName& name);

  // Bytes of all files of the store. Looks at every one of them the first time.
  Result<uint64_t> bytes_used();
  uint64_t bytes_max() const { return options_.bytes_max; }
  // Bytes of segment files written since open(), headers and padding included.
  uint64_t bytes_written() const { return bytes_written_; }

  // Makes room for `bytes` more under bytes_max, or fails and names what is in the way. put() calls it.
  Result<void> make_room(uint64_t bytes);
  struct Garbage {
    uint64_t files = 0;
    uint64_t bytes = 0;
  };
  // Removes what no session names and nobody holds or pins, damaged files set aside, and what a crash left
  // unfinished. Bytes and files removed.
  Result<Garbage> collect_garbage();

  const std::string& folder() const { return options_.folder; }
  std::string sessions_folder() const { return options_.folder + "/sessions"; }
  std::string segment_path(const SegmentName& name) const;
  bool read_only() const { return options_.read_only; }
  Disk& disk() const { return *disk_; }

 private:
  explicit Store(const StoreOptions& options);
  std::string version_path() const { return options_.folder + "/mneme-store"; }
  Result<void> lock();
  Result<void> check_version();
  void remove_resting();
  FilePtr held(const SegmentName& name) const;
  bool in_use(const SegmentName& name) const;
  bool in_use_locked(const SegmentName& name) const;
  void note_set_aside(const std::string& path, const SegmentName& name);
  Result<void> make_segment_folder(const SegmentName& name);
  Result<FilePtr> written_anew(const SegmentHeader& header, uint64_t bytes);
  void forget(const SegmentName& name);
  // store_quota.cpp, with writer_mutex_ held
  Result<void> index_now();
  Result<void> make_room_locked(uint64_t bytes);
  Result<bool> remove_segment(const SegmentName& name);  // false: it has come into use
  Garbage remove_leftovers();

  StoreOptions options_;
  Disk* disk_;
  std::shared_ptr<DiskFile> lock_;
  OpenFiles open_files_;
  std::atomic<uint64_t> bytes_written_ = 0;
  std::atomic<bool> met_other_version_ = false;

  mutable std::mutex mutex_;  // of these
  std::unordered_map<SegmentName, std::weak_ptr<const SegmentFile>, Id128Hash> files_;
  std::unordered_map<SegmentName, int, Id128Hash> pins_;
  std::unordered_map<SegmentName, int64_t, Id128Hash> touched_;  // unix ns, not yet in the index
  std::unordered_set<SegmentName, Id128Hash> removing_;
  std::vector<std::string> set_aside_;  // likewise

  std::mutex writer_mutex_;  // of put, make_room and collect_garbage, taken before mutex_
  std::optional<StoreIndex> index_;
};

}  // namespace mneme::kv
