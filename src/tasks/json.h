// Strict JSON (RFC 8259), no more than judging an answer takes: text to a canonical text, which two values
// share exactly where they are equal.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mneme::tasks {

// Keys sorted, blanks gone, escapes resolved and written one way, numbers as they stand but for trailing
// zeros of a fraction. Nothing where text is not one JSON value, a key is repeated, or the nesting is deeper
// than 32.
std::optional<std::string> canonical_json(std::string_view text);
// What values of the same objects, keys and lists share: the canonical text without strings, numbers, true,
// false and null.
std::optional<std::string> json_shape(std::string_view text);
// "text" with quotes and escapes.
std::string quoted_json(std::string_view text);

}  // namespace mneme::tasks
