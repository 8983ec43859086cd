// Conversations with tools: calls keep to what is listed, answers to what the tool gave.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <sstream>
#include <string>

#include "tasks/json.h"
#include "tasks/tasks.h"

namespace mneme::tasks {
namespace {

Sample make(Language language, Split split, uint64_t seed) {
  static const SyntheticText source(7, size_t{1} << 16);
  Request request;
  request.language = language;
  request.split = split;
  request.context_bytes = 1500;
  request.questions = 2;
  core::Rng rng(seed);
  return generate_tool_chat(request, source, rng);
}

std::string between_marks(const std::string& text, const std::string& mark) {
  const std::string open = '<' + mark + '>', close = "</" + mark + '>';
  EXPECT_TRUE(text.starts_with(open) && text.ends_with(close)) << text;
  return text.substr(open.size(), text.size() - open.size() - close.size());
}

// The listed tools' lines by name.
std::map<std::string, std::string> listed(const Sample& sample) {
  constexpr std::string_view kBegin = "{\"type\": \"function\", \"function\": {\"name\": \"";
  std::map<std::string, std::string> tools;
  std::istringstream lines(sample.context.substr(sample.context.find("Tools:\n") + 7));
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(canonical_json(line)) << line;
    EXPECT_TRUE(line.starts_with(kBegin)) << line;
    tools[line.substr(kBegin.size(), line.find('"', kBegin.size()) - kBegin.size())] = line;
  }
  return tools;
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

void expect_call(const std::string& text, const std::map<std::string, std::string>& tools) {
  const std::string call = between_marks(text, "tool_call");
  ASSERT_TRUE(canonical_json(call)) << call;
  static const std::regex kCall(R"re(\{"name": "([^"]+)", "arguments": \{(.*)\}\})re"),
      kArgument(R"re("([^"]+)": ("[^"]*"|true|false|-?[0-9]+))re");
  std::smatch parts;
  ASSERT_TRUE(std::regex_match(call, parts, kCall)) << call;
  const auto tool = tools.find(parts[1]);
  ASSERT_NE(tool, tools.end()) << call;
  const std::string arguments = parts[2];
  size_t count = 0;
  for (std::sregex_iterator one(arguments.begin(), arguments.end(), kArgument), end; one != end;
       ++one, ++count) {
    const std::string value = (*one)[2];
    const std::string type = value[0] == '"'                       ? "string"
                             : value == "true" || value == "false" ? "boolean"
                                                                   : "integer";
    EXPECT_NE(tool->second.find('"' + (*one)[1].str() + "\": {\"type\": \"" + type + '"'), std::string::npos)
        << call << "\n"
        << tool->second;
  }
  // "type" of the tool and of its parameters' object beside those of the parameters.
  EXPECT_EQ(count, count_of(tool->second, "\"type\": ") - 2) << call;
}

TEST(ToolChat, CallsKeepToTheListAndAnswersToTheResponse) {
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    for (const Split split : {Split::kTrain, Split::kHeldOut}) {
      for (uint64_t seed = 0; seed < 60; ++seed) {
        const Sample sample = make(language, split, seed);
        ASSERT_EQ(sample.layout, Layout::kTools);
        ASSERT_TRUE(sample.turns.size() == 4 || sample.turns.size() == 8) << sample.turns.size();
        const auto tools = listed(sample);
        for (size_t i = 0; i < sample.turns.size(); i += 4) {
          EXPECT_EQ(sample.turns[i].role, Role::kUser);
          EXPECT_EQ(sample.turns[i + 1].role, Role::kAssistant);
          expect_call(sample.turns[i + 1].text, tools);
          ASSERT_EQ(sample.turns[i + 2].role, Role::kTool);
          const std::string given = between_marks(sample.turns[i + 2].text, "tool_response");
          EXPECT_NE(given.find(sample.turns[i + 3].text), std::string::npos) << given;
          EXPECT_TRUE(given[0] != '{' || canonical_json(given)) << given;
        }
      }
    }
  }
}

TEST(ToolChat, IsAFunctionOfItsSeed) {
  const Sample a = make(Language::kEnglish, Split::kTrain, 3), b = make(Language::kEnglish, Split::kTrain, 3);
  EXPECT_EQ(a.context, b.context);
  EXPECT_EQ(a.turns.back().text, b.turns.back().text);
  EXPECT_NE(a.context, make(Language::kEnglish, Split::kTrain, 4).context);
}

}  // namespace
}  // namespace mneme::tasks
