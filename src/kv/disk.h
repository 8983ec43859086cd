// The system calls of the cold tier, one virtual call each, so that tests can let them fail; and files on top
// of them: short counts and EINTR are handled here and nowhere else.
#pragma once

#include <fcntl.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/error.h"

namespace mneme::kv {

// O_DIRECT asks it of memory, offsets and lengths. 4096 serves every disk that we know.
inline constexpr size_t kDiskAlign = 4096;
constexpr uint64_t disk_padded(uint64_t bytes) { return (bytes + kDiskAlign - 1) / kDiskAlign * kDiskAlign; }

// As the system calls of these names: -1 and errno on failure. Any thread.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual int open(const char* path, int flags, mode_t mode);
  virtual ssize_t preadv(int fd, const iovec* pieces, int count, off_t offset);
  virtual ssize_t pwritev(int fd, const iovec* pieces, int count, off_t offset);
  virtual int fdatasync(int fd);
  virtual int ftruncate(int fd, off_t size);
  virtual int rename(const char* from, const char* to);
  virtual int unlink(const char* path);

  static Disk& system();  // the calls themselves
};

// Memory aligned to kDiskAlign, zeroed.
struct AlignedFree {
  void operator()(std::byte* memory) const;
};
using AlignedBytes = std::unique_ptr<std::byte[], AlignedFree>;
AlignedBytes aligned_bytes(size_t size);

using ConstBytes = std::span<const std::byte>;
using Bytes = std::span<std::byte>;

// A descriptor with its owner. Positioned reads and writes from any thread; the disk must outlive it.
class DiskFile {
 public:
  // open(2). With `direct`, O_DIRECT is asked for, and done without where the file system refuses it.
  static Result<std::shared_ptr<DiskFile>> open(const std::string& path, int flags, bool direct, Disk& disk);
  ~DiskFile();
  DiskFile(const DiskFile&) = delete;
  DiskFile& operator=(const DiskFile&) = delete;

  int descriptor() const { return fd_; }
  bool direct() const { return direct_; }  // then memory, offsets and lengths must be multiples of kDiskAlign
  const std::string& path() const { return path_; }
  Result<uint64_t> size() const;

  // Everything or an error that names the file. Pieces follow each other in the file from `offset`.
  Result<void> read(uint64_t offset, std::span<const Bytes> pieces) const;
  Result<void> write(uint64_t offset, std::span<const ConstBytes> pieces) const;
  Result<void> sync() const;
  Result<void> cut(uint64_t size) const;

 private:
  DiskFile(std::string path, Disk& disk) : path_(std::move(path)), disk_(&disk) {}
  std::string path_;
  Disk* disk_;
  int fd_ = -1;
  bool direct_ = false;
};

// Writes a file beside `path` (path + ".new") with `write`, syncs and renames it, and syncs the folder:
// whoever opens `path`, also after a crash, sees the whole old or the whole new file. After an error nothing
// is left behind. One writer a path at a time.
Result<void> replace_file(const std::string& path, bool direct, Disk& disk,
                          const std::function<Result<void>(DiskFile&)>& write);
inline constexpr const char* kUnfinished = ".new";  // what replace_file leaves behind in a crash ends so

Result<void> sync_folder(const std::string& path, Disk& disk);

}  // namespace mneme::kv
