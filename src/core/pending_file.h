// Files that appear whole or not at all: written beside their place, synced to disk, then renamed into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"

namespace mneme::core {

// A new file on its way to `path`. What is there stays as it is until commit(); without one nothing of the
// new file stays, unless the process is killed (then PATH.tmp.PID does). Not buffered. Errors name the file.
class PendingFile {
 public:
  // Fails where the folder cannot be written, and for a path that is there and no regular file.
  static Result<PendingFile> create(const std::string& path);
  ~PendingFile();
  PendingFile(PendingFile&& other) noexcept;
  PendingFile& operator=(PendingFile&& other) noexcept;
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  Result<void> append(std::span<const std::byte> bytes);
  // Bytes that were appended before, once more: a header that is known last. The end stays where it is.
  Result<void> overwrite(uint64_t offset, std::span<const std::byte> bytes);
  // Once, after everything else. After an error the old file is there still, or (where only the folder could
  // not be synced) the new one.
  Result<void> commit();

 private:
  PendingFile() = default;
  Result<void> sync_folder() const;

  int fd_ = -1;
  std::string path_;
  std::string temporary_;
};

// A whole file in one go.
Result<void> write_file(const std::string& path, std::string_view text);

}  // namespace mneme::core
