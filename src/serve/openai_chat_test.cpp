// POST /v1/chat/completions over a scripted backend: answers, streams, tools, formats.
#include <gtest/gtest.h>

#include <limits>

#include "serve/openai_for_test.h"

namespace mneme::serve {
namespace {

constexpr const char* kPath = "/v1/chat/completions";
constexpr const char* kTools = R"("tools":[{"type":"function","function":{"name":"weather","description":"d",
  "parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}])";
constexpr const char* kCall = R"(<tool_call>{"name": "weather", "arguments": {"city": "Rome"}}</tool_call>)";

class OpenAiChat : public ::testing::Test, public OpenAiEndpoints {
 protected:
  GenerateOptions options() { return backend->requests().back().generate; }
};

TEST_F(OpenAiChat, Whole) {
  backend->set_found(5);
  const Json json = json_of(kPath, chat());
  EXPECT_TRUE(json["id"].get<std::string>().starts_with("chatcmpl-"));
  EXPECT_EQ(json["object"], "chat.completion");
  EXPECT_EQ(json["model"], "m");
  EXPECT_GT(json["created"].get<int64_t>(), 1'700'000'000);
  ASSERT_EQ(json["choices"].size(), 1u);
  const Json& choice = json["choices"][0];
  EXPECT_EQ(choice["index"], 0);
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_EQ(choice["message"]["content"], "Hello!");
  EXPECT_FALSE(choice["message"].contains("tool_calls"));
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_TRUE(choice["logprobs"].is_null());
  const size_t prompt = backend->requests().back().prompt.size();
  EXPECT_EQ(json["usage"]["prompt_tokens"], prompt);
  EXPECT_EQ(json["usage"]["completion_tokens"], 7);
  EXPECT_EQ(json["usage"]["total_tokens"], prompt + 7);
  EXPECT_EQ(json["usage"]["prompt_tokens_details"]["cached_tokens"], 5);
  EXPECT_EQ(json["timings"]["cache_n"], 5);
  EXPECT_EQ(json["timings"]["prompt_n"], prompt - 5);
  EXPECT_EQ(json["timings"]["predicted_n"], 7);
  EXPECT_NEAR(json["timings"]["predicted_per_second"].get<double>(), 1000, 1);
  EXPECT_EQ(accounts, std::vector<std::string>{"m " + std::to_string(prompt) + " 7"});
}

TEST_F(OpenAiChat, Prompt) {
  json_of(kPath, R"({"model":"m","messages":[{"role":"developer","content":"Be kind."},
    {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"name":"eve"},
    {"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[{"id":"c1","type":"function",
      "function":{"name":"f","arguments":"{\"x\": 1}"}}]},
    {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"42"}]},
    {"role":"system","content":"Now."},{"role":"user","content":"c"}]})");
  EXPECT_EQ(backend->last_prompt(),
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nab<|im_end|>\n"
            "<|im_start|>assistant\n<think>hm</think><tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1}}"
            "</tool_call><|im_end|>\n<|im_start|>tool\n<tool_response>42</tool_response><|im_end|>\n"
            "<|im_start|>system\nNow.<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n");
}

TEST_F(OpenAiChat, Streamed) {
  const auto chunks = chunks_of(kPath, chat(R"("stream":true)"));
  ASSERT_GE(chunks.size(), 3u);
  EXPECT_EQ(chunks[0]["object"], "chat.completion.chunk");
  EXPECT_EQ(chunks[0]["choices"][0]["delta"], Json::parse(R"({"role":"assistant","content":""})"));
  std::string text;
  for (size_t i = 1; i + 1 < chunks.size(); ++i) {
    EXPECT_EQ(chunks[i]["id"], chunks[0]["id"]);
    EXPECT_TRUE(chunks[i]["choices"][0]["finish_reason"].is_null());
    EXPECT_FALSE(chunks[i].contains("usage"));
    text += chunks[i]["choices"][0]["delta"]["content"].get<std::string>();
  }
  EXPECT_EQ(text, "Hello!");
  EXPECT_EQ(chunks.back()["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(chunks.back()["choices"][0]["delta"], Json::object());
  EXPECT_EQ(chunks.back()["timings"]["predicted_n"], 7);
}

TEST_F(OpenAiChat, StreamedUsage) {
  const auto chunks = chunks_of(kPath, chat(R"("stream":true,"stream_options":{"include_usage":true})"));
  EXPECT_TRUE(chunks.back()["choices"].empty());
  EXPECT_EQ(chunks.back()["usage"]["completion_tokens"], 7);
  for (size_t i = 0; i + 1 < chunks.size(); ++i) EXPECT_TRUE(chunks[i].at("usage").is_null());
}

TEST_F(OpenAiChat, HeadersGoOutBeforeTheFirstToken) {
  backend->set_held(true);
  const auto answer = begin("POST", kPath, chat(R"("stream":true)"));
  EXPECT_TRUE(answer->begun());
  EXPECT_EQ(answer->content_type(), "text/event-stream; charset=utf-8");
  backend->set_held(false);
  EXPECT_TRUE(answer->wait());
}

TEST_F(OpenAiChat, SeveralChoices) {
  backend->push_answer("one");
  backend->push_answer("two");
  const Json json = json_of(kPath, chat(R"("n":2,"seed":5)"));
  ASSERT_EQ(json["choices"].size(), 2u);
  EXPECT_EQ(json["choices"][0]["message"]["content"], "one");
  EXPECT_EQ(json["choices"][1]["message"]["content"], "two");
  EXPECT_EQ(json["usage"]["completion_tokens"], 8);
  EXPECT_EQ(json["usage"]["prompt_tokens"], backend->requests().back().prompt.size());
  EXPECT_EQ(backend->requests()[0].generate.sampling.seed, 5u);
  EXPECT_EQ(backend->requests()[1].generate.sampling.seed, 6u);
}

TEST_F(OpenAiChat, SeveralChoicesInOneStream) {
  backend->push_answer("one");
  backend->push_answer("three");
  std::vector<std::string> texts(2), ends(2);
  for (const Json& chunk : chunks_of(kPath, chat(R"("n":2,"stream":true)"))) {
    const Json& choice = chunk["choices"][0];
    const auto index = choice["index"].get<size_t>();
    texts[index] += choice["delta"].value("content", "");
    if (choice["finish_reason"].is_string()) ends[index] = choice["finish_reason"].get<std::string>();
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"one", "three"}));
  EXPECT_EQ(ends, (std::vector<std::string>{"stop", "stop"}));
}

TEST_F(OpenAiChat, SamplingIsPassedOn) {
  json_of(kPath, chat(R"("temperature":0.5,"top_p":0.75,"top_k":9,"min_p":0.125,"presence_penalty":1,
    "frequency_penalty":-0.5,"repetition_penalty":1.25,"seed":11,"max_tokens":77,
    "logit_bias":{"65":-100,"66":2.5},"stop":["zz","yy","xx","ww","vv"])"));
  const SamplingOptions& sampling = options().sampling;
  EXPECT_EQ(sampling.temperature, 0.5f);
  EXPECT_EQ(sampling.top_p, 0.75f);
  EXPECT_EQ(sampling.top_k, 9);
  EXPECT_EQ(sampling.min_p, 0.125f);
  EXPECT_EQ(sampling.presence_penalty, 1);
  EXPECT_EQ(sampling.frequency_penalty, -0.5f);
  EXPECT_EQ(sampling.repetition_penalty, 1.25f);
  EXPECT_EQ(sampling.seed, 11u);
  EXPECT_EQ(options().tokens_max, 77);
  ASSERT_EQ(sampling.logit_bias.size(), 2u);
  EXPECT_EQ(sampling.logit_bias[0], std::make_pair(65, -std::numeric_limits<float>::infinity()));
  EXPECT_EQ(sampling.logit_bias[1], std::make_pair(66, 2.5f));
  EXPECT_EQ(options().stop, (std::vector<std::string>{"zz", "yy", "xx", "ww", "vv"}));
}

TEST_F(OpenAiChat, SeedsAreFreshWhereNoneIsGiven) {
  json_of(kPath, chat());
  json_of(kPath, chat(R"("seed":null)"));
  EXPECT_NE(backend->requests()[0].generate.sampling.seed, backend->requests()[1].generate.sampling.seed);
}

TEST_F(OpenAiChat, Lengths) {
  backend->set_answer("a long answer");
  Json json = json_of(kPath, chat(R"("max_completion_tokens":4,"max_tokens":9)"));
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["choices"][0]["message"]["content"], "a lo");
  json_of(kPath, chat(R"("max_tokens":-1)"));
  EXPECT_EQ(options().tokens_max, 4096 - static_cast<int>(backend->requests().back().prompt.size()));
  caller.tokens_max = 60;
  json_of(kPath, chat());
  EXPECT_EQ(options().tokens_max, 60 - static_cast<int>(backend->requests().back().prompt.size()));
}

TEST_F(OpenAiChat, TooLong) {
  caller.tokens_max = 20;
  const Json json = json_of(kPath, chat(), 400);
  EXPECT_EQ(json["error"]["code"], "context_length_exceeded");
  EXPECT_TRUE(backend->requests().empty());
}

TEST_F(OpenAiChat, Stops) {
  backend->set_answer("one two three");
  EXPECT_EQ(json_of(kPath, chat(R"("stop":" three")"))["choices"][0]["message"]["content"], "one two");
  const Json json = json_of(kPath, chat(R"("stop":["zzz"," two"])"));
  EXPECT_EQ(json["choices"][0]["message"]["content"], "one");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
}

TEST_F(OpenAiChat, Logprobs) {
  const Json json = json_of(kPath, chat(R"("logprobs":true,"top_logprobs":2)"));
  const Json& content = json["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), 6u);
  EXPECT_EQ(content[0]["token"], "H");
  EXPECT_EQ(content[0]["bytes"], Json::parse("[72]"));
  EXPECT_EQ(content[0]["logprob"], -0.5);
  EXPECT_EQ(content[1]["logprob"], -1.0);
  ASSERT_EQ(content[0]["top_logprobs"].size(), 2u);
  EXPECT_EQ(content[0]["top_logprobs"][1]["token"], "b");
}

TEST_F(OpenAiChat, LogprobsStreamed) {
  std::string tokens;
  for (const Json& chunk : chunks_of(kPath, chat(R"("logprobs":true,"stream":true)"))) {
    const Json& logprobs = chunk["choices"][0]["logprobs"];
    if (logprobs.is_null()) continue;
    for (const Json& token : logprobs["content"]) tokens += token["token"].get<std::string>();
  }
  EXPECT_EQ(tokens, "Hello!");
}

TEST_F(OpenAiChat, LogprobsAreOfTheTextAlone) {
  backend->set_answer("<think>hm</think>\n\nYes");
  const Json json = json_of(kPath, chat(R"("logprobs":true)"));
  std::string tokens;
  for (const Json& token : json["choices"][0]["logprobs"]["content"])
    tokens += token["token"].get<std::string>();
  EXPECT_EQ(tokens, "Yes");
}

TEST_F(OpenAiChat, Reasoning) {
  backend->set_answer("<think>\nhm\n</think>\n\nYes");
  Json json = json_of(kPath, chat());
  EXPECT_EQ(json["choices"][0]["message"]["reasoning_content"], "hm");
  EXPECT_EQ(json["choices"][0]["message"]["content"], "Yes");
  EXPECT_EQ(json["usage"]["completion_tokens_details"]["reasoning_tokens"], 2);
  std::string reasoning, text;
  for (const Json& chunk : chunks_of(kPath, chat(R"("stream":true)"))) {
    reasoning += chunk["choices"][0]["delta"].value("reasoning_content", "");
    text += chunk["choices"][0]["delta"].value("content", "");
  }
  EXPECT_EQ(reasoning + "|" + text, "hm|Yes");
}

TEST_F(OpenAiChat, ReasoningEffort) {
  for (const char* more : {R"("reasoning_effort":"none")", R"("reasoning_effort":"minimal")",
                           R"("chat_template_kwargs":{"enable_thinking":false})"}) {
    json_of(kPath, chat(more));
    EXPECT_TRUE(backend->last_prompt().ends_with("assistant\n<think></think>")) << more;
  }
  json_of(kPath, chat(R"("reasoning_effort":"high")"));
  EXPECT_TRUE(backend->last_prompt().ends_with("assistant\n"));
}

TEST_F(OpenAiChat, ToolCalls) {
  backend->set_answer(std::string("Wait. ") + kCall);
  const Json json = json_of(kPath, chat(kTools));
  const Json& choice = json["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_EQ(choice["message"]["content"], "Wait. ");
  const Json& call = choice["message"]["tool_calls"][0];
  EXPECT_TRUE(call["id"].get<std::string>().starts_with("call_"));
  EXPECT_EQ(call["type"], "function");
  EXPECT_EQ(call["function"]["name"], "weather");
  EXPECT_EQ(call["function"]["arguments"], R"({"city": "Rome"})");
  EXPECT_NE(backend->last_prompt().find("tool weather {\"type\":\"object\""), std::string::npos);
}

TEST_F(OpenAiChat, ToolCallsAloneHaveNoContent) {
  backend->set_answer(std::string(kCall) + kCall);
  const Json json = json_of(kPath, chat(std::string(kTools) + R"(,"tool_choice":"required")"));
  const Json& message = json["choices"][0]["message"];
  EXPECT_TRUE(message["content"].is_null());
  ASSERT_EQ(message["tool_calls"].size(), 2u);
  EXPECT_NE(message["tool_calls"][0]["id"], message["tool_calls"][1]["id"]);
}

TEST_F(OpenAiChat, ToolCallsStreamed) {
  backend->set_answer(kCall);
  std::string id, name, arguments, finish;
  for (const Json& chunk : chunks_of(kPath, chat(std::string(kTools) + R"(,"stream":true)"))) {
    const Json& choice = chunk["choices"][0];
    if (choice["finish_reason"].is_string()) finish = choice["finish_reason"];
    if (!choice["delta"].contains("tool_calls")) continue;
    const Json& call = choice["delta"]["tool_calls"][0];
    EXPECT_EQ(call["index"], 0);
    id += call.value("id", "");
    name += call["function"].value("name", "");
    arguments += call["function"]["arguments"].get<std::string>();
  }
  EXPECT_TRUE(id.starts_with("call_"));
  EXPECT_EQ(name, "weather");
  EXPECT_EQ(arguments, R"({"city": "Rome"})");
  EXPECT_EQ(finish, "tool_calls");
}

TEST_F(OpenAiChat, ToolChoice) {
  const auto grammar = [&](const std::string& choice) {
    json_of(kPath, chat(std::string(kTools) + "," + choice));
    return options().constraint->grammar().matches("Hello!") ? "text" : "call";
  };
  EXPECT_STREQ(grammar(R"("tool_choice":"auto")"), "text");
  EXPECT_STREQ(grammar(R"("tool_choice":"none")"), "text");
  EXPECT_FALSE(options().constraint->grammar().matches(kCall));
  EXPECT_STREQ(grammar(R"("tool_choice":"required")"), "call");
  EXPECT_TRUE(options().constraint->grammar().matches(std::string(kCall) + kCall));
  EXPECT_STREQ(grammar(R"("tool_choice":{"type":"function","function":{"name":"weather"}})"), "call");
  EXPECT_STREQ(
      grammar(R"("tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[]}})"),
      "call");
  EXPECT_STREQ(grammar(R"("tool_choice":"required","parallel_tool_calls":false)"), "call");
  EXPECT_FALSE(options().constraint->grammar().matches(std::string(kCall) + kCall));
}

TEST_F(OpenAiChat, LegacyFunctions) {
  backend->set_answer(kCall);
  const std::string functions =
      R"("functions":[{"name":"weather","parameters":{"type":"object","properties":{"city":
    {"type":"string"}}}}],
         "function_call":{"name":"weather"})";
  const Json json = json_of(kPath, chat(functions));
  EXPECT_EQ(json["choices"][0]["finish_reason"], "function_call");
  EXPECT_EQ(json["choices"][0]["message"]["function_call"]["name"], "weather");
  EXPECT_EQ(json["choices"][0]["message"]["function_call"]["arguments"], R"({"city": "Rome"})");
  EXPECT_FALSE(json["choices"][0]["message"].contains("tool_calls"));
  std::string arguments;
  for (const Json& chunk : chunks_of(kPath, chat(functions + R"(,"stream":true)"))) {
    const Json& delta = chunk["choices"][0]["delta"];
    if (delta.contains("function_call")) arguments += delta["function_call"]["arguments"].get<std::string>();
  }
  EXPECT_EQ(arguments, R"({"city": "Rome"})");
}

TEST_F(OpenAiChat, UnknownKindsOfToolsAreLeftOut) {
  json_of(kPath, chat(R"("tools":[{"type":"web_search"},{"type":"custom","custom":{"name":"x"}}])"));
  EXPECT_EQ(backend->last_prompt().find("tool "), std::string::npos);
  EXPECT_EQ(options().constraint, nullptr);
}

TEST_F(OpenAiChat, ResponseFormats) {
  const auto matches = [&](const std::string& more, const std::string& text) {
    json_of(kPath, chat(more));
    return options().constraint->grammar().matches(text);
  };
  EXPECT_TRUE(matches(R"("response_format":{"type":"json_object"})", R"({"a":1})"));
  const std::string schema =
      R"({"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],
    "additionalProperties":false})";
  EXPECT_TRUE(
      matches(R"("response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":)" +
                  schema + "}}",
              R"({"a":1})"));
  EXPECT_FALSE(options().constraint->grammar().matches(R"({"a":"1"})"));
  EXPECT_TRUE(matches(R"("response_format":{"type":"json_object","schema":)" + schema + "}", R"({"a":1})"));
  EXPECT_TRUE(matches(R"("response_format":{"type":"regex","pattern":"a+"})", "aaa"));
  EXPECT_TRUE(matches(R"("grammar":"root ::= \"yes\"")", "yes"));
  EXPECT_TRUE(matches(R"("regex":"b+")", "bb"));
  json_of(kPath, chat(R"("response_format":{"type":"text"})"));
  EXPECT_EQ(options().constraint, nullptr);
}

TEST_F(OpenAiChat, Origins) {
  const auto ask_with = [&](const std::string& more, Headers headers) {
    ask(kPath, chat(more), std::move(headers));
    return backend->requests().back();
  };
  EXPECT_EQ(ask_with("", {{"X-Session-Id", "s1"}}).from.affinity, "s1");
  EXPECT_EQ(ask_with("", {{"x-session-affinity", "s2"}}).from.affinity, "s2");
  EXPECT_EQ(ask_with(R"("prompt_cache_key":"s3")", {}).from.affinity, "s3");
  EXPECT_EQ(ask_with(R"("prompt_cache_key":"s3")", {{"x-session-id", "s1"}}).from.affinity, "s1");
  EXPECT_EQ(ask_with(R"("session":"notes")", {}).from.session, "notes");
  EXPECT_EQ(json_of(kPath, chat(R"("model":"auto")"))["model"], "scripted") << "who it was";
  caller.owner = "key1";
  caller.priority = Priority::kLow;
  const GenerationRequest request = ask_with("", {});
  EXPECT_EQ(request.from.owner, "key1");
  EXPECT_EQ(request.from.priority, Priority::kLow);
}

TEST_F(OpenAiChat, ClientsThatLeaveCancel) {
  backend->set_held(true);
  const auto answer = begin("POST", kPath, chat(R"("stream":true,"n":2)"));
  EXPECT_TRUE(backend->cancelled().empty());
  answer->leave();
  EXPECT_EQ(backend->cancelled(), (std::vector<GenerationId>{1, 2}));
  EXPECT_TRUE(backend->wait_until_idle());
}

TEST_F(OpenAiChat, FailuresBeforeAndWithin) {
  backend->push_failure({.kind = FailureKind::kBusy, .message = "full", .retry_after_s = 2});
  const auto busy = ask(kPath, chat());
  EXPECT_EQ(busy->status(), 429);
  backend->push_failure({.kind = FailureKind::kInternal, .message = "broke"}, 3);
  const auto broken = ask(kPath, chat(R"("stream":true)"));
  EXPECT_EQ(broken->status(), 200);
  const auto events = events_of(broken->body());
  ASSERT_GE(events.size(), 2u);
  EXPECT_EQ(Json::parse(events[events.size() - 2].second)["error"]["message"], "broke");
  backend->push_failure({.kind = FailureKind::kInternal, .message = "broke"}, 3);
  EXPECT_EQ(ask(kPath, chat())->status(), 500);
}

TEST_F(OpenAiChat, FullMemoryEndsAnAnswerByLength) {
  backend->set_end(StopReason::kFull, "no memory");
  EXPECT_EQ(json_of(kPath, chat())["choices"][0]["finish_reason"], "length");
}

TEST_F(OpenAiChat, UnknownFieldsAndNullsAreNothing) {
  json_of(kPath, chat(R"("user":"u","metadata":{"a":"b"},"store":true,"service_tier":"auto","nonsense":[1],
    "temperature":null,"tools":null,"tool_choice":null,"response_format":null,"stop":null,
    "stream_options":null,
    "logit_bias":null,"max_tokens":null,"n":null,"logprobs":null,"stream":null,"parallel_tool_calls":null)"));
}

}  // namespace
}  // namespace mneme::serve
