// Python's view of text on UTF-8: lengths, positions and slices count characters; white space is Unicode's.
// A byte that is not part of valid UTF-8 counts as one character and is carried through unchanged.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mneme::model::jinja {

// The bytes of the first character of a text that is not empty, and its code point (U+FFFD for an invalid
// byte).
struct Character {
  std::string_view bytes;
  char32_t code_point;
};
Character first_character(std::string_view text);
Character last_character(std::string_view text);

int64_t character_count(std::string_view text);
std::vector<std::string_view> characters_of(std::string_view text);
// Byte position of the character at `index`, at most text.size().
size_t byte_position(std::string_view text, int64_t index);

bool is_space(char32_t code_point);  // str.isspace
// str.strip family. `set` empty: white space.
std::string_view strip_left(std::string_view text, std::string_view set = {});
std::string_view strip_right(std::string_view text, std::string_view set = {});
inline std::string_view strip(std::string_view text, std::string_view set = {}) {
  return strip_right(strip_left(text, set), set);
}

// Simple case mapping of Latin, Greek, Cyrillic and Armenian letters; other scripts with case are left alone.
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string capitalize(std::string_view text);
// Upper case after every character that `begins_word` answers yes for, lower case elsewhere.
std::string title(std::string_view text, bool (*begins_word)(char32_t before));
bool is_letter(char32_t code_point);  // every letter with case and, roughly, every other one

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);
// str.split / rsplit; separator empty: runs of white space. splits_max < 0: no limit.
std::vector<std::string_view> split(std::string_view text, std::string_view separator, int64_t splits_max);
std::vector<std::string_view> split_from_right(std::string_view text, std::string_view separator,
                                               int64_t splits_max);

// Linear in text + needle whatever they hold, which std::string_view::find is not. npos where absent.
size_t find_bytes(std::string_view text, std::string_view needle, size_t from = 0);
size_t count_of(std::string_view text, std::string_view needle);  // needle not empty; not overlapping

}  // namespace mneme::model::jinja
