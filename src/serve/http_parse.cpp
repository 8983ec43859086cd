#include "serve/http_parse.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include "serve/http_path.h"
#include "serve/http_text.h"

namespace mneme::serve {
namespace {

namespace beast = boost::beast;
using beast::error_code;
using Text = beast::string_view;

constexpr size_t kFieldsMax = 256;

std::string_view view(Text text) { return {text.data(), text.size()}; }

HttpFault fault_of(const error_code& error) {
  using Error = beast::http::error;
  if (error == Error::header_limit) return {431, "the headers are too large"};
  if (error == Error::body_limit) return {413, "the body is too large"};
  if (error == Error::bad_version) return {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  return {400, "no valid HTTP request: " + error.message()};
}

}  // namespace

// Beast reads the message; this keeps what it finds, and refuses what Beast lets pass.
class RequestReader::Parser : public beast::http::basic_parser<true> {
 public:
  explicit Parser(const HttpLimits& limits) : limits_(limits) {
    header_limit(static_cast<uint32_t>(std::min<size_t>(limits.header_bytes_max, UINT32_MAX)));
    body_limit(limits.body_bytes_max);
    eager(true);
  }

  size_t take(std::string_view bytes);
  void refuse(int status, std::string reason) {
    if (fault.status == 0) fault = {status, std::move(reason)};
  }

  HttpRequest request;
  HttpFault fault;
  bool has_head = false, is_whole = false, is_http_1_0 = false, wants_continue = false;

 private:
  size_t skip_empty_lines(std::string_view bytes);
  size_t find_end_of_head(std::string_view bytes);
  void take_head(std::string_view head);
  void check_head();
  void check_host();
  size_t count(std::string_view name) const {
    return static_cast<size_t>(std::ranges::count_if(
        request.headers, [&](const auto& header) { return equal_ignoring_case(header.first, name); }));
  }

  void on_request_impl(beast::http::verb, Text method, Text target, int version, error_code& error) override {
    request.method = view(method);
    is_http_1_0 = version == 10;
    if (version != 10 && version != 11) error = beast::http::error::bad_version;
    auto parsed = serve::parse_target(view(target));
    if (!parsed) return refuse(400, parsed.error().message);
    request.path = std::move(parsed->path);
    request.query = std::move(parsed->query);
    if (request.path == "*" && request.method != "OPTIONS") refuse(400, "only OPTIONS may ask for *");
  }
  void on_response_impl(int, Text, int, error_code&) override {}
  void on_field_impl(beast::http::field, Text name, Text value, error_code& error) override {
    if (has_head) return;  // trailers say nothing here
    if (request.headers.size() == kFieldsMax) error = beast::http::error::header_limit;
    request.headers.emplace_back(std::string(view(name)), std::string(view(value)));
  }
  void on_header_impl(error_code&) override {
    has_head = true;
    if (fault.status == 0) check_head();
  }
  void on_body_init_impl(const boost::optional<uint64_t>&, error_code&) override {}
  size_t on_body_impl(Text body, error_code&) override {
    request.body.append(body.data(), body.size());
    return body.size();
  }
  void on_chunk_header_impl(uint64_t, Text, error_code&) override {}
  size_t on_chunk_body_impl(uint64_t, Text body, error_code&) override {
    request.body.append(body.data(), body.size());
    return body.size();
  }
  void on_finish_impl(error_code&) override { is_whole = true; }

  HttpLimits limits_;
  size_t checked_ = 0;  // bytes of the head whose line ends are known to be right
  size_t empty_lines_ = 0;
};

// Some clients send an empty line after a body.
size_t RequestReader::Parser::skip_empty_lines(std::string_view bytes) {
  size_t skipped = 0;
  while (bytes.substr(skipped).starts_with("\r\n")) {
    skipped += 2;
    if (++empty_lines_ > 4) refuse(400, "empty lines in place of a request");
  }
  return skipped;
}

// Beast would take a head line by line, and wait for an end of it that a client with bare line feeds never
// sends: it gets the head whole, and nothing else. Its size; 0: it is not all there, or wrong.
size_t RequestReader::Parser::find_end_of_head(std::string_view bytes) {
  for (; checked_ < bytes.size() && checked_ < limits_.header_bytes_max; ++checked_) {
    const char c = bytes[checked_];
    if (c == '\0') return refuse(400, "a zero byte in the head"), 0;
    if (c != '\n') continue;
    if (checked_ == 0 || bytes[checked_ - 1] != '\r')
      return refuse(400, "a line ends without a carriage return"), 0;
    if (checked_ >= 3 && bytes[checked_ - 2] == '\n') return checked_ + 1;
    if (checked_ + 1 == bytes.size()) return 0;
    if (bytes[checked_ + 1] == ' ' || bytes[checked_ + 1] == '\t')
      return refuse(400, "a header is continued on the next line"), 0;
  }
  if (bytes.size() >= limits_.header_bytes_max) refuse(431, "the headers are too large");
  return 0;
}

void RequestReader::Parser::take_head(std::string_view head) {
  error_code error;
  put(boost::asio::const_buffer(head.data(), head.size()), error);
  if (error && error != beast::http::error::need_more) {
    const HttpFault why = fault_of(error);
    refuse(why.status, why.reason);
  }
  if (!has_head) refuse(400, "no valid HTTP request: the request line is not whole");
}

void RequestReader::Parser::check_host() {
  const size_t hosts = count("host");
  if (hosts > 1 || (hosts == 0 && !is_http_1_0)) refuse(400, "a request has one Host header");
  const std::string_view host = request.header("host");
  if (host.find_first_of(" \t,/\\@") != std::string_view::npos) refuse(400, "the Host header is no host");
}

void RequestReader::Parser::check_head() {
  const std::string_view coding = request.header("transfer-encoding");
  const bool has_coding = count("transfer-encoding") > 0, has_length = count("content-length") > 0;
  if (has_coding && has_length) return refuse(400, "both Content-Length and Transfer-Encoding");
  if (count("transfer-encoding") > 1) return refuse(400, "two Transfer-Encoding headers");
  if (count("content-length") > 1) return refuse(400, "two Content-Length headers");
  if (has_length &&
      request.header("content-length").find_first_not_of("0123456789") != std::string_view::npos)
    return refuse(400, "Content-Length is no number");
  if (has_coding && is_http_1_0) return refuse(400, "Transfer-Encoding in HTTP/1.0");
  if (has_coding && !equal_ignoring_case(coding, "chunked"))
    return refuse(501, "of transfer encodings only chunked is known");
  const std::string_view content = request.header("content-encoding");
  if (!content.empty() && !equal_ignoring_case(content, "identity"))
    return refuse(415, "bodies with a Content-Encoding are not taken");
  check_host();
  if (request.method == "CONNECT") return refuse(400, "this is no proxy");
  const std::string_view expect = request.header("expect");
  if (expect.empty() || is_http_1_0) return;
  if (!equal_ignoring_case(expect, "100-continue"))
    return refuse(417, "the only known expectation is 100-continue");
  wants_continue = true;
}

size_t RequestReader::Parser::take(std::string_view bytes) {
  size_t used = 0;
  if (!has_head) {
    if (checked_ == 0) used = skip_empty_lines(bytes);
    const std::string_view rest = bytes.substr(used);
    const size_t size = fault.status == 0 && rest != "\r" ? find_end_of_head(rest) : 0;
    if (size == 0) return used;
    take_head(rest.substr(0, size));
    used += size;
  }
  while (fault.status == 0 && !is_whole && used < bytes.size()) {
    error_code error;
    const size_t more = put(boost::asio::const_buffer(bytes.data() + used, bytes.size() - used), error);
    used += more;
    if (error == beast::http::error::need_more) {
      // Chunk headers and trailers wait for their end as well.
      if (bytes.size() - used > limits_.header_bytes_max) refuse(400, "a chunk's header is too long");
      break;
    }
    if (error) {
      const HttpFault why = fault_of(error);
      refuse(why.status, why.reason);
    }
    if (request.body.size() > limits_.body_bytes_max) refuse(413, "the body is too large");
    if (more == 0) break;
  }
  return used;
}

RequestReader::RequestReader(const HttpLimits& limits) : parser_(std::make_unique<Parser>(limits)) {}
RequestReader::~RequestReader() = default;
size_t RequestReader::take(std::string_view bytes) { return parser_->take(bytes); }
RequestReader::State RequestReader::state() const {
  if (parser_->fault.status != 0) return State::kFault;
  if (parser_->is_whole) return State::kWhole;
  return parser_->has_head ? State::kBody : State::kHead;
}
const HttpFault& RequestReader::fault() const { return parser_->fault; }
HttpRequest& RequestReader::request() { return parser_->request; }
bool RequestReader::is_http_1_0() const { return parser_->is_http_1_0; }
bool RequestReader::keeps_alive() const { return parser_->has_head && parser_->keep_alive(); }
bool RequestReader::wants_continue() const { return parser_->wants_continue && !parser_->is_whole; }

}  // namespace mneme::serve
