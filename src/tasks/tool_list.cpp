#include "tasks/tool_list.h"

#include <algorithm>
#include <cmath>

#include "tasks/json.h"
#include "tasks/open.h"
#include "tasks/values.h"
#include "tasks/wordings.h"

namespace mneme::tasks {
namespace {

std::string about_of(const ToolWord& verb, const ToolWord& object, bool english) {
  if (english) return std::string(verb.english) + ' ' + std::string(object.english);
  return std::string(verb.chinese) + std::string(object.chinese);
}

// A tool that no list has: words of the text for its name, and the same or others for what it does.
void rename(Draft& draft, Tool& tool) {
  const size_t words = draft.between(1, 3);
  tool.name = fresh(draft, [&] { return open_name(draft, words); });
  if (draft.chance(0.5f)) {
    tool.about = tool.name;
    std::replace(tool.about.begin(), tool.about.end(), '_', ' ');
  } else {
    tool.about = fresh(draft, [&] { return text_clause(draft, draft.between(2, 4)); });
  }
}

// Tools that no list has but whose names share their words, as those of the lists do: of a few verbs and a
// few objects each with each.
void rename_alike(Draft& draft, std::vector<Tool>& tools) {
  std::vector<std::string> verbs, objects;
  const size_t side = static_cast<size_t>(std::sqrt(static_cast<double>(tools.size()))) + 2;
  for (size_t i = 0; i < side; ++i) {
    verbs.push_back(text_word(draft, Language::kEnglish));
    objects.push_back(text_word(draft, Language::kEnglish));
  }
  const bool article = draft.chance(0.6f);
  for (Tool& tool : tools) {
    tool.name = fresh(draft, [&] { return draft.any_of(verbs) + '_' + draft.any_of(objects); });
    tool.about = tool.name;
    tool.about.replace(tool.about.find('_'), 1, article ? " a " : " ");
  }
}

}  // namespace

std::vector<Tool> make_tools(Draft& draft, size_t count) {
  std::vector<Tool> tools;
  const auto parameters = tool_parameters(draft.request.split);
  const bool open = draft.makes_up(0.8f);
  for (const ToolWord& verb : tool_verbs(draft.request.split)) {
    for (const ToolWord& object : tool_objects(draft.request.split)) {
      tools.push_back({std::string(verb.name) + '_' + std::string(object.name),
                       about_of(verb, object, draft.english()),
                       {}});
    }
  }
  draft.shuffle(tools);
  if (tools.size() > count) tools.resize(count);
  const bool alike = open && draft.chance(0.5f);
  if (alike) rename_alike(draft, tools);
  if (open && !alike) {
    for (Tool& tool : tools) rename(draft, tool);
  }
  for (Tool& tool : tools) {
    const size_t wanted = draft.between(1, 3);
    while (tool.parameters.size() < wanted) {
      const ToolParameter one = open ? open_parameter(draft) : draft.any_of(parameters);
      const auto same = [&](const ToolParameter& other) { return other.name == one.name; };
      if (std::none_of(tool.parameters.begin(), tool.parameters.end(), same)) tool.parameters.push_back(one);
    }
  }
  return tools;
}

std::string signature_of(const Tool& tool) {
  std::string names;
  for (const ToolParameter& one : tool.parameters) names += (names.empty() ? "" : ", ") + one.name;
  return tool.name + '(' + names + ')';
}

ToolRequest any_request(Draft& draft, const Tool& tool) {
  std::string said, arguments;
  for (const ToolParameter& one : tool.parameters) {
    const FieldValue value = any_field(draft, one.values);
    const std::string_view about = draft.english() ? one.about_english : one.about_chinese;
    if (!said.empty()) said += draft.english() ? ", " : "，";
    std::string in_words = value.text;
    if (one.values == FieldType::kFlag && !draft.english()) in_words = value.text == "true" ? "开" : "关";
    if (one.values == FieldType::kFlag && draft.english()) in_words = value.text == "true" ? "on" : "off";
    said += fill(any_wording(draft, Slot::kToolArgument), {{"name", about}, {"value", in_words}});
    arguments += (arguments.empty() ? "" : ", ") + quoted_json(one.name) + ": " + json_of(value);
  }
  return {fill(any_wording(draft, Slot::kToolQuestion), {{"what", tool.about}, {"arguments", said}}),
          "{\"name\": " + quoted_json(tool.name) + ", \"arguments\": {" + arguments + "}}"};
}

}  // namespace mneme::tasks
