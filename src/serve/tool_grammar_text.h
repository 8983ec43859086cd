// The text of an answer's grammar (docs/grammar.md).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "serve/api.h"
#include "serve/tool_dialect.h"
#include "serve/tool_grammar.h"

namespace mneme::serve {

struct ShapedTool {
  std::string name;
  Json schema;  // of its arguments, an object
  bool strict = false;
};

struct AnswerShape {
  std::vector<ShapedTool> tools;  // empty: no calls
  bool must_call = false, parallel = true, strict_format = false;
  std::string format;  // an expression; empty: free text
  Reasoning reasoning = Reasoning::kNone;
};

std::string answer_grammar_text(const Text& text, const ToolDialect& dialect, const AnswerShape& shape);

// Text as a literal of a grammar, quotes and all.
std::string literal(std::string_view text);

}  // namespace mneme::serve
