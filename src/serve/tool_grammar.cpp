#include "serve/tool_grammar.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/error.h"
#include "serve/json_fields.h"
#include "serve/tool_grammar_text.h"

namespace mneme::serve {

namespace {

using Kind = ConstraintCache::Kind;
using MadeConstraint = tl::expected<std::shared_ptr<const grammar::Constraint>, Failure>;

constexpr const char* kAnyObject = R"({"type":"object"})";

tl::unexpected<Failure> invalid(std::string param, std::string message) {
  return tl::unexpected(
      Failure{.kind = FailureKind::kInvalid, .message = std::move(message), .param = std::move(param)});
}

// Of an object in any case: that is what arguments are.
Json schema_of(const ToolSpec& tool) {
  if (tool.parameters.empty()) return Json{{"type", "object"}, {"properties", Json::object()}};
  Json schema = Json::parse(tool.parameters, nullptr, false);
  if (!schema.is_object()) return Json::parse(kAnyObject);
  const bool typed = schema.contains("type") || schema.contains("$ref") || schema.contains("anyOf") ||
                     schema.contains("oneOf") || schema.contains("allOf");
  if (!typed) schema["type"] = "object";
  if (schema.contains("type") && schema["type"] != "object") return Json::parse(kAnyObject);
  return schema;
}

// The tools that may be called.
std::vector<ShapedTool> shaped_tools(const ChatRequest& request) {
  std::vector<ShapedTool> tools;
  if (request.tool_choice == ToolChoice::kNone) return tools;
  for (const ToolSpec& tool : request.tools) {
    const bool wanted = request.tool_choice != ToolChoice::kNamed || tool.name == request.tool_named;
    if (wanted) tools.push_back({tool.name, schema_of(tool), tool.strict});
  }
  return tools;
}

// A value that the format allows, as an expression of a grammar.
std::string format_expression(const ChatRequest& request) {
  switch (request.format) {
    case AnswerFormat::kJsonObject: return std::string("%json ") + kAnyObject;
    case AnswerFormat::kJsonSchema: return "%json " + request.format_text;
    case AnswerFormat::kRegex: return "%regex " + literal(request.format_text);
    default: return "";
  }
}

// Errors in the client's own places, which an embedded schema has lost.
tl::expected<void, Failure> check_format(const ChatRequest& request) {
  const auto said = [](const auto& made) -> tl::expected<void, Failure> {
    if (made) return {};
    return invalid("response_format", made.error().message);
  };
  if (request.format == AnswerFormat::kJsonSchema) {
    if (!request.format_text.starts_with('{'))
      return invalid("response_format", "The schema of 'response_format' must be a JSON object.");
    return said(grammar::Grammar::from_schema(request.format_text, {.strict = request.format_strict}));
  }
  if (request.format == AnswerFormat::kRegex) return said(grammar::Grammar::from_regex(request.format_text));
  if (request.format == AnswerFormat::kGrammar) return said(grammar::Grammar::from_text(request.format_text));
  return {};
}

// Strict tools are refused where their schema cannot be held to; others may then take any object.
tl::expected<void, Failure> check_tools(std::vector<ShapedTool>& tools, bool all) {
  for (size_t i = 0; i < tools.size(); ++i) {
    if (!tools[i].strict && !all) continue;
    const auto made = grammar::Grammar::from_schema(json_text(tools[i].schema), {.strict = tools[i].strict});
    if (made) continue;
    if (tools[i].strict)
      return invalid(
          fmt::format("tools[{}].function.parameters", i),
          fmt::format("Invalid schema for function '{}': {}", tools[i].name, made.error().message));
    tools[i].schema = Json::parse(kAnyObject);
  }
  return {};
}

MadeConstraint own_grammar(ConstraintCache& cache, const Text& text, const ChatRequest& request) {
  auto made = cache.find(text, Kind::kText, request.format_text);
  if (!made) return invalid("response_format", made.error().message);
  return *made;
}

}  // namespace

MadeConstraint answer_constraint(ConstraintCache& cache, const Text& text, const ChatRequest& request,
                                 const ToolDialect& dialect, Reasoning reasoning) {
  std::vector<ShapedTool> tools = shaped_tools(request);
  const bool must_call = request.tool_choice == ToolChoice::kRequired ||
                         request.tool_choice == ToolChoice::kNamed;
  if (must_call && tools.empty())
    return invalid("tool_choice", "'tool_choice' asks for a tool that is not among 'tools'.");
  const bool free_text = request.format == AnswerFormat::kText;
  const bool marked = dialect.family != ToolFamily::kBare;  // text could hold a call by accident
  if (free_text && (request.tools.empty() || (tools.empty() && !marked))) return nullptr;
  if (request.format == AnswerFormat::kGrammar) {
    if (tools.empty()) return own_grammar(cache, text, request);
    return invalid("grammar", "A grammar and tools cannot be combined; set 'tool_choice' to 'none'.");
  }

  AnswerShape shape{.tools = std::move(tools),
                    .must_call = must_call,
                    .parallel = request.parallel_tool_calls,
                    .strict_format = request.format_strict,
                    .format = format_expression(request),
                    .reasoning = reasoning};
  std::string source = answer_grammar_text(text, dialect, shape);
  if (!cache.has(Kind::kText, source)) {
    if (auto checked = check_format(request); !checked) return tl::unexpected(std::move(checked.error()));
    if (auto checked = check_tools(shape.tools, false); !checked)
      return tl::unexpected(std::move(checked.error()));
  }
  auto made = cache.find(text, Kind::kText, source);
  if (made) return *made;
  if (auto checked = check_tools(shape.tools, true); !checked)
    return tl::unexpected(std::move(checked.error()));
  made = cache.find(text, Kind::kText, answer_grammar_text(text, dialect, shape));
  if (!made) return invalid("tools", "The tools' schemas make no grammar: " + made.error().message);
  return *made;
}

}  // namespace mneme::serve
