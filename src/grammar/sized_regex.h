// A regular expression and bounds on the length of what it matches, both at once.
#pragma once

#include <optional>
#include <string_view>

#include "grammar/regex.h"

namespace mneme::grammar {

struct LengthBounds {
  uint32_t min = 0, max = kUnbounded;  // characters
};

// Nothing where expression and bounds together are too large (their product is what is built). Errors of the
// expression as parse_regex() has them.
Result<std::optional<ExpressionId>> parse_sized_regex(Rules& rules, std::string_view pattern,
                                                      RegexScope scope, Spelling spelling,
                                                      LengthBounds bounds);

}  // namespace mneme::grammar
