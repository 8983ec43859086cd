// Grammars as text, in the manner of GBNF:
//
//   # a comment
//   root  ::= greeting " " name+ ("!" | "?"){1,3}
//   name  ::= [A-Z] [a-z]{0,20} | "\u00e9" .        # . is any character
//   call  ::= %token "<tool_call>" %json {"type": "object"} %regex "[0-9]{3}"
//
// A rule goes on until the next one begins. Escapes in literals and classes: \n \r \t \\ \" \[ \] \- \^
// \xHH \uHHHH \UHHHHHHHH. Repetitions: * + ? {2} {2,} {2,5} {,5}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "grammar/expressions.h"

namespace mneme::grammar {

struct ParsedText {
  Rules rules;
  RuleId root = 0;
  std::vector<std::string> warnings;  // of schemas in it
};

// Errors name line and column.
Result<ParsedText> parse_text(std::string_view text);

}  // namespace mneme::grammar
