// Conversations with tools as programs hold them: a system message that lists the tools as JSON, calls
// between their marks, what a tool gave, and the answer that rests on it.
#include <string>
#include <vector>

#include "tasks/json.h"
#include "tasks/open.h"
#include "tasks/tool_list.h"
#include "tasks/values.h"

namespace mneme::tasks {
namespace {

// What clients leave out of a schema, they leave out of all.
struct ListingStyle {
  bool descriptions, required, closed;
};

// A tool as OpenAI's API takes it.
std::string as_json(const Draft& draft, const Tool& tool, const ListingStyle& style) {
  std::string properties, required;
  for (const ToolParameter& one : tool.parameters) {
    const std::string_view about = draft.english() ? one.about_english : one.about_chinese;
    properties += (properties.empty() ? "" : ", ") + quoted_json(one.name) +
                  ": {\"type\": " + quoted_json(one.type) +
                  (style.descriptions ? ", \"description\": " + quoted_json(about) : "") + '}';
    required += (required.empty() ? "" : ", ") + quoted_json(one.name);
  }
  return "{\"type\": \"function\", \"function\": {\"name\": " + quoted_json(tool.name) +
         ", \"description\": " + quoted_json(tool.about) +
         ", \"parameters\": {\"type\": \"object\", \"properties\": {" + properties + '}' +
         (style.required ? ", \"required\": [" + required + ']' : "") +
         (style.closed ? ", \"additionalProperties\": false" : "") + "}}}";
}

// "Tools:" and a line each, behind a sentence that programs like to begin with.
void list_tools(Draft& draft, const std::vector<Tool>& tools) {
  constexpr std::string_view kEnglish[] = {"You are a helpful assistant.", "You can use tools.",
                                           "Answer briefly.", "Help the user."};
  constexpr std::string_view kChinese[] = {"你是一个有用的助手。", "你可以使用工具。", "请简短回答。"};
  std::string& context = draft.sample.context;
  if (draft.chance(0.4f)) {
    context = draft.english() ? draft.any_of(kEnglish) : draft.any_of(kChinese);
    context += "\n\n";
  }
  const ListingStyle style{draft.chance(0.7f), draft.chance(0.7f), draft.chance(0.2f)};
  context += "Tools:";
  for (const Tool& tool : tools) context += '\n' + as_json(draft, tool, style);
}

// What the tool gives is a name and a value, and the answer says the value.
void respond(Draft& draft, const ToolRequest& request) {
  constexpr std::string_view kNames[] = {"result", "value", "output", "answer", "data", "response"};
  const std::string value = fresh_value(draft, any_value_kind(draft));
  const std::string name = draft.chance(0.5f) ? std::string(draft.any_of(kNames)) : open_name(draft, 1);
  const std::string other = draft.chance(0.3f) ? ", \"ok\": true" : "";
  draft.ask(request.question, "<tool_call>" + request.call + "</tool_call>");
  const std::string result = draft.chance(0.3f)
                                 ? value
                                 : '{' + quoted_json(name) + ": " + quoted_json(value) + other + '}';
  draft.sample.turns.push_back({Role::kTool, "<tool_response>" + result + "</tool_response>", {}, {}});
  draft.sample.turns.push_back({Role::kAssistant, value, {}, {}});
}

}  // namespace

Sample generate_tool_chat(const Request& request, const TextSource& source, core::Rng& rng) {
  Draft draft{request, source, rng, {}, {}};
  draft.sample.task = TaskKind::kToolCall;
  draft.sample.language = request.language;
  draft.sample.split = request.split;
  draft.sample.layout = Layout::kTools;
  draft.sample.form = "chat";
  std::vector<Tool> tools = make_tools(draft, draft.between(1, 8));
  // A tool takes 150 to 450 bytes.
  while (tools.size() > 1 && tools.size() * 300 > request.context_bytes) tools.pop_back();
  list_tools(draft, tools);
  draft.shuffle(tools);
  for (size_t i = 0; i < std::min(draft.questions(), tools.size()); ++i)
    respond(draft, any_request(draft, tools[i]));
  return std::move(draft.sample);
}

}  // namespace mneme::tasks
