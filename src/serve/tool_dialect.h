// How a model writes tool calls and reasoning, told by the words of its chat template.
//
//   tagged   <tool_call>{"name": "f", "arguments": {...}}</tool_call>   ours; Hermes, Qwen 2.5, 3: on lines
//   XML      <tool_call>\n<function=f>\n<parameter=k>\n...\n</function>\n</tool_call>  Qwen3-Coder
//   Mistral   [TOOL_CALLS][{"name": "f", "arguments": {...}}]
//   bare      {"name": "f", "parameters": {...}}   Llama 3.1, <|python_tag|> before it or not; all others
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mneme/text.h"

namespace mneme::serve {

enum class ToolFamily : uint8_t { kTagged, kXml, kMistral, kBare };

struct ToolDialect {
  ToolFamily family = ToolFamily::kTagged;
  std::string open = "<tool_call>", close = "</tool_call>";  // of a call; empty: none
  std::string arguments_key = "arguments";
  bool on_lines = true;              // a line break after `open`, before `close`, and before each call
  bool template_knows_tools = true;  // else they are put into the system message
  bool short_ids = false;            // of calls: nine letters and digits, all that the template accepts
  bool thinks = false;               // <think>...</think> before the answer
  // A mark of these is a token that is not shown as text.
  bool hides_marks = false;
};

ToolDialect dialect_of(const Text& text);

// The special token of this spelling. Nothing: it is written in ordinary text.
std::optional<TokenId> special_token(const Text& text, std::string_view spelling);

// A new id of a call, that no other has.
std::string new_call_id(const ToolDialect& dialect);
// The id as the template takes it: the same for the same.
std::string fitting_call_id(const ToolDialect& dialect, const std::string& id);

}  // namespace mneme::serve
