#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>

#include "core/error.h"
#include "serve/http_connection.h"

namespace mneme::serve {
namespace {

using asio::ip::tcp;
using core::fail;
using namespace std::chrono_literals;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

constexpr std::string_view kFull =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";

class BeastServer : public HttpServer {
 public:
  BeastServer(const HttpOptions& options, AnswerRequest answer_request);
  ~BeastServer() override { stop(0ms); }
  BeastServer(const BeastServer&) = delete;
  BeastServer& operator=(const BeastServer&) = delete;

  Result<void> listen();
  uint16_t port() const override { return port_; }
  bool stop(std::chrono::milliseconds within) override;

 private:
  asio::awaitable<void> accept();
  void welcome(tcp::socket socket, asio::any_io_executor executor);
  void run_io();
  bool wait_for_none(std::unique_lock<std::mutex>& lock, std::chrono::milliseconds within);

  asio::io_context io_;
  std::shared_ptr<ConnectionCore> core_ = std::make_shared<ConnectionCore>();
  std::shared_ptr<TlsContext> tls_;  // null: plain
  tcp::acceptor acceptor_{io_};
  uint16_t port_ = 0;
  std::vector<std::thread> threads_;
  std::mutex stop_mutex_;
  bool stopped_ = false;  // guarded by stop_mutex_
};

BeastServer::BeastServer(const HttpOptions& options, AnswerRequest answer_request) {
  core_->options = options;
  core_->answer_request = std::move(answer_request);
}

Result<void> BeastServer::listen() {
  const HttpOptions& options = core_->options;
  if (options.tls_certificate_path.empty() != options.tls_key_path.empty())
    return fail("TLS needs both a certificate and its key");
  if (!options.tls_certificate_path.empty()) {
    auto tls = TlsContext::load(options.tls_certificate_path, options.tls_key_path);
    if (!tls) return core::pass(tls);
    tls_ = std::move(*tls);
  }
  error_code error;
  tcp::resolver resolver(io_);
  const auto found = resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive,
                                      error);
  if (error || found.empty())
    return fail("{}: no address of this machine: {}", options.host, error.message());
  tcp::endpoint endpoint = found.begin()->endpoint();
  for (const auto& entry : found) {  // "localhost" is both: most programs try 127.0.0.1
    if (entry.endpoint().address().is_v4()) endpoint = entry.endpoint();
  }
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(4096, error);
  if (error) return fail("cannot listen at {} port {}: {}", options.host, options.port, error.message());
  port_ = acceptor_.local_endpoint().port();
  core_->workers = std::make_unique<Workers>(options.worker_threads);
  asio::co_spawn(io_, accept(), asio::detached);
  for (int i = 0; i < std::max(options.io_threads, 1); ++i) threads_.emplace_back([this] { run_io(); });
  return {};
}

void BeastServer::run_io() {
  for (;;) {
    try {
      io_.run();
      return;
    } catch (const std::exception&) {
      // Of a callback that a writer left behind; the others go on.
    }
  }
}

asio::awaitable<void> BeastServer::accept() {
  while (acceptor_.is_open()) {
    const asio::any_io_executor strand = asio::make_strand(io_);
    auto [error, socket] = co_await acceptor_.async_accept(strand, kAwait);
    if (!acceptor_.is_open()) break;
    if (error) {  // no more descriptors, most likely: some will come back
      asio::steady_timer pause(io_, 50ms);
      co_await pause.async_wait(kAwait);
      continue;
    }
    welcome(std::move(socket), strand);
  }
}

void BeastServer::welcome(tcp::socket socket, asio::any_io_executor executor) {
  error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  const std::string peer = error ? std::string() : endpoint.address().to_string();
  socket.set_option(tcp::no_delay(true), error);
  std::unique_lock lock(core_->mutex);
  if (core_->connections.size() >= core_->options.limits.connections_max) {
    lock.unlock();
    socket.non_blocking(true, error);
    if (!tls_) socket.write_some(asio::buffer(kFull), error);
    return;
  }
  auto stream = tls_ ? tls_->stream(std::move(socket)) : plain_stream(std::move(socket));
  const auto connection = std::make_shared<Connection>(core_, std::move(stream), executor, peer);
  core_->connections.insert(connection.get());
  lock.unlock();
  connection->start();
}

// A connection takes itself out of the set before it goes, so those in it are alive while the mutex is held.
bool BeastServer::wait_for_none(std::unique_lock<std::mutex>& lock, std::chrono::milliseconds within) {
  return core_->changed.wait_for(lock, within, [this] { return core_->connections.empty(); });
}

bool BeastServer::stop(std::chrono::milliseconds within) {
  const std::lock_guard once(stop_mutex_);
  if (std::exchange(stopped_, true) || threads_.empty()) return true;
  asio::post(io_, [this] {
    error_code ignored;
    acceptor_.close(ignored);
  });
  std::unique_lock lock(core_->mutex);
  core_->stopping = true;
  for (Connection* connection : core_->connections) connection->drain();
  wait_for_none(lock, within);
  bool all_ended = true;
  for (Connection* connection : core_->connections) {
    all_ended = all_ended && !connection->answering();
    connection->cut();
  }
  wait_for_none(lock, 2s);
  lock.unlock();
  core_->workers->stop();
  io_.stop();
  for (std::thread& thread : threads_) thread.join();
  return all_ended;
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(const HttpOptions& options,
                                                      AnswerRequest answer_request) {
  auto server = std::make_unique<BeastServer>(options, std::move(answer_request));
  if (auto listening = server->listen(); !listening) return core::pass(listening);
  return server;
}

}  // namespace mneme::serve
