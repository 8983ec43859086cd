#include <utility>

#include "core/error.h"
#include "serve/openai_chat_request.h"

namespace mneme::serve {

namespace {

// Arguments are JSON as text; some clients send the object itself.
std::string arguments_of(const Fields& function) {
  const Json* arguments = function.find("arguments");
  if (!arguments) return "{}";
  if (arguments->is_object()) return json_text(*arguments);
  return function.text("arguments");
}

void read_calls(const Fields& message, ChatMessage& read) {
  message.each("tool_calls", [&](const Json& item, const std::string& path) {
    const Fields call(item, path, message.errors());
    const auto function = call.object("function");
    if (!function) {
      if (!message.errors().any() && call.text("type", "function") == "function")
        message.errors().missing(path + ".function");
      return;
    }
    read.tool_calls.push_back({.id = call.text("id"),
                               .name = function->required_text("name"),
                               .arguments = arguments_of(*function)});
  });
  if (const auto function = message.object("function_call"))
    read.tool_calls.push_back(
        {.id = "", .name = function->required_text("name"), .arguments = arguments_of(*function)});
}

ChatMessage read_message(const Fields& fields) {
  ChatMessage message;
  message.role = fields.required_text("role");
  static constexpr std::string_view kRoles[] = {"system",    "developer", "user",
                                                "assistant", "tool",      "function"};
  bool known = false;
  for (const std::string_view role : kRoles) known = known || message.role == role;
  if (!known && !fields.errors().any())
    fields.errors().wrong_value(fields.path_of("role"),
                                fmt::format("'{}' is none of {}", message.role,
                                            fmt::join(std::begin(kRoles), std::end(kRoles), ", ")));
  const bool assistant = message.role == "assistant";
  if (const Json* content = fields.find("content")) {
    message.content = read_content(*content, fields.path_of("content"), fields.errors());
  } else if (!assistant) {
    fields.errors().missing(fields.path_of("content"));
  }
  message.name = fields.text("name");
  message.tool_call_id = fields.text("tool_call_id");
  if (assistant) {
    message.reasoning = fields.text(fields.has("reasoning_content") ? "reasoning_content" : "reasoning");
    read_calls(fields, message);
  }
  return message;
}

}  // namespace

std::string read_content(const Json& content, const std::string& path, RequestErrors& errors) {
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  if (!content.is_array()) {
    errors.wrong_type(path, "a string or a list of parts", content);
    return text;
  }
  for (size_t i = 0; i < content.size(); ++i) {
    const Json& part = content[i];
    if (part.is_string()) {
      text += part.get<std::string>();
      continue;
    }
    const Fields fields(part, fmt::format("{}[{}]", path, i), errors);
    const std::string type = fields.text("type", "text");
    if (type == "text" || type == "input_text" || type == "output_text") {
      text += fields.required_text("text");
    } else if (type == "refusal") {
      text += fields.text("refusal");
    } else {
      errors.wrong_value(
          fields.path_of("type"),
          fmt::format("parts of type '{}' are not supported: this model reads text alone", type));
    }
  }
  return text;
}

void read_openai_messages(const Fields& fields, std::vector<ChatMessage>& messages) {
  if (!fields.require("messages")) return;
  fields.each("messages", [&](const Json& item, const std::string& path) {
    messages.push_back(read_message(Fields(item, path, fields.errors())));
  });
  if (messages.empty() && !fields.errors().any())
    fields.errors().wrong_value("messages", "a conversation has at least one message");
}

}  // namespace mneme::serve
