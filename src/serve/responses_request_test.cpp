#include "serve/responses_request.h"

#include <gtest/gtest.h>

namespace mneme::serve {
namespace {

Json with(std::string_view fields) {
  Json body = Json::parse(R"({"model":"m","input":"hi"})");
  body.update(Json::parse(fields));
  return body;
}

ResponsesRequest read(std::string_view fields) {
  auto request = read_responses(with(fields));
  EXPECT_TRUE(request) << fields << "\n" << request.error().message;
  return request ? *request : ResponsesRequest{};
}

std::string spelled(std::string_view fields) {
  std::string text;
  for (const ChatMessage& message : read(fields).chat.messages) {
    text += message.role + (message.tool_call_id.empty() ? "" : "(" + message.tool_call_id + ")");
    if (!message.reasoning.empty()) text += " <" + message.reasoning + ">";
    text += ": " + message.content;
    for (const ToolCall& call : message.tool_calls)
      text += " [" + call.id + " " + call.name + " " + call.arguments + "]";
    text += "\n";
  }
  return text;
}

TEST(ResponsesRequest, ReadsTheLeast) {
  const ResponsesRequest request = read("{}");
  EXPECT_EQ(spelled("{}"), "user: hi\n");
  EXPECT_EQ(request.chat.generate.tokens_max, 16384);
  EXPECT_EQ(request.chat.generate.top_logprobs, -1);
  EXPECT_EQ(request.chat.thinking, std::nullopt);
  EXPECT_TRUE(request.chat.parallel_tool_calls);
  EXPECT_FALSE(request.stream);
}

TEST(ResponsesRequest, InstructionsComeFirst) {
  EXPECT_EQ(spelled(R"({"instructions":"Be brief."})"), "system: Be brief.\nuser: hi\n");
}

TEST(ResponsesRequest, ReadsMessages) {
  EXPECT_EQ(spelled(R"({"input":[
      {"type":"message","role":"developer","content":[{"type":"input_text","text":"D"}]},
      {"role":"system","content":"S"},
      {"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]},
      {"type":"message","id":"msg_1","status":"completed","role":"assistant",
       "content":[{"type":"output_text","text":"c","annotations":[],"logprobs":[]}]},
      {"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},
      {"role":"user","content":"d"}]})"),
            "system: D\nsystem: S\nuser: a\n\nb\nassistant: c\nassistant: no\nuser: d\n");
}

TEST(ResponsesRequest, WhatAnAssistantDoesInARowIsOneMessage) {
  EXPECT_EQ(spelled(R"({"input":[{"role":"user","content":"q"},
      {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]},
      {"type":"message","role":"assistant","content":[{"type":"output_text","text":"I look."}]},
      {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"a\":1}"},
      {"type":"function_call","id":"fc_2","call_id":"c2","name":"g","arguments":""},
      {"type":"function_call_output","call_id":"c1","output":"one"},
      {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]},
      {"type":"reasoning","id":"rs_2","summary":[{"type":"summary_text","text":"ah"}]},
      {"type":"function_call","call_id":"c3","name":"f","arguments":"{}"},
      {"type":"function_call_output","call_id":"c3","output":"three"}]})"),
            "user: q\nassistant <hm>: I look. [c1 f {\"a\":1}] [c2 g {}]\ntool(c1): one\ntool(c2): two\n"
            "assistant <ah>:  [c3 f {}]\ntool(c3): three\n");
}

TEST(ResponsesRequest, CustomToolsAreFunctionsOfOneText) {
  const char* fields = R"({"tools":[{"type":"custom","name":"apply_patch","description":"Edits files.",
      "format":{"type":"grammar","syntax":"lark","definition":"start: \"x\""}}],
      "input":[{"role":"user","content":"q"},
      {"type":"custom_tool_call","id":"ctc_1","call_id":"c","name":"apply_patch","input":"a\n\"b\""},
      {"type":"custom_tool_call_output","call_id":"c","output":"done"}]})";
  const ResponsesRequest request = read(fields);
  ASSERT_EQ(request.chat.tools.size(), 1u);
  EXPECT_TRUE(request.custom_tools.contains("apply_patch"));
  EXPECT_NE(request.chat.tools[0].description.find("start: \"x\""), std::string::npos);
  EXPECT_EQ(Json::parse(request.chat.tools[0].parameters)["properties"]["input"]["type"], "string");
  EXPECT_EQ(spelled(fields),
            "user: q\nassistant:  [c apply_patch {\"input\":\"a\\n\\\"b\\\"\"}]\ntool(c): done\n");
}

TEST(ResponsesRequest, ToolsNobodyCanRunAreLeftOut) {
  const ResponsesRequest request = read(R"({"tools":[
      {"type":"function","name":"f","description":"d","strict":true,"parameters":{"type":"object"}},
      {"type":"function","name":"g","parameters":null,"strict":null},
      {"type":"web_search","external_web_access":false},{"type":"local_shell"},
      {"type":"namespace","name":"n","description":"","tools":[{"type":"function","name":"x"}]},
      {"type":"image_generation"}],"tool_choice":"auto"})");
  ASSERT_EQ(request.chat.tools.size(), 2u);
  EXPECT_EQ(request.chat.tools[0].name, "f");
  EXPECT_TRUE(request.chat.tools[0].strict);
  EXPECT_EQ(request.chat.tools[0].parameters, R"({"type":"object"})");
  EXPECT_EQ(request.chat.tools[1].parameters, "");
}

TEST(ResponsesRequest, ChoosesTools) {
  const auto choose = [](const char* choice) {
    return read(std::string(R"({"tools":[{"type":"function","name":"f"},{"type":"function","name":"g"}],
                               "tool_choice":)") +
                choice + "}")
        .chat;
  };
  EXPECT_EQ(choose(R"("auto")").tool_choice, ToolChoice::kAuto);
  EXPECT_EQ(choose(R"("none")").tool_choice, ToolChoice::kNone);
  EXPECT_EQ(choose(R"("required")").tool_choice, ToolChoice::kRequired);
  const ChatRequest named = choose(R"({"type":"function","name":"g"})");
  EXPECT_EQ(named.tool_choice, ToolChoice::kNamed);
  EXPECT_EQ(named.tool_named, "g");
  EXPECT_EQ(choose(R"({"type":"web_search"})").tool_choice, ToolChoice::kAuto);
  const ChatRequest allowed = choose(
      R"({"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"g"}]})");
  EXPECT_EQ(allowed.tool_choice, ToolChoice::kRequired);
  ASSERT_EQ(allowed.tools.size(), 1u);
  EXPECT_EQ(allowed.tools[0].name, "g");
}

TEST(ResponsesRequest, FormatsAnswers) {
  const ChatRequest strict = read(R"({"text":{"format":{"type":"json_schema","name":"n","strict":true,
      "schema":{"type":"object"}},"verbosity":"low"}})")
                                 .chat;
  EXPECT_EQ(strict.format, AnswerFormat::kJsonSchema);
  EXPECT_TRUE(strict.format_strict);
  EXPECT_EQ(strict.format_text, R"({"type":"object"})");
  EXPECT_EQ(read(R"({"text":{"format":{"type":"json_object"}}})").chat.format, AnswerFormat::kJsonObject);
  EXPECT_EQ(read(R"({"text":{"format":{"type":"text"}}})").chat.format, AnswerFormat::kText);
  EXPECT_EQ(read(R"({"text":{"verbosity":"high"}})").chat.format, AnswerFormat::kText);
}

TEST(ResponsesRequest, ReasonsAsHardAsAsked) {
  EXPECT_EQ(read(R"({"reasoning":{"effort":"none"}})").chat.thinking, false);
  EXPECT_EQ(read(R"({"reasoning":{"effort":"minimal"}})").chat.thinking, false);
  EXPECT_EQ(read(R"({"reasoning":{"effort":"high"}})").chat.thinking, true);
  EXPECT_EQ(read(R"({"reasoning":{"summary":"auto"}})").chat.thinking, std::nullopt);
  EXPECT_TRUE(read(R"({"reasoning":{"summary":"auto"}})").summarise);
  EXPECT_FALSE(read(R"({"reasoning":{"effort":null,"summary":null}})").summarise);
}

TEST(ResponsesRequest, Samples) {
  const ResponsesRequest request = read(
      R"({"max_output_tokens":9,"temperature":0.5,"top_p":0.25,"stream":true,
      "top_logprobs":2,"include":["message.output_text.logprobs","reasoning.encrypted_content"],
      "prompt_cache_key":"k","parallel_tool_calls":false,"truncation":"auto"})");
  EXPECT_EQ(request.chat.generate.tokens_max, 9);
  EXPECT_EQ(request.chat.generate.sampling.temperature, 0.5f);
  EXPECT_EQ(request.chat.generate.sampling.top_p, 0.25f);
  EXPECT_EQ(request.chat.generate.top_logprobs, 2);
  EXPECT_FALSE(request.chat.parallel_tool_calls);
  EXPECT_EQ(request.cache_key, "k");
  EXPECT_TRUE(request.stream);
  EXPECT_EQ(read(R"({"include":["message.output_text.logprobs"]})").chat.generate.top_logprobs, 0);
}

TEST(ResponsesRequest, RepeatsWhatWasAsked) {
  const Json echo = read(R"({"metadata":{"a":"b"},"temperature":0.5,"instructions":"I","tool_choice":"none",
      "tools":[{"type":"function","name":"f"}],"truncation":"auto","store":true,"user":"u"})")
                        .echo;
  EXPECT_EQ(echo["metadata"], Json::parse(R"({"a":"b"})"));
  EXPECT_EQ(echo["temperature"], 0.5);
  EXPECT_EQ(echo["top_p"].dump(), "0.95");
  EXPECT_EQ(echo["instructions"], "I");
  EXPECT_EQ(echo["tool_choice"], "none");
  EXPECT_EQ(echo["tools"][0]["name"], "f");
  EXPECT_EQ(echo["user"], "u");
  EXPECT_EQ(echo["store"], false) << "nothing is stored";
  EXPECT_TRUE(echo["max_output_tokens"].is_null());
}

TEST(ResponsesRequest, NullIsAbsentAndStrangersAreWelcome) {
  EXPECT_EQ(spelled(R"({"instructions":null,"tools":null,"tool_choice":null,"reasoning":null,"text":null,
      "metadata":null,"max_output_tokens":null,"temperature":null,"previous_response_id":null,
      "conversation":null,"include":null,"background":false,"client_metadata":{"x":"y"},
      "service_tier":"auto","input":[{"role":"user","content":"hi"},{"type":"web_search_call","id":"w"},
      {"type":"ghost_snapshot"},{"type":"local_shell_call"}]})"),
            "user: hi\n");
}

TEST(ResponsesRequest, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"input":null})", "input"},
      {R"({"input":7})", "input"},
      {R"({"input":[]})", "input"},
      {R"({"input":[5]})", "input[0]"},
      {R"({"input":[{"type":"item_reference","id":"msg_1"}]})", "input[0]"},
      {R"({"input":[{"role":"robot","content":"x"}]})", "input[0].role"},
      {R"({"input":[{"content":"x"}]})", "input[0].role"},
      {R"({"input":[{"role":"user"}]})", "input[0].content"},
      {R"({"input":[{"role":"user","content":{}}]})", "input[0].content"},
      {R"({"input":[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}]})",
       "input[0].content[0].type"},
      {R"({"input":[{"role":"user","content":[{"type":"hologram"}]}]})", "input[0].content[0].type"},
      {R"({"input":[{"role":"user","content":[{"type":"input_text"}]}]})", "input[0].content[0].text"},
      {R"({"input":[{"type":"function_call","name":"f","arguments":"{}"}]})", "input[0].call_id"},
      {R"({"input":[{"type":"function_call","call_id":"c","name":"f","arguments":{}}]})",
       "input[0].arguments"},
      {R"({"input":[{"type":"function_call_output","output":"x"}]})", "input[0].call_id"},
      {R"({"previous_response_id":"resp_1"})", "previous_response_id"},
      {R"({"conversation":"conv_1"})", "conversation"},
      {R"({"prompt":{"id":"p"}})", "prompt"},
      {R"({"background":true})", "background"},
      {R"({"tools":[{"type":"function"}]})", "tools[0].name"},
      {R"({"tools":[{"name":"f"}]})", "tools[0].type"},
      {R"({"tools":[{"type":"function","name":"f","parameters":"x"}]})", "tools[0].parameters"},
      {R"({"tools":{}})", "tools"},
      {R"({"tool_choice":"required"})", "tool_choice"},
      {R"({"tool_choice":"maybe"})", "tool_choice"},
      {R"({"tool_choice":{"type":"function","name":"f"}})", "tool_choice"},
      {R"({"text":{"format":{"type":"json_schema"}}})", "text.format.schema"},
      {R"({"text":{"format":{"type":"yaml"}}})", "text.format.type"},
      {R"({"max_output_tokens":0})", "max_output_tokens"},
      {R"({"temperature":2.5})", "temperature"},
      {R"({"top_logprobs":21})", "top_logprobs"},
      {R"({"truncation":"some"})", "truncation"},
      {R"({"metadata":"x"})", "metadata"},
      {R"({"stream":1})", "stream"},
      {R"({"parallel_tool_calls":"no"})", "parallel_tool_calls"},
  };
  for (const auto& [fields, param] : cases) {
    const auto request = read_responses(with(fields));
    ASSERT_FALSE(request) << fields;
    EXPECT_EQ(request.error().param, param) << fields;
    EXPECT_EQ(request.error().kind, FailureKind::kInvalid);
    EXPECT_FALSE(request.error().message.empty());
  }
  for (const char* body : {"[]", "7", "null"}) EXPECT_FALSE(read_responses(Json::parse(body))) << body;
}

// Random ids of items differ from one request to the next; the conversation does not.
TEST(ResponsesRequest, IdsOfItemsLeaveNoTrace) {
  const auto turn = [](const std::string& id) {
    return spelled(R"({"input":[{"type":"message","id":"msg_)" + id +
                   R"(","role":"user","content":[{"type":"input_text","text":"q"}]},
        {"type":"function_call","id":"fc_)" +
                   id + R"(","call_id":"call_1","name":"f","arguments":"{}","status":"completed"},
        {"type":"function_call_output","id":"fco_)" +
                   id + R"(","call_id":"call_1","output":"r"}]})");
  };
  EXPECT_EQ(turn("50cc46f6"), turn("01a202e6"));
}

}  // namespace
}  // namespace mneme::serve
