// HTTP/1.1 as the rest of the room sees it: requests in, answers out. Boost.Beast stays behind
// http_server.cpp.
//
// AnswerRequest runs on the server's worker threads, one request at a time each, and may take a while
// (tokenising a long prompt); they return as soon as the answer is on its way, and who generates goes on
// writing to the Answer from its own thread. Nothing here blocks a writer: what a slow client has not taken
// yet is queued, and a client that takes nothing for too long counts as gone.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mneme/result.h"

namespace mneme::serve {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string id;      // of this request: the client's x-request-id where it is a sane one, or our own
  std::string method;  // "GET"
  std::string path;    // decoded, without the query; double slashes are single ones
  std::string query;   // as sent, without '?'
  Headers headers;     // in the order sent, names as sent
  std::string body;
  std::string peer;  // address without port

  std::string_view header(std::string_view name) const;  // ignoring case; empty: not sent
  std::string query_value(std::string_view name) const;  // decoded; empty: not sent
};

// The answer to one request. Thread safe, and shared by who writes it; calls after the end, or to a client
// that is gone, do nothing. One of: send(); or begin(), write() any number of times, end(). An answer that
// everybody has let go of without an end is ended as a failure (500, or a broken stream).
class Answer {
 public:
  virtual ~Answer() = default;
  virtual void send(int status, std::string content_type, std::string body, Headers more = {}) = 0;
  virtual void begin(int status, std::string content_type, Headers more = {}) = 0;  // headers go out at once
  virtual void write(std::string piece) = 0;
  virtual void end() = 0;
  // After begin(), in place of write() and end(): what `next` gives until it gives nothing, asked for as the
  // client takes it, so that something large is never in memory at once. `next` is quick: it runs on an io
  // thread.
  virtual void write_all(std::function<std::string()> next) {
    for (std::string piece = next(); !piece.empty() && !gone(); piece = next()) write(std::move(piece));
    end();
  }
  // Of its request, for texts of errors.
  virtual std::string request_id() const { return {}; }
  virtual bool gone() const = 0;
  // Called once, on some thread, when the client leaves before the end; at once where it has left already.
  virtual void on_gone(std::function<void()> call) = 0;
};

using AnswerRequest =
    std::function<void(std::shared_ptr<const HttpRequest> request, std::shared_ptr<Answer> answer)>;

struct HttpLimits {
  size_t header_bytes_max = size_t{64} << 10;
  size_t body_bytes_max = size_t{256} << 20;  // a prompt of a million tokens in JSON is some 10 MB
  size_t connections_max = 4096;
  size_t bodies_bytes_max = size_t{1} << 30;      // of all requests that are held at one time
  size_t waiting_bytes_max = size_t{16} << 20;    // written to one answer and not taken: the client is gone
  std::chrono::milliseconds header_time{15'000};  // for all headers of a request to arrive
  std::chrono::milliseconds body_time{60'000};    // for the next bytes of a body to arrive
  std::chrono::milliseconds write_time{60'000};   // for the client to take anything of what waits
  std::chrono::milliseconds idle_time{75'000};    // between two requests of a connection
};

// The JSON body for a request that never becomes one, because of what it is (400, 413, 431, 503) or how
// slowly it comes (408); `request` has what is known of it.
using DescribeRefusal =
    std::function<std::string(int status, const std::string& reason, const HttpRequest& request)>;

struct HttpOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;  // 0: any free one
  int io_threads = 1;
  int worker_threads = 2;
  std::string tls_certificate_path = {}, tls_key_path = {};  // PEM; both or none
  HttpLimits limits = {};
  DescribeRefusal describe_refusal = {};  // empty: {"error": {"message": reason}}
};

class HttpServer {
 public:
  // Listens, and answers from then on. Fails with what is wrong with address, port or certificate.
  static Result<std::unique_ptr<HttpServer>> start(const HttpOptions& options, AnswerRequest answer_request);
  virtual ~HttpServer() = default;
  virtual uint16_t port() const = 0;
  // No more connections or requests; answers under way may end within the time, then they are cut. Returns
  // whether all did end.
  virtual bool stop(std::chrono::milliseconds within) = 0;
};

}  // namespace mneme::serve
