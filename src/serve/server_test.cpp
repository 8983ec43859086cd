// Who may ask what, from where, how often; and what is told of it.
#include "serve/server.h"

#include <gtest/gtest.h>

#include <atomic>

#include "serve/server_for_test.h"

namespace mneme::serve {
namespace {

// Endpoints that say what they were called with.
void add_echo(Router& router) {
  const auto echo = [](const Call& call) {
    if (call.request->body == "throw") throw std::runtime_error("a secret reason");
    if (call.request->body == "tokens") call.account("scripted", 100, 20);
    call.answer->send(200, "application/json",
                      json_text({{"owner", call.caller.owner},
                                 {"admin", call.caller.is_admin},
                                 {"tokens_max", call.caller.tokens_max},
                                 {"low", call.caller.priority == Priority::kLow}}));
  };
  router.add("POST", "/test/echo", echo);
  router.add("POST", "/v1/messages/echo", echo);
}

ServerOptions with_echo() {
  ServerOptions options;
  options.more = add_echo;
  return options;
}

std::string bearer(const std::string& key) { return "Authorization: Bearer " + key + "\r\n"; }

class ServerBorder : public testing::Test, protected ServerUnderTest {};

TEST_F(ServerBorder, PathsAndMethods) {
  start(with_echo());
  EXPECT_EQ(ask("GET", "/").status, 200);
  EXPECT_EQ(ask("HEAD", "/").status, 200);
  EXPECT_EQ(ask("GET", "//health").status, 200);
  const RawAnswer unknown = ask("GET", "/v1/nothing");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(Json::parse(unknown.body)["error"]["type"], "invalid_request_error");
  const RawAnswer method = ask("DELETE", "/health");
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.header("allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(ask("OPTIONS", "/health").header("allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(ask("OPTIONS", "*").status, 204);
  EXPECT_EQ(ask("GET", "/../etc/passwd").status, 400);
}

TEST_F(ServerBorder, ExceptionsStayInside) {
  start(with_echo());
  const RawAnswer answer = ask("POST", "/test/echo", "", "throw");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body.find("secret reason"), std::string::npos);
  EXPECT_EQ(ask("POST", "/test/echo", "", "x").status, 200);
}

TEST_F(ServerBorder, RequestsHaveIds) {
  start(with_echo());
  EXPECT_EQ(ask("GET", "/health", "X-Request-Id: mine-1\r\n").header("x-request-id"), "mine-1");
  const std::string made = ask("GET", "/health", "X-Request-Id: a b\"\r\n").header("x-request-id");
  EXPECT_EQ(made.substr(0, 4), "req_");
  EXPECT_EQ(made.size(), 28u);
  const RawAnswer anthropic = ask("GET", "/v1/messages/none", "X-Request-Id: mine-2\r\n");
  EXPECT_EQ(anthropic.header("request-id"), "mine-2");
  EXPECT_EQ(Json::parse(anthropic.body)["request_id"], "mine-2");
  EXPECT_EQ(Json::parse(anthropic.body)["error"]["type"], "not_found_error");
}

TEST_F(ServerBorder, LogsHaveOneLineARequestAndNoSecrets) {
  ServerOptions options = with_echo();
  const auto keys = make_keys(options, {{}});
  start(options);
  ask("POST", "/test/echo?token=query-secret", bearer(keys[0]) + "Cookie: cookie-secret\r\n", "tokens");
  log(1);  // lines come in the order in which answers end
  ask("POST", "/test/echo", bearer("sk-wrong-secret"), "body-secret");
  log(2);
  ask("GET", "/bad%", bearer(keys[0]));
  const auto lines = log(3);
  ASSERT_EQ(lines.size(), 3u);
  for (const std::string& line : lines) {
    EXPECT_EQ(line.find("secret"), std::string::npos) << line;
    EXPECT_EQ(line.find(keys[0]), std::string::npos) << line;
    EXPECT_EQ(line.find('\n'), std::string::npos);
  }
  const Json first = Json::parse(lines[0]);
  EXPECT_EQ(first["method"], "POST");
  EXPECT_EQ(first["path"], "/test/echo");
  EXPECT_EQ(first["status"], 200);
  EXPECT_EQ(first["owner"], owners_[0]);
  EXPECT_EQ(first["model"], "scripted");
  EXPECT_EQ(first["prompt_tokens"], 100);
  EXPECT_EQ(first["generated_tokens"], 20);
  EXPECT_GT(first["bytes"], 10);
  EXPECT_TRUE(first["ms"].is_number());
  EXPECT_EQ(first["time"].get<std::string>().size(), 24u);
  EXPECT_EQ(Json::parse(lines[1])["status"], 401);
  EXPECT_EQ(Json::parse(lines[2])["status"], 400);
}

TEST_F(ServerBorder, WithoutAKeyNothingIsTold) {
  ServerOptions options = with_echo();
  const auto keys = make_keys(options, {{}, {.is_admin = true}});
  start(options);
  for (const char* path : {"/props", "/v1/sessions", "/v1/sessions/x", "/metrics", "/v1/nothing"}) {
    const RawAnswer answer = ask("GET", path);
    EXPECT_EQ(answer.status, 401) << path;
    EXPECT_EQ(answer.header("www-authenticate"), "Bearer");
    EXPECT_EQ(Json::parse(answer.body)["error"]["code"], "invalid_api_key");
  }
  EXPECT_EQ(ask("POST", "/test/echo", "", "x").status, 401);
  EXPECT_EQ(ask("POST", "/test/echo", "Authorization: \r\n", "x").status, 401);
  EXPECT_EQ(ask("POST", "/test/echo", "Authorization: Bearer \r\n", "x").status, 401);
  EXPECT_EQ(ask("POST", "/test/echo", bearer(keys[0] + "0"), "x").status, 401);
  EXPECT_EQ(ask("POST", "/test/echo", "Authorization: Basic " + keys[0] + "\r\n", "x").status, 401);
  EXPECT_EQ(ask_json("POST", "/v1/messages/echo", "", "x")["error"]["type"], "authentication_error");
  EXPECT_EQ(ask("GET", "/v1/health").status, 401);
  EXPECT_EQ(ask("GET", "/health").status, 200);
  const RawAnswer root = ask("GET", "/");
  EXPECT_EQ(root.status, 200);
  EXPECT_EQ(root.body.find("scripted"), std::string::npos);
}

TEST_F(ServerBorder, KeysComeInThreeHeaders) {
  ServerOptions options = with_echo();
  const auto keys = make_keys(options, {{.tokens_max = 77, .priority = Priority::kLow}});
  start(options);
  for (const std::string& headers : std::vector<std::string>{
           bearer(keys[0]), "authorization: bearer  " + keys[0] + "\r\n", "x-api-key: " + keys[0] + "\r\n",
           "api-key: " + keys[0] + "\r\n", "Authorization: Bearer dummy\r\nx-api-key: " + keys[0] + "\r\n",
           "Authorization: \r\nx-api-key: " + keys[0] + "\r\n"}) {
    const Json echo = ask_json("POST", "/test/echo", headers, "x");
    EXPECT_EQ(echo["owner"], owners_[0]) << headers;
    EXPECT_EQ(echo["admin"], false);
    EXPECT_EQ(echo["tokens_max"], 77);
    EXPECT_EQ(echo["low"], true);
  }
}

TEST_F(ServerBorder, MetricsAreForAdmins) {
  ServerOptions options;
  const auto keys = make_keys(options, {{}, {.is_admin = true}});
  start(options);
  EXPECT_EQ(ask("GET", "/metrics", bearer(keys[0])).status, 403);
  const RawAnswer metrics = ask("GET", "/metrics", bearer(keys[1]));
  EXPECT_EQ(metrics.status, 200);
  EXPECT_NE(metrics.body.find("mneme_generations_running{model=\"scripted\"} 0\n"), std::string::npos);
  EXPECT_NE(
      metrics.body.find("mneme_http_requests_total{method=\"GET\",path=\"/metrics\",status=\"403\"} 1\n"),
      std::string::npos);
  EXPECT_NE(metrics.body.find("mneme_http_request_seconds_bucket{path=\"/metrics\",le=\"+Inf\"} 1\n"),
            std::string::npos);
  EXPECT_EQ(metrics.body.find(keys[0]), std::string::npos);
}

TEST_F(ServerBorder, ARemovedKeyIsRefused) {
  ServerOptions options = with_echo();
  const auto keys = make_keys(options, {{}});
  start(options);
  EXPECT_EQ(ask("POST", "/test/echo", bearer(keys[0]), "x").status, 200);
  ASSERT_TRUE(write_keys(keys_path_, {}));
  // Nobody tells the server of it.
  for (int i = 0; i < 600 && ask("POST", "/test/echo", bearer(keys[0]), "x").status == 200; ++i)
    ::usleep(50'000);
  EXPECT_EQ(ask("POST", "/test/echo", bearer(keys[0]), "x").status, 401);
}

TEST_F(ServerBorder, RatesOfAKeyHold) {
  ServerOptions options = with_echo();
  const auto keys = make_keys(options, {{.requests_per_minute = 2}, {.tokens_per_minute = 60}, {}});
  start(options);
  EXPECT_EQ(ask("POST", "/test/echo", bearer(keys[0]), "x").header("x-ratelimit-remaining-requests"), "1");
  EXPECT_EQ(ask("POST", "/test/echo", bearer(keys[0]), "x").status, 200);
  const RawAnswer refused = ask("POST", "/test/echo", bearer(keys[0]), "x");
  EXPECT_EQ(refused.status, 429);
  EXPECT_NE(refused.header("retry-after"), "");
  EXPECT_EQ(Json::parse(refused.body)["error"]["code"], "rate_limit_exceeded");
  EXPECT_EQ(ask_json("POST", "/v1/messages/echo", bearer(keys[0]), "x")["error"]["type"], "rate_limit_error");
  EXPECT_EQ(ask("POST", "/test/echo", bearer(keys[1]), "tokens").status, 200);
  const RawAnswer debt = ask("POST", "/test/echo", bearer(keys[1]), "tokens");
  EXPECT_EQ(debt.status, 429);
  EXPECT_NE(debt.header("retry-after"), "");
  EXPECT_EQ(ask("POST", "/test/echo", bearer(keys[2]), "tokens").status, 200);
}

TEST_F(ServerBorder, GenerationsOfAKeyAtOnce) {
  std::mutex mutex;
  std::vector<std::shared_ptr<Answer>> held;
  ServerOptions options;
  options.more = [&](Router& router) {
    router.add("POST", "/test/hold", [&](const Call& call) {
      const std::lock_guard lock(mutex);
      held.push_back(call.answer);
      call.answer->begin(200, "text/plain");
    });
  };
  const auto keys = make_keys(options, {{.generations_max = 1}});
  start(options);
  RawClient first(server_->port());
  first.send("POST /test/hold HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" + bearer(keys[0]) + "\r\n");
  while (first.unread().find("\r\n\r\n") == std::string::npos) ASSERT_TRUE(first.read_more());
  EXPECT_EQ(ask("POST", "/test/hold", bearer(keys[0])).status, 429);
  EXPECT_EQ(ask("GET", "/props", bearer(keys[0])).status, 200);
  {
    const std::lock_guard lock(mutex);
    held[0]->end();
    held.clear();
  }
  EXPECT_TRUE(first.answer().whole);
  RawClient second(server_->port());
  second.send("POST /test/hold HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" + bearer(keys[0]) + "\r\n");
  while (second.unread().find("\r\n\r\n") == std::string::npos) ASSERT_TRUE(second.read_more());
  EXPECT_EQ(second.unread().substr(0, 12), "HTTP/1.1 200");
  second.leave();  // one that leaves gives its place back as well
  for (int i = 0; i < 1000; ++i) {
    const std::lock_guard lock(mutex);
    if (!held.empty() && held[0]->gone()) break;
    ::usleep(10'000);
  }
  const std::lock_guard lock(mutex);
  ASSERT_EQ(held.size(), 1u);
  EXPECT_TRUE(held[0]->gone());
  held.clear();
  RawClient third(server_->port());
  third.send("POST /test/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" + bearer(keys[0]) + "\r\n");
  EXPECT_EQ(third.answer().status, 404);
}

TEST_F(ServerBorder, AnotherHostsNameIsRefusedWithoutKeys) {
  start(with_echo());
  EXPECT_EQ(ask("GET", "/props", "Host: evil.example\r\n").status, 403);
  EXPECT_EQ(ask("GET", "/props", "Host: 127.0.0.1.evil.example\r\n").status, 403);
  EXPECT_EQ(ask("GET", "/props", "Host: localhost.evil.example:80\r\n").status, 403);
  EXPECT_EQ(ask("GET", "/props", "Host: localhost:8080\r\n").status, 200);
  EXPECT_EQ(ask("GET", "/props", "Host: 127.0.0.1:8080\r\n").status, 200);
  EXPECT_EQ(ask("GET", "/props", "Host: [::1]:8080\r\n").status, 200);
}

TEST_F(ServerBorder, PagesOfStrangersAreRefusedWithoutKeys) {
  start(with_echo());
  const RawAnswer refused = ask("POST", "/test/echo", "Origin: https://evil.example\r\n", "x");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.header("access-control-allow-origin"), "");
  EXPECT_EQ(ask("POST", "/test/echo", "Origin: null\r\n", "x").status, 403);
  EXPECT_EQ(ask("POST", "/test/echo", "Origin: http://localhost:3000\r\n", "x").status, 200);
}

TEST_F(ServerBorder, AllowedPagesMayStream) {
  ServerOptions options = with_echo();
  options.cors_origins = {"https://app.example"};
  start(options);
  const RawAnswer preflight = ask("OPTIONS", "/test/echo",
                                  "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n"
                                  "Access-Control-Request-Headers: authorization,content-type\r\n");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.header("access-control-allow-origin"), "https://app.example");
  EXPECT_EQ(preflight.header("access-control-allow-headers"), "authorization,content-type");
  EXPECT_NE(preflight.header("access-control-allow-methods").find("POST"), std::string::npos);
  const RawAnswer answer = ask("POST", "/test/echo", "Origin: https://app.example\r\n", "x");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("access-control-allow-origin"), "https://app.example");
  EXPECT_EQ(answer.header("vary"), "Origin");
  EXPECT_NE(answer.header("access-control-expose-headers").find("x-request-id"), std::string::npos);
  EXPECT_EQ(ask("GET", "/nothing", "Origin: https://app.example\r\n").header("access-control-allow-origin"),
            "https://app.example");
}

TEST_F(ServerBorder, WithKeysAPreflightNeedsNone) {
  ServerOptions options = with_echo();
  options.cors_origins = {"*"};
  const auto keys = make_keys(options, {{}});
  start(options);
  const std::string origin = "Origin: https://any.example\r\n";
  EXPECT_EQ(ask("OPTIONS", "/test/echo", origin + "Access-Control-Request-Method: POST\r\n").status, 204);
  EXPECT_EQ(ask("POST", "/test/echo", origin, "x").status, 401);
  EXPECT_EQ(ask("POST", "/test/echo", origin + bearer(keys[0]), "x").status, 200);
}

// A server of the test's own that nobody may call.
TEST_F(ServerBorder, UrlsInRequestsAreNotFetched) {
  std::atomic<int> calls = 0;
  auto trap = HttpServer::start({.port = 0}, [&](auto, auto answer) {
    ++calls;
    answer->send(200, "text/plain", "fetched");
  });
  ASSERT_TRUE(trap);
  start();
  const std::string url = "http://127.0.0.1:" + std::to_string((*trap)->port()) + "/x.png";
  const std::string openai = R"({"model":"m","max_tokens":4,"messages":[{"role":"user","content":[)"
                             R"({"type":"text","text":"see"},{"type":"image_url","image_url":{"url":")" +
                             url + R"("}}]}]})";
  const std::string anthropic = R"({"model":"m","max_tokens":4,"messages":[{"role":"user","content":[)"
                                R"({"type":"image","source":{"type":"url","url":")" +
                                url + R"("}}]}],"mcp_servers":[{"type":"url","url":")" + url +
                                R"(","name":"m"}]})";
  const std::string schema =
      R"({"model":"m","max_tokens":4,"messages":[{"role":"user","content":"x"}],)"
      R"("response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"$ref":")" +
      url + R"("}}}})";
  for (const auto& [path, body] :
       {std::pair("/v1/chat/completions", openai), std::pair("/v1/messages", anthropic),
        std::pair("/v1/chat/completions", schema)}) {
    const RawAnswer answer = ask("POST", path, "", body);
    EXPECT_TRUE(answer.status == 200 || answer.status == 400) << path << " " << answer.status << answer.body;
    EXPECT_EQ(answer.body.find("fetched"), std::string::npos);
  }
  EXPECT_EQ(calls, 0);
}

TEST_F(ServerBorder, TooLargeIsSaidInTheProtocolsWords) {
  ServerOptions options = with_echo();
  options.http.limits.body_bytes_max = 10;
  start(options);
  EXPECT_EQ(ask_json("POST", "/v1/messages", "", "0123456789a")["error"]["type"], "request_too_large");
  EXPECT_EQ(ask_json("POST", "/v1/chat/completions", "", "0123456789a")["error"]["code"],
            "request_too_large");
  EXPECT_NE(ask("GET", "/metrics").body.find("path=\"refused\",status=\"413\"} 2\n"), std::string::npos);
}

}  // namespace
}  // namespace mneme::serve
