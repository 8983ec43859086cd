#include "engram/vocabulary.h"

#include <gtest/gtest.h>

namespace mneme::engram {
namespace {

std::vector<uint32_t> map_of(const std::vector<std::string>& tokens) {
  return compress_vocabulary(tokens).token_map;
}

TEST(Vocabulary, CaseAccentsFormAndSpaceFold) {
  const std::vector<std::string> same = {
      "Élan",   "elan",    " ELAN", "e\xCC\x81lan", "\xEF\xBC\xA5lan",  // fullwidth E
      "elan\n", "\t élan "};
  EXPECT_EQ(map_of(same), std::vector<uint32_t>(same.size(), 0));
  EXPECT_EQ(map_of({"ﬁ", "fi", "Ω", "ω", "Ω", "İ", "i", "²", "2"}),  // U+FB01; U+03A9, U+2126 OHM
            (std::vector<uint32_t>{0, 0, 1, 1, 1, 2, 2, 3, 3}));
  EXPECT_EQ(map_of({"가", "\xE1\x84\x80\xE1\x85\xA1", "각"}), (std::vector<uint32_t>{0, 0, 1}));
}

TEST(Vocabulary, WhiteSpace) {
  EXPECT_EQ(map_of({" ", "\n\n", "\t", "\xC2\xA0", "\xE3\x80\x80"}), std::vector<uint32_t>(5, 0));
  EXPECT_EQ(map_of({"a b", "a  b", "a\r\nB", "ab"}), (std::vector<uint32_t>{0, 0, 0, 1}));
}

TEST(Vocabulary, BytesThatAreNoTextStandForThemselves) {
  // half a character, a surrogate, an overlong form, too large, and the replacement character itself
  const std::vector<std::string> tokens = {
      "\xC3",         "\xA9", "\xED\xA0\x80", "\xC0\x80", "\xF4\x90\x80\x80",
      "\xEF\xBF\xBD", "\xC3", "a\xC3",        "A\xC3",    "a"};
  EXPECT_EQ(map_of(tokens), (std::vector<uint32_t>{0, 1, 2, 3, 4, 5, 0, 6, 7, 8}));
}

TEST(Vocabulary, NothingLeftStandsForItself) {
  EXPECT_EQ(map_of({"\xCC\x81", "\xCC\x80", "\xCC\x81"}), (std::vector<uint32_t>{0, 1, 0}));
}

TEST(Vocabulary, EmptyTokensStayApart) {
  const auto vocabulary = compress_vocabulary(
      std::vector<std::string>{"", "x", "", "X", std::string(1, '\0')});
  EXPECT_EQ(vocabulary.token_map, (std::vector<uint32_t>{0, 1, 2, 1, 3}));
  EXPECT_EQ(vocabulary.size, 4u);
  EXPECT_EQ(vocabulary.pad(), 4u);
  EXPECT_EQ(compress_vocabulary({}).size, 0u);
}

}  // namespace
}  // namespace mneme::engram
