// Any bytes as what a client sends: requests are read the same however the bytes are cut into pieces, and
// what is read has a path that is normal. The first byte chooses the pieces' size.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "serve/http_parse.h"

namespace {

using mneme::serve::HttpRequest;
using mneme::serve::RequestReader;

void check_path(std::string_view path) {
  if (path == "*") return;
  MNEME_CHECK(path.starts_with('/'), "'{}'", path);
  MNEME_CHECK(path.find("//") == path.npos, "'{}'", path);
  MNEME_CHECK(path == "/" || !path.ends_with('/'), "'{}'", path);
  for (const char c : path) MNEME_CHECK(static_cast<unsigned char>(c) >= 0x20, "a control character");
  for (const std::string_view bad : {"/../", "/./"}) {
    MNEME_CHECK((std::string(path) + "/").find(bad) == std::string::npos, "'{}'", path);
  }
}

void check_request(const HttpRequest& request) {
  check_path(request.path);
  const auto count = [&](std::string_view name) {
    return std::ranges::count_if(request.headers, [&](const auto& header) {
      return header.first.size() == name.size() && request.header(header.first) == request.header(name) &&
             HttpRequest{.headers = {header}}.header(name) == header.second && !header.second.empty();
    });
  };
  MNEME_CHECK(count("content-length") + count("transfer-encoding") <= 1, "two lengths");
  for (const auto& [name, value] : request.headers) {
    MNEME_CHECK(!name.empty() && name.find_first_of(" \t\r\n:") == name.npos, "'{}'", name);
    MNEME_CHECK(value.find_first_of(std::string_view("\r\n\0", 3)) == value.npos, "'{}'", value);
  }
  (void)request.query_value("a");
}

// Every request of a connection in one text.
std::string read_all(std::string_view bytes, size_t piece) {
  std::string out, waiting;
  auto reader = std::make_unique<RequestReader>(mneme::serve::HttpLimits{});
  for (size_t at = 0; at <= bytes.size(); at += piece) {
    waiting += bytes.substr(at, piece);
    for (;;) {
      const size_t used = reader->take(waiting);
      MNEME_CHECK(used <= waiting.size());
      waiting.erase(0, used);
      if (reader->state() == RequestReader::State::kFault) return out + "fault";
      if (reader->state() != RequestReader::State::kWhole) break;
      const HttpRequest& request = reader->request();
      check_request(request);
      out += request.method + " " + request.path + "?" + request.query + "\n";
      for (const auto& [name, value] : request.headers) out += name + ": " + value + "\n";
      out += request.body + "\n" + (reader->keeps_alive() ? "keep\n" : "close\n");
      reader = std::make_unique<RequestReader>(mneme::serve::HttpLimits{});
      if (waiting.empty()) break;
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::string whole = read_all(bytes, bytes.size() + 1),
                    pieces = read_all(bytes, size_t{1} + data[0] % 64);
  MNEME_CHECK(whole == pieces, "whole: {}\npieces: {}", whole, pieces);
  return 0;
}
