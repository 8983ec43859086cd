// Grammars of answers: what each family may write, and that the reader reads calls back from it.
#include "serve/tool_grammar.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/rng.h"
#include "serve/byte_text_for_test.h"
#include "serve/chat_reader.h"
#include "serve/json_fields.h"

namespace mneme::serve {
namespace {

constexpr const char* kDefaultModel = MNEME_SOURCE_DIR "/models/mneme-default.gguf";
constexpr const char* kHermes = "{% if tools %}<tool_call>\\n{{ x }}{% endif %}";
constexpr const char* kOurs = "{% if tools %}<tool_call>{\"name\"{% endif %}";
constexpr const char* kXml = "{% if tools %}<tool_call>\\n<function={% endif %}";
constexpr const char* kMistral = "{% if tools %}[TOOL_CALLS]{% endif %} length 9";
constexpr const char* kLlama = "{% if tools %}<|python_tag|>{% endif %}";

ChatRequest with_tools(ToolChoice choice) {
  ChatRequest request;
  request.tools = {
      {.name = "weather",
       .description = "",
       .parameters = R"({"type": "object", "properties": {"city": {"type": "string", "maxLength": 12},
                         "unit": {"enum": ["C", "F"]}, "days": {"type": "integer", "minimum": 1,
    "maximum": 9}},
                         "required": ["city"], "additionalProperties": false})"},
      {.name = "no\"w", .description = "", .parameters = ""}};
  request.tool_choice = choice;
  return request;
}

struct Made {
  Made(const char* words, const ChatRequest& request, Reasoning reasoning = Reasoning::kNone)
      : text(words), dialect(dialect_of(text)) {
    ConstraintCache cache;
    auto made = answer_constraint(cache, text, request, dialect, reasoning);
    EXPECT_TRUE(made) << made.error().message;
    if (made) constraint = *made;
  }
  bool matches(std::string_view answer) const { return constraint->grammar().matches(answer); }
  ByteText text;
  ToolDialect dialect;
  std::shared_ptr<const grammar::Constraint> constraint;
};

TEST(ToolGrammar, NoneIsNeeded) {
  EXPECT_EQ(Made(kOurs, {}).constraint, nullptr);
  EXPECT_EQ(Made("", {}).constraint, nullptr);
}

TEST(ToolGrammar, RequiredCalls) {
  const auto request = with_tools(ToolChoice::kRequired);
  const Made ours(kOurs, request);
  EXPECT_TRUE(ours.matches(
      R"(<tool_call>{"name": "weather", "arguments": {"city": "Rome", "days": 3}}</tool_call>)"));
  EXPECT_TRUE(
      ours.matches(R"(<tool_call>{"name": "no\"w", "arguments": {}}</tool_call><tool_call>{"name": "no\"w", )"
                   R"("arguments": {}}</tool_call>)"));
  EXPECT_FALSE(ours.matches(R"(<tool_call>{"name": "other", "arguments": {}}</tool_call>)"));
  EXPECT_FALSE(ours.matches(R"(<tool_call>{"name": "weather", "arguments": {}}</tool_call>)"));
  EXPECT_FALSE(ours.matches("Hello"));
  const Made hermes(kHermes, request);
  EXPECT_TRUE(hermes.matches(
      "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>"));
  const Made mistral(kMistral, request);
  EXPECT_TRUE(
      mistral.matches(R"([TOOL_CALLS][{"name": "weather", "arguments": {"city": "Rome"}}, {"name": "no\"w", )"
                      R"("arguments": {}}])"));
  const Made llama(kLlama, request);
  EXPECT_TRUE(llama.matches(R"({"name": "weather", "parameters": {"city": "Rome", "unit": "C"}})"));
  const Made xml(kXml, request);
  EXPECT_TRUE(xml.matches(
      "<tool_call>\n<function=weather>\n<parameter=city>\nNew\nYork</x>\n</parameter>\n"
      "<parameter=unit>\nF\n</parameter>\n<parameter=days>\n4\n</parameter>\n</function>\n</tool_call>"));
  EXPECT_FALSE(xml.matches(
      "<tool_call>\n<function=weather>\n<parameter=days>\n4\n</parameter>\n</function>\n</tool_call>"));
}

TEST(ToolGrammar, NamedAndOneCallAlone) {
  auto request = with_tools(ToolChoice::kNamed);
  request.tool_named = "weather";
  request.parallel_tool_calls = false;
  const Made made(kOurs, request);
  const std::string call = R"(<tool_call>{"name": "weather", "arguments": {"city": "x"}}</tool_call>)";
  EXPECT_TRUE(made.matches(call));
  EXPECT_FALSE(made.matches(call + call));
  EXPECT_FALSE(made.matches(R"(<tool_call>{"name": "no\"w", "arguments": {}}</tool_call>)"));
}

TEST(ToolGrammar, TextOrCalls) {
  const auto request = with_tools(ToolChoice::kAuto);
  const std::string call = R"({"name": "weather", "arguments": {"city": "x"}})";
  const Made ours(kOurs, request), hermes(kHermes, request), llama(kLlama, request),
      mistral(kMistral, request);
  for (const Made* made : {&ours, &hermes, &llama, &mistral}) {
    EXPECT_TRUE(made->matches("")) << made->dialect.open;
    EXPECT_TRUE(made->matches("Hello, <tool_ca <<tool_calls [TOOL_ é")) << made->dialect.open;
  }
  EXPECT_TRUE(ours.matches("Let me <<tool_call>" + call + "</tool_call>"));
  EXPECT_FALSE(ours.matches("<tool_call>" + call + "</tool_call>x"));
  EXPECT_FALSE(ours.matches("<tool_call>anything"));
  EXPECT_TRUE(hermes.matches("Let me\n<tool_call>\n" + call + "\n</tool_call>\n<tool_call>\n" + call +
                             "\n</tool_call>"));
  EXPECT_FALSE(llama.matches("{\"a\": 1}"));
  EXPECT_FALSE(mistral.matches("[TOOL_CALLS] none"));
  const Made none(kOurs, with_tools(ToolChoice::kNone));
  EXPECT_TRUE(none.matches("Hello {}"));
  EXPECT_FALSE(none.matches("<tool_call>" + call + "</tool_call>"));
}

TEST(ToolGrammar, Reasoning) {
  const auto request = with_tools(ToolChoice::kRequired);
  const std::string call = R"(<tool_call>{"name": "weather", "arguments": {"city": "x"}}</tool_call>)";
  const Made open(kOurs, request, Reasoning::kOpen), may(kOurs, request, Reasoning::kMayBegin);
  EXPECT_TRUE(open.matches("hm </thin </think>\n\n" + call));
  EXPECT_FALSE(open.matches(call));
  EXPECT_TRUE(may.matches("<think>hm</think>" + call));
  EXPECT_TRUE(may.matches(call));
  EXPECT_FALSE(may.matches("hm"));
}

TEST(ToolGrammar, Formats) {
  ChatRequest request;
  request.format = AnswerFormat::kJsonObject;
  EXPECT_TRUE(Made(kOurs, request).matches(R"({"a": [1, null]})"));
  EXPECT_FALSE(Made(kOurs, request).matches("[1]"));
  request.format = AnswerFormat::kJsonSchema;
  request.format_text = R"({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})";
  EXPECT_TRUE(Made(kOurs, request).matches(R"({"a":1})"));
  EXPECT_FALSE(Made(kOurs, request).matches("{}"));
  request.format = AnswerFormat::kRegex;
  request.format_text = "[a-c]{3}\"\\d";
  EXPECT_TRUE(Made(kOurs, request).matches("abc\"7"));
  request.format = AnswerFormat::kGrammar;
  request.format_text = "root ::= \"yes\" | \"no\"";
  EXPECT_TRUE(Made(kOurs, request).matches("no"));
  auto both = with_tools(ToolChoice::kAuto);
  both.format = AnswerFormat::kJsonObject;
  const Made made(kOurs, both);
  EXPECT_TRUE(made.matches("{}"));
  EXPECT_TRUE(made.matches(R"(<tool_call>{"name": "weather", "arguments": {"city": "x"}}</tool_call>)"));
  EXPECT_FALSE(made.matches("Hello"));
}

std::string error_of(const ChatRequest& request) {
  const ByteText text(kOurs);
  ConstraintCache cache;
  auto made = answer_constraint(cache, text, request, dialect_of(text), Reasoning::kNone);
  return made ? "" : made.error().param + ": " + made.error().message;
}

TEST(ToolGrammar, WhatIsRefused) {
  ChatRequest request;
  request.format = AnswerFormat::kJsonSchema;
  for (const char* schema : {"", "[1]", "{} | \"x\"", "{", R"({"type": "nonsense"})"}) {
    request.format_text = schema;
    EXPECT_TRUE(error_of(request).starts_with("response_format: ")) << schema;
  }
  request.format_text = R"({"type": "object", "properties": {"a": {}}})";
  EXPECT_EQ(error_of(request), "");
  request.format_strict = true;
  EXPECT_TRUE(error_of(request).starts_with("response_format: "));
  request.format = AnswerFormat::kRegex, request.format_text = "(";
  EXPECT_TRUE(error_of(request).starts_with("response_format: "));
  request.format = AnswerFormat::kGrammar, request.format_text = "root ::= (";
  EXPECT_TRUE(error_of(request).starts_with("response_format: "));
  auto named = with_tools(ToolChoice::kNamed);
  named.tool_named = "other";
  EXPECT_TRUE(error_of(named).starts_with("tool_choice: "));
  auto strict = with_tools(ToolChoice::kAuto);
  strict.tools[0].strict = true;  // "unit" is not required
  EXPECT_TRUE(error_of(strict).starts_with("tools[0].function.parameters: ")) << error_of(strict);
}

TEST(ToolGrammar, SchemasThatCannotBeHeldToTakeAnyObject) {
  auto request = with_tools(ToolChoice::kRequired);
  request.tools[0].parameters = R"({"type": "object", "properties": {"a": {"type": "nonsense"}}})";
  request.tools[1].parameters = "not JSON";
  const Made made(kOurs, request);
  EXPECT_TRUE(made.matches(R"(<tool_call>{"name": "weather", "arguments": {"z": 1}}</tool_call>)"));
  EXPECT_TRUE(made.matches(R"(<tool_call>{"name": "no\"w", "arguments": {"z": 1}}</tool_call>)"));
}

TEST(ConstraintCache, KeepsTheNewest) {
  const ByteText text;
  ConstraintCache cache;
  const auto first = cache.find(text, ConstraintCache::Kind::kText, "root ::= \"0\"");
  for (int i = 1; i < 100; ++i) {
    ASSERT_TRUE(cache.find(text, ConstraintCache::Kind::kText, "root ::= \"" + std::to_string(i) + "\""));
    EXPECT_EQ(*cache.find(text, ConstraintCache::Kind::kText, "root ::= \"0\""), *first);
  }
  EXPECT_EQ(cache.size(), ConstraintCache::kCountMax);
  EXPECT_FALSE(cache.find(text, ConstraintCache::Kind::kText, "root ::= ("));
  EXPECT_FALSE(cache.has(ConstraintCache::Kind::kText, "root ::= \"1\""));
}

// Drawing evenly from the masks: every text that comes to an end is calls with arguments of their schemas.
class Drawn final : public ReaderEvents {
 public:
  void on_text(std::string_view piece, size_t) override { text += piece; }
  void on_reasoning(std::string_view) override {}
  void on_tool_begin(const std::string& name) override { calls.push_back({name, ""}); }
  void on_tool_arguments(std::string_view piece) override { calls.back().second += piece; }
  void on_tool_end() override {}
  std::string text;
  std::vector<std::pair<std::string, std::string>> calls;
};

void draw(const Text& text, const ChatRequest& request, uint64_t seed) {
  const ToolDialect dialect = dialect_of(text);
  ConstraintCache cache;
  auto constraint = answer_constraint(cache, text, request, dialect, Reasoning::kNone);
  ASSERT_TRUE(constraint) << constraint.error().message;
  Drawn drawn;
  ChatReader reader({.dialect = dialect, .tools = request.tools}, drawn);
  grammar::Guide guide = (*constraint)->guide();
  auto stream = text.stream(false);
  core::Rng rng(seed);
  for (int i = 0; i < 2000 && !guide.finished(); ++i) {
    const auto allowed = guide.allowed();
    std::vector<TokenId> tokens;
    for (TokenId token = 0; token < text.vocab_size(); ++token)
      if ((allowed[static_cast<size_t>(token) / 64] >> (token % 64) & 1) != 0) tokens.push_back(token);
    ASSERT_FALSE(tokens.empty());
    const TokenId token = tokens[rng.next_below(static_cast<uint32_t>(tokens.size()))];
    ASSERT_TRUE(guide.accept(token));
    if (text.is_end_of_generation(token)) break;
    reader.push(stream->push(token));
  }
  ASSERT_TRUE(guide.complete());
  reader.finish();
  EXPECT_EQ(drawn.text, "");
  ASSERT_FALSE(drawn.calls.empty());
  for (const auto& [name, arguments] : drawn.calls) {
    const auto json = Json::parse(arguments, nullptr, false);
    ASSERT_TRUE(json.is_object()) << arguments;
    if (name == "weather") {
      EXPECT_TRUE(json.contains("city") && json["city"].is_string()) << arguments;
    } else {
      EXPECT_EQ(arguments, "{}");
    }
  }
}

TEST(ToolGrammar, WhatIsDrawnIsReadBack) {
  for (const char* words : {kOurs, kHermes, kMistral, kLlama, kXml, ""}) {
    const ByteText text(words);
    auto request = with_tools(ToolChoice::kRequired);
    request.parallel_tool_calls = false;
    if (std::string_view(words) == kXml) {  // free text would hardly come to an end
      request.tools[0].parameters =
          R"({"type": "object", "properties": {"city": {"enum": ["a", "b\"c"]}}, "required": ["city"]})";
    }
    for (uint64_t seed = 1; seed <= 10; ++seed) draw(text, request, seed);
  }
}

TEST(ToolGrammar, WhatIsDrawnWithTheDefaultModelsTokens) {
  if (!std::filesystem::exists(kDefaultModel)) GTEST_SKIP() << kDefaultModel << " is missing";
  auto text = Text::open(kDefaultModel);
  ASSERT_TRUE(text) << text.error().message;
  ASSERT_TRUE(special_token(**text, "<tool_call>"));
  EXPECT_FALSE(dialect_of(**text).on_lines);
  EXPECT_FALSE(dialect_of(**text).hides_marks);
  auto request = with_tools(ToolChoice::kRequired);
  request.parallel_tool_calls = false;
  for (uint64_t seed = 1; seed <= 10; ++seed) draw(**text, request, seed);
}

}  // namespace
}  // namespace mneme::serve
