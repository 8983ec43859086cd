// The server over real sockets, with a client that may do everything wrong.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

#include "serve/http.h"
#include "serve/raw_client_for_test.h"

namespace mneme::serve {
namespace {

using namespace std::chrono_literals;

// Answers that tests go on writing to from their own threads.
struct Kept {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::shared_ptr<Answer>> answers;

  void add(std::shared_ptr<Answer> answer) {
    const std::lock_guard lock(mutex);
    answers.push_back(std::move(answer));
    changed.notify_all();
  }
  std::vector<std::shared_ptr<Answer>> wait_for(size_t count) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, 20s, [&] { return answers.size() >= count; });
    return std::exchange(answers, {});
  }
};

class HttpServerTest : public testing::Test {
 protected:
  void start(HttpOptions options = {}) {
    options.port = 0;
    auto started = HttpServer::start(
        options, [this](auto request, auto answer) { reply(*request, std::move(answer)); });
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
  }
  void reply(const HttpRequest& request, std::shared_ptr<Answer> answer) {
    if (request.path == "/keep") return kept_.add(std::move(answer));
    if (request.path == "/throw") throw std::runtime_error("no");
    if (request.path == "/drop") return;
    if (request.path == "/break") {
      answer->begin(200, "text/plain");
      return answer->write("half");
    }
    if (request.path == "/large") {
      answer->begin(200, "text/plain");
      return answer->write_all(
          [left = 400]() mutable { return left-- > 0 ? std::string(64 << 10, 'x') : std::string(); });
    }
    if (request.path == "/slow") std::this_thread::sleep_for(100ms);
    answer->send(200, "text/plain", request.method + " " + request.path + " " + request.body,
                 {{"x-two", "a\r\nb: c"}});
  }
  RawClient client() { return RawClient(server_->port()); }
  RawAnswer ask(std::string_view bytes, bool head = false) {
    RawClient one(server_->port());
    one.send(bytes);
    return one.answer(head);
  }

  Kept kept_;
  std::unique_ptr<HttpServer> server_;
};

std::string get(std::string_view path) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  start();
  RawClient one(server_->port());
  for (int i = 0; i < 3; ++i) {
    one.send("POST //a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi");
    const RawAnswer answer = one.answer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "POST /a hi");
    EXPECT_EQ(answer.header("x-two"), "ab: c");  // one header stays one
    EXPECT_EQ(answer.header("connection"), "");
    EXPECT_NE(answer.header("date"), "");
  }
  one.send("GET /b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(one.answer().header("connection"), "close");
  EXPECT_TRUE(one.closed_by_server());
}

TEST_F(HttpServerTest, HeadHasNoBody) {
  start();
  RawClient one(server_->port());
  one.send("HEAD /a HTTP/1.1\r\nHost: localhost\r\n\r\n" + get("/b"));
  const RawAnswer head = one.answer(true);
  EXPECT_EQ(head.header("content-length"), "8");
  EXPECT_EQ(one.answer().body, "GET /b ");
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrder) {
  HttpOptions options;
  options.worker_threads = 4;
  start(options);
  RawClient one(server_->port());
  one.send(get("/slow") + get("/1") + "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" +
           get("/slow") + get("/3"));
  for (const std::string expected : {"GET /slow ", "GET /1 ", "POST /2 x", "GET /slow ", "GET /3 "})
    EXPECT_EQ(one.answer().body, expected);
}

TEST_F(HttpServerTest, OldClientsGetWhatTheyKnow) {
  start();
  const RawAnswer plain = ask("GET /a HTTP/1.0\r\n\r\n");
  EXPECT_EQ(plain.header("connection"), "close");
  EXPECT_EQ(plain.body, "GET /a ");
  RawClient kept(server_->port());
  kept.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(kept.answer().header("connection"), "keep-alive");
  kept.send("GET /large HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const RawAnswer large = kept.answer();
  EXPECT_EQ(large.header("transfer-encoding"), "");
  EXPECT_EQ(large.header("connection"), "close");
  EXPECT_EQ(large.body.size(), size_t{400} * (64 << 10));
}

TEST_F(HttpServerTest, ContinueIsSaidBeforeTheBody) {
  start();
  RawClient one(server_->port());
  one.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(one.answer().status, 100);
  one.send("hi");
  EXPECT_EQ(one.answer().body, "POST /a hi");
}

TEST_F(HttpServerTest, TooLargeABodyIsRefusedBeforeItIsSent) {
  HttpOptions options;
  options.limits.body_bytes_max = 100;
  options.limits.header_bytes_max = 1000;
  start(options);
  RawClient one(server_->port());
  one.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n");
  const RawAnswer refused = one.answer();
  EXPECT_EQ(refused.status, 413);
  EXPECT_EQ(refused.body, R"({"error":{"message":"the body is too large"}})");
  EXPECT_TRUE(one.closed_by_server());
  EXPECT_EQ(ask("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(2000, 'x')).status, 431);
}

TEST_F(HttpServerTest, LargeBodiesTogetherHaveALimit) {
  HttpOptions options;
  options.limits.bodies_bytes_max = 1 << 20;
  start(options);
  const std::string head = "POST /keep HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n";
  RawClient first(server_->port());
  first.send(head + std::string(900'000, 'x'));
  auto held = kept_.wait_for(1);
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(ask(head + std::string(900'000, 'x')).status, 503);
  held[0]->send(200, "text/plain", "done");
  held.clear();
  EXPECT_EQ(first.answer().body, "done");
  RawClient third(server_->port());
  third.send(head + std::string(900'000, 'x'));
  held = kept_.wait_for(1);
  ASSERT_EQ(held.size(), 1u);
}

TEST_F(HttpServerTest, SmugglingEndsTheConnection) {
  start();
  for (const std::string head : {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                                 "Content-Length: 5\r\nContent-Length: 6\r\n\r\n012345",
                                 "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "X: a\nY: b\r\n\r\n",
                                 "Transfer-Encoding: chunked\r\n\r\nz\r\n"}) {
    RawClient one(server_->port());
    one.send("POST /a HTTP/1.1\r\nHost: a\r\n" + head + get("/smuggled"));
    EXPECT_EQ(one.answer().status, 400) << head;
    EXPECT_TRUE(one.closed_by_server()) << head;
    EXPECT_EQ(one.unread().find("smuggled"), std::string::npos) << head;
  }
}

TEST_F(HttpServerTest, SlowRequestsEnd) {
  HttpOptions options;
  options.limits.header_time = 300ms;
  options.limits.body_time = 300ms;
  options.limits.idle_time = 300ms;
  start(options);
  RawClient head(server_->port()), body(server_->port()), trickle(server_->port()), idle(server_->port());
  head.send("GET / HT");
  body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12");
  trickle.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
  const auto start_time = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start_time < 2s && trickle.send("x") && !trickle.read_more(50)) {
  }
  EXPECT_EQ(trickle.answer().status, 408);
  EXPECT_EQ(head.answer().status, 408);
  EXPECT_EQ(body.answer().status, 408);
  EXPECT_TRUE(idle.closed_by_server());
  EXPECT_EQ(idle.unread(), "");
}

TEST_F(HttpServerTest, FailuresOfAnEndpointStayInside) {
  start();
  EXPECT_EQ(ask(get("/throw")).status, 500);
  EXPECT_EQ(ask(get("/drop")).status, 500);
  const RawAnswer broken = ask(get("/break"));
  EXPECT_EQ(broken.body, "half");
  EXPECT_FALSE(broken.whole);
  EXPECT_EQ(ask(get("/a")).status, 200);
}

TEST_F(HttpServerTest, HeadersOfAStreamComeAtOnce) {
  start();
  RawClient one(server_->port());
  one.send(get("/keep"));
  auto held = kept_.wait_for(1);
  ASSERT_EQ(held.size(), 1u);
  held[0]->begin(200, "text/event-stream", {{"x-a", "b"}});
  while (one.unread().find("\r\n\r\n") == std::string::npos) ASSERT_TRUE(one.read_more());
  EXPECT_NE(one.unread().find("transfer-encoding: chunked"), one.unread().find("x-a: b"));
  held[0]->write("data: 1\n\n");
  held[0]->end();
  held[0]->write("late");
  EXPECT_EQ(one.answer().body, "data: 1\n\n");
}

TEST_F(HttpServerTest, PiecesFromAnotherThreadKeepTheirOrder) {
  start();
  RawClient one(server_->port());
  one.send(get("/keep"));
  auto held = kept_.wait_for(1);
  ASSERT_EQ(held.size(), 1u);
  std::string expected;
  for (int i = 0; i < 20'000; ++i) expected += std::to_string(i) + "\n";
  std::thread writer([answer = std::move(held[0])] {
    answer->begin(200, "text/plain");
    for (int i = 0; i < 20'000; ++i) answer->write(std::to_string(i) + "\n");
    answer->end();
  });
  EXPECT_EQ(one.answer().body, expected);
  writer.join();
}

TEST_F(HttpServerTest, ADisconnectIsNoticedSoon) {
  start();
  for (const bool reset : {false, true}) {
    for (const bool begun : {false, true}) {
      RawClient one(server_->port());
      one.send(get("/keep"));
      auto held = kept_.wait_for(1);
      ASSERT_EQ(held.size(), 1u);
      if (begun) held[0]->begin(200, "text/plain");
      std::atomic<bool> gone = false;
      held[0]->on_gone([&] { gone = true; });
      std::this_thread::sleep_for(20ms);
      EXPECT_FALSE(gone);
      reset ? one.reset() : one.leave();
      for (int i = 0; i < 1000 && !gone; ++i) std::this_thread::sleep_for(10ms);
      EXPECT_TRUE(gone);
      EXPECT_TRUE(held[0]->gone());
      held[0]->write("nothing happens");
      bool late = false;
      held[0]->on_gone([&] { late = true; });
      EXPECT_TRUE(late);
    }
  }
}

TEST_F(HttpServerTest, WhoClosesTheirSideGetsQuickAnswers) {
  start();
  RawClient one(server_->port());
  one.send(get("/a") + get("/b"));
  one.end_sending();
  EXPECT_EQ(one.answer().body, "GET /a ");
  EXPECT_EQ(one.answer().body, "GET /b ");
}

TEST_F(HttpServerTest, AClientThatTakesNothingIsGone) {
  HttpOptions options;
  options.limits.write_time = 300ms;
  start(options);
  RawClient one(server_->port());
  one.send(get("/keep"));
  auto held = kept_.wait_for(1);
  ASSERT_EQ(held.size(), 1u);
  held[0]->begin(200, "text/plain");
  for (int i = 0; i < 120; ++i) held[0]->write(std::string(100'000, 'x'));
  for (int i = 0; i < 500 && !held[0]->gone(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(held[0]->gone());
}

TEST_F(HttpServerTest, WhatWaitsForAClientHasALimit) {
  HttpOptions options;
  options.limits.waiting_bytes_max = 1 << 20;
  start(options);
  RawClient one(server_->port());
  one.send(get("/keep"));
  auto held = kept_.wait_for(1);
  ASSERT_EQ(held.size(), 1u);
  held[0]->begin(200, "text/plain");
  int written = 0;
  while (written < 1000 && !held[0]->gone()) {
    held[0]->write(std::string(100'000, 'x'));
    ++written;
  }
  EXPECT_LT(written, 1000);  // the sockets take a few MB, the queue 1 MiB
}

size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  size_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

TEST_F(HttpServerTest, ManyStreamsAtOnce) {
  start();
  constexpr size_t kStreams = 500, kPieces = 50;
  const size_t before = resident_bytes();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (size_t i = 0; i < kStreams; ++i) {
    clients.push_back(std::make_unique<RawClient>(server_->port()));
    ASSERT_TRUE(clients.back()->send(get("/keep")));
  }
  auto held = kept_.wait_for(kStreams);
  ASSERT_EQ(held.size(), kStreams);
  for (const auto& answer : held) answer->begin(200, "text/event-stream");
  for (size_t piece = 0; piece < kPieces; ++piece) {
    for (const auto& answer : held) answer->write("data: " + std::to_string(piece) + "\n\n");
  }
  for (const auto& answer : held) answer->end();
  held.clear();
  std::string expected;
  for (size_t piece = 0; piece < kPieces; ++piece) expected += "data: " + std::to_string(piece) + "\n\n";
  size_t whole = 0;
  for (const auto& one : clients) {
    const RawAnswer answer = one->answer();
    whole += answer.whole && answer.body == expected;
  }
  EXPECT_EQ(whole, kStreams);
  const size_t after = resident_bytes();
  EXPECT_LT(after - std::min(after, before), size_t{64} << 20);
}

TEST_F(HttpServerTest, TooManyConnectionsAreTurnedAway) {
  HttpOptions options;
  options.limits.connections_max = 2;
  start(options);
  RawClient one(server_->port()), two(server_->port());
  one.send(get("/a"));
  two.send(get("/a"));
  EXPECT_EQ(one.answer().status, 200);
  EXPECT_EQ(two.answer().status, 200);
  RawClient three(server_->port());
  EXPECT_EQ(three.answer().status, 503);
}

TEST_F(HttpServerTest, StopLetsAnswersEnd) {
  start();
  RawClient busy(server_->port()), idle(server_->port());
  idle.send(get("/a"));
  EXPECT_EQ(idle.answer().status, 200);
  busy.send(get("/keep"));
  auto held = kept_.wait_for(1);
  ASSERT_EQ(held.size(), 1u);
  held[0]->begin(200, "text/plain");
  std::thread writer([answer = std::move(held[0])]() mutable {
    for (int i = 0; i < 20; ++i) {
      std::this_thread::sleep_for(10ms);
      answer->write("x");
    }
    answer->end();
  });
  const uint16_t port = server_->port();
  EXPECT_TRUE(server_->stop(5s));
  writer.join();
  EXPECT_TRUE(idle.closed_by_server());
  EXPECT_EQ(busy.answer().body, std::string(20, 'x'));
  EXPECT_TRUE(busy.closed_by_server());
  EXPECT_FALSE(RawClient(port).connected());
}

TEST_F(HttpServerTest, StopCutsWhatDoesNotEnd) {
  start();
  RawClient busy(server_->port());
  busy.send(get("/keep"));
  auto held = kept_.wait_for(1);
  ASSERT_EQ(held.size(), 1u);
  held[0]->begin(200, "text/plain");
  held[0]->write("x");
  std::atomic<bool> gone = false;
  held[0]->on_gone([&] { gone = true; });
  EXPECT_FALSE(server_->stop(100ms));
  EXPECT_TRUE(gone);
  server_ = nullptr;
  held[0]->write("after the server's end");  // nothing happens
  held[0]->end();
  EXPECT_FALSE(busy.answer().whole);
}

TEST(HttpServerStart, SaysWhatIsWrong) {
  const AnswerRequest none = [](auto, auto) {};
  auto first = HttpServer::start({.port = 0}, none);
  ASSERT_TRUE(first);
  const auto second = HttpServer::start({.port = (*first)->port()}, none);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("cannot listen at 127.0.0.1 port"), std::string::npos);
  EXPECT_FALSE(HttpServer::start({.host = "no such host.invalid", .port = 0}, none));
  HttpOptions half;
  half.port = 0;
  half.tls_certificate_path = "/no/such.pem";
  EXPECT_FALSE(HttpServer::start(half, none));
  half.tls_key_path = "/no/such.key";
  const auto missing = HttpServer::start(half, none);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("/no/such.pem"), std::string::npos);
}

}  // namespace
}  // namespace mneme::serve
