#include "serve/http_get.h"

#include <gtest/gtest.h>

#include <thread>

namespace mneme::serve {
namespace {

using namespace std::chrono_literals;

TEST(HttpGet, ReadsAnswersAndStreams) {
  auto server = HttpServer::start({.port = 0}, [](auto request, auto answer) {
    if (request->path == "/slow") std::this_thread::sleep_for(500ms);
    if (request->path != "/stream")
      return answer->send(404, "text/plain", request->query + std::string(request->header("x-a")));
    answer->begin(200, "text/plain");
    for (int i = 0; i < 1000; ++i) answer->write("0123456789");
    answer->end();
  });
  ASSERT_TRUE(server);
  const std::string base = "http://127.0.0.1:" + std::to_string((*server)->port());
  const auto plain = http_get(base + "/a?b=c", {{"X-A", "d"}}, 5s);
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->status, 404);
  EXPECT_EQ(plain->body, "b=cd");
  const auto stream = http_get(base + "/stream", {}, 5s);
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->status, 200);
  EXPECT_EQ(stream->body.size(), 10'000u);
  const auto slow = http_get(base + "/slow", {}, 100ms);
  ASSERT_FALSE(slow);
  EXPECT_NE(slow.error().message.find("no answer within 100 ms"), std::string::npos);
  server->reset();
  EXPECT_FALSE(http_get(base, {}, 1s));
  EXPECT_FALSE(http_get("https://127.0.0.1", {}, 1s));
  EXPECT_FALSE(http_get("http://", {}, 1s));
}

}  // namespace
}  // namespace mneme::serve
