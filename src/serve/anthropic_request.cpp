#include "serve/anthropic_request.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.h"
#include "serve/call_parts.h"
#include "serve/json_fields.h"

namespace mneme::serve {

namespace {

constexpr std::string_view kBilling = "x-anthropic-billing-header";

// Blocks of servers' own tools: what they did is told by the text around them.
bool is_server_block(std::string_view type) {
  return type == "server_tool_use" || type == "mcp_tool_use" || type == "container_upload" ||
         type == "fallback" || type == "compaction" ||
         (type.ends_with("_tool_result") && type != "tool_result");
}

class MessagesReader {
 public:
  MessagesReader(const Json& body, MessagesPurpose purpose) : body_(body, "", errors_), purpose_(purpose) {}

  tl::expected<MessagesRequest, Failure> read() {
    out_.model = body_.text("model");
    out_.stream = body_.flag("stream", false);
    read_system();
    read_all_messages();
    read_tools();
    read_tool_choice();
    read_thinking();
    read_output_format();
    read_generation();
    if (const auto metadata = body_.object("metadata")) out_.user = metadata->text("user_id");
    out_.session = body_.text("session");
    if (errors_.any()) return tl::unexpected(in_anthropic_words(errors_.failure()));
    return std::move(out_);
  }

 private:
  // "messages[0].content" is "messages.0.content" here.
  static Failure in_anthropic_words(Failure failure) {
    std::string field;
    for (const char c : failure.param)
      if (c == '[') {
        field += '.';
      } else if (c != ']') {
        field += c;
      }
    if (failure.message.starts_with("Missing required parameter")) failure.message = "Field required";
    // The field comes first here, and once.
    for (const std::string_view what : {"type", "value"}) {
      const std::string named = fmt::format("Invalid {} for '{}': ", what, failure.param);
      if (!failure.message.starts_with(named)) continue;
      failure.message.erase(0, named.size());
      if (failure.message.starts_with("expected")) failure.message[0] = 'E';
    }
    if (!field.empty()) failure.message = fmt::format("{}: {}", field, failure.message);
    failure.param = std::move(field);
    return failure;
  }

  void read_system() {
    const Json* system = body_.find("system");
    if (!system) return;
    std::string text;
    if (system->is_string()) {
      text = system->get<std::string>();
      if (text.starts_with(kBilling)) text.erase(0, std::min(text.find('\n'), text.size() - 1) + 1);
    } else if (system->is_array()) {
      body_.each("system", [&](const Json& item, const std::string& path) {
        const Fields block(item, path, errors_);
        if (const std::string type = block.text("type", "text"); type != "text")
          return errors_.wrong_value(block.path_of("type"),
                                     fmt::format("'{}', where text is expected", type));
        const std::string piece = block.required_text("text");
        if (!piece.starts_with(kBilling)) add_paragraph(text, piece);
      });
    } else {
      errors_.wrong_type("system", "a string or a list of text blocks", *system);
    }
    if (!text.empty()) out_.chat.messages.push_back({.role = "system", .content = std::move(text)});
  }

  void read_all_messages() {
    if (!body_.require("messages")) return;
    size_t count = 0;
    body_.each("messages", [&](const Json& item, const std::string& path) {
      ++count;
      read_message(Fields(item, path, errors_));
    });
    if (count == 0) errors_.add("messages", "at least one message is required");
    const auto& messages = out_.chat.messages;
    out_.chat.continues_last = !messages.empty() && messages.back().role == "assistant" &&
                               !messages.back().content.empty() && messages.back().tool_calls.empty();
  }

  void read_message(const Fields& fields) {
    const std::string role = fields.required_text("role");
    if (role != "user" && role != "assistant" && role != "system")
      return errors_.add(fields.path_of("role"),
                         fmt::format("Input should be 'user', 'assistant' or 'system', not '{}'", role));
    const Json* content = fields.require("content");
    if (!content) return;
    ChatMessage message{.role = role, .content = ""};
    if (content->is_string()) {
      message.content = content->get<std::string>();
      return static_cast<void>(out_.chat.messages.push_back(std::move(message)));
    }
    if (!content->is_array())
      return errors_.wrong_type(fields.path_of("content"), "a string or a list of content blocks", *content);
    size_t results = 0;
    fields.each("content", [&](const Json& item, const std::string& path) {
      const Fields block(item, path, errors_);
      const std::string type = block.required_text("type");
      if (type == "tool_result" && role == "user") {
        flush(message);
        ++results;
        return read_tool_result(block);
      }
      if (role == "assistant") return read_assistant_block(block, type, message);
      add_paragraph(message.content, read_text_block(block, type));
    });
    // Results alone are whole messages of their own; nothing else may vanish.
    if (results == 0 || !message.content.empty()) out_.chat.messages.push_back(std::move(message));
  }

  void flush(ChatMessage& message) {
    if (message.content.empty()) return;
    out_.chat.messages.push_back(message);
    message.content.clear();
  }

  // Text of a block that people or tools wrote.
  std::string read_text_block(const Fields& block, const std::string& type) {
    if (type == "text") return block.required_text("text");
    if (type == "document") return read_document(block);
    if (type == "search_result") {
      std::string text = block.text("title");
      add_paragraph(text, block.text("source"));
      block.each("content", [&](const Json& item, const std::string& path) {
        add_paragraph(text, Fields(item, path, errors_).text("text"));
      });
      return text;
    }
    if (is_server_block(type) || type == "tool_reference") return "";
    if (type == "image")
      errors_.add(block.path_of("type"), "this model reads text alone: image blocks are not supported");
    else if (!type.empty())
      errors_.add(block.path_of("type"), fmt::format("'{}' blocks are not supported here", type));
    return "";
  }

  std::string read_document(const Fields& block) {
    const auto source = block.object("source");
    if (!source) return block.require("source"), "";
    std::string text = block.text("title");
    const std::string type = source->text("type");
    if (type == "text") return add_paragraph(text, source->required_text("data")), text;
    const Json* content = type == "content" ? source->require("content") : nullptr;
    if (content && content->is_string()) return add_paragraph(text, content->get<std::string>()), text;
    if (content) {
      source->each("content", [&](const Json& item, const std::string& path) {
        const Fields part(item, path, errors_);
        add_paragraph(text, read_text_block(part, part.text("type")));
      });
      return text;
    }
    errors_.add(source->path_of("type"),
                "this model reads text alone: a document's source must be text or content");
    return "";
  }

  void read_tool_result(const Fields& block) {
    ChatMessage message{.role = "tool", .content = ""};
    message.tool_call_id = block.required_text("tool_use_id");
    const Json* content = block.find("content");
    if (content && content->is_string()) {
      message.content = content->get<std::string>();
    } else if (content) {
      block.each("content", [&](const Json& item, const std::string& path) {
        const Fields part(item, path, errors_);
        add_paragraph(message.content, read_text_block(part, part.required_text("type")));
      });
    }
    if (block.flag("is_error", false) && !message.content.starts_with("Error"))
      message.content.insert(0, message.content.empty() ? "Error" : "Error: ");
    out_.chat.messages.push_back(std::move(message));
  }

  void read_assistant_block(const Fields& block, const std::string& type, ChatMessage& message) {
    if (type == "text") return add_paragraph(message.content, block.required_text("text"));
    if (type == "thinking") return add_paragraph(message.reasoning, block.text("thinking"));
    if (type == "redacted_thinking" || is_server_block(type)) return;
    if (type != "tool_use") {
      if (!type.empty())
        errors_.add(block.path_of("type"),
                    fmt::format("'{}' blocks are not supported in assistant messages", type));
      return;
    }
    ToolCall call;
    call.id = block.required_text("id");
    call.name = block.required_text("name");
    const auto input = block.object("input");
    if (!input) block.require("input");
    call.arguments = input ? json_text(*block.find("input")) : "{}";
    message.tool_calls.push_back(std::move(call));
  }

  void read_tools() {
    body_.each("tools", [&](const Json& item, const std::string& path) {
      const Fields fields(item, path, errors_);
      // Tools that servers run, or whose schema only a model trained on them knows.
      if (const std::string type = fields.text("type", "custom"); type != "custom") return;
      ToolSpec tool;
      tool.name = fields.required_text("name");
      tool.description = fields.text("description");
      tool.strict = fields.flag("strict", false);
      const auto schema = fields.object("input_schema");
      if (!schema) fields.require("input_schema");
      if (schema) tool.parameters = json_text(*fields.find("input_schema"));
      if (tool.name.empty()) errors_.add(fields.path_of("name"), "String should have at least 1 character");
      out_.chat.tools.push_back(std::move(tool));
    });
  }

  void read_tool_choice() {
    const auto choice = body_.object("tool_choice");
    if (!choice) return;
    out_.chat.parallel_tool_calls = !choice->flag("disable_parallel_tool_use", false);
    const std::string type = choice->required_text("type");
    const auto named = [&](const ToolSpec& tool) { return tool.name == out_.chat.tool_named; };
    if (type == "any" || type == "tool") {
      out_.chat.tool_choice = type == "any" ? ToolChoice::kRequired : ToolChoice::kNamed;
      if (type == "tool") out_.chat.tool_named = choice->required_text("name");
      if (out_.chat.tools.empty()) {
        errors_.add("tool_choice", fmt::format("'{}' needs tools that this server can offer", type));
      } else if (type == "tool" && std::ranges::none_of(out_.chat.tools, named)) {
        errors_.add("tool_choice.name",
                    fmt::format("Tool '{}' not found in provided tools", out_.chat.tool_named));
      }
    } else if (type == "none") {
      out_.chat.tool_choice = ToolChoice::kNone;
    } else if (type != "auto") {
      errors_.add("tool_choice.type", fmt::format("Input should be auto, any, tool or none, not '{}'", type));
    }
  }

  // Without a word about it there is no thinking, as with the protocol's own models.
  void read_thinking() {
    out_.chat.thinking = false;
    const auto thinking = body_.object("thinking");
    if (!thinking) return;
    const std::string type = thinking->required_text("type");
    thinking->whole("budget_tokens", 0, {0, std::numeric_limits<int32_t>::max()});
    if (type == "enabled" || type == "adaptive") {
      out_.show_thinking = true;
      out_.omit_thinking = thinking->text("display") == "omitted";
      out_.chat.thinking = type == "enabled" ? std::optional(true) : std::nullopt;
    } else if (type != "disabled") {
      errors_.add("thinking.type",
                  fmt::format("Input should be enabled, adaptive or disabled, not '{}'", type));
    }
  }

  void read_output_format() {
    const auto config = body_.object("output_config");
    std::optional<Fields> format = config ? config->object("format") : std::nullopt;
    if (!format) format = body_.object("output_format");
    if (!format) return;
    if (const std::string type = format->required_text("type"); type != "json_schema")
      return errors_.add(format->path_of("type"), fmt::format("Input should be json_schema, not '{}'", type));
    const auto schema = format->object("schema");
    if (!schema) return static_cast<void>(format->require("schema"));
    out_.chat.format = AnswerFormat::kJsonSchema;
    out_.chat.format_text = json_text(*format->find("schema"));
  }

  void read_generation() {
    GenerateOptions& generate = out_.chat.generate;
    if (purpose_ == MessagesPurpose::kAnswer) body_.require("max_tokens");
    // None at all: the prompt is read, to be found again.
    generate.tokens_max = static_cast<int>(
        body_.whole("max_tokens", 1, {0, std::numeric_limits<int32_t>::max()}));
    SamplingOptions& sampling = generate.sampling;
    sampling.seed = fresh_seed();
    sampling.temperature = static_cast<float>(body_.number("temperature", sampling.temperature, {0, 2}));
    sampling.top_p = static_cast<float>(body_.number("top_p", sampling.top_p, {0, 1}));
    sampling.top_k = static_cast<int>(body_.whole("top_k", sampling.top_k, {0, 1 << 20}));
    generate.stop = body_.texts("stop_sequences", 64);
    std::erase(generate.stop, "");
  }

  RequestErrors errors_;
  const Fields body_;
  const MessagesPurpose purpose_;
  MessagesRequest out_;
};

}  // namespace

tl::expected<MessagesRequest, Failure> read_messages(const Json& body, MessagesPurpose purpose) {
  return MessagesReader(body, purpose).read();
}

}  // namespace mneme::serve
