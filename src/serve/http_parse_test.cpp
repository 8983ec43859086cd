// What is read out of bytes, and what is refused: each whole and byte by byte.
#include "serve/http_parse.h"

#include <gtest/gtest.h>

namespace mneme::serve {
namespace {

using State = RequestReader::State;

// "200 METHOD path?query body", or the status of the fault; "more" where the request has no end.
std::string outcome(RequestReader& reader) {
  if (reader.state() == State::kFault) return std::to_string(reader.fault().status);
  if (reader.state() != State::kWhole) return "more";
  const HttpRequest& request = reader.request();
  return "200 " + request.method + " " + request.path + "?" + request.query + " " + request.body;
}

std::string read_whole(std::string_view bytes, std::string* rest = nullptr, const HttpLimits& limits = {}) {
  RequestReader reader(limits);
  const size_t used = reader.take(bytes);
  if (rest != nullptr) *rest = bytes.substr(used);
  return outcome(reader);
}

std::string read_bytewise(std::string_view bytes, const HttpLimits& limits = {}) {
  RequestReader reader(limits);
  std::string kept;
  for (const char c : bytes) {
    kept += c;
    kept.erase(0, reader.take(kept));
    if (reader.state() == State::kWhole || reader.state() == State::kFault) break;
  }
  return outcome(reader);
}

std::string read(std::string_view bytes) {
  std::string whole = read_whole(bytes), bytewise = read_bytewise(bytes);
  return whole == bytewise ? whole : whole + " but bytewise " + bytewise;
}

const std::string kHost = "Host: a\r\n";

TEST(HttpParse, RequestsAreRead) {
  EXPECT_EQ(read("GET / HTTP/1.1\r\n" + kHost + "\r\n"), "200 GET /? ");
  EXPECT_EQ(read("GET /a?b=c HTTP/1.0\r\n\r\n"), "200 GET /a?b=c ");
  EXPECT_EQ(read("POST /a HTTP/1.1\r\n" + kHost + "Content-Length: 4\r\n\r\nbody"), "200 POST /a? body");
  EXPECT_EQ(read("POST /a HTTP/1.1\r\n" + kHost + "Content-Length: 0\r\n\r\n"), "200 POST /a? ");
  EXPECT_EQ(read("POST /a HTTP/1.1\r\n" + kHost +
                 "Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;x=\"y\"\r\ndy\r\n0\r\nTrailer: x\r\n\r\n"),
            "200 POST /a? body");
  EXPECT_EQ(read("\r\nGET / HTTP/1.1\r\n" + kHost + "\r\n"), "200 GET /? ");
  EXPECT_EQ(read("GET / HTTP/1.1\r\n" + kHost), "more");
  EXPECT_EQ(read("POST /a HTTP/1.1\r\n" + kHost + "Content-Length: 4\r\n\r\nbod"), "more");
}

TEST(HttpParse, WhatFollowsIsLeft) {
  std::string rest;
  EXPECT_EQ(read_whole("POST /a HTTP/1.1\r\n" + kHost + "Content-Length: 4\r\n\r\nbodyGET /", &rest),
            "200 POST /a? body");
  EXPECT_EQ(rest, "GET /");
  read_whole("GET /a HTTP/1.1\r\n" + kHost + "\r\nGET /", &rest);
  EXPECT_EQ(rest, "GET /");
  read_whole("POST /a HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET /",
             &rest);
  EXPECT_EQ(rest, "GET /");
}

TEST(HttpParse, HeadersAreKeptAsSent) {
  RequestReader reader({});
  reader.take("GET / HTTP/1.1\r\nX-B:  two words \r\nhost: a\r\nx-b: again\r\nEmpty:\r\n\r\n");
  ASSERT_EQ(reader.state(), State::kWhole);
  const Headers expected = {{"X-B", "two words"}, {"host", "a"}, {"x-b", "again"}, {"Empty", ""}};
  EXPECT_EQ(reader.request().headers, expected);
  EXPECT_EQ(reader.request().header("X-b"), "two words");
}

TEST(HttpParse, TrailersAreNoHeaders) {
  RequestReader reader({});
  reader.take(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: x\r\n\r\n");
  ASSERT_EQ(reader.state(), State::kWhole);
  EXPECT_EQ(reader.request().header("authorization"), "");
}

TEST(HttpParse, SmugglingIsRefused) {
  const auto post = [](std::string_view headers, std::string_view body = "0\r\n\r\n") {
    return read("POST / HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n" + std::string(body));
  };
  EXPECT_EQ(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "400");
  EXPECT_EQ(post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "400");
  EXPECT_EQ(post("Content-Length: 5\r\nContent-Length: 6\r\n"), "400");
  EXPECT_EQ(post("Content-Length: 5\r\nContent-Length: 5\r\n"), "400");
  EXPECT_EQ(post("Content-Length: 5, 5\r\n"), "400");
  EXPECT_EQ(post("Content-Length: +5\r\n"), "400");
  EXPECT_EQ(post("Content-Length: -1\r\n"), "400");
  EXPECT_EQ(post("Content-Length: 0x5\r\n"), "400");
  EXPECT_EQ(post("Content-Length: 99999999999999999999999\r\n"), "400");
  EXPECT_EQ(post("Content-Length: \r\n"), "400");
  EXPECT_EQ(post("Transfer-Encoding: gzip, chunked\r\n"), "501");
  EXPECT_EQ(post("Transfer-Encoding: xchunked\r\n"), "501");
  EXPECT_EQ(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "400");
  EXPECT_EQ(post("Transfer-Encoding : chunked\r\n"), "400");
  EXPECT_EQ(post("Content-Length : 5\r\n"), "400");
  EXPECT_EQ(post("X: a\r\n b\r\n"), "400");
  EXPECT_EQ(post(" X: a\r\n"), "400");
  EXPECT_EQ(post("X: a\nY: b\r\n"), "400");
  EXPECT_EQ(post("X: a\rY: b\r\n"), "400");
  EXPECT_EQ(post(std::string("X: a\0b\r\n", 8)), "400");
  EXPECT_EQ(post("X Y: a\r\n"), "400");
  EXPECT_EQ(post("Content-Encoding: gzip\r\n"), "415");
  EXPECT_EQ(read("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400");
  EXPECT_EQ(read("GET / HTTP/1.1\nHost: a\n\n"), "400");
}

TEST(HttpParse, ChunksAreStrict) {
  const auto chunks = [](std::string_view body) {
    return read("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(body));
  };
  EXPECT_EQ(chunks("x\r\n"), "400");
  EXPECT_EQ(chunks("-1\r\nx\r\n0\r\n\r\n"), "400");
  EXPECT_EQ(chunks("0x1\r\nx\r\n0\r\n\r\n"), "400");
  EXPECT_EQ(chunks("1\nx\r\n0\r\n\r\n").substr(0, 3), "400");
  EXPECT_EQ(chunks("1\r\nxy\r\n0\r\n\r\n"), "400");
  EXPECT_EQ(chunks("ffffffffffffffffff\r\nx"), "400");
  EXPECT_EQ(chunks("fffffffffffffff0\r\nx"), "413");
}

TEST(HttpParse, HostsAndTargets) {
  EXPECT_EQ(read("GET / HTTP/1.1\r\n\r\n"), "400");
  EXPECT_EQ(read("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), "400");
  EXPECT_EQ(read("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), "400");
  EXPECT_EQ(read("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"), "400");
  EXPECT_EQ(read("GET /../x HTTP/1.1\r\nHost: a\r\n\r\n"), "400");
  EXPECT_EQ(read("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), "400");
  EXPECT_EQ(read("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "200 OPTIONS *? ");
  EXPECT_EQ(read("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"), "400");
  EXPECT_EQ(read("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), "505");
  EXPECT_EQ(read("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n").substr(0, 1), "5");
  EXPECT_EQ(read("GET / HTTP\r\n\r\n"), "505");
  EXPECT_EQ(read("GET /\r\n\r\n"), "400");
  EXPECT_EQ(read("\r\n\r\nGET\r\n\r\n"), "400");
  EXPECT_EQ(read("G@T / HTTP/1.1\r\nHost: a\r\n\r\n"), "400");
  EXPECT_EQ(read(std::string("\x16\x03\x01\x02\x00\x01\r\n\r\n", 10)), "400");
  EXPECT_EQ(read("GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n"), "417");
}

TEST(HttpParse, LimitsHold) {
  HttpLimits limits;
  limits.header_bytes_max = 200;
  limits.body_bytes_max = 10;
  const auto both = [&](const std::string& bytes) {
    const std::string whole = read_whole(bytes, nullptr, limits), bytewise = read_bytewise(bytes, limits);
    return whole == bytewise ? whole : whole + " but bytewise " + bytewise;
  };
  EXPECT_EQ(both("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(150, 'x') + "\r\n\r\n"), "200 GET /? ");
  EXPECT_EQ(both("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(200, 'x') + "\r\n\r\n"), "431");
  EXPECT_EQ(both("GET /" + std::string(300, 'x')), "431");
  EXPECT_EQ(both("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789"),
            "200 POST /? 0123456789");
  EXPECT_EQ(both("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n"), "413");
  EXPECT_EQ(both("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n8\r\n"),
            "413");
  EXPECT_EQ(
      both("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(300, 'x')),
      "400");
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 300; ++i) many += "a: b\r\n";
  EXPECT_EQ(read(many + "\r\n"), "431");
}

}  // namespace
}  // namespace mneme::serve
