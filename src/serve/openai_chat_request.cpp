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

// Whether the prompt ends with the beginning of an answer, or with one that goes on.
void read_ending(const Fields& fields, ChatRequest& chat) {
  constexpr const char* kContinues = "continue_final_message";
  chat.opens_answer = fields.flag("add_generation_prompt", true);
  chat.continues_last = fields.flag(kContinues, false);
  if (!chat.continues_last || fields.errors().any()) return;
  if (fields.has("add_generation_prompt") && chat.opens_answer)
    return fields.errors().wrong_value(kContinues,
                                       "an answer goes on, or 'add_generation_prompt' begins one");
  const ChatMessage& last = chat.messages.back();
  if (last.role != "assistant" || !last.tool_calls.empty())
    fields.errors().wrong_value(kContinues, "the last message is no text of the assistant");
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
  read_ending(fields, chat);
  read_tools(fields, request);
  read_tool_choice(fields, chat);
  chat.parallel_tool_calls = fields.flag("parallel_tool_calls", chat.parallel_tool_calls);
  read_format(fields, chat);
  read_thinking(fields, chat);
  read_logprobs(fields, request);
  read_sampling(fields, text, chat.generate);
  chat.generate.tokens_max = read_tokens_max(fields, {"max_completion_tokens", "max_tokens", "n_predict"});
  chat.generate.ignore_end = fields.flag("ignore_eos", false);
  chat.choices = static_cast<int>(fields.whole("n", 1, {1, kChoicesMax}));
  request.stream = read_stream_options(fields);
  if (request.stream.timings && chat.generate.top_logprobs < 0) chat.generate.top_logprobs = 0;
  return request;
}

}  // namespace mneme::serve
