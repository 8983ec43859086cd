#include "serve/http_stream.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/error.h"

namespace mneme::serve {
namespace {

using asio::ip::tcp;
using Side = asio::ssl::stream_base::handshake_type;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

void close_socket(tcp::socket& socket) {
  error_code ignored;
  socket.close(ignored);
}

class PlainStream : public Stream {
 public:
  explicit PlainStream(tcp::socket socket) : socket_(std::move(socket)) {}
  asio::awaitable<error_code> handshake() override { co_return error_code(); }
  asio::awaitable<std::pair<error_code, size_t>> read_some(asio::mutable_buffer into) override {
    const auto [error, count] = co_await socket_.async_read_some(into, kAwait);
    co_return std::pair(error, count);
  }
  asio::awaitable<std::pair<error_code, size_t>> write_some(asio::const_buffer from) override {
    const auto [error, count] = co_await socket_.async_write_some(from, kAwait);
    co_return std::pair(error, count);
  }
  asio::awaitable<void> shut_down() override {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    co_return;
  }
  void close() override { close_socket(socket_); }

 private:
  tcp::socket socket_;
};

class TlsStream : public Stream {
 public:
  TlsStream(tcp::socket socket, asio::ssl::context& context, Side side)
      : stream_(std::move(socket), context), side_(side) {}
  void expect(const std::string& host) {  // a client's
    stream_.set_verify_mode(asio::ssl::verify_peer);
    stream_.set_verify_callback(asio::ssl::host_name_verification(host));
    (void)SSL_set_tlsext_host_name(stream_.native_handle(), host.c_str());
  }
  asio::awaitable<error_code> handshake() override {
    const auto [error] = co_await stream_.async_handshake(side_, kAwait);
    co_return error;
  }
  asio::awaitable<std::pair<error_code, size_t>> read_some(asio::mutable_buffer into) override {
    const auto [error, count] = co_await stream_.async_read_some(into, kAwait);
    co_return std::pair(error, count);
  }
  asio::awaitable<std::pair<error_code, size_t>> write_some(asio::const_buffer from) override {
    const auto [error, count] = co_await stream_.async_write_some(from, kAwait);
    co_return std::pair(error, count);
  }
  asio::awaitable<void> shut_down() override { (void)co_await stream_.async_shutdown(kAwait); }
  void close() override { close_socket(stream_.next_layer()); }

 private:
  asio::ssl::stream<tcp::socket> stream_;
  Side side_;
};

class LoadedTlsContext : public TlsContext {
 public:
  std::unique_ptr<Stream> stream(tcp::socket socket) override {
    return std::make_unique<TlsStream>(std::move(socket), context, asio::ssl::stream_base::server);
  }
  asio::ssl::context context{asio::ssl::context::tls_server};
};

class ClientTlsContext : public TlsContext {
 public:
  explicit ClientTlsContext(std::string host) : host_(std::move(host)) {}
  std::unique_ptr<Stream> stream(tcp::socket socket) override {
    auto stream = std::make_unique<TlsStream>(std::move(socket), context, asio::ssl::stream_base::client);
    stream->expect(host_);
    return stream;
  }
  asio::ssl::context context{asio::ssl::context::tls_client};

 private:
  std::string host_;
};

}  // namespace

std::unique_ptr<Stream> plain_stream(tcp::socket socket) {
  return std::make_unique<PlainStream>(std::move(socket));
}

Result<std::shared_ptr<TlsContext>> TlsContext::client(const std::string& host, const std::string& ca_path) {
  auto client = std::make_shared<ClientTlsContext>(host);
  error_code error;
  SSL_CTX_set_min_proto_version(client->context.native_handle(), TLS1_2_VERSION);
  if (ca_path.empty())
    client->context.set_default_verify_paths(error);
  else
    client->context.load_verify_file(ca_path, error);
  if (error) return core::fail("{}: no certificates in PEM: {}", ca_path, error.message());
  return client;
}

Result<std::shared_ptr<TlsContext>> TlsContext::load(const std::string& certificate_path,
                                                     const std::string& key_path) {
  auto loaded = std::make_shared<LoadedTlsContext>();
  error_code error;
  SSL_CTX_set_min_proto_version(loaded->context.native_handle(), TLS1_2_VERSION);
  loaded->context.use_certificate_chain_file(certificate_path, error);
  if (error) return core::fail("{}: no certificate in PEM: {}", certificate_path, error.message());
  loaded->context.use_private_key_file(key_path, asio::ssl::context::pem, error);
  if (error) return core::fail("{}: no private key in PEM: {}", key_path, error.message());
  if (SSL_CTX_check_private_key(loaded->context.native_handle()) != 1)
    return core::fail("{}: not the key of {}", key_path, certificate_path);
  return loaded;
}

}  // namespace mneme::serve
