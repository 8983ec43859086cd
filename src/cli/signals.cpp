#include "cli/signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

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

Signals::Asked Signals::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stop_ || reread_; });
  if (stop_) return Asked::kStop;
  reread_ = false;
  return Asked::kReread;
}

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
