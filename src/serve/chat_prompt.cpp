#include "serve/chat_prompt.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/error.h"
#include "serve/json_fields.h"

namespace mneme::serve {

namespace {

using Messages = std::vector<ChatMessage>;

// JSON with a space after signs, as the calls in most models' training data are.
std::string spaced(const Json& value) {
  if (!value.is_structured()) return json_text(value);
  const bool object = value.is_object();
  std::string text;
  for (const auto& [key, item] : value.items()) {
    if (!text.empty()) text += ", ";
    if (object) text += json_text(Json(key)) + ": ";
    text += spaced(item);
  }
  return (object ? "{" : "[") + text + (object ? "}" : "]");
}

std::string spaced(const std::string& text, const char* otherwise) {
  const Json json = Json::parse(text.empty() ? otherwise : text, nullptr, false);
  return json.is_discarded() ? text : spaced(json);
}

std::string role_of(const std::string& role) {
  return role == "developer" ? "system" : role == "function" ? "tool" : role;
}

Messages known_roles(const ToolDialect& dialect, const Messages& messages) {
  Messages all = messages;
  for (ChatMessage& message : all) {
    message.role = role_of(message.role);
    if (!message.tool_call_id.empty()) message.tool_call_id = fitting_call_id(dialect, message.tool_call_id);
    for (ToolCall& call : message.tool_calls) call.id = fitting_call_id(dialect, call.id);
  }
  return all;
}

void append_block(std::string& text, const std::string& more) {
  if (!text.empty() && !more.empty()) text += "\n\n";
  text += more;
}

// --- For templates that know no tools ---

std::string tools_text(std::span<const ToolSpec> tools) {
  std::string text = "# Tools\n\nThese functions can be called:\n<tools>\n";
  for (const ToolSpec& tool : tools) {
    Json function = {{"name", tool.name}, {"description", tool.description}};
    const Json parameters = Json::parse(tool.parameters, nullptr, false);
    function["parameters"] = parameters.is_object() ? parameters : Json{{"type", "object"}};
    text += spaced(Json{{"type", "function"}, {"function", function}}) + "\n";
  }
  return text +
         "</tools>\n\nTo call one, write its name and arguments as JSON between marks, and nothing after "
         "it:\n<tool_call>\n{\"name\": \"...\", \"arguments\": {...}}\n</tool_call>";
}

Messages with_tools_as_text(Messages messages, std::span<const ToolSpec> tools) {
  if (!tools.empty()) {
    if (messages.empty() || messages[0].role != "system")
      messages.insert(messages.begin(), ChatMessage{.role = "system", .content = ""});
    append_block(messages[0].content, tools_text(tools));
  }
  Messages all;
  for (ChatMessage& message : messages) {
    for (const ToolCall& call : message.tool_calls) {
      message.content += fmt::format("{}<tool_call>\n{{\"name\": {}, \"arguments\": {}}}\n</tool_call>",
                                     message.content.empty() ? "" : "\n", json_text(Json(call.name)),
                                     spaced(call.arguments, "{}"));
    }
    message.tool_calls.clear();
    if (message.role == "tool") {
      message.role = "user";
      message.content = "<tool_response>\n" + message.content + "\n</tool_response>";
      if (!all.empty() && all.back().role == "user" && all.back().content.ends_with("</tool_response>")) {
        all.back().content += "\n" + message.content;
        continue;
      }
    }
    all.push_back(std::move(message));
  }
  return all;
}

// --- For templates that refuse ---

Messages with_system_folded(Messages messages, bool first_too) {
  for (size_t i = 0; i < messages.size(); ++i)
    if (messages[i].role == "system" && (i > 0 || first_too)) messages[i].role = "user";
  return messages;
}

// One message for several of the same role in a row, but for calls and their results.
Messages with_turns_joined(Messages messages) {
  Messages all;
  for (ChatMessage& message : messages) {
    const bool same = !all.empty() && all.back().role == message.role && message.role != "tool" &&
                      all.back().tool_calls.empty();
    if (!same) {
      all.push_back(std::move(message));
      continue;
    }
    append_block(all.back().content, message.content);
    append_block(all.back().reasoning, message.reasoning);
    all.back().tool_calls = std::move(message.tool_calls);
  }
  return all;
}

Result<std::string> render(const Text& text, const Messages& messages, const ChatTemplateOptions& options) {
  auto prompt = text.render_chat(messages, options);
  if (prompt) return prompt;
  for (const bool first_too : {false, true}) {
    auto other = text.render_chat(with_turns_joined(with_system_folded(messages, first_too)), options);
    if (other) return other;
  }
  return prompt;  // what the template says of the conversation as it is
}

bool ends_with_mark(std::string_view text, std::string_view mark) {
  const size_t last = text.find_last_not_of(" \t\r\n");
  return last != std::string_view::npos && text.substr(0, last + 1).ends_with(mark);
}

}  // namespace

tl::expected<ChatPrompt, Failure> make_chat_prompt(const Text& text, const ToolDialect& dialect,
                                                   const ChatRequest& request) {
  Messages messages = known_roles(dialect, request.messages);
  std::string beginning;
  if (request.continues_last && !messages.empty() && messages.back().role == "assistant") {
    beginning = std::move(messages.back().content);
    messages.pop_back();
  }
  ChatTemplateOptions options{.add_generation_prompt = request.opens_answer || request.continues_last,
                              .tools = request.tools,
                              .thinking = request.thinking};
  if (!dialect.template_knows_tools) {
    messages = with_tools_as_text(std::move(messages), request.tools);
    options.tools = {};
  }
  auto prompt = render(text, messages, options);
  if (!prompt) {
    return tl::unexpected(
        Failure{.kind = FailureKind::kInvalid, .message = prompt.error().message, .param = "messages"});
  }
  ChatPrompt made{.text = std::move(*prompt)};
  made.text += beginning;
  made.reasoning_open = ends_with_mark(made.text, kThoughtOpen);
  return made;
}

}  // namespace mneme::serve
