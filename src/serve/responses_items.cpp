#include "serve/responses_items.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "serve/call_parts.h"

namespace mneme::serve {

namespace {

// Text of a string, or of a list of parts.
std::string read_parts(const Fields& fields, std::string_view key) {
  RequestErrors& errors = fields.errors();
  const Json* content = fields.find(key);
  if (!content) return "";
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array())
    return errors.wrong_type(fields.path_of(key), "a string or a list of parts", *content), "";
  std::string text;
  fields.each(key, [&](const Json& item, const std::string& path) {
    const Fields part(item, path, errors);
    const std::string type = part.required_text("type");
    if (type == "input_text" || type == "output_text" || type == "text" || type == "summary_text" ||
        type == "reasoning_text") {
      add_paragraph(text, part.required_text("text"));
    } else if (type == "refusal") {
      add_paragraph(text, part.required_text("refusal"));
    } else if (type == "input_image" || type == "input_file" || type == "input_audio") {
      errors.add(part.path_of("type"),
                 fmt::format("Invalid value for '{}': this model reads text alone, '{}' is not supported.",
                             part.path_of("type"), type));
    } else if (!type.empty()) {
      errors.wrong_value(part.path_of("type"), fmt::format("'{}' is no part that can be read here", type));
    }
  });
  return text;
}

}  // namespace

void ResponsesItems::read(const Json& item, const std::string& path, RequestErrors& errors) {
  const Fields fields(item, path, errors);
  const std::string type = fields.text("type", "message");
  if (type == "message") return read_message(fields);
  if (type == "function_call") return read_call(fields, false);
  if (type == "custom_tool_call") return read_call(fields, true);
  if (type == "function_call_output" || type == "custom_tool_call_output") return read_output(fields);
  if (type == "reasoning") return read_reasoning(fields);
  if (type == "item_reference")
    errors.add(path,
               fmt::format("Invalid value for '{}': this server keeps no items to refer to; send the item "
                           "itself instead of an item_reference.",
                           path));
  // What servers' own tools did (web_search_call, ...) and clients' own marks: nothing to read.
}

std::vector<ChatMessage> ResponsesItems::take() {
  flush();
  return std::move(messages_);
}

void ResponsesItems::read_message(const Fields& item) {
  const std::string role = item.required_text("role");
  if (role != "user" && role != "assistant" && role != "system" && role != "developer")
    return item.errors().wrong_value(item.path_of("role"),
                                     fmt::format("'{}' is none of user, assistant, system, developer", role));
  if (!item.require("content")) return;
  std::string text = read_parts(item, "content");
  if (role != "assistant") {
    flush();
    return static_cast<void>(
        messages_.push_back({.role = role == "user" ? "user" : "system", .content = std::move(text)}));
  }
  if (assistant_ && !(assistant_->content.empty() && assistant_->tool_calls.empty())) flush();
  assistant().content = std::move(text);
}

void ResponsesItems::read_call(const Fields& item, bool custom) {
  ToolCall call;
  call.id = item.required_text("call_id");
  call.name = item.required_text("name");
  if (custom) {
    call.arguments = json_text(Json{{"input", item.required_text("input")}});
  } else {
    call.arguments = item.text("arguments", "{}");
    if (call.arguments.empty()) call.arguments = "{}";
  }
  assistant().tool_calls.push_back(std::move(call));
}

void ResponsesItems::read_output(const Fields& item) {
  flush();
  ChatMessage message{.role = "tool", .content = ""};
  message.tool_call_id = item.required_text("call_id");
  message.content = read_parts(item, "output");
  messages_.push_back(std::move(message));
}

void ResponsesItems::read_reasoning(const Fields& item) {
  if (assistant_ && !(assistant_->content.empty() && assistant_->tool_calls.empty())) flush();
  std::string text = read_parts(item, "content");
  if (text.empty()) text = read_parts(item, "summary");
  add_paragraph(assistant().reasoning, text);
}

ChatMessage& ResponsesItems::assistant() {
  if (!assistant_) assistant_ = ChatMessage{.role = "assistant", .content = ""};
  return *assistant_;
}

void ResponsesItems::flush() {
  if (assistant_) messages_.push_back(std::move(*assistant_));
  assistant_.reset();
}

}  // namespace mneme::serve
