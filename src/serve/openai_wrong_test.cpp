// Requests that are wrong: 400, and the field is named. And bodies that real clients send, which are not.
#include <gtest/gtest.h>

#include "serve/openai_for_test.h"

namespace mneme::serve {
namespace {

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kText = "/v1/completions";

class OpenAiWrong : public ::testing::Test, public OpenAiEndpoints {};

TEST_F(OpenAiWrong, Bodies) {
  for (const char* body : {"", "{", "[]", "3", "\"x\"", "{\"a\":}", "nul"}) {
    for (const char* path : {kChat, kText, "/v1/embeddings", "/tokenize"})
      EXPECT_EQ(json_of(path, body, 400)["error"]["type"], "invalid_request_error") << body;
  }
  EXPECT_EQ(param_of(kChat, R"({"model":"missing"})"), "model");
  EXPECT_EQ(param_of(kChat, R"({"model":7})"), "model");
}

TEST_F(OpenAiWrong, Messages) {
  const auto param = [&](const std::string& messages) {
    return param_of(kChat, R"({"model":"m","messages":)" + messages + "}");
  };
  EXPECT_EQ(param_of(kChat, R"({"model":"m"})"), "messages");
  EXPECT_EQ(param("null"), "messages");
  EXPECT_EQ(param("[]"), "messages");
  EXPECT_EQ(param("\"hi\""), "messages");
  EXPECT_EQ(param("[1]"), "messages[0]");
  EXPECT_EQ(param(R"([{"content":"x"}])"), "messages[0].role");
  EXPECT_EQ(param(R"([{"role":"king","content":"x"}])"), "messages[0].role");
  EXPECT_EQ(param(R"([{"role":"user"}])"), "messages[0].content");
  EXPECT_EQ(param(R"([{"role":"user","content":7}])"), "messages[0].content");
  EXPECT_EQ(param(
                R"([{"role":"user","content":"x"},{"role":"user","content":[{"type":"image_url","image_url":
    {"url":"data:"}}]}])"),
            "messages[1].content[0].type");
  EXPECT_EQ(param(R"([{"role":"user","content":[{"type":"text"}]}])"), "messages[0].content[0].text");
  EXPECT_EQ(param(R"([{"role":"assistant","tool_calls":[{"type":"function"}]}])"),
            "messages[0].tool_calls[0].function");
  EXPECT_EQ(param(R"([{"role":"assistant","tool_calls":[{"function":{"arguments":"{}"}}]}])"),
            "messages[0].tool_calls[0].function.name");
  EXPECT_EQ(param(R"([{"role":"assistant","tool_calls":{}}])"), "messages[0].tool_calls");
}

struct Wrong {
  const char* more;
  const char* param;
};

class OpenAiWrongField : public ::testing::TestWithParam<Wrong>, public OpenAiEndpoints {};

TEST_P(OpenAiWrongField, IsNamed) { EXPECT_EQ(param_of(kChat, chat(GetParam().more)), GetParam().param); }

INSTANTIATE_TEST_SUITE_P(
    All, OpenAiWrongField,
    ::testing::Values(
        Wrong{R"("temperature":"warm")", "temperature"}, Wrong{R"("temperature":2.5)", "temperature"},
        Wrong{R"("temperature":-1)", "temperature"}, Wrong{R"("top_p":1.5)", "top_p"},
        Wrong{R"("top_k":1.5)", "top_k"}, Wrong{R"("min_p":2)", "min_p"}, Wrong{R"("n":0)", "n"},
        Wrong{R"("n":"2")", "n"}, Wrong{R"("n":1000)", "n"}, Wrong{R"("seed":1.5)", "seed"},
        Wrong{R"("stream":"yes")", "stream"}, Wrong{R"("stop":5)", "stop"},
        Wrong{R"("stop":["a",5])", "stop[1]"}, Wrong{R"("max_tokens":0)", "max_tokens"},
        Wrong{R"("max_tokens":"9")", "max_tokens"},
        Wrong{R"("max_completion_tokens":-5)", "max_completion_tokens"},
        Wrong{R"("presence_penalty":3)", "presence_penalty"},
        Wrong{R"("frequency_penalty":-3)", "frequency_penalty"},
        Wrong{R"("repetition_penalty":0)", "repetition_penalty"},
        Wrong{R"("logit_bias":[1])", "logit_bias[0]"}, Wrong{R"("logit_bias":5)", "logit_bias"},
        Wrong{R"("logit_bias":{"99999":1})", "logit_bias.99999"},
        Wrong{R"("logit_bias":{"65":101})", "logit_bias.65"}, Wrong{R"("logprobs":1)", "logprobs"},
        Wrong{R"("top_logprobs":2)", "top_logprobs"},
        Wrong{R"("logprobs":true,"top_logprobs":21)", "top_logprobs"}, Wrong{R"("tools":{})", "tools"},
        Wrong{R"("tools":[{"type":"function"}])", "tools[0].function"},
        Wrong{R"("tools":[{"type":"function","function":{"description":"x"}}])", "tools[0].function.name"},
        Wrong{R"("tools":[{"type":"function","function":{"name":"f","parameters":"x"}}])",
              "tools[0].function.parameters"},
        Wrong{R"("tool_choice":"sometimes")", "tool_choice"}, Wrong{R"("tool_choice":5)", "tool_choice"},
        Wrong{R"("tool_choice":"required")", "tool_choice"},
        Wrong{R"("tool_choice":{"type":"function","function":{"name":"f"}})", "tool_choice"},
        Wrong{R"("tool_choice":{"type":"function","function":{}})", "tool_choice.function.name"},
        Wrong{R"("parallel_tool_calls":1)", "parallel_tool_calls"},
        Wrong{R"("response_format":"json")", "response_format"},
        Wrong{R"("response_format":{"type":"xml"})", "response_format.type"},
        Wrong{R"("response_format":{"type":"json_schema"})", "response_format.json_schema"},
        Wrong{R"("response_format":{"type":"json_schema","json_schema":{"name":"x","schema":5}})",
              "response_format.json_schema.schema"},
        Wrong{
            R"("response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":
    {"type":"object","properties":{"a":{}}}}})",
            "response_format"},
        Wrong{R"("grammar":"root ::= (")", "response_format"}, Wrong{R"("regex":"(")", "response_format"},
        Wrong{R"("reasoning_effort":"heroic")", "reasoning_effort"},
        Wrong{R"("stream_options":true)", "stream_options"},
        Wrong{R"("prompt_cache_key":1)", "prompt_cache_key"}, Wrong{R"("session":1)", "session"}));

class OpenAiClients : public ::testing::Test, public OpenAiEndpoints {};

// What the clients send, with their long texts cut.
TEST_F(OpenAiClients, OpenAiSdk) {
  json_of(kChat, R"({"model":"gpt-4o","messages":[{"role":"user","content":"say hi"}]})");
  json_of("/v1/embeddings", R"({"model":"m","input":"hi","encoding_format":"base64"})");
}

TEST_F(OpenAiClients, Pi) {
  chunks_of(kChat, R"({"model":"m","messages":[{"role":"system","content":"You are pi."},{"role":"user",
    "content":[{"type":"text","text":"say hi"}]}],"stream":true,"stream_options":{"include_usage":true},
    "store":false,"max_completion_tokens":4096,"tools":[{"type":"function","function":{"name":"read",
    "description":"Read a file","parameters":{"type":"object","required":["path"],"properties":{"path":
    {"type":"string","description":"p"},"offset":{"type":"number"}}},"strict":false}}],
    "reasoning_effort":"medium"})");
}

TEST_F(OpenAiClients, Opencode) {
  chunks_of(kChat, R"({"model":"m","max_tokens":32000,"temperature":0,"top_p":1,"messages":[{"role":"system",
    "content":"You are opencode"},{"role":"user","content":"say hi"}],"tools":[{"type":"function","function":
    {"name":"bash","description":"Runs","parameters":
    {"$schema":"https://json-schema.org/draft/2020-12/schema",
    "type":"object","properties":{"command":{"description":"c","type":"string"},"timeout":{"type":"number"}},
    "required":["command"],"additionalProperties":false}}}],"tool_choice":"auto","stream":true,
    "stream_options":{"include_usage":true}})");
}

TEST_F(OpenAiClients, OpencodeSecondTurn) {
  json_of(kChat,
          R"({"model":"m","messages":[{"role":"user","content":"list"},{"role":"assistant","content":"",
    "tool_calls":[{"id":"call_1","type":"function","function":{"name":"bash",
    "arguments":"{\"command\":\"ls\"}"}}]},
    {"role":"tool","tool_call_id":"call_1","content":"a.txt"}]})");
  EXPECT_NE(backend->last_prompt().find("<tool_response>a.txt"), std::string::npos);
}

TEST_F(OpenAiClients, QwenCode) {
  chunks_of(kChat, R"({"model":"m","messages":[{"role":"system","content":"You are Qwen Code"},{"role":"user",
    "content":[{"type":"text","text":"context"},{"type":"text","text":"say hi"}]}],"stream":true,
    "stream_options":{"include_usage":true},"temperature":0,"top_p":1,"metadata":{"sessionId":"s",
    "promptId":"p"},
    "vl_high_resolution_images":true,"tools":[{"type":"function","function":{"name":"todo_write",
    "description":"d",
    "parameters":{"type":"object","properties":{"todos":{"type":"array","items":{"type":"object","properties":
    {"content":{"type":"string","minLength":1},"status":{"type":"string","enum":["pending","completed"]}},
    "required":["content","status"]}}},"required":["todos"]}}}]})");
}

TEST_F(OpenAiClients, ContinueAndCline) {
  chunks_of(kChat, R"({"messages":[{"role":"user","content":"say hi"}],"model":"m","stream":true,
    "parallel_tool_calls":false,"max_tokens":4096,"tools":[]})");
  chunks_of(kChat, R"({"model":"m","messages":[{"role":"system","content":"You are Cline"},{"role":"user",
    "content":[{"type":"text","text":"<task>\nsay hi\n</task>"}]}],"temperature":0,"stream":true,
    "stream_options":{"include_usage":true},"reasoning_effort":"low"})");
}

TEST_F(OpenAiClients, LangChain) {
  json_of(kChat, R"({"model":"m","stream":false,"messages":[{"role":"user","content":"x"}],"tools":[{"type":
    "function","function":{"name":"multiply","description":"","parameters":{"type":"object","properties":{"a":
    {"type":"number"},"b":{"type":"number"}},"required":["a","b"],"additionalProperties":false,
    "$schema":"http://json-schema.org/draft-07/schema#"}}}],"tool_choice":"auto"})");
  json_of(kChat,
          R"({"model":"m","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema",
    "json_schema":{"name":"extract","strict":true,"schema":{"type":"object","properties":{"name":
    {"type":"string"},
    "age":{"type":["number","null"]}},"required":["name","age"],"additionalProperties":false,
    "$schema":"http://json-schema.org/draft-07/schema#"}}},"stream":false})");
}

TEST_F(OpenAiClients, PathsWithoutVersion) {
  json_of("/chat/completions", chat());
  json_of("/completions", R"({"model":"m","prompt":"x"})");
}

}  // namespace
}  // namespace mneme::serve
