// SIGINT, SIGTERM and SIGHUP of a verb that runs until it is told to stop.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

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
  enum class Asked : uint8_t { kNothing, kStop, kReread };
  Asked wait(std::chrono::seconds at_most);  // kReread: SIGHUP

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  bool loaded_ = false, stop_ = false, reread_ = false, ended_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace mneme::cli
