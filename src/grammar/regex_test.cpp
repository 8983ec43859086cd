// Regular expressions against std::regex, and what is refused.
#include <gtest/gtest.h>

#include <regex>

#include "core/rng.h"
#include "mneme/grammar.h"

namespace mneme::grammar {
namespace {

std::string error_of(const std::string& pattern) {
  auto made = Grammar::from_regex(pattern);
  return made ? "" : made.error().message;
}

std::string random_pattern(core::Rng& rng, int depth) {
  static const char* const kAtoms[] = {"a", "b",     "c",   "[ab]",   "[^a]", "\\d", "\\w",    ".",
                                       "1", "[b-d]", "\\W", "[\\d_]", "-",    "\\.", "[^\\w]", "[a\\-c]"};
  const uint32_t kind = rng.next_below(depth > 3 ? 1 : 6);
  if (kind <= 1) return kAtoms[rng.next_below(16)];
  if (kind == 2) return random_pattern(rng, depth + 1) + random_pattern(rng, depth + 1);
  if (kind == 3) return "(" + random_pattern(rng, depth + 1) + "|" + random_pattern(rng, depth + 1) + ")";
  static const char* const kRepeats[] = {"*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?", "+?"};
  return (rng.next_below(2) == 0 ? "(?:" : "(") + random_pattern(rng, depth + 1) + ")" +
         kRepeats[rng.next_below(9)];
}

TEST(Regex, AgreesWithTheStandardLibrary) {
  static constexpr std::string_view kBytes = "abcd1_-. A";
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    core::Rng rng(seed);
    const std::string pattern = random_pattern(rng, 0);
    auto grammar = Grammar::from_regex(pattern);
    ASSERT_TRUE(grammar) << pattern << ": " << grammar.error().message;
    const std::regex oracle(pattern);
    for (int i = 0; i < 60; ++i) {
      std::string text;
      for (uint32_t k = rng.next_below(9); k > 0; --k) text += kBytes[rng.next_below(kBytes.size())];
      ASSERT_EQ((*grammar)->matches(text), std::regex_match(text, oracle))
          << "seed " << seed << ": " << pattern << " '" << text << "'";
    }
  }
}

// As a schema's pattern: some part of the text, unless it is anchored.
TEST(Regex, PartsOfStrings) {
  static constexpr std::string_view kBytes = "abcd1_-. A";
  for (uint64_t seed = 1000; seed <= 1300; ++seed) {
    core::Rng rng(seed);
    std::string pattern = random_pattern(rng, 1);
    if (rng.next_below(3) == 0) pattern = "^" + pattern;
    if (rng.next_below(3) == 0) pattern += "$";
    if (rng.next_below(3) == 0) pattern += "|^" + random_pattern(rng, 2);
    std::string escaped;
    for (const char c : pattern) escaped += c == '\\' ? "\\\\" : std::string(1, c);
    auto grammar = Grammar::from_schema("{\"type\":\"string\",\"pattern\":\"" + escaped + "\"}", {});
    ASSERT_TRUE(grammar) << pattern << ": " << grammar.error().message;
    const std::regex oracle(pattern);
    for (int i = 0; i < 40; ++i) {
      std::string text;
      for (uint32_t k = rng.next_below(7); k > 0; --k) text += kBytes[rng.next_below(kBytes.size())];
      ASSERT_EQ((*grammar)->matches('"' + text + '"'), std::regex_search(text, oracle))
          << "seed " << seed << ": " << pattern << " '" << text << "'";
    }
  }
}

// A pattern and bounds on the length, both at once.
TEST(Regex, WithLengths) {
  static constexpr std::string_view kBytes = "abcd1_-. A";
  size_t inside = 0;
  for (uint64_t seed = 2000; seed <= 2300; ++seed) {
    core::Rng rng(seed);
    std::string pattern = random_pattern(rng, 1);
    if (rng.next_below(2) == 0) pattern = "^" + pattern;
    if (rng.next_below(2) == 0) pattern += "$";
    std::string escaped;
    for (const char c : pattern) escaped += c == '\\' ? "\\\\" : std::string(1, c);
    const size_t min = rng.next_below(4), max = rng.next_below(20) == 0 ? 1000 : min + rng.next_below(4);
    auto grammar = Grammar::from_schema("{\"type\":\"string\",\"pattern\":\"" + escaped +
                                            "\",\"minLength\":" + std::to_string(min) +
                                            ",\"maxLength\":" + std::to_string(max) + "}",
                                        {.strict = false});
    const std::regex oracle(pattern);
    for (int i = 0; i < 40; ++i) {
      std::string text;
      for (uint32_t k = rng.next_below(7); k > 0; --k) text += kBytes[rng.next_below(kBytes.size())];
      const bool expected = std::regex_search(text, oracle) && text.size() >= min && text.size() <= max;
      inside += expected ? 1 : 0;
      ASSERT_EQ(grammar && (*grammar)->matches('"' + text + '"'), expected)
          << "seed " << seed << ": " << pattern << " '" << text << "'";
    }
  }
  EXPECT_GT(inside, 500u);
  auto name = Grammar::from_schema(
      R"({"type": "string", "pattern": "^[a-z中]+$", "minLength": 2, "maxLength": 3})", {});
  ASSERT_TRUE(name) << name.error().message;
  EXPECT_TRUE((*name)->matches("\"a中z\""));
  EXPECT_FALSE((*name)->matches("\"中\""));
  EXPECT_FALSE((*name)->matches("\"abcd\""));
  EXPECT_TRUE((*name)->warnings().empty());
  auto address = Grammar::from_schema(R"({"type": "string", "format": "email", "pattern": "^(?!x)a@b"})", {});
  ASSERT_TRUE(address);
  EXPECT_TRUE((*address)->matches("\"a@b.org\""));
  EXPECT_EQ((*address)->warnings().size(), 1u);
  auto large = Grammar::from_schema(R"x({"type": "string", "pattern": "^([ab]{900}|c)", "maxLength": 1000})x",
                                    {});
  ASSERT_TRUE(large) << large.error().message;
  EXPECT_TRUE((*large)->matches("\"c\""));
}

TEST(Regex, CharactersBeyondAscii) {
  auto grammar = Grammar::from_regex("[\\u4e00-\\u9fff]+\\ud83d\\ude00?[^\\x00-\\x7f]\\u{1F600}\\cJ\\x41\\/");
  ASSERT_TRUE(grammar) << grammar.error().message;
  EXPECT_TRUE((*grammar)->matches("中文é\xF0\x9F\x98\x80\nA/"));
  EXPECT_FALSE((*grammar)->matches("中文e\xF0\x9F\x98\x80\nA/"));
  auto any = Grammar::from_regex(".");
  EXPECT_TRUE((*any)->matches("\xF0\x9F\x98\x80"));
  EXPECT_FALSE((*any)->matches("\n"));
  EXPECT_FALSE((*any)->matches("\xF0\x9F"));
  EXPECT_TRUE((*Grammar::from_regex("[^]"))->matches("\n"));
  EXPECT_TRUE((*Grammar::from_regex("a{,2}"))->matches("a{,2}"));
  EXPECT_TRUE((*Grammar::from_regex("^(?<year>\\d{4})$"))->matches("2024"));
  EXPECT_TRUE((*Grammar::from_regex("[\\w.-]+"))->matches("a-b.c"));
}

TEST(Regex, WhatIsRefused) {
  for (const char* pattern :
       {"(?=a)", "(?!a)", "(?<=a)", "\\bword", "(a)\\1", "\\k<a>",      "\\p{L}", "a**", "*",
        "(",     ")",     "a)",     "[a",      "[z-a]",  "\\",          "x{3,2}", "a++", "(?i)a",
        "a^b",   "a$b",   "(a$)",   "\\q",     "\\u12",  "[[:alpha:]]", "\\07"})
    EXPECT_NE(error_of(pattern).find("position"), std::string::npos) << pattern << ": " << error_of(pattern);
  EXPECT_NE(error_of("\xFF"), "");
  EXPECT_NE(error_of("[]"), "");
  EXPECT_NE(error_of(std::string(5000, '(')), "");
}

}  // namespace
}  // namespace mneme::grammar
