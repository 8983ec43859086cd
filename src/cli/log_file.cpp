#include "cli/log_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace mneme::cli {

Result<std::shared_ptr<LogFile>> LogFile::open(const std::string& path) {
  std::shared_ptr<LogFile> file(new LogFile);
  file->path_ = path;
  file->reopen();
  if (file->fd_ < 0) return tl::unexpected(Error{path + ": cannot be written: " + std::strerror(errno)});
  return file;
}

LogFile::~LogFile() {
  if (fd_ > STDERR_FILENO) ::close(fd_);
}

void LogFile::write(std::string_view line) {
  const std::string whole = std::string(line) + "\n";
  const std::lock_guard lock(mutex_);
  if (::write(fd_, whole.data(), whole.size()) < 0) return;  // a full disk is no reason to stop serving
}

void LogFile::reopen() {
  const std::lock_guard lock(mutex_);
  if (path_ == "-") {
    fd_ = STDOUT_FILENO;
    return;
  }
  const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd < 0) return;
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

}  // namespace mneme::cli
