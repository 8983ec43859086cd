#include "core/utf8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <utility>

namespace mneme::core {
namespace {

// Table 3-7 of the Unicode standard, "Well-Formed UTF-8 Byte Sequences", row by row.
struct Range {
  uint8_t first, last;
};
struct WellFormed {
  size_t length;
  std::array<Range, 4> bytes;
};
constexpr WellFormed kTable[] = {
    {1, {{{0x00, 0x7F}}}},
    {2, {{{0xC2, 0xDF}, {0x80, 0xBF}}}},
    {3, {{{0xE0, 0xE0}, {0xA0, 0xBF}, {0x80, 0xBF}}}},
    {3, {{{0xE1, 0xEC}, {0x80, 0xBF}, {0x80, 0xBF}}}},
    {3, {{{0xED, 0xED}, {0x80, 0x9F}, {0x80, 0xBF}}}},
    {3, {{{0xEE, 0xEF}, {0x80, 0xBF}, {0x80, 0xBF}}}},
    {4, {{{0xF0, 0xF0}, {0x90, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}}}},
    {4, {{{0xF1, 0xF3}, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}}}},
    {4, {{{0xF4, 0xF4}, {0x80, 0x8F}, {0x80, 0xBF}, {0x80, 0xBF}}}},
};

// The longest beginning of `text` that is the beginning of a row of the table, and whether it is a whole one.
std::pair<size_t, bool> longest_beginning(std::string_view text) {
  size_t longest = 0;
  for (const WellFormed& row : kTable) {
    size_t i = 0;
    while (i < row.length && i < text.size()) {
      const auto byte = static_cast<uint8_t>(text[i]);
      if (byte < row.bytes[i].first || byte > row.bytes[i].last) break;
      i++;
    }
    if (i == row.length) return {i, true};
    longest = std::max(longest, i);
  }
  return {longest, false};
}

bool valid_by_the_table(std::string_view text) {
  while (!text.empty()) {
    const auto [length, whole] = longest_beginning(text);
    if (!whole) return false;
    text.remove_prefix(length);
  }
  return true;
}

void expect_as_the_table(std::string_view text) {
  const Utf8Char got = decode_utf8(text);
  const auto [length, whole] = longest_beginning(text);
  const bool truncated = !whole && length > 0 && length == text.size();
  const auto wanted_length = static_cast<uint32_t>(std::max<size_t>(length, 1));
  if (got.valid == whole && got.length == wanted_length && got.truncated == truncated &&
      valid_utf8(text) == valid_by_the_table(text)) {
    return;
  }
  std::string bytes;
  for (const char c : text) bytes += testing::PrintToString(static_cast<int>(static_cast<uint8_t>(c))) + " ";
  ADD_FAILURE() << bytes << "valid " << got.valid << " length " << got.length;
}

TEST(Utf8, EveryShortSequenceIsJudgedAsTheTableSays) {
  for (int first = 0; first < 256; first++) {
    const char one[] = {static_cast<char>(first)};
    expect_as_the_table({one, 1});
    for (int second = 0; second < 256; second++) {
      const char two[] = {static_cast<char>(first), static_cast<char>(second)};
      expect_as_the_table({two, 2});
      // what matters of the third and the fourth byte is on which side of these bounds they lie
      for (const int third : {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF}) {
        const char three[] = {one[0], two[1], static_cast<char>(third)};
        if (first >= 0xC2 && second >= 0x80) expect_as_the_table({three, 3});
        for (const int fourth : {0x00, 0x7F, 0x80, 0xBF, 0xC0, 0xFF}) {
          const char four[] = {one[0], two[1], three[2], static_cast<char>(fourth)};
          if (first >= 0xE0 && second >= 0x80) expect_as_the_table({four, 4});
        }
      }
    }
  }
}

TEST(Utf8, EveryCharacterComesBack) {
  std::string all;
  for (char32_t c = 0; c <= 0x10FFFF; c++) {
    if (c == 0xD800) c = 0xE000;
    std::string text;
    append_utf8(text, c);
    const Utf8Char back = decode_utf8(text);
    ASSERT_TRUE(back.valid && back.code_point == c && back.length == text.size()) << static_cast<uint32_t>(c);
    all += text;
  }
  EXPECT_TRUE(valid_utf8(all));
  EXPECT_EQ(all.size(), 0x80u + 2 * 0x780 + 3 * (0xF800u - 0x800) + 4 * 0x100000u);
}

TEST(Utf8, ValidTextEndsBeforeTheFirstWrongByte) {
  EXPECT_TRUE(valid_utf8(""));
  const std::string good = "eight bytes and aé汉😀 more";
  EXPECT_TRUE(valid_utf8(good));
  for (size_t at = 0; at <= good.size(); at++) {
    if (utf8_cut_before(good, at) != at) continue;
    std::string bad = good;
    bad.insert(at, "\xC0");
    EXPECT_EQ(utf8_valid_prefix(bad), at);
    EXPECT_FALSE(valid_utf8(bad));
  }
}

TEST(Utf8, CutsBetweenCharacters) {
  const std::string_view text = "aé汉😀";  // at 0, 1, 3, 6; ends at 10
  const size_t wanted[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
  for (size_t at = 0; at < std::size(wanted); at++) EXPECT_EQ(utf8_cut_before(text, at), wanted[at]) << at;
  EXPECT_EQ(utf8_cut_before("\x80\x80\x80\x80\x80", 4), 4u);  // nothing there to divide
}

}  // namespace
}  // namespace mneme::core
