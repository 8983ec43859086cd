#include "serve/responses_request.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.h"
#include "serve/call_parts.h"
#include "serve/json_fields.h"
#include "serve/responses_items.h"

namespace mneme::serve {

namespace {

constexpr const char* kTextTool =
    R"({"type":"object","properties":{"input":{"type":"string"}},"required":["input"],)"
    R"("additionalProperties":false})";

class ResponsesReader {
 public:
  explicit ResponsesReader(const Json& body) : body_(body, "", errors_) {}

  tl::expected<ResponsesRequest, Failure> read() {
    out_.model = body_.text("model");
    out_.stream = body_.flag("stream", false);
    out_.cache_key = body_.text("prompt_cache_key");
    if (out_.cache_key.empty()) out_.cache_key = body_.text("user");
    out_.session = body_.text("session");
    refuse_what_is_kept();
    read_input();
    read_tools();
    read_tool_choice();
    read_format();
    read_reasoning();
    read_generation();
    if (errors_.any()) return tl::unexpected(errors_.failure());
    write_echo();
    return std::move(out_);
  }

 private:
  // Whatever would need a response that was stored.
  void refuse_what_is_kept() {
    const auto refuse = [&](const char* field, std::string_view instead) {
      if (body_.has(field))
        errors_.add(field, fmt::format("Unsupported parameter: '{}': {}", field, instead));
    };
    refuse("previous_response_id",
           "this server keeps no responses; send the whole conversation in 'input' instead.");
    refuse("conversation", "this server keeps no conversations; send the whole of it in 'input' instead.");
    refuse("prompt", "this server keeps no prompts; send 'instructions' and 'input' instead.");
    if (body_.flag("background", false))
      errors_.add("background", "Unsupported parameter: 'background': this server keeps no responses.");
  }

  void read_input() {
    auto& messages = out_.chat.messages;
    if (std::string text = body_.text("instructions"); !text.empty())
      messages.push_back({.role = "system", .content = std::move(text)});
    const Json* input = body_.require("input");
    if (!input) return;
    if (input->is_string()) {
      messages.push_back({.role = "user", .content = input->get<std::string>()});
      return;
    }
    if (!input->is_array()) return errors_.wrong_type("input", "a string or a list of items", *input);
    ResponsesItems items;
    body_.each("input", [&](const Json& item, const std::string& path) { items.read(item, path, errors_); });
    for (ChatMessage& message : items.take()) messages.push_back(std::move(message));
    if (messages.empty()) errors_.wrong_value("input", "there is nothing to answer");
  }

  void read_tools() {
    body_.each("tools", [&](const Json& item, const std::string& path) {
      const Fields fields(item, path, errors_);
      const std::string type = fields.required_text("type");
      // web_search, local_shell, namespaces and the like: nobody here to run them.
      if (type != "function" && type != "custom") return;
      ToolSpec tool;
      tool.name = fields.required_text("name");
      tool.description = fields.text("description");
      if (tool.name.empty()) errors_.wrong_value(fields.path_of("name"), "it is empty");
      if (type == "custom") {
        read_custom_tool(fields, tool);
      } else if (fields.object("parameters")) {
        tool.parameters = json_text(*fields.find("parameters"));
        tool.strict = fields.flag("strict", false);
      }
      out_.chat.tools.push_back(std::move(tool));
    });
  }

  // A text as input, free or held to a grammar of its own that the model is told of.
  void read_custom_tool(const Fields& fields, ToolSpec& tool) {
    out_.custom_tools.insert(tool.name);
    tool.parameters = kTextTool;
    tool.strict = true;
    const auto format = fields.object("format");
    if (!format || format->text("type") != "grammar") return;
    tool.description += fmt::format("\n\nThe input follows this grammar ({}):\n{}",
                                    format->text("syntax", "lark"), format->text("definition"));
  }

  void read_tool_choice() {
    out_.chat.parallel_tool_calls = body_.flag("parallel_tool_calls", true);
    const Json* choice = body_.find("tool_choice");
    if (!choice) return;
    if (choice->is_string()) return set_choice_mode("tool_choice", choice->get<std::string>());
    const Fields fields(*choice, "tool_choice", errors_);
    const std::string type = fields.text("type");
    if (type == "allowed_tools") return read_allowed_tools(fields);
    if (type != "function" && type != "custom") return;  // a tool that is not offered here: as it likes
    out_.chat.tool_choice = ToolChoice::kNamed;
    out_.chat.tool_named = fields.required_text("name");
    const auto named = [&](const ToolSpec& tool) { return tool.name == out_.chat.tool_named; };
    if (!errors_.any() && std::ranges::none_of(out_.chat.tools, named))
      errors_.add("tool_choice",
                  fmt::format("Tool choice '{}' not found in 'tools' parameter.", out_.chat.tool_named));
  }

  void set_choice_mode(const std::string& field, const std::string& mode) {
    if (mode == "none") {
      out_.chat.tool_choice = ToolChoice::kNone;
    } else if (mode == "required") {
      out_.chat.tool_choice = ToolChoice::kRequired;
      if (out_.chat.tools.empty())
        errors_.wrong_value(field, "'required' needs functions in 'tools' that can be called");
    } else if (mode != "auto") {
      errors_.wrong_value(field, fmt::format("'{}' is none of none, auto, required", mode));
    }
  }

  void read_allowed_tools(const Fields& fields) {
    std::set<std::string> names;
    fields.each("tools", [&](const Json& item, const std::string& path) {
      names.insert(Fields(item, path, errors_).text("name"));
    });
    std::erase_if(out_.chat.tools, [&](const ToolSpec& tool) { return !names.contains(tool.name); });
    set_choice_mode("tool_choice.mode", fields.text("mode", "auto"));
  }

  void read_format() {
    const auto text = body_.object("text");
    const auto format = text ? text->object("format") : std::nullopt;
    if (!format) return;
    const std::string type = format->required_text("type");
    if (type == "json_object") {
      out_.chat.format = AnswerFormat::kJsonObject;
    } else if (type == "json_schema") {
      out_.chat.format = AnswerFormat::kJsonSchema;
      out_.chat.format_strict = format->flag("strict", false);
      if (!format->object("schema")) return static_cast<void>(format->require("schema"));
      out_.chat.format_text = json_text(*format->find("schema"));
    } else if (type != "text") {
      errors_.wrong_value(format->path_of("type"),
                          fmt::format("'{}' is none of text, json_object, json_schema", type));
    }
  }

  void read_reasoning() {
    const auto reasoning = body_.object("reasoning");
    if (!reasoning) return;
    const std::string effort = reasoning->text("effort");
    if (!effort.empty()) out_.chat.thinking = effort != "none" && effort != "minimal";
    const std::string summary = reasoning->text("summary", reasoning->text("generate_summary"));
    out_.summarise = !summary.empty() && summary != "none";
  }

  void read_generation() {
    GenerateOptions& generate = out_.chat.generate;
    generate.tokens_max = static_cast<int>(
        body_.whole("max_output_tokens", kAnswerTokensMax, {1, std::numeric_limits<int32_t>::max()}));
    SamplingOptions& sampling = generate.sampling;
    sampling.seed = fresh_seed();
    sampling.temperature = static_cast<float>(body_.number("temperature", sampling.temperature, {0, 2}));
    sampling.top_p = static_cast<float>(body_.number("top_p", sampling.top_p, {0, 1}));
    const int64_t top = body_.whole("top_logprobs", -1, {0, 20});
    generate.top_logprobs = static_cast<int>(top);
    for (const std::string& what : body_.texts("include", 64))
      if (what == "message.output_text.logprobs") generate.top_logprobs = std::max(0, generate.top_logprobs);
    body_.one_of("truncation", {"auto", "disabled"}, "disabled");
    body_.object("metadata");
  }

  void write_echo() {
    const auto repeat = [&](const char* key, Json otherwise) {
      const Json* value = body_.find(key);
      out_.echo[key] = value ? *value : std::move(otherwise);
    };
    const SamplingOptions& sampling = out_.chat.generate.sampling;
    repeat("instructions", nullptr);
    repeat("max_output_tokens", nullptr);
    repeat("metadata", Json::object());
    repeat("parallel_tool_calls", true);
    out_.echo["previous_response_id"] = nullptr;
    repeat("prompt_cache_key", nullptr);
    repeat("reasoning", {{"effort", nullptr}, {"summary", nullptr}});
    repeat("safety_identifier", nullptr);
    out_.echo["service_tier"] = "default";
    out_.echo["store"] = false;
    repeat("temperature", short_number(sampling.temperature));
    repeat("text", {{"format", {{"type", "text"}}}});
    repeat("tool_choice", "auto");
    repeat("tools", Json::array());
    repeat("top_logprobs", 0);
    repeat("top_p", short_number(sampling.top_p));
    repeat("truncation", "disabled");
    repeat("user", nullptr);
  }

  RequestErrors errors_;
  const Fields body_;
  ResponsesRequest out_;
};

}  // namespace

tl::expected<ResponsesRequest, Failure> read_responses(const Json& body) {
  return ResponsesReader(body).read();
}

}  // namespace mneme::serve
