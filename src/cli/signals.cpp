#include "cli/signals.h"

#include <csignal>
#include <cstdlib>
#include <utility>

namespace mneme::cli {

namespace {

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) sigaddset(&set, signal);
  return set;
}

}  // namespace

Signals::Signals() {
  const sigset_t set = watched_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::thread([this] { run(); });
}

Signals::~Signals() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  ::pthread_kill(thread_.native_handle(), SIGUSR1);
  thread_.join();
}

void Signals::run() {
  const sigset_t set = watched_signals();
  for (int signal = 0; ::sigwait(&set, &signal) == 0;) {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    if (signal == SIGHUP) reread_ = true;
    if (signal == SIGINT || signal == SIGTERM) {
      if (!loaded_ || stop_) std::_Exit(128 + signal);
      stop_ = true;
    }
    changed_.notify_all();
  }
}

void Signals::loaded() {
  const std::lock_guard lock(mutex_);
  loaded_ = true;
}

Signals::Asked Signals::wait(std::chrono::seconds at_most) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, at_most, [this] { return stop_ || reread_; });
  if (stop_) return Asked::kStop;
  return std::exchange(reread_, false) ? Asked::kReread : Asked::kNothing;
}

}  // namespace mneme::cli
