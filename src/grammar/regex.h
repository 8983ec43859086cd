// Regular expressions, of the kind that JSON schemas' `pattern` has (ECMAScript's), as expressions of a
// grammar.
#pragma once

#include <string_view>

#include "grammar/characters.h"

namespace mneme::grammar {

enum class RegexScope {
  kWhole,  // the whole text matches
  kPart,   // some part of the text does, as `pattern` means it; ^ and $ hold it to the ends
};

// Errors name the place in the pattern. Not supported, because they look around or back: \b \B, (?= (?! (?<=
// (?<!, \1 and \k; and \p, because it needs tables of all of Unicode.
Result<ExpressionId> parse_regex(Rules& rules, std::string_view pattern, RegexScope scope, Spelling spelling);

}  // namespace mneme::grammar
