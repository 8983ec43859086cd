// A log that is opened again when it was renamed.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "mneme/result.h"

namespace mneme::cli {

// Lines appended to a file, whole; those that cannot be written are lost. Thread safe.
class LogFile {
 public:
  static Result<std::shared_ptr<LogFile>> open(const std::string& path);  // "-": standard output
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  void write(std::string_view line);
  void reopen();  // after it was renamed

 private:
  LogFile() = default;
  std::mutex mutex_;
  std::string path_;
  int fd_ = -1;  // guarded by mutex_
};

}  // namespace mneme::cli
