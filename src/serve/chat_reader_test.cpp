// Answers' text read back as text, reasoning and calls: each family, and any cutting into pieces.
#include "serve/chat_reader.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "core/rng.h"

namespace mneme::serve {
namespace {

// What was told, pieces of a kind joined: "text(..)", "think(..)", "call f({..})".
class Told final : public ReaderEvents {
 public:
  void on_text(std::string_view piece, size_t begin) override {
    EXPECT_GE(begin, text_end_);
    text_end_ = begin + piece.size();
    add("text", piece);
  }
  void on_reasoning(std::string_view piece) override { add("think", piece); }
  void on_tool_begin(const std::string& name) override {
    EXPECT_FALSE(open_);
    open_ = true;
    if (!kind_.empty()) all += ")";
    kind_ = "";
    all += (all.empty() ? "" : " ") + std::string("call ") + name + "(";
  }
  void on_tool_arguments(std::string_view piece) override {
    EXPECT_TRUE(open_);
    EXPECT_FALSE(piece.empty());
    all += piece;
    ++pieces;
  }
  void on_tool_end() override {
    EXPECT_TRUE(open_);
    open_ = false;
    all += ")";
  }
  std::string text() const {
    EXPECT_FALSE(open_);
    return kind_.empty() ? all : all + ")";
  }
  std::string all;
  int pieces = 0;

 private:
  void add(const std::string& kind, std::string_view piece) {
    EXPECT_FALSE(open_);
    EXPECT_FALSE(piece.empty());
    if (kind != kind_) all += (kind_.empty() ? "" : ")") + std::string(all.empty() ? "" : " ") + kind + "(";
    kind_ = kind;
    all += piece;
  }
  std::string kind_;
  bool open_ = false;
  size_t text_end_ = 0;
};

const std::vector<ToolSpec>& tools() {
  static const std::vector<ToolSpec> kTools = {
      {.name = "f",
       .description = "",
       .parameters =
           R"({"type":"object","properties":{"s":{"type":"string"},"n":{"type":"integer"},"l":{}}})"},
      {.name = "g", .description = "", .parameters = ""}};
  return kTools;
}

ToolDialect tagged(bool on_lines) { return {.on_lines = on_lines}; }
ToolDialect xml() { return {.family = ToolFamily::kXml}; }
ToolDialect mistral() { return {.family = ToolFamily::kMistral, .open = "[TOOL_CALLS]", .close = ""}; }
ToolDialect llama() {
  return {.family = ToolFamily::kBare, .open = "<|python_tag|>", .close = "", .arguments_key = "parameters"};
}

std::string read(const ReaderOptions& options, std::string_view answer, size_t piece_bytes = 0) {
  Told told;
  ChatReader reader(options, told);
  const size_t step = piece_bytes == 0 ? answer.size() : piece_bytes;
  for (size_t at = 0; at < answer.size(); at += step) reader.push(answer.substr(at, step));
  reader.finish();
  return told.text();
}
std::string read(const ToolDialect& dialect, std::string_view answer) {
  return read({.dialect = dialect, .tools = tools(), .reasoning = true}, answer);
}

TEST(ChatReader, Tagged) {
  EXPECT_EQ(read(tagged(false), R"(<tool_call>{"name": "f", "arguments": {"s": "x"}}</tool_call>)"),
            R"(call f({"s": "x"}))");
  EXPECT_EQ(read(tagged(true),
                 "Let me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n"
                 "<tool_call>\n{\"name\": \"g\", \"arguments\": {\"a\": [1, {}]}}\n</tool_call>"),
            R"(text(Let me see.) call f({}) call g({"a": [1, {}]}))");
  EXPECT_EQ(read(tagged(true), "\n\n<tool_call>{\"arguments\":{\"s\":1},\"name\":\"f\"}</tool_call> after"),
            R"(call f({"s":1}) text(after))");
  EXPECT_EQ(read(tagged(true), R"(<tool_call>{"name":"g"}</tool_call>)"), "call g({})");
  EXPECT_EQ(read(tagged(true), R"(<tool_call>{"id": "x", "name":"g","arguments":"{\"k\":2}"})"),
            R"(call g({"k":2}))");
}

TEST(ChatReader, TextStaysText) {
  EXPECT_EQ(read(tagged(true), "a < b <tool_cal and </tool_call>\n"),
            "text(a < b <tool_cal and </tool_call>\n)");
  EXPECT_EQ(read({.dialect = tagged(true)}, R"(<tool_call>{"name":"f"}</tool_call>)"),
            R"(text(<tool_call>{"name":"f"}</tool_call>))");
  EXPECT_EQ(read(tagged(true), "  lead and trail \n\n"), "text(  lead and trail \n\n)");
}

TEST(ChatReader, MalformedCallsAreText) {
  for (const char* answer :
       {"<tool_call>f()</tool_call>", "<tool_call>{\"name\": 1}</tool_call>",
        "<tool_call>{\"nam\": \"f\"}</tool_call>", "x <tool_call>{\"name\": \"f\"", "<tool_call>{}",
        "<tool_call>{\"name\": \"f\", \"arguments\": [1]}", "<tool_call>", "<tool_call>{\"name\": \"\"}",
        "<tool_call>{\"name\": \"f\", \"name\": \"g\"}"}) {
    EXPECT_EQ(read(tagged(true), answer), std::string("text(") + answer + ")");
  }
  EXPECT_EQ(read(tagged(true), "<tool_call>no <tool_call>{\"name\":\"f\"}</tool_call>"),
            "text(<tool_call>no ) call f({})");
  const std::string large = "<tool_call>{\"x\": \"" + std::string(40'000, 'y') + "\", \"name\": \"f\"}";
  EXPECT_TRUE(read(tagged(true), large) == "text(" + large + ")");
}

TEST(ChatReader, ArgumentsThatBreakOffEndTheCall) {
  EXPECT_EQ(read(tagged(true), R"(<tool_call>{"name": "f", "arguments": {"s": "ab)"), R"(call f({"s": "ab))");
  EXPECT_EQ(read(tagged(true), R"(<tool_call>{"name": "f", "arguments": {"s": oops)"),
            R"(call f({"s": ) text(oops))");
}

TEST(ChatReader, RawLineBreaksInStringsAreSpelled) {
  EXPECT_EQ(read(tagged(true), "<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": \"a\nb\tc\"}}"),
            R"(call f({"s": "a\nb\u0009c"}))");
}

TEST(ChatReader, Xml) {
  EXPECT_EQ(
      read(xml(),
           "Now.\n<tool_call>\n<function=f>\n<parameter=s>\na \"b\"\n\nc\n</parameter>\n<parameter=n>\n7\n"
           "</parameter>\n<parameter=l>\n[1, 2]\n</parameter>\n<parameter=z>\nfree text\n</parameter>\n"
           "</function>\n</tool_call>\n<tool_call><function=g></function></tool_call>"),
      R"(text(Now.) call f({"s": "a \"b\"\n\nc", "n": 7, "l": [1, 2], "z": "free text"}) call g({}))");
  EXPECT_EQ(read(xml(), "<tool_call><function=f><parameter=s>12</parameter></function></tool_call>"),
            R"(call f({"s": "12"}))");
  EXPECT_EQ(read(xml(), "<tool_call>\nfunction f"), "text(<tool_call>\nfunction f)");
  EXPECT_EQ(read(xml(), "<tool_call><function=f><parameter=s>\nab</param"), R"(call f({"s": "ab</param"}))");
  EXPECT_EQ(read(xml(), "<tool_call><function=f>what"), "call f({}) text(what)");
}

TEST(ChatReader, Mistral) {
  EXPECT_EQ(
      read(mistral(),
           R"(Hm. [TOOL_CALLS] [{"name": "f", "arguments": {"s": "]"}, "id": "123456789"}, {"name":"g"}])"),
      R"(text(Hm. ) call f({"s": "]"}) call g({}))");
  EXPECT_EQ(read(mistral(), "[TOOL_CALLS] none"), "text([TOOL_CALLS] none)");
}

TEST(ChatReader, Bare) {
  EXPECT_EQ(read(llama(), R"({"name": "f", "parameters": {"s": "x"}})"), R"(call f({"s": "x"}))");
  EXPECT_EQ(
      read(
          llama(),
          R"(<|python_tag|>{"type": "function", "name": "f", "parameters": {"n": 1}}; {"name": "g",
    "parameters": {}})"),
      R"(call f({"n": 1}) call g({}))");
  // JSON that calls nothing is an answer.
  EXPECT_EQ(read(llama(), R"({"name": "Bob", "age": 3})"), R"(text({"name": "Bob", "age": 3}))");
  EXPECT_EQ(read(llama(), R"(See {"name": "f", "parameters": {}})"),
            R"(text(See {"name": "f", "parameters": {}}))");
}

TEST(ChatReader, Reasoning) {
  EXPECT_EQ(
      read(tagged(true), "<think>\nhm </thin\n</think>\n\nYes.\n<tool_call>{\"name\":\"g\"}</tool_call>"),
      "think(hm </thin) text(Yes.) call g({})");
  EXPECT_EQ(read({.dialect = tagged(true), .reasoning_open = true}, "\nhm\n</think>\n\nYes."),
            "think(hm) text(Yes.)");
  EXPECT_EQ(read(llama(), "<think>x</think>{\"name\": \"g\", \"parameters\": {}}"), "think(x) call g({})");
  EXPECT_EQ(read(tagged(true), "<think>never ends\n"), "think(never ends\n)");
  EXPECT_EQ(read(tagged(true), "Use <think> here"), "text(Use <think> here)");
  EXPECT_EQ(read({.dialect = tagged(true)}, "<think>x</think>y"), "text(<think>x</think>y)");
  EXPECT_EQ(read(tagged(true), "<think></think>y"), "text(y)");
}

TEST(ChatReader, NothingIsHeldBackWithoutNeed) {
  Told told;
  ChatReader reader({.dialect = tagged(true), .tools = tools()}, told);
  reader.push("Hello");
  EXPECT_EQ(told.all, "text(Hello");
  reader.push(", <tool");
  EXPECT_EQ(told.all, "text(Hello,");
  reader.push("box>");
  EXPECT_EQ(told.all, "text(Hello, <toolbox>");
  reader.push("<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": \"ab");
  EXPECT_EQ(told.all, "text(Hello, <toolbox>) call f({\"s\": \"ab");
  reader.push("cd");
  EXPECT_EQ(told.pieces, 2);
}

TEST(ChatReader, AnyCuttingTellsTheSame) {
  const std::vector<std::string> parts = {"<tool_call>",
                                          "</tool_call>",
                                          "<think>",
                                          "</think>",
                                          "{\"name\": \"f\", ",
                                          "\"arguments\": {\"s\": \"a\\\"",
                                          "\"}",
                                          "}",
                                          "\n",
                                          " ",
                                          "text",
                                          "<function=f>",
                                          "<parameter=s>",
                                          "</parameter>",
                                          "</function>",
                                          "[TOOL_CALLS]",
                                          "[",
                                          "]",
                                          ",",
                                          "12",
                                          "<",
                                          "<|python_tag|>",
                                          "{\"name\":\"g\",\"parameters\":{}}",
                                          "é",
                                          "<parameter=n>"};
  const ToolDialect dialects[] = {tagged(true), tagged(false), xml(), mistral(), llama()};
  for (uint64_t seed = 1; seed <= 4000; ++seed) {
    core::Rng rng(seed);
    std::string answer;
    const uint32_t count = rng.next_below(14);
    for (uint32_t i = 0; i < count; ++i) answer += parts[rng.next_below(static_cast<uint32_t>(parts.size()))];
    const ReaderOptions options{.dialect = dialects[seed % 5],
                                .tools = seed % 7 == 0 ? std::span<const ToolSpec>() : tools(),
                                .reasoning = seed % 2 == 0,
                                .reasoning_open = seed % 11 == 0};
    const std::string whole = read(options, answer);
    for (const size_t bytes : {1, 2, 3, 7})
      ASSERT_EQ(read(options, answer, bytes), whole) << "seed " << seed << ": " << answer;
  }
}

TEST(JsonScanner, AgreesWithAParser) {
  const std::string letters = "{}[]\",:0123-+.eEtruefalsn \\u\n";
  for (uint64_t seed = 1; seed <= 20000; ++seed) {
    core::Rng rng(seed);
    std::string text;
    const uint32_t count = 1 + rng.next_below(10);
    for (uint32_t i = 0; i < count; ++i)
      text += letters[rng.next_below(static_cast<uint32_t>(letters.size()))];
    if (text.find('\n') != std::string::npos && text.find('"') != std::string::npos)
      continue;                                           // raw in a string
    if (text.find("\\u") != std::string::npos) continue;  // surrogates are not looked at
    JsonScanner scanner;
    size_t end = 0;
    bool sound = false;
    text += ' ';
    for (; end < text.size(); ++end) {
      const auto step = scanner.push(text[end]);
      sound = step == JsonScanner::Step::kDone || step == JsonScanner::Step::kBefore;
      if (step == JsonScanner::Step::kDone) ++end;
      if (step != JsonScanner::Step::kMore) break;
    }
    if (sound) {
      EXPECT_TRUE(nlohmann::json::accept(text.substr(0, end))) << text;
    } else {
      EXPECT_FALSE(nlohmann::json::accept(text)) << text;
    }
  }
}

}  // namespace
}  // namespace mneme::serve
