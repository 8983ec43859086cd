#include <gtest/gtest.h>

#include "serve/protocols_for_test.h"
#include "serve/responses_answer.h"

namespace mneme::serve {
namespace {

constexpr const char* kCall = R"(<tool_call>{"name": "get", "arguments": {"city": "Ulm"}}</tool_call>)";
constexpr const char* kTools = R"("tools":[{"type":"function","name":"get","parameters":{"type":"object",
    "properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}}])";

Json body(std::string_view fields = "{}") {
  Json body = Json::parse(R"({"model":"m","input":"hi","max_output_tokens":200})");
  body.update(Json::parse(fields));
  return body;
}
Json tool_body(std::string_view more = "") {
  return body(std::string("{") + kTools + std::string(more) + "}");
}

class Responses : public testing::Test {
 protected:
  ProtocolServer server_{{add_responses}};
};

void expect_numbered(const std::vector<Json>& events) {
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i]["sequence_number"], i) << events[i];
}

TEST_F(Responses, AnswersWhole) {
  server_.backend->set_found(5);
  const auto answer = server_.post("/v1/responses", body(R"({"metadata":{"a":"b"}})"));
  EXPECT_EQ(answer->status(), 200);
  const Json response = answer->json();
  EXPECT_TRUE(response["id"].get<std::string>().starts_with("resp_"));
  EXPECT_EQ(response["object"], "response");
  EXPECT_EQ(response["status"], "completed");
  EXPECT_EQ(response["model"], "m");
  EXPECT_EQ(response["metadata"]["a"], "b");
  EXPECT_TRUE(response["error"].is_null());
  EXPECT_TRUE(response["incomplete_details"].is_null());
  ASSERT_EQ(response["output"].size(), 1u);
  const Json& item = response["output"][0];
  EXPECT_EQ(item["type"], "message");
  EXPECT_EQ(item["status"], "completed");
  EXPECT_EQ(item["role"], "assistant");
  EXPECT_EQ(item["content"][0]["type"], "output_text");
  EXPECT_EQ(item["content"][0]["text"], "Hello!");
  EXPECT_EQ(item["content"][0]["annotations"], Json::array());
  const size_t prompt = server_.backend->requests()[0].prompt.size();
  EXPECT_EQ(response["usage"], (Json{{"input_tokens", prompt},
                                     {"input_tokens_details", {{"cached_tokens", 5}}},
                                     {"output_tokens", 7},
                                     {"output_tokens_details", {{"reasoning_tokens", 0}}},
                                     {"total_tokens", prompt + 7}}));
  ASSERT_EQ(server_.accounts.size(), 1u);
  EXPECT_EQ(server_.accounts[0].prompt_tokens, prompt);
}

TEST_F(Responses, Streams) {
  const auto answer = server_.post("/v1/responses", body(R"({"stream":true})"));
  const std::vector<Json> events = json_events(*answer);
  EXPECT_EQ(types_of(events),
            "response.created response.in_progress response.output_item.added response.content_part.added "
            "response.output_text.delta response.output_text.done response.content_part.done "
            "response.output_item.done response.completed");
  expect_numbered(events);
  EXPECT_EQ(events[0]["response"]["status"], "in_progress");
  const std::string id = events[2]["item"]["id"];
  std::string text;
  for (const Json& event : events) {
    if (event["type"] != "response.output_text.delta") continue;
    text += event["delta"].get<std::string>();
    EXPECT_EQ(event["item_id"], id);
    EXPECT_EQ(event["output_index"], 0);
    EXPECT_EQ(event["content_index"], 0);
  }
  EXPECT_EQ(text, "Hello!");
  const Json& last = events.back()["response"];
  EXPECT_EQ(last["status"], "completed");
  EXPECT_EQ(last["id"], events[0]["response"]["id"]);
  EXPECT_EQ(last["output"][0]["id"], id);
  EXPECT_EQ(last["output"][0], events[events.size() - 2]["item"]);
  EXPECT_EQ(last["usage"]["output_tokens"], 7);
}

TEST_F(Responses, CallsFunctions) {
  server_.backend->set_answer(kCall);
  const Json response = server_.post("/v1/responses", tool_body())->json();
  ASSERT_EQ(response["output"].size(), 1u) << response;
  const Json& item = response["output"][0];
  EXPECT_EQ(item["type"], "function_call");
  EXPECT_EQ(item["name"], "get");
  EXPECT_EQ(item["status"], "completed");
  EXPECT_FALSE(item["call_id"].get<std::string>().empty());
  EXPECT_EQ(Json::parse(item["arguments"].get<std::string>()), Json::parse(R"({"city":"Ulm"})"));
  EXPECT_EQ(response["status"], "completed");
}

TEST_F(Responses, StreamsFunctionCalls) {
  server_.backend->set_answer(std::string("I look. ") + kCall);
  const std::vector<Json> events = json_events(
      *server_.post("/v1/responses", tool_body(R"(,"stream":true)")));
  EXPECT_EQ(types_of(events),
            "response.created response.in_progress response.output_item.added response.content_part.added "
            "response.output_text.delta response.output_text.done response.content_part.done "
            "response.output_item.done response.output_item.added response.function_call_arguments.delta "
            "response.function_call_arguments.done response.output_item.done response.completed");
  expect_numbered(events);
  std::string arguments;
  for (const Json& event : events) {
    if (event["type"] == "response.function_call_arguments.delta")
      arguments += event["delta"].get<std::string>();
    if (event["type"] == "response.function_call_arguments.done") {
      EXPECT_EQ(event["arguments"], arguments);
      EXPECT_EQ(event["name"], "get");
      EXPECT_EQ(event["output_index"], 1);
    }
  }
  EXPECT_EQ(Json::parse(arguments), Json::parse(R"({"city":"Ulm"})"));
}

TEST_F(Responses, CallsCustomTools) {
  server_.backend->set_answer(R"(<tool_call>{"name": "patch", "arguments": {"input": "a\nb"}}</tool_call>)");
  const Json request = body(R"({"tools":[{"type":"custom","name":"patch"}],"stream":true})");
  const std::vector<Json> events = json_events(*server_.post("/v1/responses", request));
  EXPECT_EQ(types_of(events),
            "response.created response.in_progress response.output_item.added "
            "response.custom_tool_call_input.delta response.custom_tool_call_input.done "
            "response.output_item.done response.completed");
  const Json& item = events.back()["response"]["output"][0];
  EXPECT_EQ(item["type"], "custom_tool_call");
  EXPECT_EQ(item["name"], "patch");
  EXPECT_EQ(item["input"], "a\nb");
}

TEST_F(Responses, IsIncompleteAtTheMaximum) {
  const Json response = server_.post("/v1/responses", body(R"({"max_output_tokens":3})"))->json();
  EXPECT_EQ(response["status"], "incomplete");
  EXPECT_EQ(response["incomplete_details"]["reason"], "max_output_tokens");
  EXPECT_EQ(response["output"][0]["content"][0]["text"], "Hel");
  EXPECT_EQ(response["output"][0]["status"], "incomplete");
  const std::vector<Json> events = json_events(
      *server_.post("/v1/responses", body(R"({"max_output_tokens":3,"stream":true})")));
  EXPECT_EQ(events.back()["type"], "response.incomplete");
}

TEST_F(Responses, HoldsAnswersToASchema) {
  server_.backend->set_answer(R"({"n":5})");
  const Json response = server_
                            .post("/v1/responses",
                                  body(R"({"text":{"format":{"type":"json_schema","name":"n","strict":true,
          "schema":{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],
                    "additionalProperties":false}}}})"))
                            ->json();
  EXPECT_EQ(response["output"][0]["content"][0]["text"], R"({"n":5})");
  EXPECT_NE(server_.backend->requests()[0].generate.constraint, nullptr);
  EXPECT_EQ(response["text"]["format"]["name"], "n");
}

TEST_F(Responses, TellsLogProbabilities) {
  const Json response =
      server_.post("/v1/responses", body(R"({"top_logprobs":1,"include":["message.output_text.logprobs"]})"))
          ->json();
  const Json& logprobs = response["output"][0]["content"][0]["logprobs"];
  ASSERT_EQ(logprobs.size(), 6u) << logprobs;
  EXPECT_EQ(logprobs[0]["token"], "H");
  EXPECT_EQ(logprobs[0]["logprob"], -0.5);
  EXPECT_EQ(logprobs[0]["bytes"], Json::array({'H' + 0}));
  EXPECT_EQ(logprobs[0]["top_logprobs"][0]["token"], "H");
}

TEST_F(Responses, TellsErrors) {
  const auto wrong = server_.post("/v1/responses", body(R"({"previous_response_id":"resp_1"})"));
  EXPECT_EQ(wrong->status(), 400);
  EXPECT_EQ(wrong->json()["error"]["param"], "previous_response_id");
  EXPECT_EQ(wrong->json()["error"]["type"], "invalid_request_error");
  EXPECT_EQ(server_.call("POST", "/v1/responses", "nope")->status(), 400);

  const Failure too_long{.kind = FailureKind::kTooLong, .message = "long", .tokens = 9, .tokens_max = 8};
  server_.backend->push_failure(too_long);
  const auto whole = server_.post("/v1/responses", body());
  EXPECT_EQ(whole->status(), 400);
  EXPECT_EQ(whole->json()["error"]["code"], "context_length_exceeded");
  // Within the stream: coding agents compact when they hear it there.
  server_.backend->push_failure(too_long);
  const auto answer = server_.post("/v1/responses", body(R"({"stream":true})"));
  EXPECT_EQ(answer->status(), 200);
  const std::vector<Json> events = json_events(*answer);
  EXPECT_EQ(types_of(events), "response.created response.in_progress error response.failed");
  expect_numbered(events);
  EXPECT_EQ(events.back()["response"]["status"], "failed");
  EXPECT_EQ(events.back()["response"]["error"]["code"], "context_length_exceeded");
}

TEST_F(Responses, APromptBeyondTheKeysLimitIsTooLong) {
  server_.caller.tokens_max = 20;
  const auto answer = server_.post("/v1/responses", body(R"({"input":"0123456789012345678901234567890"})"));
  EXPECT_EQ(answer->status(), 400);
  EXPECT_EQ(answer->json()["error"]["code"], "context_length_exceeded") << answer->body();
}

TEST_F(Responses, AStreamThatFailsSaysSo) {
  server_.backend->push_failure({.kind = FailureKind::kInternal, .message = "out of luck"}, 3);
  const std::vector<Json> events = json_events(*server_.post("/v1/responses", body(R"({"stream":true})")));
  EXPECT_TRUE(types_of(events).ends_with("response.output_item.done error response.failed"));
  const Json& response = events.back()["response"];
  EXPECT_EQ(response["error"]["code"], "server_error");
  EXPECT_EQ(response["output"][0]["status"], "incomplete");
}

TEST_F(Responses, AClientThatLeavesEndsItsGeneration) {
  server_.backend->set_answer(std::string(100'000, 'x'));
  const auto answer = server_.start("POST", "/v1/responses",
                                    body(R"({"stream":true,"max_output_tokens":90000})").dump());
  answer->leave();
  EXPECT_TRUE(server_.backend->wait_until_idle());
  EXPECT_EQ(server_.backend->cancelled().size(), 1u);
}

TEST_F(Responses, TheCacheKeyTellsConversationsApart) {
  server_.post("/v1/responses", body(R"({"prompt_cache_key":"k1"})"));
  server_.post("/v1/responses", body(R"({"prompt_cache_key":"k1"})"), {{"x-session-affinity", "s2"}});
  server_.post("/v1/responses", body(R"({"session":"notes"})"), {{"session-id", "s3"}});
  const auto requests = server_.backend->requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[2].from.session, "notes");
  EXPECT_EQ(requests[0].from.affinity, "k1");
  EXPECT_EQ(requests[1].from.affinity, "s2");
  EXPECT_EQ(requests[2].from.affinity, "s3");
}

// --- The answer alone, event by event ---

std::vector<Json> reasoned(bool summarise) {
  const auto kept = std::make_shared<KeptAnswer>();
  ResponsesAnswer::Setup setup;
  setup.model = "m";
  setup.stream = true, setup.summarise = summarise;
  setup.echo = Json::object();
  ResponsesAnswer answer(kept, std::move(setup));
  answer.on_reasoning("so ");
  answer.on_reasoning("so");
  answer.on_text("yes", {});
  ChatEnd end;
  end.prompt_tokens = 9, end.generated_tokens = 3, end.reasoning_tokens = 2;
  answer.on_end(end);
  return json_events(*kept);
}

TEST(ResponsesAnswer, ReasoningIsContentOrSummary) {
  const std::vector<Json> content = reasoned(false);
  EXPECT_TRUE(types_of(content).starts_with(
      "response.created response.in_progress response.output_item.added response.content_part.added "
      "response.reasoning_text.delta response.reasoning_text.done response.content_part.done "
      "response.output_item.done response.output_item.added"));
  const Json& item = content.back()["response"]["output"][0];
  EXPECT_EQ(item["type"], "reasoning");
  EXPECT_EQ(item["summary"], Json::array());
  EXPECT_EQ(item["content"], Json::parse(R"([{"type":"reasoning_text","text":"so so"}])"));
  EXPECT_EQ(content.back()["response"]["usage"]["output_tokens_details"]["reasoning_tokens"], 2);

  const std::vector<Json> summary = reasoned(true);
  EXPECT_TRUE(types_of(summary).starts_with(
      "response.created response.in_progress response.output_item.added "
      "response.reasoning_summary_part.added response.reasoning_summary_text.delta "
      "response.reasoning_summary_text.done response.reasoning_summary_part.done response.output_item.done"));
  EXPECT_EQ(summary.back()["response"]["output"][0]["summary"],
            Json::parse(R"([{"type":"summary_text","text":"so so"}])"));
  EXPECT_EQ(summary[3]["summary_index"], 0);
}

TEST(ResponsesAnswer, BusyBeforeTheHeadersIsAStatus) {
  const auto kept = std::make_shared<KeptAnswer>();
  ResponsesAnswer::Setup setup;
  setup.stream = true;
  setup.echo = Json::object();
  ResponsesAnswer answer(kept, std::move(setup));
  answer.on_failure({.kind = FailureKind::kBusy, .message = "queues are full", .retry_after_s = 2});
  answer.open();
  EXPECT_EQ(kept->status(), 429);
  EXPECT_FALSE(kept->begun());
}

}  // namespace
}  // namespace mneme::serve
