// How the characters of a text stand in what is generated: as they are, or within a JSON string, where some
// are escaped.
#pragma once

#include <string>
#include <string_view>

#include "grammar/expressions.h"

namespace mneme::grammar {

enum class Spelling { kPlain, kJsonString };

// One character of the set.
ExpressionId spell_characters(Rules& rules, CodePoints set, Spelling spelling);
// The text itself. In a JSON string each character has one spelling: \" \\ \b \f \n \r \t, \u00xx for other
// control characters, itself for all else.
std::string spelled(std::string_view text, Spelling spelling);

}  // namespace mneme::grammar
