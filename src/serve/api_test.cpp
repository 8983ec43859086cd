#include "serve/api.h"

#include <gtest/gtest.h>

#include "serve/answer_for_test.h"

namespace mneme::serve {
namespace {

std::string json_error(std::string_view text) {
  const auto parsed = parse_json(text);
  return parsed ? "fine" : parsed.error().message;
}

TEST(ParseJson, SaysWhere) {
  EXPECT_EQ(json_error(R"({"a": [1, 2.5, null, "x"]})"), "fine");
  EXPECT_EQ(json_error(""), "the body is empty, not JSON");
  EXPECT_EQ(json_error(" \n"), "the body is empty, not JSON");
  EXPECT_EQ(json_error("{\n \"a\": nul}"), "the body is no JSON: line 2, column 10: invalid literal");
  EXPECT_EQ(json_error("{\"a\": 1").substr(0, 37), "the body is no JSON: line 1, column 8");
  EXPECT_EQ(
      json_error("{\"a\": "),
      "the body is no JSON: line 1, column 7: unexpected end of input; expected '[', '{', or a literal");
  EXPECT_EQ(json_error("[1] x").substr(0, 37), "the body is no JSON: line 1, column 5");
  EXPECT_NE(json_error("[1e999]"), "fine");
  EXPECT_NE(json_error("\"\xff\""), "fine");
}

TEST(ParseJson, NestingHasALimit) {
  EXPECT_EQ(json_error(std::string(200, '[') + std::string(200, ']')), "fine");
  EXPECT_EQ(json_error(std::string(201, '[') + std::string(201, ']')),
            "the body is nested too deeply: more than 200 levels");
  EXPECT_EQ(json_error("\"" + std::string(300, '[') + "\""), "fine");
  EXPECT_EQ(json_error("[\"\\\"" + std::string(300, '{') + "\"]"), "fine");
  EXPECT_EQ(json_error(std::string(1'000'000, '[')), "the body is nested too deeply: more than 200 levels");
}

TEST(Api, SurfacesAreToldByThePath) {
  EXPECT_EQ(surface_of("/v1/messages"), Surface::kAnthropic);
  EXPECT_EQ(surface_of("/v1/messages/count_tokens"), Surface::kAnthropic);
  EXPECT_EQ(surface_of("/v1/messagesx"), Surface::kOpenAi);
  EXPECT_EQ(surface_of("/v1/chat/completions"), Surface::kOpenAi);
  EXPECT_EQ(surface_of("/v1/sessions/a"), Surface::kOwn);
  EXPECT_EQ(surface_of("/health"), Surface::kOwn);
}

Json failure_of(Surface surface, const Failure& failure, int status, std::string* retry_after = nullptr) {
  KeptAnswer answer;
  send_failure(answer, surface, failure);
  EXPECT_EQ(answer.status(), status);
  for (const auto& [name, value] : answer.headers()) {
    if (name == "Retry-After" && retry_after != nullptr) *retry_after = value;
  }
  return answer.json();
}

TEST(Api, TooLongInEachProtocolsWords) {
  const Failure failure{FailureKind::kTooLong, "", 5000, 4096};
  const Json openai = failure_of(Surface::kOpenAi, failure, 400);
  EXPECT_EQ(openai["error"]["code"], "context_length_exceeded");
  EXPECT_EQ(openai["error"]["type"], "invalid_request_error");
  EXPECT_TRUE(openai["error"]["param"].is_null());
  EXPECT_NE(openai["error"]["message"].get<std::string>().find("maximum context length is 4096 tokens"),
            std::string::npos);
  const Json anthropic = failure_of(Surface::kAnthropic, failure, 400);
  EXPECT_EQ(anthropic["type"], "error");
  EXPECT_EQ(anthropic["error"]["type"], "invalid_request_error");
  EXPECT_EQ(anthropic["error"]["message"], "prompt is too long: 5000 tokens > 4096 maximum");
}

TEST(Api, BusyTellsWhenToComeAgain) {
  Failure failure{FailureKind::kBusy, ""};
  failure.retry_after_s = 2.5;
  std::string retry_after;
  EXPECT_EQ(failure_of(Surface::kOpenAi, failure, 429, &retry_after)["error"]["code"], "rate_limit_exceeded");
  EXPECT_EQ(retry_after, "3");
  EXPECT_EQ(failure_of(Surface::kAnthropic, failure, 529, &retry_after)["error"]["type"], "overloaded_error");
  EXPECT_EQ(retry_after, "3");
}

TEST(Api, StatusesHaveTheirWords) {
  struct Case {
    int status;
    const char *openai, *anthropic;
  };
  const Case cases[] = {{401, "invalid_api_key", "authentication_error"},
                        {403, "permission_denied", "permission_error"},
                        {404, "not_found", "not_found_error"},
                        {413, "request_too_large", "request_too_large"},
                        {429, "rate_limit_exceeded", "rate_limit_error"},
                        {500, "internal_error", "api_error"}};
  for (const Case& one : cases) {
    const Refusal refusal{one.status, "why"};
    EXPECT_EQ(error_body(Surface::kOpenAi, refusal, "")["error"]["code"], one.openai);
    const Json anthropic = error_body(Surface::kAnthropic, refusal, "req_1");
    EXPECT_EQ(anthropic["error"]["type"], one.anthropic);
    EXPECT_EQ(anthropic["request_id"], "req_1");
  }
  EXPECT_EQ(failure_of(Surface::kOpenAi, {FailureKind::kStopping, "x"}, 503)["error"]["type"],
            "server_error");
  EXPECT_EQ(failure_of(Surface::kAnthropic, {FailureKind::kOverTime, "x"}, 504)["error"]["type"],
            "timeout_error");
  Failure no_model{FailureKind::kNoModel, "no"};
  no_model.param = "model";
  const Json unknown = failure_of(Surface::kOpenAi, no_model, 404);
  EXPECT_EQ(unknown["error"]["code"], "model_not_found");
  EXPECT_EQ(unknown["error"]["param"], "model");
  EXPECT_EQ(failure_of(Surface::kAnthropic, no_model, 404)["error"]["type"], "not_found_error");
}

TEST(Api, BytesThatAreNoUtf8DoNotThrow) { EXPECT_EQ(json_text(Json("a\xff")), "\"a\xEF\xBF\xBD\""); }

TEST(Router, FindsEndpointsAndParameters) {
  Router router;
  std::string called;
  const auto endpoint = [&](const char* name) { return [&called, name](const Call&) { called = name; }; };
  router.add("GET", "/v1/models/{id...}", endpoint("model"));
  router.add("GET", "/v1/models", endpoint("models"));
  router.add("POST", "/v1/sessions/{id}/fork", endpoint("fork"));
  router.add("GET", "/v1/sessions/{id}", endpoint("session"));
  router.add("DELETE", "/v1/sessions/{id}", endpoint("remove"));
  router.add("GET", "/v1/sessions/newest", endpoint("newest"));
  router.add("GET", "/", endpoint("root"));
  const auto call = [&](std::string_view method, std::string_view path) {
    const auto found = router.find(method, path);
    called = "none";
    if (found.endpoint != nullptr) (*found.endpoint)({});
    for (const auto& [name, value] : found.parameters) called += " " + name + "=" + value;
    for (const auto& method_there : found.methods) called += " " + method_there;
    return called;
  };
  EXPECT_EQ(call("GET", "/v1/models"), "models");
  EXPECT_EQ(call("HEAD", "/v1/models"), "models");
  EXPECT_EQ(call("GET", "/v1/models/a/b.gguf"), "model id=a/b.gguf");
  EXPECT_EQ(call("POST", "/v1/sessions/x/fork"), "fork id=x");
  EXPECT_EQ(call("GET", "/v1/sessions/x"), "session id=x");
  EXPECT_EQ(call("DELETE", "/v1/sessions/x"), "remove id=x");
  EXPECT_EQ(call("GET", "/v1/sessions/newest"), "newest");
  EXPECT_EQ(call("GET", "/"), "root");
  EXPECT_EQ(call("POST", "/v1/models"), "none GET HEAD");
  EXPECT_EQ(call("PUT", "/v1/sessions/x"), "none GET HEAD DELETE");
  EXPECT_EQ(call("GET", "/v1/sessions/x/y"), "none");
  EXPECT_EQ(call("GET", "/v1"), "none");
  EXPECT_EQ(router.patterns().size(), 7u);
}

}  // namespace
}  // namespace mneme::serve
