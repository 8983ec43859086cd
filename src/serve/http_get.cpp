#include "serve/http_get.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <optional>

#include "core/error.h"
#include "serve/http_stream.h"

namespace mneme::serve {
namespace {

using asio::ip::tcp;
using core::fail;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr size_t kReplyBytesMax = size_t{64} << 20;

struct Address {
  std::string host, port, path;
  bool is_tls = false;
};

std::optional<Address> parse_url(std::string_view url) {
  const bool is_tls = url.starts_with("https://");
  if (!is_tls && !url.starts_with("http://")) return std::nullopt;
  url.remove_prefix(is_tls ? 8 : 7);
  const size_t slash = std::min(url.find('/'), url.size());
  Address address{"", is_tls ? "443" : "80", std::string(url.substr(slash)), is_tls};
  std::string_view host = url.substr(0, slash);
  const size_t colon = host.rfind(':'), bracket = host.rfind(']');
  if (colon != host.npos && (bracket == host.npos || bracket < colon)) {
    address.port = host.substr(colon + 1);
    host = host.substr(0, colon);
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  address.host = host;
  if (address.path.empty()) address.path = "/";
  if (address.host.empty() || address.port.empty()) return std::nullopt;
  return address;
}

// HTTP/1.0: the answer ends where the connection does, and comes in no chunks.
asio::awaitable<boost::system::error_code> talk(const Address& address, TlsContext* tls,
                                                const std::string& request, std::string& reply) {
  tcp::socket socket(co_await asio::this_coro::executor);
  tcp::resolver resolver(co_await asio::this_coro::executor);
  const auto [not_found, endpoints] = co_await resolver.async_resolve(address.host, address.port, kAwait);
  if (not_found) co_return not_found;
  boost::system::error_code failed = asio::error::host_unreachable;
  for (const auto& entry : endpoints) {
    socket = tcp::socket(co_await asio::this_coro::executor);
    const auto [refused] = co_await socket.async_connect(entry.endpoint(), kAwait);
    failed = refused;
    if (!failed) break;
  }
  if (failed) co_return failed;
  const auto stream = tls ? tls->stream(std::move(socket)) : plain_stream(std::move(socket));
  if (const auto distrusted = co_await stream->handshake()) co_return distrusted;
  for (size_t sent = 0; sent < request.size();) {
    const auto [broken, count] = co_await stream->write_some(
        asio::buffer(request.data() + sent, request.size() - sent));
    if (broken) co_return broken;
    sent += count;
  }
  std::string piece(size_t{16} << 10, '\0');
  while (reply.size() <= kReplyBytesMax) {
    const auto [ended, count] = co_await stream->read_some(asio::buffer(piece));
    reply.append(piece, 0, count);
    if (ended == asio::error::eof || ended == asio::ssl::error::stream_truncated)
      co_return boost::system::error_code();
    if (ended) co_return ended;
  }
  co_return asio::error::message_size;
}

}  // namespace

Result<HttpReply> http_get(const std::string& url, const Headers& headers, std::chrono::milliseconds within,
                           const std::string& ca_path) {
  const auto address = parse_url(url);
  if (!address) return fail("{}: no address like http://127.0.0.1:8080 or https://HOST:PORT", url);
  std::shared_ptr<TlsContext> tls;
  if (address->is_tls) {
    auto client = TlsContext::client(address->host, ca_path);
    if (!client) return core::pass(client);
    tls = std::move(*client);
  }
  std::string request = "GET " + address->path + " HTTP/1.0\r\nHost: " + address->host + "\r\n";
  for (const auto& [name, value] : headers) request += name + ": " + value + "\r\n";
  request += "\r\n";
  std::string reply;
  std::optional<boost::system::error_code> error;
  asio::io_context io;
  asio::co_spawn(io, talk(*address, tls.get(), request, reply),
                 [&](const std::exception_ptr&, boost::system::error_code ended) { error = ended; });
  io.run_for(within);
  if (!error) return fail("{}: no answer within {} ms", url, within.count());
  if (*error) return fail("{}: {}", url, error->message());
  const size_t head = reply.find("\r\n\r\n");
  if (!reply.starts_with("HTTP/1.") || head == std::string::npos || reply.size() < 12)
    return fail("{}: no HTTP answer", url);
  return HttpReply{std::atoi(reply.c_str() + 9), reply.substr(head + 4)};
}

}  // namespace mneme::serve
