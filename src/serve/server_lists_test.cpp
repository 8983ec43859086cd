// The server over its socket: whose pages may ask, which keys open what, that who leaves is noticed, and that
// counts in /metrics and /props are those of the requests.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "serve/server_for_test.h"

namespace mneme::serve {
namespace {

std::string bearer(const std::string& key) { return "Authorization: Bearer " + key + "\r\n"; }

struct Request {
  const char *name, *path, *body;
};
void PrintTo(const Request& request, std::ostream* out) { *out << request.name; }

constexpr Request kGenerating[] = {
    {"chat", "/v1/chat/completions", R"({"messages":[{"role":"user","content":"hi"}]})"},
    {"chat_streamed", "/v1/chat/completions",
     R"({"messages":[{"role":"user","content":"hi"}],"stream":true})"},
    {"completion", "/v1/completions", R"({"prompt":"hi"})"},
    {"completion_streamed", "/v1/completions", R"({"prompt":"hi","stream":true})"},
    {"responses", "/v1/responses", R"({"input":"hi"})"},
    {"responses_streamed", "/v1/responses", R"({"input":"hi","stream":true})"},
    {"messages", "/v1/messages", R"({"max_tokens":9,"messages":[{"role":"user","content":"hi"}]})"},
    {"messages_streamed", "/v1/messages",
     R"({"max_tokens":9,"messages":[{"role":"user","content":"hi"}],"stream":true})"},
    {"infill", "/infill", R"({"input_prefix":"a","input_suffix":"b"})"},
    {"infill_streamed", "/infill", R"({"input_prefix":"a","input_suffix":"b","stream":true})"}};

class ServerGeneration : public testing::TestWithParam<Request>, protected ServerUnderTest {
 protected:
  static std::string body() {
    Json body = Json::parse(GetParam().body);
    body["model"] = "scripted";
    return body.dump();
  }
};

TEST_P(ServerGeneration, NeedsTheRightKey) {
  ServerOptions options;
  const auto keys = make_keys(options, {{}});
  start(options);
  for (const std::string& headers :
       std::vector<std::string>{"", bearer("invalid-key"), "x-api-key: invalid-key\r\n"}) {
    const RawAnswer refused = ask("POST", GetParam().path, headers, body());
    EXPECT_EQ(refused.status, 401) << headers;
    EXPECT_TRUE(Json::parse(refused.body).contains("error"));
  }
  EXPECT_TRUE(backend_->requests().empty());
  for (const std::string& headers :
       {bearer(keys[0]), "x-api-key: " + keys[0] + "\r\n", "api-key: " + keys[0] + "\r\n"})
    EXPECT_EQ(ask("POST", GetParam().path, headers, body()).status, 200) << headers;
  EXPECT_EQ(backend_->requests().size(), 3u);
}

TEST_P(ServerGeneration, EndsWithItsClient) {
  start();
  backend_->set_held(true);
  RawClient client(server_->port());
  client.send("POST " + std::string(GetParam().path) + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
              std::to_string(body().size()) + "\r\n\r\n" + body());
  for (int i = 0; i < 1000 && backend_->requests().empty(); ++i) ::usleep(10'000);
  ASSERT_EQ(backend_->requests().size(), 1u);
  EXPECT_EQ(ask_json("GET", "/props")["models"][0]["state"]["running"], 1);
  EXPECT_TRUE(backend_->cancelled().empty());
  client.leave();
  for (int i = 0; i < 1000 && backend_->cancelled().empty(); ++i) ::usleep(10'000);
  EXPECT_EQ(backend_->cancelled(), std::vector<GenerationId>{1});
  EXPECT_TRUE(backend_->wait_until_idle());
  EXPECT_EQ(ask_json("GET", "/props")["models"][0]["state"]["running"], 0);
}

TEST_P(ServerGeneration, IsCountedInTheLog) {
  start();
  ASSERT_EQ(ask("POST", GetParam().path, "", body()).status, 200);
  const auto lines = log(1);
  ASSERT_EQ(lines.size(), 1u);
  const Json line = Json::parse(lines[0]);
  EXPECT_EQ(line["model"], "scripted");
  EXPECT_EQ(line["prompt_tokens"].get<size_t>(), backend_->requests()[0].prompt.size());
  EXPECT_EQ(line["generated_tokens"], 7);
}

INSTANTIATE_TEST_SUITE_P(All, ServerGeneration, testing::ValuesIn(kGenerating),
                         [](const auto& info) { return std::string(info.param.name); });

// --- Pages ---

class ServerOwnPage : public testing::TestWithParam<const char*>, protected ServerUnderTest {};

TEST_P(ServerOwnPage, MayAsk) {
  start();
  const std::string origin = "Origin: " + std::string(GetParam()) + "\r\n";
  const RawAnswer preflight = ask("OPTIONS", "/v1/completions",
                                  origin +
                                      "Access-Control-Request-Method: POST\r\n"
                                      "Access-Control-Request-Headers: Authorization\r\n");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.header("access-control-allow-origin"), GetParam());
  EXPECT_EQ(preflight.header("access-control-allow-headers"), "Authorization");
  EXPECT_EQ(preflight.header("access-control-allow-methods"), "GET, HEAD, POST, DELETE, OPTIONS");
  const RawAnswer answer = ask("GET", "/v1/models", origin);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("access-control-allow-origin"), GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, ServerOwnPage,
                         testing::Values("http://localhost", "http://localhost:8080", "http://127.0.0.1",
                                         "http://127.0.0.1:3000", "http://[::1]", "http://[::1]:3000",
                                         "https://LOCALHOST:1"));

class ServerStrangersPage : public testing::TestWithParam<const char*>, protected ServerUnderTest {};

TEST_P(ServerStrangersPage, MayNot) {
  start();
  const std::string origin = "Origin: " + std::string(GetParam()) + "\r\n";
  const RawAnswer preflight = ask("OPTIONS", "/v1/completions",
                                  origin + "Access-Control-Request-Method: POST\r\n");
  EXPECT_EQ(preflight.header("access-control-allow-origin"), "");
  EXPECT_EQ(preflight.header("access-control-allow-methods"), "");
  EXPECT_EQ(ask("GET", "/v1/models", origin).status, 403);
}

TEST_P(ServerStrangersPage, MayWhereItIsAllowed) {
  ServerOptions options;
  options.cors_origins = {"https://other.example", GetParam()};
  start(options);
  const std::string origin = "Origin: " + std::string(GetParam()) + "\r\n";
  const RawAnswer preflight = ask("OPTIONS", "/v1/completions",
                                  origin + "Access-Control-Request-Method: POST\r\n");
  EXPECT_EQ(preflight.header("access-control-allow-origin"), GetParam());
  EXPECT_EQ(ask("GET", "/v1/models", origin).status, 200);
}

INSTANTIATE_TEST_SUITE_P(All, ServerStrangersPage,
                         testing::Values("http://web.mydomain.example", "http://evil.example",
                                         "http://notlocalhost", "http://localhost.evil.example",
                                         "http://127.0.0.1.evil.example", "http://evil.example:8080"));

// --- Public and private ---

class ServerPaths : public testing::Test, protected ServerUnderTest {};

TEST_F(ServerPaths, SomeAreOpenToAll) {
  ServerOptions options;
  const auto keys = make_keys(options, {{}});
  start(options);
  for (const char* path : {"/", "/health", "/openapi.json"}) {
    EXPECT_EQ(ask("GET", path).status, 200) << path;
    EXPECT_EQ(ask("HEAD", path).status, 200) << path;
    EXPECT_EQ(ask("GET", path, bearer("wrong")).status, 200) << path;
  }
  for (const char* path : {"/v1/models", "/models", "/v1/models/scripted", "/props", "/v1/sessions"}) {
    EXPECT_EQ(ask("GET", path).status, 401) << path;
    EXPECT_EQ(ask("GET", path, bearer(keys[0])).status, 200) << path;
  }
}

TEST_F(ServerPaths, CountingIsNoGeneration) {
  ServerOptions options;
  const auto keys = make_keys(options, {{.generations_max = 1}});
  start(options);
  backend_->set_held(true);
  RawClient first(server_->port());
  const std::string body =
      R"({"model":"scripted","messages":[{"role":"user","content":"hi"}],"stream":true})";
  first.send("POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: " +
             std::to_string(body.size()) + "\r\n" + bearer(keys[0]) + "\r\n" + body);
  while (first.unread().find("\r\n\r\n") == std::string::npos) ASSERT_TRUE(first.read_more());
  EXPECT_EQ(ask("POST", "/v1/chat/completions", bearer(keys[0]), body).status, 429);
  for (const char* path : {"/v1/chat/completions/input_tokens", "/v1/messages/count_tokens"})
    EXPECT_EQ(ask("POST", path, bearer(keys[0]), body).status, 200) << path;
  EXPECT_EQ(ask("POST", "/v1/responses/input_tokens", bearer(keys[0]), R"({"model":"scripted","input":"hi"})")
                .status,
            200);
  EXPECT_EQ(ask("POST", "/tokenize", bearer(keys[0]), R"({"model":"scripted","content":"hi"})").status, 200);
  backend_->set_held(false);
  EXPECT_TRUE(first.answer().whole);
}

// --- Metrics ---

TEST_F(ServerPaths, MetricsAreWhatPrometheusReads) {
  start();
  ask("POST", "/v1/completions", "", R"({"model":"scripted","prompt":"hi"})");
  const RawAnswer answer = ask("GET", "/metrics");
  EXPECT_TRUE(answer.header("content-type").starts_with("text/plain"));
  std::map<std::string, std::string> types;
  std::set<std::string> helps;
  std::istringstream lines(answer.body);
  size_t samples = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string mark, what, name, type;
    if (line.starts_with("#")) {
      words >> mark >> what >> name >> type;
      EXPECT_FALSE(type.empty()) << line;
      if (what == "TYPE") {
        types[name] = type;
      } else {
        EXPECT_TRUE(helps.insert(name).second) << "twice: " << name;
      }
      continue;
    }
    name = line.substr(0, line.find_first_of("{ "));
    const std::string value = line.substr(line.rfind(' ') + 1);
    for (const char* end : {"_bucket", "_sum", "_count"})
      if (!types.contains(name) && name.ends_with(end)) name.resize(name.size() - std::string(end).size());
    EXPECT_TRUE(types.contains(name) && helps.contains(name)) << line;
    EXPECT_TRUE(types[name] == "counter" || types[name] == "gauge" || types[name] == "histogram") << line;
    EXPECT_EQ(name.ends_with("_total"), types[name] == "counter") << line;
    size_t read = 0;
    EXPECT_GE(std::stod(value, &read), 0) << line;
    EXPECT_EQ(read, value.size()) << line;
    ++samples;
  }
  EXPECT_GT(samples, 30u);
  EXPECT_NE(answer.body.find("mneme_generations_total{model=\"scripted\"} 1\n"), std::string::npos);
  EXPECT_NE(answer.body.find("mneme_generations_running{model=\"scripted\"} 0\n"), std::string::npos);
}

}  // namespace
}  // namespace mneme::serve
