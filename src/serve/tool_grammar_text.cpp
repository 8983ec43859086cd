#include "serve/tool_grammar_text.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "serve/json_fields.h"

namespace mneme::serve {

namespace {

std::string character_of_set(char c) {
  return c == '[' || c == ']' || c == '\\' || c == '^' || c == '-' ? std::string("\\") + c
         : c == '\n'                                               ? "\\n"
                                                                   : std::string(1, c);
}

// How many characters of the mark a text ends with that ended with `matched` of them, one character later.
size_t matched_after(std::string_view mark, size_t matched, char c) {
  const std::string text = std::string(mark.substr(0, matched)) + c;
  size_t n = std::min(text.size(), mark.size());
  while (n > 0 && !text.ends_with(mark.substr(0, n))) --n;
  return n;
}

// Rules NAME-0, NAME-1, ...: text until the mark first occurs, which is ASCII; NAME-0 is where it begins.
struct TextUntil {
  std::string_view name = {}, mark = {};
  std::string after_mark = {};  // what follows it; "!" is a mark that must not occur
  std::string anywhere = {};    // alternatives at any place: the mark as a token of its own
  bool may_end = false;
};

std::string rules_of(const TextUntil& text) {
  std::string letters(text.mark);
  std::sort(letters.begin(), letters.end());
  letters.erase(std::unique(letters.begin(), letters.end()), letters.end());
  std::string others = "[^";
  for (const char c : letters) others += character_of_set(c);
  others += "]";

  std::string rules;
  for (size_t i = 0; i < text.mark.size(); ++i) {
    rules += fmt::format("{}-{} ::= {} {}-0", text.name, i, others, text.name);
    for (const char c : letters) {
      const size_t next = matched_after(text.mark, i, c);
      const std::string read = literal({&c, 1});
      if (next < text.mark.size()) {
        rules += fmt::format(" | {} {}-{}", read, text.name, next);
      } else if (text.after_mark != "!") {
        rules += fmt::format(" | {} {}", read, text.after_mark);
      }
    }
    if (!text.anywhere.empty()) rules += " | " + text.anywhere;
    if (text.may_end) rules += " | \"\"";
    rules += "\n";
  }
  return rules;
}

std::string mark_expression(const Text& text, std::string_view mark) {
  return special_token(text, mark) ? "%token " + literal(mark) : literal(mark);
}

// {"name": "f", "arguments": {...}}
std::string json_function(const ToolDialect& dialect, const ShapedTool& tool) {
  const std::string head = "{\"name\": " + json_text(tool.name) + ", \"" + dialect.arguments_key + "\": ";
  return fmt::format("{} %json_spaced {} \"}}\"", literal(head), json_text(tool.schema));
}

// A schema that is a part of another, with what it may refer to.
Json part_of(const Json& whole, Json part) {
  for (const char* key : {"$defs", "definitions"})
    if (whole.contains(key) && !part.contains(key)) part[key] = whole[key];
  return part;
}

std::string xml_value(const Json& schema, const Json& property) {
  const std::string close = literal("\n</parameter>\n");
  const bool object = property.is_object();
  if (object && property.contains("enum") && property["enum"].is_array()) {
    std::string options;
    for (const Json& option : property["enum"]) {
      const std::string text = option.is_string() ? option.get<std::string>() : json_text(option);
      options += (options.empty() ? "" : " | ") + literal(text);
    }
    if (!options.empty()) return fmt::format("({}) {}", options, close);
  }
  if (object && property.contains("type") && property["type"] == "string") return "value-0";
  return fmt::format("%json_spaced {} {}", json_text(part_of(schema, object ? property : Json::object())),
                     close);
}

// <function=f>, its parameters a line each, </function>
std::string xml_function(const ShapedTool& tool) {
  std::string function = literal("<function=" + tool.name + ">\n");
  const auto required = [&](const std::string& key) {
    const auto list = tool.schema.find("required");
    return list != tool.schema.end() && list->is_array() &&
           std::find(list->begin(), list->end(), key) != list->end();
  };
  const auto properties = tool.schema.find("properties");
  if (properties != tool.schema.end() && properties->is_object()) {
    for (const auto& [key, property] : properties->items()) {
      function += fmt::format(" ({} {}){}", literal("<parameter=" + key + ">\n"),
                              xml_value(tool.schema, property), required(key) ? "" : "?");
    }
  }
  return function + " " + literal("</function>");
}

// The rules `function`, `inner` (a call behind its mark) and `more` (calls after the first).
std::string call_rules(const Text& text, const ToolDialect& dialect, const AnswerShape& shape) {
  const bool xml = dialect.family == ToolFamily::kXml;
  std::string rules, functions;
  for (size_t i = 0; i < shape.tools.size(); ++i) {
    rules += fmt::format("function-{} ::= {}\n", i,
                         xml ? xml_function(shape.tools[i]) : json_function(dialect, shape.tools[i]));
    functions += fmt::format("{}function-{}", i == 0 ? "" : " | ", i);
  }
  rules += "function ::= " + functions + "\n";
  if (xml) rules += rules_of({.name = "value", .mark = "\n</parameter>\n", .after_mark = "\"\""});
  if (dialect.family == ToolFamily::kBare) return rules + "inner ::= function\nmore ::= \"\"\n";
  if (dialect.family == ToolFamily::kMistral)
    return rules + fmt::format("inner ::= \" \"? \"[\" function {} \"]\"\nmore ::= \"\"\n",
                               shape.parallel ? "(\", \" function)*" : "");
  const std::string line = dialect.on_lines ? "\"\\n\" " : "";
  rules += fmt::format("inner ::= {}function {}{}\n", line, line, mark_expression(text, dialect.close));
  const std::string next = fmt::format("({}{} inner)*", line, mark_expression(text, dialect.open));
  return rules + "more ::= " + (shape.parallel ? next : "\"\"") + "\n";
}

// The rule `body`: what is said after reasoning.
std::string body_rules(const Text& text, const ToolDialect& dialect, const AnswerShape& shape) {
  const bool calls = !shape.tools.empty(), bare = dialect.family == ToolFamily::kBare;
  const std::string open = dialect.open.empty() || bare ? std::string() : mark_expression(text, dialect.open);
  const std::string call = open + " inner more";
  std::string rules = calls ? call_rules(text, dialect, shape) : "";
  if (shape.must_call) return rules + "body ::= " + call + "\n";
  if (!shape.format.empty()) return rules + "body ::= " + shape.format + (calls ? " | " + call : "") + "\n";
  if (bare) {
    // Only a brace at the very beginning is a call's.
    return rules + "body ::= [^{ \\t\\r\\n] .* | \"\"" + (calls ? " | " + call : "") + "\n";
  }
  const bool token = open.starts_with('%');
  rules += rules_of({.name = "text",
                     .mark = dialect.open,
                     .after_mark = calls ? "inner more" : "!",
                     .anywhere = calls && token ? call : "",
                     .may_end = true});
  return rules + "body ::= text-0\n";
}

}  // namespace

std::string literal(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += std::string("\\") + c;
    } else if (byte < 0x20) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string answer_grammar_text(const Text& text, const ToolDialect& dialect, const AnswerShape& shape) {
  std::string rules = shape.strict_format ? "# strict\n" : "";
  for (size_t i = 0; i < shape.tools.size(); ++i)
    if (shape.tools[i].strict) rules += fmt::format("# {} is strict\n", i);
  if (shape.reasoning == Reasoning::kNone)
    return rules + "root ::= body\n" + body_rules(text, dialect, shape);
  const bool token = special_token(text, kThoughtClose).has_value();
  const std::string after = "\"\\n\"{0,2} body";
  rules += shape.reasoning == Reasoning::kOpen
               ? "root ::= thought-0\n"
               : fmt::format("root ::= {} thought-0 | body\n", mark_expression(text, kThoughtOpen));
  rules += rules_of({.name = "thought",
                     .mark = kThoughtClose,
                     .after_mark = after,
                     .anywhere = token ? fmt::format("%token {} {}", literal(kThoughtClose), after) : ""});
  return rules + body_rules(text, dialect, shape);
}

}  // namespace mneme::serve
