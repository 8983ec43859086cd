#include "core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace mneme::core {

Result<File> File::open_read(const std::string& path) {
  File file;
  file.path_ = path;
  file.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file.fd_ < 0) return fail("{}: {}", path, std::strerror(errno));
  struct stat status {};
  if (::fstat(file.fd_, &status) != 0) return fail("{}: {}", path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return fail("{}: not a regular file", path);
  file.size_ = static_cast<uint64_t>(status.st_size);
  return file;
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

File::File(File&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), size_(other.size_), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

Result<void> File::read_exactly(uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail("{}: read at byte {}: {}", path_, offset, std::strerror(errno));
    if (got == 0) return fail("{}: ends at byte {}, {} more expected", path_, offset, out.size());
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return {};
}

Result<Mapping> Mapping::open(const std::string& path) {
  auto file = File::open_read(path);
  if (!file) return pass(file);
  Mapping mapping;
  mapping.path_ = path;
  mapping.size_ = file->size();
  if (mapping.size_ == 0) return fail("{}: the file is empty", path);
  void* data = ::mmap(nullptr, mapping.size_, PROT_READ, MAP_SHARED, file->descriptor(), 0);
  if (data == MAP_FAILED)
    return fail("{}: cannot map {} bytes: {}", path, mapping.size_, std::strerror(errno));
  mapping.data_ = static_cast<const std::byte*>(data);
  return mapping;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      path_(std::move(other.path_)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

Result<std::string> read_text_file(const std::string& path, uint64_t bytes_max) {
  auto file = File::open_read(path);
  if (!file) return pass(file);
  if (file->size() > bytes_max)
    return fail("{}: {} bytes, more than the {} allowed", path, file->size(), bytes_max);
  std::string text(file->size(), '\0');
  auto read = file->read_exactly(0, std::as_writable_bytes(std::span(text)));
  if (!read) return pass(read);
  return text;
}

}  // namespace mneme::core
