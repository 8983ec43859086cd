// A socket, with or without TLS, as coroutines. Included by http_*.cpp alone: Asio compiles slowly.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>
#include <memory>
#include <utility>

#include "serve/http.h"

namespace mneme::serve {

namespace asio = boost::asio;
using boost::system::error_code;

class Stream {
 public:
  virtual ~Stream() = default;
  virtual asio::awaitable<error_code> handshake() = 0;
  virtual asio::awaitable<std::pair<error_code, size_t>> read_some(asio::mutable_buffer into) = 0;
  virtual asio::awaitable<std::pair<error_code, size_t>> write_some(asio::const_buffer from) = 0;
  virtual asio::awaitable<void> shut_down() = 0;  // says to the client that no more comes
  virtual void close() = 0;                       // at once; what is under way fails
};

std::unique_ptr<Stream> plain_stream(asio::ip::tcp::socket socket);

// Certificate and key of a server; or whose certificates a client trusts.
class TlsContext {
 public:
  // Of a client that talks to `host`: certificates of this PEM file, or where it is empty those that this
  // machine trusts (SSL_CERT_FILE too).
  static Result<std::shared_ptr<TlsContext>> client(const std::string& host, const std::string& ca_path);
  static Result<std::shared_ptr<TlsContext>> load(const std::string& certificate_path,
                                                  const std::string& key_path);
  virtual ~TlsContext() = default;
  virtual std::unique_ptr<Stream> stream(asio::ip::tcp::socket socket) = 0;
};

}  // namespace mneme::serve
