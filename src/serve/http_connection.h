// One connection: reads requests, has them answered one after the other, and notices when the client leaves.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "serve/http_answer.h"
#include "serve/http_parse.h"
#include "serve/http_stream.h"
#include "serve/http_workers.h"

namespace mneme::serve {

class Connection;

// What all connections of a server share. Outlives them.
struct ConnectionCore {
  HttpOptions options;
  AnswerRequest answer_request;
  std::unique_ptr<Workers> workers;
  std::atomic<size_t> body_bytes{0};
  std::atomic<bool> stopping{false};

  std::mutex mutex;
  std::set<Connection*> connections;  // guarded by mutex
  std::condition_variable changed;    // of connections
};

// Three coroutines on one strand: serve() reads requests out of input_ and answers them, pump() fills input_,
// watch() ends what takes too long.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ConnectionCore> core, std::unique_ptr<Stream> stream,
             asio::any_io_executor executor, std::string peer);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();
  // Any thread: no request after the one under way; or nothing more at all.
  void drain();
  void cut();
  bool answering() const { return answering_; }

 private:
  using Clock = std::chrono::steady_clock;

  asio::awaitable<void> serve();
  asio::awaitable<bool> read_request(RequestReader& reader);
  asio::awaitable<bool> answer(RequestReader& reader);
  asio::awaitable<bool> send_answer();
  asio::awaitable<bool> write(std::string bytes);
  asio::awaitable<void> refuse(int status, std::string reason, RequestReader& reader);
  asio::awaitable<void> close();
  asio::awaitable<void> pump();
  asio::awaitable<void> watch();
  asio::awaitable<void> wait_for_change();

  void run_request(std::shared_ptr<HttpRequest> request, std::shared_ptr<Answer> answer);
  std::shared_ptr<AnswerStream> new_stream(RequestReader& reader, bool keep_alive);
  bool hold_body(size_t bytes);
  void client_left();
  void woken();
  void notify();
  void set_deadline(Clock::duration from_now);
  void clear_deadline() { deadline_ = Clock::time_point::max(), timed_out_ = false; }
  void finish();

  std::shared_ptr<ConnectionCore> core_;
  std::unique_ptr<Stream> stream_;
  asio::any_io_executor executor_;
  std::string peer_;
  asio::steady_timer changed_, watch_timer_;
  Clock::time_point deadline_ = Clock::time_point::max();
  std::string input_;           // read and not parsed yet
  std::vector<char> incoming_;  // being read into
  std::shared_ptr<AnswerStream> current_;
  size_t held_ = 0;  // bytes of the body under way, counted in core_->body_bytes
  bool timed_out_ = false, writing_ = false, reading_body_ = false;
  bool ended_ = false;     // the client has sent all it will send
  bool left_ = false;      // the client is gone: nothing more to write
  bool draining_ = false;  // no further request
  bool closing_ = false;   // nothing more is answered; what comes is dropped
  bool closed_ = false;
  std::atomic<bool> answering_{false};
};

}  // namespace mneme::serve
