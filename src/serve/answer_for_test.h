// An Answer that keeps what was written to it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "serve/api.h"

namespace mneme::serve {

class KeptAnswer final : public Answer {
 public:
  void send(int status, std::string content_type, std::string body, Headers more = {}) override {
    const std::lock_guard lock(mutex_);
    if (ended_ || begun_) return;
    status_ = status, content_type_ = std::move(content_type), body_ = std::move(body);
    headers_ = std::move(more);
    ended_ = true;
    changed_.notify_all();
  }
  void begin(int status, std::string content_type, Headers more = {}) override {
    const std::lock_guard lock(mutex_);
    if (ended_ || begun_) return;
    begun_ = true;
    status_ = status, content_type_ = std::move(content_type), headers_ = std::move(more);
  }
  void write(std::string piece) override {
    const std::lock_guard lock(mutex_);
    if (!ended_ && begun_ && !gone_) body_ += piece;
  }
  void end() override {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  bool gone() const override {
    const std::lock_guard lock(mutex_);
    return gone_;
  }
  void on_gone(std::function<void()> call) override {
    {
      const std::lock_guard lock(mutex_);
      if (!gone_) return static_cast<void>(calls_.push_back(std::move(call)));
    }
    call();
  }

  // The client leaves.
  void leave() {
    std::vector<std::function<void()>> calls;
    {
      const std::lock_guard lock(mutex_);
      gone_ = true;
      calls.swap(calls_);
    }
    for (const auto& call : calls) call();
  }
  // Whether the answer ended within the time.
  bool wait(std::chrono::seconds time = std::chrono::seconds(60)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [&] { return ended_; });
  }
  int status() const { return locked(status_); }
  std::string body() const { return locked(body_); }
  std::string content_type() const { return locked(content_type_); }
  Headers headers() const { return locked(headers_); }
  bool begun() const { return locked(begun_); }
  bool ended() const { return locked(ended_); }
  Json json() const { return Json::parse(body(), nullptr, false); }

 private:
  template <class T>
  T locked(const T& value) const {
    const std::lock_guard lock(mutex_);
    return value;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int status_ = 0;
  std::string content_type_, body_;
  Headers headers_;
  bool begun_ = false, ended_ = false, gone_ = false;
  std::vector<std::function<void()>> calls_;
};

// The events of a stream: their names (empty: none) and data; comments are left out.
inline std::vector<std::pair<std::string, std::string>> events_of(std::string_view body) {
  std::vector<std::pair<std::string, std::string>> events;
  std::pair<std::string, std::string> now;
  bool any = false;
  for (size_t at = 0; at < body.size();) {
    const size_t end = std::min(body.find('\n', at), body.size());
    const std::string_view line = body.substr(at, end - at);
    if (line.starts_with("event: ")) now.first = line.substr(7), any = true;
    if (line.starts_with("data: "))
      now.second.append(now.second.empty() ? "" : "\n").append(line.substr(6)), any = true;
    if (line.empty() && any) events.push_back(std::exchange(now, {})), any = false;
    at = end + 1;
  }
  return events;
}

}  // namespace mneme::serve
