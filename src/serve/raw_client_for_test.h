// A client that sends bytes as they are, and reads answers whole: what no HTTP library would do.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace mneme::serve {

struct RawAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in small letters
  std::string body;
  bool whole = false;  // its end came
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
};

class RawClient {
 public:
  explicit RawClient(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~RawClient() { leave(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return connected_; }
  void leave() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void end_sending() { ::shutdown(fd_, SHUT_WR); }
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    leave();
  }
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // More bytes into what was read; false at the end, at an error, and after `wait_ms` without any.
  bool read_more(int wait_ms = 10'000) {
    pollfd poll_fd{fd_, POLLIN, 0};
    if (::poll(&poll_fd, 1, wait_ms) <= 0) return false;
    char bytes[16384];
    const ssize_t count = ::recv(fd_, bytes, sizeof bytes, 0);
    closed_ = count <= 0;
    if (count <= 0) return false;
    read_.append(bytes, static_cast<size_t>(count));
    return true;
  }
  bool closed_by_server(int wait_ms = 10'000) {
    while (read_more(wait_ms)) {
    }
    return closed_;
  }
  const std::string& unread() const { return read_; }

  // The next answer; `head`: of a HEAD request. status 0: none came.
  RawAnswer answer(bool head = false, int wait_ms = 10'000) {
    RawAnswer out;
    size_t end = 0;
    while ((end = read_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more(wait_ms)) return out;
    }
    read_head(read_.substr(0, end + 2), out);
    read_.erase(0, end + 4);
    if (head || out.status == 204 || out.status / 100 == 1) {
      out.whole = true;
    } else if (out.header("transfer-encoding") == "chunked") {
      out.whole = read_chunks(out.body, wait_ms);
    } else if (!out.header("content-length").empty()) {
      const size_t size = std::strtoull(out.header("content-length").c_str(), nullptr, 10);
      out.whole = fill(size, wait_ms);
      out.body = take(std::min(size, read_.size()));
    } else {
      out.whole = closed_by_server(wait_ms);
      out.body = take(read_.size());
    }
    return out;
  }
  // The data of the next chunk; nothing at the stream's end, or where it breaks off.
  std::optional<std::string> chunk(int wait_ms = 10'000) {
    size_t end = 0;
    while ((end = read_.find("\r\n")) == std::string::npos) {
      if (!read_more(wait_ms)) return std::nullopt;
    }
    const size_t size = std::strtoull(read_.c_str(), nullptr, 16);
    if (!fill(end + 2 + size + 2, wait_ms)) return std::nullopt;
    take(end + 2);
    std::string data = take(size);
    take(2);
    saw_last_chunk_ = size == 0;
    if (size == 0) return std::nullopt;
    return data;
  }
  bool saw_last_chunk() const { return saw_last_chunk_; }

 private:
  static void read_head(const std::string& head, RawAnswer& out) {
    out.status = std::atoi(head.substr(std::min<size_t>(9, head.size())).c_str());
    for (size_t at = head.find("\r\n") + 2; at < head.size();) {
      const size_t line_end = head.find("\r\n", at), colon = head.find(':', at);
      std::string name = head.substr(at, colon - at);
      std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
      out.headers[name] = head.substr(colon + 2, line_end - colon - 2);
      at = line_end + 2;
    }
  }
  bool fill(size_t size, int wait_ms) {
    while (read_.size() < size) {
      if (!read_more(wait_ms)) return false;
    }
    return true;
  }
  std::string take(size_t size) {
    std::string out = read_.substr(0, size);
    read_.erase(0, size);
    return out;
  }
  bool read_chunks(std::string& body, int wait_ms) {
    saw_last_chunk_ = false;
    while (auto data = chunk(wait_ms)) body += *data;
    return saw_last_chunk_;
  }

  int fd_;
  bool connected_ = false, closed_ = false, saw_last_chunk_ = false;
  std::string read_;
};

}  // namespace mneme::serve
