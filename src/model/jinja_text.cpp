#include "model/jinja_text.h"

#include <cstring>

#include "core/utf8.h"

namespace mneme::model::jinja {
namespace {

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

bool in_set(Character character, std::string_view set) {
  if (set.empty()) return is_space(character.code_point);
  for (; !set.empty(); set.remove_prefix(first_character(set).bytes.size())) {
    if (first_character(set).bytes == character.bytes) return true;
  }
  return false;
}

// Alternating pairs: upper case even (or odd), its lower case the next code point.
bool is_paired_range(char32_t c, bool& upper_is_odd) {
  upper_is_odd = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e);
  if (upper_is_odd) return true;
  return (c >= 0x100 && c <= 0x137 && c != 0x130 && c != 0x131) || (c >= 0x14a && c <= 0x177) ||
         (c >= 0x1de && c <= 0x1ef) || (c >= 0x1f8 && c <= 0x21f) || (c >= 0x222 && c <= 0x233) ||
         (c >= 0x460 && c <= 0x481) || (c >= 0x48a && c <= 0x4bf) || (c >= 0x4d0 && c <= 0x52f) ||
         (c >= 0x1e00 && c <= 0x1e95) || (c >= 0x1ea0 && c <= 0x1eff);
}

char32_t upper_of(char32_t c) {
  if (c < 0x80) return c >= 'a' && c <= 'z' ? c - 32 : c;
  if ((c >= 0xe0 && c <= 0xfe && c != 0xf7) || (c >= 0x3b1 && c <= 0x3c9 && c != 0x3c2) ||
      (c >= 0x430 && c <= 0x44f)) {
    return c - 32;
  }
  if (c == 0x3c2) return 0x3a3;
  if (c == 0xb5) return 0x39c;
  if (c == 0xff) return 0x178;
  if (c == 0x3ac) return 0x386;
  if (c >= 0x3ad && c <= 0x3af) return c - 37;
  if (c == 0x3cc) return 0x38c;
  if (c == 0x3cd || c == 0x3ce) return c - 63;
  if (c >= 0x450 && c <= 0x45f) return c - 80;
  if (c >= 0x561 && c <= 0x586) return c - 48;
  bool odd = false;
  if (is_paired_range(c, odd)) return (c % 2 == 1) == odd ? c : c - 1;
  return c;
}

char32_t lower_of(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3a9 && c != 0x3a2) ||
      (c >= 0x410 && c <= 0x42f)) {
    return c + 32;
  }
  if (c == 0x178) return 0xff;
  if (c == 0x386) return 0x3ac;
  if (c >= 0x388 && c <= 0x38a) return c + 37;
  if (c == 0x38c) return 0x3cc;
  if (c == 0x38e || c == 0x38f) return c + 63;
  if (c >= 0x400 && c <= 0x40f) return c + 80;
  if (c >= 0x531 && c <= 0x556) return c + 48;
  bool odd = false;
  if (is_paired_range(c, odd)) return (c % 2 == 1) == odd ? c + 1 : c;
  return c;
}

enum class Case { lower, upper };

void append_cased(std::string& out, Character character, Case wanted) {
  if (wanted == Case::upper && character.code_point == 0xdf) {
    out += "SS";
    return;
  }
  char32_t changed = wanted == Case::upper ? upper_of(character.code_point) : lower_of(character.code_point);
  if (changed == character.code_point) {
    out += character.bytes;
  } else {
    core::append_utf8(out, changed);
  }
}

std::string cased(std::string_view text, Case wanted) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    Character character = first_character(text);
    append_cased(out, character, wanted);
    text.remove_prefix(character.bytes.size());
  }
  return out;
}

bool is_line_end(char32_t c) {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

}  // namespace

Character first_character(std::string_view text) {
  const core::Utf8Char first = core::decode_utf8(text);
  if (!first.valid) return {text.substr(0, 1), 0xfffd};
  return {text.substr(0, first.length), first.code_point};
}

Character last_character(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && text.size() - begin < 4 && is_continuation(text[begin])) --begin;
  Character character = first_character(text.substr(begin));
  if (begin + character.bytes.size() == text.size()) return character;
  return {text.substr(text.size() - 1), 0xfffd};
}

int64_t character_count(std::string_view text) {
  int64_t count = 0;
  while (!text.empty()) {
    text.remove_prefix(first_character(text).bytes.size());
    ++count;
  }
  return count;
}

std::vector<std::string_view> characters_of(std::string_view text) {
  std::vector<std::string_view> characters;
  while (!text.empty()) {
    characters.push_back(first_character(text).bytes);
    text.remove_prefix(characters.back().size());
  }
  return characters;
}

size_t byte_position(std::string_view text, int64_t index) {
  size_t position = 0;
  for (; index > 0 && position < text.size(); --index)
    position += first_character(text.substr(position)).bytes.size();
  return position;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

std::string_view strip_left(std::string_view text, std::string_view set) {
  while (!text.empty() && in_set(first_character(text), set))
    text.remove_prefix(first_character(text).bytes.size());
  return text;
}

std::string_view strip_right(std::string_view text, std::string_view set) {
  while (!text.empty() && in_set(last_character(text), set))
    text.remove_suffix(last_character(text).bytes.size());
  return text;
}

std::string to_upper(std::string_view text) { return cased(text, Case::upper); }
std::string to_lower(std::string_view text) { return cased(text, Case::lower); }

std::string capitalize(std::string_view text) {
  if (text.empty()) return {};
  std::string out;
  Character first = first_character(text);
  if (first.code_point == 0xdf) {
    out = "Ss";
  } else {
    append_cased(out, first, Case::upper);
  }
  return out + to_lower(text.substr(first.bytes.size()));
}

std::string title(std::string_view text, bool (*begins_word)(char32_t before)) {
  std::string out;
  char32_t before = ' ';
  while (!text.empty()) {
    Character character = first_character(text);
    append_cased(out, character, begins_word(before) ? Case::upper : Case::lower);
    before = character.code_point;
    text.remove_prefix(character.bytes.size());
  }
  return out;
}

bool is_letter(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  if (c < 0xc0) return c == 0xaa || c == 0xb5 || c == 0xba;
  if (c == 0xd7 || c == 0xf7 || is_space(c)) return false;
  return !(c >= 0x2000 && c <= 0x2bff) && !(c >= 0x3000 && c <= 0x303f) && !(c >= 0xff00 && c <= 0xff20);
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  size_t at = 0;
  while (at < text.size()) {
    Character character = first_character(text.substr(at));
    size_t after = at + character.bytes.size();
    if (is_line_end(character.code_point)) {
      if (character.code_point == '\r' && after < text.size() && text[after] == '\n') ++after;
      lines.push_back(text.substr(begin, (keep_ends ? after : at) - begin));
      begin = after;
    }
    at = after;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separator, int64_t splits_max) {
  std::vector<std::string_view> pieces;
  auto may_split = [&] { return splits_max < 0 || static_cast<int64_t>(pieces.size()) < splits_max; };
  if (!separator.empty()) {
    size_t begin = 0;
    while (may_split()) {
      size_t found = find_bytes(text, separator, begin);
      if (found == std::string_view::npos) break;
      pieces.push_back(text.substr(begin, found - begin));
      begin = found + separator.size();
    }
    pieces.push_back(text.substr(begin));
    return pieces;
  }
  for (text = strip_left(text); !text.empty(); text = strip_left(text)) {
    if (!may_split()) {
      pieces.push_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size() && !is_space(first_character(text.substr(end)).code_point)) {
      end += first_character(text.substr(end)).bytes.size();
    }
    pieces.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return pieces;
}

std::vector<std::string_view> split_from_right(std::string_view text, std::string_view separator,
                                               int64_t splits_max) {
  std::vector<std::string_view> pieces;
  auto may_split = [&] { return splits_max < 0 || static_cast<int64_t>(pieces.size()) < splits_max; };
  if (!separator.empty()) {
    size_t end = text.size();
    while (may_split()) {
      size_t found = end < separator.size() ? std::string_view::npos : text.substr(0, end).rfind(separator);
      if (found == std::string_view::npos) break;
      pieces.push_back(text.substr(found + separator.size(), end - found - separator.size()));
      end = found;
    }
    pieces.push_back(text.substr(0, end));
  } else {
    for (text = strip_right(text); !text.empty(); text = strip_right(text)) {
      if (!may_split()) {
        pieces.push_back(text);
        break;
      }
      size_t begin = text.size();
      while (begin > 0 && !is_space(last_character(text.substr(0, begin)).code_point)) {
        begin -= last_character(text.substr(0, begin)).bytes.size();
      }
      pieces.push_back(text.substr(begin));
      text = text.substr(0, begin);
    }
  }
  return {pieces.rbegin(), pieces.rend()};
}

size_t find_bytes(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t count_of(std::string_view text, std::string_view needle) {
  size_t count = 0;
  for (size_t at = find_bytes(text, needle); at != std::string_view::npos; ++count) {
    at = find_bytes(text, needle, at + needle.size());
  }
  return count;
}

}  // namespace mneme::model::jinja
