// Requests out of bytes, strictly: what two programs in a row could read in two ways is refused. No sockets
// here; http_connection.cpp and the fuzzer put in what they have.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "serve/http.h"

namespace mneme::serve {

// Why a request is refused; the connection is closed after it.
struct HttpFault {
  int status = 0;  // 0: none
  std::string reason;
};

// One request.
class RequestReader {
 public:
  enum class State : uint8_t { kHead, kBody, kWhole, kFault };

  explicit RequestReader(const HttpLimits& limits);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  // Takes from the front of `bytes`, and says how much: those are to be removed, and the rest to be there
  // again at the next call, with more behind them. Nothing is taken of what follows the request.
  size_t take(std::string_view bytes);
  State state() const;
  const HttpFault& fault() const;

  // As far as it is known.
  HttpRequest& request();
  bool is_http_1_0() const;
  bool keeps_alive() const;     // as the client wishes
  bool wants_continue() const;  // waits for "100 Continue" before it sends the body

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace mneme::serve
