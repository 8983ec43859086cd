// Conversations with tools: calls keep to what is listed, answers to what the tool gave.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tasks/tasks.h"

namespace mneme::tasks {
namespace {

using Json = nlohmann::json;

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

// The listed tools' schemas of parameters by name.
std::map<std::string, Json> listed(const Sample& sample) {
  std::map<std::string, Json> tools;
  std::istringstream lines(sample.context.substr(sample.context.find("Tools:\n") + 7));
  for (std::string line; std::getline(lines, line);) {
    const Json function = Json::parse(line).at("function");
    tools[function.at("name")] = function.at("parameters");
  }
  return tools;
}

void expect_call(const std::string& text, const std::map<std::string, Json>& tools) {
  const Json call = Json::parse(between_marks(text, "tool_call"));
  const auto tool = tools.find(call.at("name"));
  ASSERT_NE(tool, tools.end()) << text;
  const Json& properties = tool->second.at("properties");
  ASSERT_EQ(call.at("arguments").size(), properties.size()) << text;
  for (const auto& [name, value] : call.at("arguments").items()) {
    const std::string type = properties.at(name).at("type");
    EXPECT_TRUE(type == "integer"   ? value.is_number_integer()
                : type == "boolean" ? value.is_boolean()
                                    : value.is_string())
        << name << " " << type << " " << value;
  }
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
          if (given[0] == '{') {
            EXPECT_TRUE(Json::accept(given)) << given;
          }
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
