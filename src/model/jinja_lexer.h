// Template text -> tokens. All of Jinja's white space rules are settled here, with Hugging Face's settings:
// trim_blocks,
// lstrip_blocks, and one newline at the end of the template dropped. {% raw %} and comments end here too.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace mneme::model::jinja {

struct Token {
  enum class Kind : uint8_t {
    data,            // text outside of tags
    output_begin, output_end,  // {{ }}
    block_begin, block_end,    // {% %}
    name, string, integer, floating, symbol,
    end,
  };
  Kind kind = Kind::end;
  int line = 1;
  std::string text;  // data; a string with its escapes resolved; a name; a symbol as written
  int64_t integer = 0;
  double floating = 0;
};

// Always ends with one token of kind `end`. Errors begin with "line N: ".
Result<std::vector<Token>> tokenize_template(std::string_view source);

}  // namespace mneme::model::jinja
