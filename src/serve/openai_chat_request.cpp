#include "serve/openai_chat_request.h"

#include <utility>

#include "core/error.h"

namespace mneme::serve {

namespace {

constexpr int kChoicesMax = 16;
constexpr int kTopLogprobsMax = 20;

void read_function(const Fields& function, ChatRequest& chat) {
  ToolSpec tool;
  tool.name = function.required_text("name");
  tool.description = function.text("description");
  if (const Json* parameters = function.find("parameters")) {
    if (!parameters->is_object())
      return function.errors().wrong_type(function.path_of("parameters"), "an object", *parameters);
    tool.parameters = json_text(*parameters);
  }
  tool.strict = function.flag("strict", false);
  if (tool.name.empty() && !function.errors().any())
    return function.errors().wrong_value(function.path_of("name"), "a name is not empty");
  chat.tools.push_back(std::move(tool));
}

// Tools that are no functions are nothing that a model here could call: they are left out.
void read_tools(const Fields& fields, OpenAiChatRequest& request) {
  fields.each("tools", [&](const Json& item, const std::string& path) {
    const Fields tool(item, path, fields.errors());
    if (tool.text("type", "function") != "function") return;
    const auto function = tool.object("function");
    if (function) return read_function(*function, request.chat);
    if (!fields.errors().any()) fields.errors().missing(path + ".function");
  });
  if (!request.chat.tools.empty() || !fields.has("functions")) return;
  request.legacy_functions = true;
  request.chat.parallel_tool_calls = false;
  fields.each("functions", [&](const Json& item, const std::string& path) {
    read_function(Fields(item, path, fields.errors()), request.chat);
  });
}

void choose(const Fields& fields, std::string_view key, const std::string& word, ChatRequest& chat) {
  if (word == "auto") {
    chat.tool_choice = ToolChoice::kAuto;
  } else if (word == "none") {
    chat.tool_choice = ToolChoice::kNone;
  } else if (word == "required" || word == "any") {
    chat.tool_choice = ToolChoice::kRequired;
  } else {
    fields.errors().wrong_value(fields.path_of(key),
                                fmt::format("'{}' is none of none, auto, required", word));
  }
}

void choose_named(std::string name, ChatRequest& chat) {
  chat.tool_choice = ToolChoice::kNamed;
  chat.tool_named = std::move(name);
}

void read_tool_choice(const Fields& fields, ChatRequest& chat) {
  if (const Json* choice = fields.find("function_call")) {
    if (choice->is_string()) return choose(fields, "function_call", choice->get<std::string>(), chat);
    if (const auto named = fields.object("function_call")) choose_named(named->required_text("name"), chat);
    return;
  }
  const Json* choice = fields.find("tool_choice");
  if (!choice) return;
  if (choice->is_string()) return choose(fields, "tool_choice", choice->get<std::string>(), chat);
  const auto object = fields.object("tool_choice");
  if (!object) return;
  const std::string type = object->text("type", "function");
  if (type == "allowed_tools") {
    // Which of them are allowed is a hint for caches; all of them stay.
    const auto allowed = object->object("allowed_tools");
    if (allowed) choose(*allowed, "mode", allowed->text("mode", "auto"), chat);
    return;
  }
  if (type == "auto" || type == "none" || type == "required" || type == "any")
    return choose(*object, "type", type, chat);
  if (const auto function = object->object("function"))
    return choose_named(function->required_text("name"), chat);
  choose_named(object->required_text("name"), chat);
}

void read_schema(const Fields& owner, std::string_view key, ChatRequest& chat) {
  const Json* schema = owner.find(key);
  chat.format = AnswerFormat::kJsonSchema;
  if (schema && !schema->is_object())
    return owner.errors().wrong_type(owner.path_of(key), "an object", *schema);
  chat.format_text = schema ? json_text(*schema) : R"({"type":"object"})";
}

void read_response_format(const Fields& fields, ChatRequest& chat) {
  const auto format = fields.object("response_format");
  if (format) {
    const std::string type = format->one_of("type",
                                            {"text", "json_object", "json_schema", "grammar", "regex"},
                                            format->has("type") ? "" : "text");
    if (type == "json_object") {
      chat.format = AnswerFormat::kJsonObject;
      if (format->has("schema")) read_schema(*format, "schema", chat);
    } else if (type == "json_schema") {
      const auto named = format->object("json_schema");
      if (!named && !format->errors().any()) format->errors().missing(format->path_of("json_schema"));
      if (!named) return;
      read_schema(*named, "schema", chat);
      chat.format_strict = named->flag("strict", false);
    } else if (type == "grammar" || type == "regex") {
      chat.format = type == "regex" ? AnswerFormat::kRegex : AnswerFormat::kGrammar;
      chat.format_text = format->required_text(type == "regex" && format->has("pattern") ? "pattern" : type);
    }
  }
  if (chat.format != AnswerFormat::kText) return;
  for (const char* key : {"grammar", "regex"}) {
    if (fields.text(key).empty()) continue;
    chat.format = key == std::string_view("regex") ? AnswerFormat::kRegex : AnswerFormat::kGrammar;
    chat.format_text = fields.text(key);
  }
}

void read_thinking(const Fields& fields, ChatRequest& chat) {
  const std::string effort = fields.one_of(
      "reasoning_effort", {"none", "minimal", "low", "medium", "high", "xhigh", "max", "default"}, "");
  if (effort == "none" || effort == "minimal") chat.thinking = false;
  if (fields.has("enable_thinking")) chat.thinking = fields.flag("enable_thinking", true);
  const auto words = fields.object("chat_template_kwargs");
  if (words && words->has("enable_thinking")) chat.thinking = words->flag("enable_thinking", true);
}

void read_logprobs(const Fields& fields, OpenAiChatRequest& request) {
  request.logprobs = fields.flag("logprobs", false);
  const int64_t top = fields.whole("top_logprobs", 0, {0, kTopLogprobsMax});
  if (request.logprobs) request.chat.generate.top_logprobs = static_cast<int>(top);
  if (!request.logprobs && top > 0)
    fields.errors().wrong_value("top_logprobs", "it is only allowed where 'logprobs' is true");
}

}  // namespace

OpenAiChatRequest read_openai_chat(const Fields& fields, const Text& text) {
  OpenAiChatRequest request;
  ChatRequest& chat = request.chat;
  read_openai_messages(fields, chat.messages);
  read_tools(fields, request);
  read_tool_choice(fields, chat);
  chat.parallel_tool_calls = fields.flag("parallel_tool_calls", chat.parallel_tool_calls);
  read_response_format(fields, chat);
  read_thinking(fields, chat);
  read_logprobs(fields, request);
  read_sampling(fields, text, chat.generate);
  chat.generate.tokens_max = read_tokens_max(fields, {"max_completion_tokens", "max_tokens"});
  chat.generate.ignore_end = fields.flag("ignore_eos", false);
  chat.choices = static_cast<int>(fields.whole("n", 1, {1, kChoicesMax}));
  request.stream = fields.flag("stream", false);
  if (const auto options = fields.object("stream_options"))
    request.include_usage = options->flag("include_usage", false);
  return request;
}

}  // namespace mneme::serve
