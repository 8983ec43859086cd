// SIGINT, SIGTERM and SIGHUP of a verb that runs until it is told to stop, and a log that is opened again.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "mneme/result.h"

namespace mneme::cli {

// While one lives, made before any other thread. A first SIGINT or SIGTERM is waited for by wait(); one
// before loaded(), or a second, ends the process at once.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  void loaded();
  enum class Asked : uint8_t { kStop, kReread };
  Asked wait();  // kReread: SIGHUP

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  bool loaded_ = false, stop_ = false, reread_ = false, ended_ = false;  // guarded by mutex_
  std::thread thread_;
};

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
