// UTF-8 as the Unicode standard defines it (table 3-7): no surrogates, no overlong forms, nothing past
// U+10FFFF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace mneme::core {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

struct Utf8Char {
  char32_t code_point = 0;
  uint32_t length = 0;  // bytes; of the maximal subpart (at least 1) where it is not valid
  bool valid = false;
  bool truncated = false;  // not valid, but more bytes could still make a character of it
};

// The character `text` begins with; `text` is not empty. A byte sequence that is no character has the length
// of its maximal subpart: the longest beginning of some character, or else one byte (Unicode 15, section 3.9,
// "U+FFFD Substitution").
inline Utf8Char decode_utf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true, false};
  if (lead < 0xC2 || lead > 0xF4) return {0, 1, false, false};
  const uint32_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // Only the second byte has a narrowed range: it is what rules out overlong forms, surrogates and too large
  // values.
  const uint8_t second_min = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t second_max = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  char32_t code_point = lead & (0xFFu >> (length + 1));
  for (uint32_t i = 1; i < length; i++) {
    if (i == text.size()) return {0, i, false, true};
    const uint8_t low = i == 1 ? second_min : 0x80;
    const uint8_t high = i == 1 ? second_max : 0xBF;
    if (byte(i) < low || byte(i) > high) return {0, i, false, false};
    code_point = code_point << 6 | (byte(i) & 0x3F);
  }
  return {code_point, length, true, false};
}

// How many bytes at the front of `text` are whole, valid characters.
inline size_t utf8_valid_prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (text.size() - at >= 8) {
      uint64_t eight = 0;
      std::memcpy(&eight, text.data() + at, 8);
      if ((eight & 0x8080808080808080u) == 0) {
        at += 8;
        continue;
      }
    }
    const Utf8Char next = decode_utf8(text.substr(at));
    if (!next.valid) break;
    at += next.length;
  }
  return at;
}

inline bool valid_utf8(std::string_view text) { return utf8_valid_prefix(text) == text.size(); }

// The largest cut at or before `at` that does not divide a valid character (at most 3 bytes earlier; not 0
// unless `at` is).
inline size_t utf8_cut_before(std::string_view text, size_t at) {
  if (at >= text.size()) return text.size();
  const auto continues = [&](size_t i) { return (static_cast<uint8_t>(text[i]) & 0xC0) == 0x80; };
  size_t cut = at;
  for (int back = 0; back < 3 && cut > 0 && continues(cut); back++) cut--;
  return cut == 0 || continues(cut) ? at : cut;  // otherwise there is no character to divide
}

// `code_point` is a Unicode scalar value.
inline void append_utf8(std::string& out, char32_t code_point) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code_point < 0x80) return put(code_point);
  if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
  }
  put(0x80 | (code_point & 0x3F));
}

}  // namespace mneme::core
