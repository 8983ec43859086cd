#include "kv/disk.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

namespace mneme::kv {

using core::fail;
using core::pass;

int Disk::open(const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); }
ssize_t Disk::preadv(int fd, const iovec* pieces, int count, off_t offset) {
  return ::preadv(fd, pieces, count, offset);
}
ssize_t Disk::pwritev(int fd, const iovec* pieces, int count, off_t offset) {
  return ::pwritev(fd, pieces, count, offset);
}
int Disk::fdatasync(int fd) { return ::fdatasync(fd); }
int Disk::ftruncate(int fd, off_t size) { return ::ftruncate(fd, size); }
int Disk::rename(const char* from, const char* to) { return std::rename(from, to); }
int Disk::unlink(const char* path) { return ::unlink(path); }

Disk& Disk::system() {
  static Disk disk;  // has no state
  return disk;
}

void AlignedFree::operator()(std::byte* memory) const { std::free(memory); }

AlignedBytes aligned_bytes(size_t size) {
  const size_t padded = std::max(disk_padded(size), kDiskAlign);
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kDiskAlign, padded));
  MNEME_CHECK(memory != nullptr, "out of memory: {} bytes", padded);
  std::memset(memory, 0, padded);
  return AlignedBytes(memory);
}

Result<std::shared_ptr<DiskFile>> DiskFile::open(const std::string& path, int flags, bool direct,
                                                 Disk& disk) {
  std::shared_ptr<DiskFile> file(new DiskFile(path, disk));
  const auto attempt = [&](int more) {
    do {
      file->fd_ = disk.open(path.c_str(), flags | O_CLOEXEC | more, 0666);
    } while (file->fd_ < 0 && errno == EINTR);
    return file->fd_ >= 0;
  };
  file->direct_ = direct && attempt(O_DIRECT);
  if (file->fd_ < 0 && (!direct || errno == EINVAL)) attempt(0);
  if (file->fd_ < 0) return fail("{}: {}", path, std::strerror(errno));
  return file;
}

DiskFile::~DiskFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<uint64_t> DiskFile::size() const {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) return fail("{}: {}", path_, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return fail("{}: not a regular file", path_);
  return static_cast<uint64_t>(status.st_size);
}

namespace {

// Steps over `count` bytes.
void advance(std::span<iovec>& pieces, size_t count) {
  while (!pieces.empty() && count >= pieces.front().iov_len) {
    count -= pieces.front().iov_len;
    pieces = pieces.subspan(1);
  }
  if (count == 0) return;
  pieces.front().iov_base = static_cast<std::byte*>(pieces.front().iov_base) + count;
  pieces.front().iov_len -= count;
}

template <class Piece>
std::vector<iovec> iovecs_of(std::span<const Piece> pieces) {
  std::vector<iovec> out;
  out.reserve(pieces.size());
  for (const Piece& piece : pieces) {
    if (piece.empty()) continue;
    out.push_back({const_cast<std::byte*>(piece.data()), piece.size()});
  }
  return out;
}

// One direction of transfer until nothing is left. `call` is preadv or pwritev of the disk.
template <class Call>
Result<void> transfer(const std::string& path, const char* what, std::vector<iovec> all, uint64_t offset,
                      bool direct, const Call& call) {
  std::span<iovec> left = all;
  int stalls = 0;
  while (!left.empty()) {
    const int count = static_cast<int>(std::min<size_t>(left.size(), IOV_MAX));
    const ssize_t moved = call(left.data(), count, static_cast<off_t>(offset));
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) return fail("{}: {} at byte {}: {}", path, what, offset, std::strerror(errno));
    if (moved == 0) return fail("{}: ends at byte {}, more was expected", path, offset);
    // The rest of a direct transfer has to begin at an aligned place again.
    const size_t step = static_cast<size_t>(moved) / (direct ? kDiskAlign : 1) * (direct ? kDiskAlign : 1);
    stalls = step == 0 ? stalls + 1 : 0;
    if (stalls > 8) return fail("{}: {} at byte {} makes no progress", path, what, offset);
    advance(left, step);
    offset += step;
  }
  return {};
}

}  // namespace

Result<void> DiskFile::read(uint64_t offset, std::span<const Bytes> pieces) const {
  return transfer(path_, "read", iovecs_of(pieces), offset, direct_,
                  [&](const iovec* p, int n, off_t at) { return disk_->preadv(fd_, p, n, at); });
}

Result<void> DiskFile::write(uint64_t offset, std::span<const ConstBytes> pieces) const {
  return transfer(path_, "write", iovecs_of(pieces), offset, direct_,
                  [&](const iovec* p, int n, off_t at) { return disk_->pwritev(fd_, p, n, at); });
}

Result<void> DiskFile::sync() const {
  int rc = 0;
  do {
    rc = disk_->fdatasync(fd_);
  } while (rc != 0 && errno == EINTR);
  if (rc != 0) return fail("{}: sync: {}", path_, std::strerror(errno));
  return {};
}

Result<void> DiskFile::cut(uint64_t size) const {
  int rc = 0;
  do {
    rc = disk_->ftruncate(fd_, static_cast<off_t>(size));
  } while (rc != 0 && errno == EINTR);
  if (rc != 0) return fail("{}: cut to {} bytes: {}", path_, size, std::strerror(errno));
  return {};
}

Result<void> sync_folder(const std::string& path, Disk& disk) {
  auto folder = DiskFile::open(path, O_RDONLY | O_DIRECTORY, false, disk);
  if (!folder) return pass(folder);
  return (*folder)->sync();
}

Result<void> replace_file(const std::string& path, bool direct, Disk& disk,
                          const std::function<Result<void>(DiskFile&)>& write) {
  const std::string beside = path + kUnfinished;
  const auto attempt = [&]() -> Result<void> {
    auto file = DiskFile::open(beside, O_WRONLY | O_CREAT | O_TRUNC, direct, disk);
    if (!file) return pass(file);
    if (auto written = write(**file); !written) return written;
    if (auto synced = (*file)->sync(); !synced) return synced;
    if (disk.rename(beside.c_str(), path.c_str()) != 0)
      return fail("{}: rename: {}", path, std::strerror(errno));
    return {};
  };
  if (auto done = attempt(); !done) {
    disk.unlink(beside.c_str());
    return done;
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return sync_folder(folder.empty() ? "." : folder, disk);
}

}  // namespace mneme::kv
