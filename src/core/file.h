// Files as RAII: a read-only mapping, and positioned reads for what should not be mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/error.h"

namespace mneme::core {

// An open file for positioned reads. Thread safe: pread has no shared position.
class File {
 public:
  static Result<File> open_read(const std::string& path);
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }
  int descriptor() const { return fd_; }
  // Fills `out` from `offset`, or fails naming the file; a short file is an error.
  Result<void> read_exactly(uint64_t offset, std::span<std::byte> out) const;

 private:
  File() = default;
  int fd_ = -1;
  uint64_t size_ = 0;
  std::string path_;
};

// A whole file mapped read-only. The bytes live as long as the Mapping. A file that another process truncates
// while it is mapped raises SIGBUS on access: replace model files by rename, never in place.
class Mapping {
 public:
  static Result<Mapping> open(const std::string& path);
  ~Mapping();
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  Mapping() = default;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
};

// The whole file as text. Fails for directories, unreadable files, and files of more than `bytes_max`.
Result<std::string> read_text_file(const std::string& path, uint64_t bytes_max = uint64_t{1} << 32);

}  // namespace mneme::core
