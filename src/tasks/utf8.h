// Cutting text without cutting a character.
#pragma once

#include <cstddef>
#include <string_view>

#include "core/utf8.h"

namespace mneme::tasks {

using core::valid_utf8;
// The greatest character boundary <= at; text is valid UTF-8.
size_t floor_boundary(std::string_view text, size_t at);
// Bytes of the character that begins at `at`.
size_t character_bytes(std::string_view text, size_t at);
// Bytes of the first count characters (all of text where it has fewer).
size_t bytes_of_characters(std::string_view text, size_t count);
std::string_view trimmed(std::string_view text);  // of blanks, tabs, line ends on both sides

}  // namespace mneme::tasks
