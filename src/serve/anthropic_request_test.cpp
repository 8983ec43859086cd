#include "serve/anthropic_request.h"

#include <gtest/gtest.h>

namespace mneme::serve {
namespace {

Json with(std::string_view fields) {
  Json body = Json::parse(R"({"model":"m","max_tokens":16,"messages":[{"role":"user","content":"hi"}]})");
  body.update(Json::parse(fields));
  return body;
}

MessagesRequest read(const Json& body) {
  auto request = read_messages(body, MessagesPurpose::kAnswer);
  EXPECT_TRUE(request) << request.error().message;
  return request ? *request : MessagesRequest{};
}

std::string failure_of(const Json& body) {
  const auto request = read_messages(body, MessagesPurpose::kAnswer);
  EXPECT_FALSE(request);
  return request ? "" : request.error().message;
}

// The conversation, a line a message: what a template makes its prompt of.
std::string spelled(const ChatRequest& chat) {
  std::string text;
  for (const ChatMessage& message : chat.messages) {
    text += message.role + (message.tool_call_id.empty() ? "" : "(" + message.tool_call_id + ")");
    if (!message.reasoning.empty()) text += " <" + message.reasoning + ">";
    text += ": " + message.content;
    for (const ToolCall& call : message.tool_calls)
      text += " [" + call.id + " " + call.name + " " + call.arguments + "]";
    text += "\n";
  }
  return text;
}
std::string spelled(std::string_view fields) { return spelled(read(with(fields)).chat); }

TEST(AnthropicRequest, ReadsTheLeast) {
  const MessagesRequest request = read(with("{}"));
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(spelled(request.chat), "user: hi\n");
  EXPECT_EQ(request.chat.generate.tokens_max, 16);
  EXPECT_FALSE(request.stream);
  EXPECT_FALSE(request.show_thinking);
  EXPECT_EQ(request.chat.thinking, false);
  EXPECT_EQ(request.chat.tool_choice, ToolChoice::kAuto);
  EXPECT_TRUE(request.chat.parallel_tool_calls);
}

TEST(AnthropicRequest, SystemIsAStringOrBlocks) {
  EXPECT_EQ(spelled(R"({"system":"Be brief."})"), "system: Be brief.\nuser: hi\n");
  EXPECT_EQ(spelled(R"({"system":[{"type":"text","text":"Be brief."}]})"), "system: Be brief.\nuser: hi\n");
  EXPECT_EQ(spelled(R"({"system":[{"type":"text","text":"A"},{"type":"text","text":"B"}]})"),
            "system: A\n\nB\nuser: hi\n");
  EXPECT_EQ(spelled(R"({"system":[]})"), "user: hi\n");
  EXPECT_EQ(spelled(R"({"system":""})"), "user: hi\n");
}

TEST(AnthropicRequest, TheBillingHeaderLeavesNoTrace) {
  const std::string plain = spelled(R"({"system":[{"type":"text","text":"You help."}]})");
  EXPECT_EQ(spelled(R"({"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=1; cch=a1;"},
                                  {"type":"text","text":"You help."}]})"),
            plain);
  EXPECT_EQ(spelled(R"({"system":"x-anthropic-billing-header: cch=b2;\nYou help."})"), plain);
  EXPECT_EQ(spelled(R"({"system":"x-anthropic-billing-header: cch=b2;"})"), "user: hi\n");
}

TEST(AnthropicRequest, CacheControlLeavesNoTrace) {
  EXPECT_EQ(spelled(R"({"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}],
                        "cache_control":{"type":"ephemeral"},
                        "messages":[{"role":"user","content":[
                          {"type":"text","text":"hi","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]})"),
            "system: S\nuser: hi\n");
  const ChatRequest marked = read(with(R"({"tools":[{"name":"f","input_schema":{"type":"object"},
                              "cache_control":{"type":"ephemeral"}}]})"))
                                 .chat;
  EXPECT_EQ(marked.tools[0].parameters, R"({"type":"object"})");
}

TEST(AnthropicRequest, AStringIsItsTextBlock) {
  EXPECT_EQ(spelled(R"({"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]})"),
            spelled("{}"));
}

TEST(AnthropicRequest, ToolsAreCalledAndAnswered) {
  EXPECT_EQ(spelled(R"({"messages":[
      {"role":"user","content":"weather?"},
      {"role":"assistant","content":[{"type":"text","text":"I look."},
        {"type":"tool_use","id":"t1","name":"get","input":{"city":"Ulm","days":[1,2.5]}},
        {"type":"tool_use","id":"t2","name":"now","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"rain"},
        {"type":"tool_result","tool_use_id":"t2","content":[{"type":"text","text":"noon"},
          {"type":"text","text":"UTC"}]},
        {"type":"text","text":"and?"}]}]})"),
            "user: weather?\n"
            "assistant: I look. [t1 get {\"city\":\"Ulm\",\"days\":[1,2.5]}] [t2 now {}]\n"
            "tool(t1): rain\ntool(t2): noon\n\nUTC\nuser: and?\n");
}

TEST(AnthropicRequest, TextBeforeAToolsResultStaysBefore) {
  EXPECT_EQ(spelled(R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},
      {"type":"tool_result","tool_use_id":"t"},{"type":"text","text":"b"}]}]})"),
            "user: a\ntool(t): \nuser: b\n");
}

TEST(AnthropicRequest, FailedToolsSaySo) {
  const auto result = [](const char* content) {
    return spelled(std::string(R"({"messages":[{"role":"user","content":[
        {"type":"tool_result","tool_use_id":"t","is_error":true)") +
                   content + "}]}]}");
  };
  EXPECT_EQ(result(R"(,"content":"no such file")"), "tool(t): Error: no such file\n");
  EXPECT_EQ(result(R"(,"content":"Error: no such file")"), "tool(t): Error: no such file\n");
  EXPECT_EQ(result(""), "tool(t): Error\n");
}

TEST(AnthropicRequest, ThoughtsComeBack) {
  EXPECT_EQ(spelled(R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[
      {"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"x"},
      {"type":"text","text":"a"}]},{"role":"user","content":"r"}]})"),
            "user: q\nassistant <hm>: a\nuser: r\n");
}

TEST(AnthropicRequest, ServersOwnBlocksAndToolsAreLeftOut) {
  const ChatRequest chat = read(with(R"({"tools":[{"type":"web_search_20250305","name":"web_search"},
      {"type":"bash_20250124","name":"bash"},{"type":"computer_20250124","name":"computer",
        "display_width_px":9},
      {"type":"custom","name":"f","description":"d","input_schema":{"type":"object"},"strict":true}],
      "messages":[{"role":"user","content":"q"},{"role":"assistant","content":[
        {"type":"server_tool_use","id":"s","name":"web_search","input":{}},
        {"type":"web_search_tool_result","tool_use_id":"s","content":[]},{"type":"text","text":"a"}]}]})"))
                               .chat;
  ASSERT_EQ(chat.tools.size(), 1u);
  EXPECT_EQ(chat.tools[0].name, "f");
  EXPECT_EQ(chat.tools[0].description, "d");
  EXPECT_TRUE(chat.tools[0].strict);
  EXPECT_EQ(spelled(chat), "user: q\nassistant: a\n");
}

TEST(AnthropicRequest, ChoosesTools) {
  const auto choose = [](const char* choice) {
    return read(with(std::string(R"({"tools":[{"name":"f","input_schema":{}}],"tool_choice":)") + choice +
                     "}"))
        .chat;
  };
  EXPECT_EQ(choose(R"({"type":"auto"})").tool_choice, ToolChoice::kAuto);
  EXPECT_EQ(choose(R"({"type":"any"})").tool_choice, ToolChoice::kRequired);
  EXPECT_EQ(choose(R"({"type":"none"})").tool_choice, ToolChoice::kNone);
  EXPECT_EQ(choose(R"({"type":"tool","name":"f"})").tool_choice, ToolChoice::kNamed);
  EXPECT_EQ(choose(R"({"type":"tool","name":"f"})").tool_named, "f");
  EXPECT_FALSE(choose(R"({"type":"any","disable_parallel_tool_use":true})").parallel_tool_calls);
}

TEST(AnthropicRequest, Thinks) {
  const auto think = [](const char* thinking) {
    return read(with(std::string(R"({"thinking":)") + thinking + "}"));
  };
  EXPECT_EQ(think(R"({"type":"enabled","budget_tokens":2048})").chat.thinking, true);
  EXPECT_TRUE(think(R"({"type":"enabled","budget_tokens":2048})").show_thinking);
  EXPECT_EQ(think(R"({"type":"adaptive"})").chat.thinking, std::nullopt);
  EXPECT_TRUE(think(R"({"type":"adaptive","display":"omitted"})").omit_thinking);
  EXPECT_EQ(think(R"({"type":"disabled"})").chat.thinking, false);
  EXPECT_FALSE(think(R"({"type":"disabled"})").show_thinking);
}

TEST(AnthropicRequest, Samples) {
  const MessagesRequest request = read(with(R"({"temperature":0,"top_p":0.5,"top_k":7,"stream":true,
      "stop_sequences":["\n\nHuman:",""],"metadata":{"user_id":"u_session_1"}})"));
  const GenerateOptions& generate = request.chat.generate;
  EXPECT_EQ(generate.sampling.temperature, 0.0f);
  EXPECT_EQ(generate.sampling.top_p, 0.5f);
  EXPECT_EQ(generate.sampling.top_k, 7);
  EXPECT_EQ(generate.stop, std::vector<std::string>{"\n\nHuman:"});
  EXPECT_TRUE(request.stream);
  EXPECT_EQ(request.user, "u_session_1");
}

TEST(AnthropicRequest, FormatsAnswers) {
  for (const char* fields :
       {R"({"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object"}}}})",
        R"({"output_format":{"type":"json_schema","schema":{"type":"object"}}})"}) {
    const ChatRequest chat = read(with(fields)).chat;
    EXPECT_EQ(chat.format, AnswerFormat::kJsonSchema);
    EXPECT_EQ(chat.format_text, R"({"type":"object"})");
  }
  EXPECT_EQ(read(with(R"({"output_config":{"effort":"high"}})")).chat.format, AnswerFormat::kText);
}

TEST(AnthropicRequest, DocumentsOfTextAreRead) {
  EXPECT_EQ(spelled(R"({"messages":[{"role":"user","content":[
      {"type":"document","title":"T","source":{"type":"text","media_type":"text/plain","data":"D"}},
      {"type":"document","source":{"type":"content","content":[{"type":"text","text":"C"}]}},
      {"type":"search_result","title":"R","source":"http://x","content":[{"type":"text","text":"F"}]},
      {"type":"text","text":"q"}]}]})"),
            "user: T\n\nD\n\nC\n\nR\n\nhttp://x\n\nF\n\nq\n");
}

TEST(AnthropicRequest, NullIsAbsentAndStrangersAreWelcome) {
  EXPECT_EQ(spelled(R"({"system":null,"tools":null,"tool_choice":null,"thinking":null,"metadata":null,
      "stop_sequences":null,"temperature":null,"container":{"id":"x"},"mcp_servers":[],"betas":["b"],
      "context_management":{"edits":[]},"service_tier":"auto"})"),
            "user: hi\n");
}

TEST(AnthropicRequest, ASystemMessageMayStandInTheMiddle) {
  EXPECT_EQ(spelled(R"({"messages":[{"role":"user","content":"a"},{"role":"system","content":"b"},
                        {"role":"user","content":"c"}]})"),
            "user: a\nsystem: b\nuser: c\n");
}

TEST(AnthropicRequest, CountingNeedsNoMaximum) {
  const Json body = Json::parse(R"({"model":"m","messages":[{"role":"user","content":"foo"}]})");
  EXPECT_TRUE(read_messages(body, MessagesPurpose::kCount));
  EXPECT_EQ(failure_of(body), "max_tokens: Field required");
}

TEST(AnthropicRequest, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"max_tokens":-1})", "max_tokens: "},
      {R"({"max_tokens":"many"})", "max_tokens: "},
      {R"({"max_tokens":1.5})", "max_tokens: "},
      {R"({"messages":[]})", "messages: at least one message is required"},
      {R"({"messages":"hi"})", "messages: "},
      {R"({"messages":[7]})", "messages.0: Expected an object, but got a"},
      {R"({"messages":[{"content":"x"}]})", "messages.0.role: Field required"},
      {R"({"messages":[{"role":"robot","content":"x"}]})", "messages.0.role: Input should be"},
      {R"({"messages":[{"role":"user"}]})", "messages.0.content: Field required"},
      {R"({"messages":[{"role":"user","content":5}]})", "messages.0.content: Expected "},
      {R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})",
       "messages.0.content.0.text: Field required"},
      {R"({"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]})",
       "messages.0.content.0.type: this model reads text alone"},
      {R"({"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t",
           "content":[{"type":"image"}]}]}]})",
       "messages.0.content.0.content.0.type: this model reads text alone"},
      {R"({"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64"}}]}]})",
       "messages.0.content.0.source.type: this model reads text alone"},
      {R"({"messages":[{"role":"user","content":[{"type":"tool_use"}]}]})", "messages.0.content.0.type: "},
      {R"({"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f"}]}]})",
       "messages.0.content.0.input: Field required"},
      {R"({"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f",
        "input":"x"}]}]})",
       "messages.0.content.0.input: "},
      {R"({"system":5})", "system: "},
      {R"({"system":[{"type":"image"}]})", "system.0.type: "},
      {R"({"tools":[{"name":"f"}]})", "tools.0.input_schema: Field required"},
      {R"({"tools":[{"input_schema":{}}]})", "tools.0.name: Field required"},
      {R"({"tool_choice":{"type":"any"}})", "tool_choice: "},
      {R"({"tool_choice":{"type":"some"}})", "tool_choice.type: "},
      {R"({"tool_choice":{"type":"tool","name":"g"},"tools":[{"name":"f","input_schema":{}}]})",
       "tool_choice.name: Tool 'g' not found"},
      {R"({"thinking":{"type":"often"}})", "thinking.type: "},
      {R"({"temperature":3})", "temperature: "},
      {R"({"top_p":"x"})", "top_p: "},
      {R"({"stop_sequences":[1]})", "stop_sequences.0: "},
      {R"({"stream":"yes"})", "stream: "},
      {R"({"output_config":{"format":{"type":"xml"}}})", "output_config.format.type: "},
      {R"({"output_format":{"type":"json_schema"}})", "output_format.schema: Field required"},
  };
  for (const auto& [fields, message] : cases)
    EXPECT_TRUE(failure_of(with(fields)).starts_with(message)) << fields << "\n" << failure_of(with(fields));
  for (const char* body : {"[]", "7", "\"x\"", "null", "{}"})
    EXPECT_FALSE(read_messages(Json::parse(body), MessagesPurpose::kAnswer)) << body;
}

// The shape of a coding agent's requests: a billing block that differs from one to the next, a mark that
// moves on, a string that becomes blocks. The second prompt is the first and more.
TEST(AnthropicRequest, AnAgentsSecondTurnIsItsFirstAndMore) {
  const std::string first = spelled(R"({
      "system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1; cch=00000;"},
                {"type":"text","text":"You are an agent.","cache_control":{"type":"ephemeral"}},
                {"type":"text","text":"\nUse the tools.","cache_control":{"type":"ephemeral"}}],
      "messages":[{"role":"user","content":[{"type":"text",
        "text":"<system-reminder>\ndate\n</system-reminder>\n"},
        {"type":"text","text":"read it","cache_control":{"type":"ephemeral"}}]}]})");
  const std::string second = spelled(R"({
      "system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2.1; cch=9f2c1;"},
                {"type":"text","text":"You are an agent."},
                {"type":"text","text":"\nUse the tools.","cache_control":{"type":"ephemeral"}}],
      "messages":[{"role":"user","content":[{"type":"text",
        "text":"<system-reminder>\ndate\n</system-reminder>\n"},
        {"type":"text","text":"read it"}]},
        {"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"Read",
        "input":{"file_path":"/a"},
          "cache_control":{"type":"ephemeral"}}]},
        {"role":"user","content":[{"tool_use_id":"toolu_1","type":"tool_result","content":"     1\u2192vm",
          "cache_control":{"type":"ephemeral"}}]}]})");
  EXPECT_TRUE(second.starts_with(first)) << first << "\n---\n" << second;
  EXPECT_EQ(second.substr(first.size()),
            "assistant:  [toolu_1 Read {\"file_path\":\"/a\"}]\ntool(toolu_1):      1\u2192vm\n");
}

}  // namespace
}  // namespace mneme::serve
