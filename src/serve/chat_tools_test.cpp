// Tool calls and reasoning of every family of models, through /v1/chat/completions: a stream says what the
// whole answer says.
#include <gtest/gtest.h>

#include "serve/openai_for_test.h"

namespace mneme::serve {
namespace {

constexpr const char* kPath = "/v1/chat/completions";
constexpr const char* kTools = R"("tools":[{"type":"function","function":{"name":"run","parameters":
    {"type":"object","properties":{"code":{"type":"string"}},"required":["code"]}}},
    {"type":"function","function":{"name":"now","parameters":{"type":"object","properties":{}}}}])";
constexpr const char* kHermes = "{% if tools %}<tool_call>\\n{{ x }}{% endif %}";
constexpr const char* kOurs = "{% if tools %}<tool_call>{\"name\"{% endif %}<think>";
constexpr const char* kXml = "{% if tools %}<tool_call>\\n<function={% endif %}";
constexpr const char* kMistral = "{% if tools %}[TOOL_CALLS]{% endif %} length 9";
constexpr const char* kLlama = "{% if tools %}<|python_tag|>{% endif %}";
constexpr const char* kNoTools = "a template that knows none";

// What an answer says, of a whole one or a stream.
struct Said {
  std::string content, reasoning, finish;
  std::vector<std::pair<std::string, Json>> calls;  // name and arguments
  bool operator==(const Said&) const = default;
};

void add_call(Said& said, std::vector<std::string>& arguments, const Json& call) {
  const size_t index = call.value("index", said.calls.size());
  if (index >= said.calls.size()) {
    said.calls.resize(index + 1), arguments.resize(index + 1);
    EXPECT_FALSE(call.value("id", "").empty());
    EXPECT_EQ(call["type"], "function");
  }
  said.calls[index].first += call["function"].value("name", "");
  arguments[index] += call["function"].value("arguments", "");
}

void add_piece(Said& said, std::vector<std::string>& arguments, const Json& piece) {
  if (piece.contains("content") && piece["content"].is_string())
    said.content += piece["content"].get<std::string>();
  said.reasoning += piece.value("reasoning_content", "");
  for (const Json& call : piece.value("tool_calls", Json::array())) add_call(said, arguments, call);
}

struct Case {
  const char* name;
  const char* words;   // of the template
  const char* answer;  // of the model
  const char* more;    // of the request
  Said said;
};
void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

class ChatTools : public ::testing::TestWithParam<std::tuple<Case, bool>>, public OpenAiEndpoints {
 protected:
  ChatTools() : OpenAiEndpoints(std::get<0>(GetParam()).words) {}
  Said ask_for(const std::string& more, bool stream) {
    Said said;
    std::vector<std::string> arguments;
    const std::string all = more + (more.empty() ? "" : ",") + R"("max_tokens":512)";
    if (!stream) {
      const Json choice = json_of(kPath, chat(all))["choices"][0];
      add_piece(said, arguments, choice["message"]);
      said.finish = choice["finish_reason"];
    } else {
      for (const Json& chunk : chunks_of(kPath, chat(all + R"(,"stream":true)"))) {
        const Json& choice = chunk["choices"][0];
        add_piece(said, arguments, choice["delta"]);
        if (choice["finish_reason"].is_string()) said.finish = choice["finish_reason"];
      }
    }
    for (size_t i = 0; i < arguments.size(); ++i)
      said.calls[i].second = Json::parse(arguments[i], nullptr, false);
    return said;
  }
};

TEST_P(ChatTools, AreTold) {
  const auto& [one, stream] = GetParam();
  backend->set_answer(one.answer);
  const Said said = ask_for(one.more, stream);
  EXPECT_EQ(said.content, one.said.content);
  EXPECT_EQ(said.reasoning, one.said.reasoning);
  EXPECT_EQ(said.finish, one.said.finish);
  EXPECT_EQ(said.calls, one.said.calls);
}

const Json kCode = {{"code", "print 1"}};
const Said kRan{.content = "", .reasoning = "", .finish = "tool_calls", .calls = {{"run", kCode}}};
const std::string kRequired = std::string(kTools) + R"(,"tool_choice":"required")";
const std::string kNamed = std::string(kTools) +
                           R"(,"tool_choice":{"type":"function","function":{"name":"run"}})";
const std::string kNone = std::string(kTools) + R"(,"tool_choice":"none")";
constexpr const char* kTaggedCall =
    R"(<tool_call>{"name": "run", "arguments": {"code": "print 1"}}</tool_call>)";
constexpr const char* kHermesCall =
    "<tool_call>\n{\"name\": \"run\", \"arguments\": {\"code\": \"print 1\"}}\n</tool_call>";
constexpr const char* kXmlCall =
    "<tool_call>\n<function=run>\n<parameter=code>\nprint 1\n</parameter>\n</function>\n</tool_call>";
constexpr const char* kMistralCall = R"([TOOL_CALLS][{"name": "run", "arguments": {"code": "print 1"}}])";
constexpr const char* kLlamaCall = R"({"name": "run", "parameters": {"code": "print 1"}})";

const std::vector<Case> kCases{
    Case{"ours", kOurs, kTaggedCall, kTools, kRan},
    Case{"ours_required", kOurs, kTaggedCall, kRequired.c_str(), kRan},
    Case{"ours_named", kOurs, kTaggedCall, kNamed.c_str(), kRan},
    Case{"hermes", kHermes, kHermesCall, kTools, kRan},
    Case{"hermes_required", kHermes, kHermesCall, kRequired.c_str(), kRan},
    Case{"xml", kXml, kXmlCall, kTools, kRan},
    Case{"xml_required", kXml, kXmlCall, kRequired.c_str(), kRan},
    Case{"mistral", kMistral, kMistralCall, kTools, kRan},
    Case{"mistral_required", kMistral, kMistralCall, kRequired.c_str(), kRan},
    Case{"llama", kLlama, kLlamaCall, kTools, kRan},
    Case{"llama_required", kLlama, kLlamaCall, kRequired.c_str(), kRan},
    Case{"template_without_tools", kNoTools, kHermesCall, kTools, kRan},
    Case{"two_calls",
         kOurs,
         R"(<tool_call>{"name": "now", "arguments": {}}</tool_call>)"
         R"(<tool_call>{"name": "run", "arguments": {"code": "print 1"}}</tool_call>)",
         kTools,
         {"", "", "tool_calls", {{"now", Json::object()}, {"run", kCode}}}},
    Case{"text_before_a_call",
         kOurs,
         R"(I run it. <tool_call>{"name": "run", "arguments": {"code": "print 1"}}</tool_call>)",
         kTools,
         {"I run it. ", "", "tool_calls", {{"run", kCode}}}},
    Case{"a_thought_before_a_call",
         kOurs,
         R"(<think>Let me see</think>)"
         R"(<tool_call>{"name": "now", "arguments": {}}</tool_call>)",
         kTools,
         {"", "Let me see", "tool_calls", {{"now", Json::object()}}}},
    Case{"text_beside_tools", kOurs, "Hello, world!", kTools, {"Hello, world!", "", "stop", {}}},
    Case{"no_tools", kHermes, "Hello, world!", "", {"Hello, world!", "", "stop", {}}},
    Case{"an_empty_list_of_tools", kHermes, "Hello!", R"("tools":[])", {"Hello!", "", "stop", {}}},
    Case{"tools_not_to_be_called", kHermes, "Hello!", kNone.c_str(), {"Hello!", "", "stop", {}}},
    Case{"a_thought",
         kOurs,
         "<think>\n102 + 7\n</think>\n\nIt is 109.",
         "",
         {"It is 109.", "102 + 7", "stop", {}}},
    Case{"a_thought_cut_off", kOurs, "<think>\n102 + 7", "", {"", "102 + 7", "stop", {}}},
    Case{"marks_of_a_model_that_does_not_think",
         kHermes,
         "<think>x</think>y",
         "",
         {"<think>x</think>y", "", "stop", {}}}};

INSTANTIATE_TEST_SUITE_P(All, ChatTools, ::testing::Combine(::testing::ValuesIn(kCases), ::testing::Bool()),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) +
                                  (std::get<1>(info.param) ? "_streamed" : "");
                         });

// The result of a call is read, and answered in text.
TEST(ChatToolsResult, IsReadAndAnswered) {
  for (const char* words : {kOurs, kHermes, kXml, kMistral, kLlama, kNoTools}) {
    OpenAiEndpoints endpoints(words);
    endpoints.backend->set_answer("The y coordinate is 0.5.");
    const Json choice = endpoints.json_of(
        kPath, R"({"messages":[{"role":"user","content":"What is y?"},{"role":"assistant","content":null,
      "tool_calls":[{"id":"call_6789","type":"function","function":{"name":"run","arguments":
      "{\"code\":\"sin(30)\"}"}}]},{"role":"tool","name":"run","tool_call_id":"call_6789",
      "content":"0.55644242476"}],)" +
                   std::string(kTools) + "}")["choices"][0];
    EXPECT_EQ(choice["message"]["content"], "The y coordinate is 0.5.") << words;
    EXPECT_FALSE(choice["message"].contains("tool_calls"));
    const std::string prompt = endpoints.backend->last_prompt();
    EXPECT_LT(prompt.find("sin(30)"), prompt.find("0.55644242476")) << prompt;
    EXPECT_NE(prompt.find("0.55644242476"), std::string::npos);
  }
}

}  // namespace
}  // namespace mneme::serve
