#include <gtest/gtest.h>

#include "serve/anthropic_answer.h"
#include "serve/protocols_for_test.h"

namespace mneme::serve {
namespace {

constexpr const char* kCall = R"(<tool_call>{"name": "get", "arguments": {"city": "Ulm"}}</tool_call>)";

Json body(std::string_view fields = "{}") {
  Json body = Json::parse(R"({"model":"m","max_tokens":100,"messages":[{"role":"user","content":"hi"}]})");
  body.update(Json::parse(fields));
  return body;
}
Json tool_body(std::string_view fields = "{}") {
  Json whole = body(
      R"({"tools":[{"name":"get","input_schema":{"type":"object","properties":{"city":{"type":"string"}},
          "required":["city"],"additionalProperties":false}}]})");
  whole.update(Json::parse(fields));
  return whole;
}

class Messages : public testing::Test {
 protected:
  ProtocolServer server_{{add_anthropic}};
};

TEST_F(Messages, AnswersWhole) {
  server_.backend->set_found(10);
  const auto answer = server_.post("/v1/messages", body());
  EXPECT_EQ(answer->status(), 200);
  EXPECT_EQ(answer->content_type(), "application/json");
  const Json message = answer->json();
  EXPECT_TRUE(message["id"].get<std::string>().starts_with("msg_"));
  EXPECT_EQ(message["type"], "message");
  EXPECT_EQ(message["role"], "assistant");
  EXPECT_EQ(message["model"], "m");
  EXPECT_EQ(message["content"], Json::parse(R"([{"type":"text","text":"Hello!"}])"));
  EXPECT_EQ(message["stop_reason"], "end_turn");
  EXPECT_TRUE(message["stop_sequence"].is_null());
  const size_t prompt = server_.backend->requests()[0].prompt.size();
  EXPECT_EQ(message["usage"], (Json{{"input_tokens", prompt - 10},
                                    {"cache_creation_input_tokens", 0},
                                    {"cache_read_input_tokens", 10},
                                    {"output_tokens", 7}}));
  ASSERT_EQ(server_.accounts.size(), 1u);
  EXPECT_EQ(server_.accounts[0].model, "scripted");
  EXPECT_EQ(server_.accounts[0].prompt_tokens, prompt);
  EXPECT_EQ(server_.accounts[0].generated_tokens, 7u);
}

TEST_F(Messages, Streams) {
  server_.backend->set_found(3);
  const auto answer = server_.post("/v1/messages?beta=true", body(R"({"stream":true})"));
  EXPECT_TRUE(answer->content_type().starts_with("text/event-stream"));
  const std::vector<Json> events = json_events(*answer);
  EXPECT_EQ(types_of(events),
            "message_start content_block_start content_block_delta content_block_stop message_delta "
            "message_stop");
  const Json& message = events.front()["message"];
  EXPECT_EQ(message["content"], Json::array());
  EXPECT_TRUE(message["stop_reason"].is_null());
  EXPECT_EQ(message["usage"]["cache_read_input_tokens"], 3);
  EXPECT_GT(message["usage"]["input_tokens"], 0);
  EXPECT_EQ(events[1]["index"], 0);
  EXPECT_EQ(events[1]["content_block"], Json::parse(R"({"type":"text","text":""})"));
  std::string text;
  for (const Json& event : events)
    if (event["type"] == "content_block_delta") text += event["delta"]["text"].get<std::string>();
  EXPECT_EQ(text, "Hello!");
  const Json& last = events[events.size() - 2];
  EXPECT_EQ(last["delta"], Json::parse(R"({"stop_reason":"end_turn","stop_sequence":null})"));
  EXPECT_EQ(last["usage"]["output_tokens"], 7);
  EXPECT_EQ(last["usage"]["cache_read_input_tokens"], 3);
}

TEST_F(Messages, CallsTools) {
  server_.backend->set_answer(kCall);
  const Json message = server_.post("/v1/messages", tool_body())->json();
  EXPECT_EQ(message["stop_reason"], "tool_use");
  ASSERT_EQ(message["content"].size(), 1u) << message;
  const Json& block = message["content"][0];
  EXPECT_EQ(block["type"], "tool_use");
  EXPECT_FALSE(block["id"].get<std::string>().empty());
  EXPECT_EQ(block["name"], "get");
  EXPECT_EQ(block["input"], Json::parse(R"({"city":"Ulm"})"));
}

TEST_F(Messages, StreamsToolCallsAsPiecesOfJson) {
  server_.backend->set_answer(std::string("I look. ") + kCall);
  const auto answer = server_.post("/v1/messages", tool_body(R"({"stream":true})"));
  const std::vector<Json> events = json_events(*answer);
  EXPECT_EQ(types_of(events),
            "message_start content_block_start content_block_delta content_block_stop content_block_start "
            "content_block_delta content_block_stop message_delta message_stop");
  std::string arguments;
  Json start;
  for (const Json& event : events) {
    if (event["type"] == "content_block_start" && event["index"] == 1) start = event["content_block"];
    if (event["type"] == "content_block_delta" && event["index"] == 1) {
      EXPECT_EQ(event["delta"]["type"], "input_json_delta");
      arguments += event["delta"]["partial_json"].get<std::string>();
    }
  }
  EXPECT_EQ(start["type"], "tool_use");
  EXPECT_EQ(start["input"], Json::object());
  EXPECT_EQ(Json::parse(arguments, nullptr, false), Json::parse(R"({"city":"Ulm"})"));
  EXPECT_EQ(events[events.size() - 2]["delta"]["stop_reason"], "tool_use");
}

TEST_F(Messages, ARequiredToolHoldsTheModelToIt) {
  server_.backend->set_answer(kCall);
  const Json message =
      server_.post("/v1/messages", tool_body(R"({"tool_choice":{"type":"tool","name":"get"}})"))->json();
  EXPECT_EQ(message["stop_reason"], "tool_use") << message;
  ASSERT_EQ(server_.backend->requests().size(), 1u);
  EXPECT_NE(server_.backend->requests()[0].generate.constraint, nullptr);
}

TEST_F(Messages, StopsAtStopSequences) {
  server_.backend->set_answer("one, two, three");
  const Json message = server_.post("/v1/messages", body(R"({"stop_sequences":[", three"]})"))->json();
  EXPECT_EQ(message["content"][0]["text"], "one, two");
  EXPECT_EQ(message["stop_reason"], "stop_sequence");
  EXPECT_EQ(message["stop_sequence"], ", three");
}

TEST_F(Messages, StopsAtTheMaximum) {
  const Json message = server_.post("/v1/messages", body(R"({"max_tokens":3})"))->json();
  EXPECT_EQ(message["content"][0]["text"], "Hel");
  EXPECT_EQ(message["stop_reason"], "max_tokens");
  EXPECT_EQ(message["usage"]["output_tokens"], 3);
}

TEST_F(Messages, AMaximumOfNoneReadsThePromptAlone) {
  const Json message = server_.post("/v1/messages", body(R"({"max_tokens":0})"))->json();
  EXPECT_EQ(message["content"], Json::array());
  EXPECT_EQ(message["stop_reason"], "max_tokens");
}

TEST_F(Messages, SaysWhoAsks) {
  server_.caller.owner = "key-1";
  server_.post("/v1/messages", body(R"({"metadata":{"user_id":"u1"}})"));
  server_.post("/v1/messages", body(R"({"session":"notes","metadata":{"user_id":"u1"}})"),
               {{"X-Session-Id", "s9"}});
  const auto requests = server_.backend->requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].from.owner, "key-1");
  EXPECT_EQ(requests[0].from.affinity, "u1");
  EXPECT_EQ(requests[1].from.affinity, "s9");
  EXPECT_EQ(requests[1].from.session, "notes");
}

TEST_F(Messages, GoesOnFromAnAssistantsLastMessage) {
  server_.post("/v1/messages", body(R"({"messages":[{"role":"user","content":"count"},
                                        {"role":"assistant","content":"one,"}]})"));
  EXPECT_TRUE(server_.backend->last_prompt().ends_with("one,")) << server_.backend->last_prompt();
}

TEST_F(Messages, CountsTokens) {
  server_.post("/v1/messages", body(R"({"system":"S"})"));
  const auto answer = server_.post("/v1/messages/count_tokens?beta=true",
                                   Json::parse(R"({"model":"m","system":"S",
                                                   "messages":[{"role":"user","content":"hi"}]})"));
  EXPECT_EQ(answer->status(), 200);
  EXPECT_EQ(answer->json(), (Json{{"input_tokens", server_.backend->requests()[0].prompt.size()}}));
  EXPECT_EQ(server_.backend->requests().size(), 1u) << "counting generates nothing";
}

TEST_F(Messages, TellsErrorsInItsOwnWords) {
  const auto error_of = [&](const KeptAnswer& answer) {
    const Json json = answer.json();
    EXPECT_EQ(json["type"], "error") << answer.body();
    return json["error"]["type"].get<std::string>() + ": " + json["error"]["message"].get<std::string>();
  };
  const auto broken = server_.call("POST", "/v1/messages", "{\"model\":");
  EXPECT_EQ(broken->status(), 400);
  EXPECT_TRUE(error_of(*broken).starts_with("invalid_request_error: "));
  const auto wrong = server_.post("/v1/messages", body(R"({"messages":[]})"));
  EXPECT_EQ(wrong->status(), 400);
  EXPECT_EQ(error_of(*wrong), "invalid_request_error: messages: at least one message is required");

  for (const bool stream : {false, true}) {
    server_.backend->push_failure(
        {.kind = FailureKind::kTooLong, .message = "too long", .tokens = 5000, .tokens_max = 4096});
    const auto answer = server_.post("/v1/messages", body(stream ? R"({"stream":true})" : "{}"));
    if (!answer->begun()) {
      EXPECT_EQ(answer->status(), 400);
      EXPECT_EQ(error_of(*answer), "invalid_request_error: prompt is too long: 5000 tokens > 4096 maximum");
    }
  }
}

TEST_F(Messages, AStreamThatFailsSaysSo) {
  server_.backend->push_failure({.kind = FailureKind::kInternal, .message = "out of luck"}, 3);
  const auto answer = server_.post("/v1/messages", body(R"({"stream":true})"));
  const std::vector<Json> events = json_events(*answer);
  EXPECT_EQ(types_of(events), "message_start content_block_start content_block_delta error");
  EXPECT_EQ(events.back()["error"]["type"], "api_error");
  EXPECT_TRUE(answer->ended());
}

TEST_F(Messages, AClientThatLeavesEndsItsGeneration) {
  server_.backend->set_answer(std::string(100'000, 'x'));
  for (const char* fields : {R"({"stream":true,"max_tokens":90000})", R"({"max_tokens":90000})"}) {
    const auto answer = server_.start("POST", "/v1/messages", body(fields).dump());
    answer->leave();
    EXPECT_TRUE(server_.backend->wait_until_idle());
  }
  EXPECT_EQ(server_.backend->cancelled().size(), 2u);
}

// --- The answer alone, event by event ---

struct Told {
  std::shared_ptr<KeptAnswer> kept = std::make_shared<KeptAnswer>();
  std::shared_ptr<MessagesAnswer> answer;
  explicit Told(MessagesAnswer::Setup setup)
      : answer(std::make_shared<MessagesAnswer>(kept, std::move(setup))) {}
  void end(Finish finish = Finish::kStop) {
    ChatEnd end;
    end.finish = finish;
    end.prompt_tokens = 9, end.found_tokens = 4, end.generated_tokens = 2;
    answer->on_end(end);
  }
};
MessagesAnswer::Setup setup(bool stream, bool show_thinking = false, bool omit_thinking = false) {
  MessagesAnswer::Setup setup;
  setup.model = "m";
  setup.stream = stream, setup.show_thinking = show_thinking, setup.omit_thinking = omit_thinking;
  return setup;
}

TEST(MessagesAnswer, ThinkingIsABlockWithASignature) {
  Told told(setup(true, true));
  told.answer->on_begin(9, 4);
  told.answer->on_reasoning("so ");
  told.answer->on_reasoning("so");
  told.answer->on_text("yes", {});
  told.end();
  const std::vector<Json> events = json_events(*told.kept);
  EXPECT_EQ(types_of(events),
            "message_start content_block_start content_block_delta content_block_stop content_block_start "
            "content_block_delta content_block_stop message_delta message_stop");
  EXPECT_EQ(events[1]["content_block"]["type"], "thinking");
  EXPECT_EQ(events[2]["delta"], Json::parse(R"({"type":"thinking_delta","thinking":"so "})"));
  EXPECT_EQ(events[4]["delta"]["type"], "signature_delta");
  EXPECT_FALSE(events[4]["delta"]["signature"].get<std::string>().empty());
  EXPECT_EQ(events[6]["index"], 1);

  Told whole(setup(false, true));
  whole.answer->on_begin(9, 4);
  whole.answer->on_reasoning("so so");
  whole.answer->on_text("yes", {});
  whole.end();
  const Json content = whole.kept->json()["content"];
  EXPECT_EQ(content[0]["thinking"], "so so");
  EXPECT_EQ(content[0]["signature"], events[4]["delta"]["signature"]);
  EXPECT_EQ(content[1]["text"], "yes");
}

TEST(MessagesAnswer, ThoughtsNobodyAskedForAreKept) {
  for (const bool stream : {false, true}) {
    Told told(setup(stream));
    told.answer->on_begin(9, 4);
    told.answer->on_reasoning("secret");
    told.answer->on_text("yes", {});
    told.end();
    EXPECT_EQ(told.kept->body().find("secret"), std::string::npos);
    EXPECT_EQ(told.kept->body().find("thinking"), std::string::npos);
  }
  Told omitted(setup(true, true, true));
  omitted.answer->on_begin(9, 4);
  omitted.answer->on_reasoning("secret");
  omitted.end();
  EXPECT_EQ(omitted.kept->body().find("secret"), std::string::npos);
  EXPECT_NE(omitted.kept->body().find("signature_delta"), std::string::npos);
}

TEST(MessagesAnswer, PingsWhileThePromptIsRead) {
  MessagesAnswer::Setup quick = setup(true);
  quick.ping_every_s = 0;
  Told told(std::move(quick));
  told.answer->open();
  told.answer->on_prefill(0, 100);
  told.answer->on_begin(9, 4);
  told.answer->on_prefill(50, 100);
  told.answer->on_text("x", {});
  told.end();
  EXPECT_EQ(types_of(json_events(*told.kept)),
            "ping message_start ping content_block_start content_block_delta content_block_stop "
            "message_delta message_stop");
  EXPECT_NE(told.kept->body().find("event: ping\ndata: {\"type\":\"ping\"}\n\n"), std::string::npos);

  Told calm(setup(true));
  calm.answer->open();
  calm.answer->on_prefill(50, 100);
  EXPECT_EQ(calm.kept->body(), "");
  EXPECT_TRUE(calm.kept->begun()) << "the headers go out at once";
}

TEST(MessagesAnswer, ReasonsToStop) {
  const std::pair<Finish, const char*> reasons[] = {{Finish::kStop, "end_turn"},
                                                    {Finish::kStopText, "stop_sequence"},
                                                    {Finish::kLength, "max_tokens"},
                                                    {Finish::kToolCalls, "tool_use"},
                                                    {Finish::kFull, "model_context_window_exceeded"}};
  for (const auto& [finish, reason] : reasons) {
    Told told(setup(false));
    told.end(finish);
    EXPECT_EQ(told.kept->json()["stop_reason"], reason);
  }
  Told cancelled(setup(false));
  cancelled.end(Finish::kCancelled);
  EXPECT_GE(cancelled.kept->status(), 500);
}

TEST(MessagesAnswer, FailuresBeforeTheHeadersHaveTheirStatus) {
  Told busy(setup(true));
  busy.answer->on_failure({.kind = FailureKind::kBusy, .message = "queues are full", .retry_after_s = 3});
  busy.answer->open();
  EXPECT_EQ(busy.kept->status(), 529);
  EXPECT_FALSE(busy.kept->begun());
  EXPECT_EQ(busy.kept->json()["error"]["type"], "overloaded_error");

  Told late(setup(true));
  late.answer->open();
  late.answer->on_failure({.kind = FailureKind::kBusy, .message = "queues are full", .retry_after_s = 3});
  EXPECT_EQ(late.kept->status(), 200);
  EXPECT_EQ(types_of(json_events(*late.kept)), "error");
  EXPECT_TRUE(late.kept->ended());
}

TEST(MessagesAnswer, ArgumentsThatAreNoObjectAreAnEmptyOne) {
  for (const char* arguments : {"", "[1]", "{\"a\":", "x"}) {
    Told told(setup(false));
    told.answer->on_tool_begin(0, "t", "f");
    told.answer->on_tool_arguments(0, arguments);
    told.answer->on_tool_end(0);
    told.end(Finish::kToolCalls);
    EXPECT_EQ(told.kept->json()["content"][0]["input"], Json::object()) << arguments;
  }
}

TEST(MessagesAnswer, BytesThatAreNoTextDoNoHarm) {
  Told told(setup(true));
  told.answer->on_begin(1, 0);
  told.answer->on_text("a\xff\"\n\xe4", {});
  told.end();
  EXPECT_EQ(json_events(*told.kept)[2]["delta"]["text"], "a\xef\xbf\xbd\"\n\xef\xbf\xbd");
}

}  // namespace
}  // namespace mneme::serve
