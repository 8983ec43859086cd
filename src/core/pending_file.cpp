#include "core/pending_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace mneme::core {

Result<PendingFile> PendingFile::create(const std::string& path) {
  struct stat status {};
  // A rename would put a file in the place of a device.
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    return fail("{}: cannot be written: not a regular file", path);
  PendingFile file;
  file.path_ = path;
  file.temporary_ = fmt::format("{}.tmp.{}", path, ::getpid());
  file.fd_ = ::open(file.temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file.fd_ < 0) return fail("{}: cannot be written: {}", path, std::strerror(errno));
  return file;
}

PendingFile::~PendingFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

PendingFile::PendingFile(PendingFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)) {}

PendingFile& PendingFile::operator=(PendingFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
  return *this;
}

Result<void> PendingFile::append(std::span<const std::byte> bytes) {
  MNEME_CHECK(fd_ >= 0, "{}: committed", path_);
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd_, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return fail("{}: cannot be written: {}", path_, std::strerror(errno));
    bytes = bytes.subspan(static_cast<size_t>(wrote));
  }
  return {};
}

Result<void> PendingFile::overwrite(uint64_t offset, std::span<const std::byte> bytes) {
  MNEME_CHECK(fd_ >= 0, "{}: committed", path_);
  while (!bytes.empty()) {
    const ssize_t wrote = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return fail("{}: cannot be written: {}", path_, std::strerror(errno));
    bytes = bytes.subspan(static_cast<size_t>(wrote));
    offset += static_cast<uint64_t>(wrote);
  }
  return {};
}

Result<void> PendingFile::commit() {
  MNEME_CHECK(fd_ >= 0, "{}: committed", path_);
  if (::fsync(fd_) != 0) return fail("{}: cannot be synced: {}", path_, std::strerror(errno));
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return fail("{}: {} cannot be renamed to it: {}", path_, temporary_, std::strerror(errno));
  }
  ::close(std::exchange(fd_, -1));
  return sync_folder();
}

// The rename itself lasts only once the folder is on disk.
Result<void> PendingFile::sync_folder() const {
  const size_t slash = path_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail("{}: {}", folder, std::strerror(errno));
  const bool synced = ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  if (!synced && error != EINVAL) return fail("{}: cannot be synced: {}", folder, std::strerror(error));
  return {};
}

Result<void> write_file(const std::string& path, std::string_view text) {
  auto file = PendingFile::create(path);
  if (!file) return pass(file);
  if (auto done = file->append(std::as_bytes(std::span(text))); !done) return done;
  return file->commit();
}

}  // namespace mneme::core
