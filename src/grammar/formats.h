// The formats of JSON schemas that strings can be held to.
#pragma once

#include <optional>
#include <string_view>

namespace mneme::grammar {

// A regular expression for the whole text; nothing for a format that is not known.
std::optional<std::string_view> format_pattern(std::string_view format);

}  // namespace mneme::grammar
