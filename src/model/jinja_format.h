// Values as text, exactly as Python writes them: str(), repr() and json.dumps().
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "model/jinja_runtime.h"
#include "model/jinja_value.h"

namespace mneme::model::jinja {

// str(value): what {{ value }} prints. Undefined prints nothing.
Result<void> append_text(Runtime& runtime, std::string& out, const JinjaValue& value);
Result<std::string> to_text(Runtime& runtime, const JinjaValue& value);
// repr(value), as it stands inside a printed list.
Result<void> append_repr(Runtime& runtime, std::string& out, const JinjaValue& value);
std::string format_float(double number);

struct JsonStyle {
  std::string indent;          // of one level; used where multi_line
  bool multi_line = false;
  bool sort_keys = false;
  bool ensure_ascii = false;   // what Hugging Face's tojson passes
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
// json.dumps(value); fails for what JSON has no form of (undefined, macros).
Result<std::string> to_json(Runtime& runtime, const JinjaValue& value, const JsonStyle& style);

}  // namespace mneme::model::jinja
