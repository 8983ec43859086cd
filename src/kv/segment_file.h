// One sealed segment (or the unsealed tail of a session) in a file of its own: docs/formats/session.md.
//
// The file layer moves bytes and checks them; what the parts mean is the caller's business. A part is given
// and taken as pieces that follow each other in the file, usually slabs. Where all pieces are aligned to
// kDiskAlign in address and size, and the file system allows O_DIRECT, they travel without a copy and beside
// the page cache; else through an aligned buffer.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kv/disk.h"
#include "kv/segment_name.h"

namespace mneme::kv {

inline constexpr int kSegmentTokens = 256;
inline constexpr uint32_t kSegmentFileVersion = 2;
inline constexpr size_t kSegmentPartsMax = 65536;
inline constexpr const char* kSetAside = ".bad";  // what is added to the name of a damaged file

struct SegmentHeader {
  ModelId model;
  SegmentName name;
  SegmentName parent;           // zero: first_token is 0
  uint64_t first_token = 0;     // position in its context
  std::vector<int32_t> tokens;  // fewer than 256 only in tails, down to none
  uint64_t computed_us = 0;     // what it took to compute, in microseconds; 0: not known
  // The same segment, whatever it took.
  friend bool operator==(const SegmentHeader& a, const SegmentHeader& b) {
    return a.model == b.model && a.name == b.name && a.parent == b.parent && a.first_token == b.first_token &&
           a.tokens == b.tokens;
  }
};

// Where a part lies. The file holds zeros from offset + bytes to the next multiple of kDiskAlign, so that a
// direct read may round up.
struct SegmentPart {
  uint64_t offset = 0;  // a multiple of kDiskAlign
  uint64_t bytes = 0;   // may be 0
  uint64_t xxh3 = 0;    // of the bytes
};

// The pieces of one part, in order.
using PartBytes = std::vector<ConstBytes>;

// XXH3 of pieces one after another.
uint64_t pieces_xxh3(std::span<const ConstBytes> pieces);
uint64_t pieces_xxh3(std::span<const Bytes> pieces);

// Size of the file of such a segment, in bytes.
uint64_t segment_file_bytes(size_t token_count, std::span<const uint64_t> part_bytes);
uint64_t segment_file_bytes(size_t token_count, std::span<const PartBytes> parts);

// Whether the file begins as a segment of a version that this program does not read.
bool is_of_other_version(const std::string& path, Disk& disk);

// Writes beside `path`, syncs, renames, syncs the folder: after success the file survives a crash. Fails (and
// leaves nothing) where the disk does. Any thread; one writer a path.
Result<void> write_segment_file(const std::string& path, const SegmentHeader& header,
                                std::span<const PartBytes> parts, Disk& disk = Disk::system());

// Keeps the newest descriptors open, so that a session of 10,000 segments needs no 10,000 of them. Any
// thread.
class OpenFiles {
 public:
  explicit OpenFiles(size_t count_max) : count_max_(count_max) {}
  Result<std::shared_ptr<DiskFile>> acquire(const std::string& path, Disk& disk);
  void forget(const std::string& path);

 private:
  struct Entry {
    std::string path;
    std::shared_ptr<DiskFile> file;
  };
  std::mutex mutex_;
  size_t count_max_;
  std::vector<Entry> entries_;  // oldest first
};

// A segment file whose header was read and checked. Any thread. Holders share it; the file is not removed by
// the store while anyone does.
class SegmentFile {
 public:
  struct Options {
    bool set_aside = true;            // damaged files are renamed to PATH.bad, so that they are not met again
    OpenFiles* open_files = nullptr;  // must outlive the file; without it the file keeps one descriptor
    Disk* disk = nullptr;             // nullptr: the system's; must outlive the file
  };
  // Reads the header: one read of 4 KiB for usual shapes. Fails for what is missing, unreadable or of another
  // version, and for what is cut short or damaged, which is set aside.
  static Result<std::shared_ptr<SegmentFile>> open(const std::string& path, const Options& options);
  static Result<std::shared_ptr<SegmentFile>> open(const std::string& path) { return open(path, Options{}); }

  const SegmentHeader& header() const { return header_; }
  std::span<const SegmentPart> parts() const { return parts_; }
  uint64_t file_bytes() const { return file_bytes_; }
  const std::string& path() const { return path_; }

  // Fills the pieces, which together have exactly the part's bytes, and checks them. On an error the contents
  // of the pieces are undefined and must not be used; the file is bad() from then on, and, if its bytes are
  // wrong, set aside.
  Result<void> read_part(size_t part, std::span<const Bytes> pieces) const;

  // For reads that someone else makes (io_queue.h): a descriptor that stays open while it is held (O_DIRECT
  // where it says direct()); then offset, bytes and xxh3 are those of parts()[part]. Whoever finds the hash
  // to differ says so with reject_part, which does to the file what read_part would have done, and gives its
  // message.
  Result<std::shared_ptr<DiskFile>> acquire() const;
  Error reject_part(size_t part) const;
  // The check that read_part makes, for a part that was read otherwise.
  Result<void> check_part(size_t part, std::span<const Bytes> pieces) const;
  // Such a read failed in another way: the file is bad() from now on, but stays where it is.
  void mark_unreadable() const { bad_ = true; }

  // A read of it failed: it is not to be used again, and may be written anew under its name.
  bool bad() const { return bad_; }

  // Reads every part and says what is wrong first, which does to the file what read_part would have done.
  Result<void> verify() const;

 private:
  SegmentFile() = default;
  Error reject(std::string_view wrong) const;
  Result<void> read_pieces(const SegmentPart& part, std::span<const Bytes> pieces) const;

  std::string path_;
  Options options_;
  SegmentHeader header_;
  std::vector<SegmentPart> parts_;
  uint64_t file_bytes_ = 0;
  std::shared_ptr<DiskFile> own_;  // where there are no open_files
  mutable std::atomic<bool> bad_ = false;
};

}  // namespace mneme::kv
