// Grammars as text: against all short texts, and what is refused.
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "core/rng.h"
#include "grammar/tokens_for_test.h"
#include "mneme/grammar.h"

namespace mneme::grammar {
namespace {

std::string error_of(const std::string& text) {
  auto made = Grammar::from_text(text);
  return made ? "" : made.error().message;
}

// A small grammar, and all texts of it up to a length, told by the definition of each operator.
struct Small {
  std::string text;
  std::set<std::string> words;
};
constexpr size_t kLength = 5;
constexpr uint32_t kUnboundedForTest = UINT32_MAX;

std::set<std::string> joined(const std::set<std::string>& a, const std::set<std::string>& b) {
  std::set<std::string> all;
  for (const auto& x : a) {
    for (const auto& y : b) {
      if (x.size() + y.size() <= kLength) all.insert(x + y);
    }
  }
  return all;
}

Small random_small(core::Rng& rng, int depth) {
  const uint32_t kind = rng.next_below(depth > 3 ? 2 : 7);
  if (kind == 0) return {"\"ab\"", {"ab"}};
  if (kind == 1) {
    const char* const set = rng.next_below(2) == 0 ? "[a]" : "[b-c]";
    return {set, set[1] == 'a' ? std::set<std::string>{"a"} : std::set<std::string>{"b", "c"}};
  }
  const Small x = random_small(rng, depth + 1);
  if (kind == 2 || kind == 3) {
    const Small y = random_small(rng, depth + 1);
    if (kind == 2) return {"(" + x.text + " " + y.text + ")", joined(x.words, y.words)};
    std::set<std::string> either = x.words;
    either.insert(y.words.begin(), y.words.end());
    return {"(" + x.text + " | " + y.text + ")", either};
  }
  const uint32_t min = rng.next_below(3),
                 max = rng.next_below(4) == 0 ? kUnboundedForTest : min + rng.next_below(3);
  std::set<std::string> words, now = {""};
  for (uint32_t i = 0; i <= max && i <= 2 * kLength + 2; ++i) {
    if (i >= min) words.insert(now.begin(), now.end());
    now = joined(now, x.words);
  }
  const std::string bounds = max == kUnboundedForTest ? "," : "," + std::to_string(max);
  return {"(" + x.text + "){" + std::to_string(min) + bounds + "}", words};
}

TEST(TextGrammar, AgreesWithTheDefinitionOfEachOperator) {
  std::vector<std::string> all = {""};
  for (size_t i = 0; i < all.size() && all[i].size() < kLength; ++i) {
    for (const char c : {'a', 'b', 'c'}) all.push_back(all[i] + c);
  }
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    core::Rng rng(seed);
    const Small small = random_small(rng, 0);
    auto grammar = Grammar::from_text("root ::= " + small.text);
    ASSERT_TRUE(grammar) << grammar.error().message << small.text;
    for (const std::string& text : all)
      ASSERT_EQ((*grammar)->matches(text), small.words.contains(text))
          << "seed " << seed << ": " << small.text << " '" << text << "'";
  }
}

TEST(TextGrammar, RecursionOnAllSides) {
  auto balanced = Grammar::from_text("root ::= \"(\" root \")\" root |");
  ASSERT_TRUE(balanced) << balanced.error().message;
  EXPECT_TRUE((*balanced)->matches("(()())()"));
  EXPECT_FALSE((*balanced)->matches("(()"));
  auto right = Grammar::from_text("root ::= \"x\" root | \"y\"");
  EXPECT_TRUE((*right)->matches(std::string(5000, 'x') + "y"));
  auto left = Grammar::from_text("root ::= sum\nsum ::= sum \"+\" [0-9]+ | [0-9]+ | sum \"-\" [0-9]+");
  ASSERT_TRUE(left) << left.error().message;
  EXPECT_TRUE((*left)->matches("1+22-333"));
  EXPECT_FALSE((*left)->matches("1+"));
  EXPECT_FALSE((*left)->matches("+1"));
  auto palindromes = Grammar::from_text("root ::= \"a\" root \"a\" | \"b\" root \"b\" | [ab]?");
  EXPECT_TRUE((*palindromes)->matches("abba"));
  EXPECT_TRUE((*palindromes)->matches("ababa"));
  EXPECT_FALSE((*palindromes)->matches("abab"));
}

TEST(TextGrammar, CommentsEscapesAndLines) {
  auto grammar = Grammar::from_text(
      "# first\nroot ::= a  # after\n  | \"\\x41\\u00e9\\U0001F600\\n\\\"\"\na\n::= [\\]\\-^x] .\n");
  ASSERT_TRUE(grammar) << grammar.error().message;
  EXPECT_TRUE((*grammar)->matches("A\xC3\xA9\xF0\x9F\x98\x80\n\""));
  EXPECT_TRUE((*grammar)->matches("]\xE4\xB8\xAD"));
  EXPECT_TRUE((*grammar)->matches("-\n"));
  EXPECT_FALSE((*grammar)->matches("y."));
}

TEST(TextGrammar, SchemasAndExpressionsInIt) {
  auto grammar = Grammar::from_text(
      "root ::= \"<call>\" %json {\"type\": \"object\", \"properties\": {\"}\": {\"const\": \"{\\\"\"}}, "
      "\"required\": [\"}\"]} "
      "\"</call>\" %regex \"a{2}|b\"");
  ASSERT_TRUE(grammar) << grammar.error().message;
  EXPECT_TRUE((*grammar)->matches("<call>{\"}\": \"{\\\"\"}</call>aa"));
  EXPECT_FALSE((*grammar)->matches("<call>{}</call>b"));
}

TEST(TextGrammar, SchemasWithSpaces) {
  auto grammar = Grammar::from_text(R"(root ::= %json_spaced {"type": "object", "properties": {
      "a": {"type": "array", "items": {"type": "integer"}}, "b": {"const": {"k": [1, 2]}}}})");
  ASSERT_TRUE(grammar) << grammar.error().message;
  EXPECT_TRUE((*grammar)->matches(R"({"a": [1, 2], "b": {"k": [1, 2]}})"));
  EXPECT_TRUE((*grammar)->matches("{}"));
  EXPECT_FALSE((*grammar)->matches(R"({"a":[1, 2], "b": {"k": [1, 2]}})"));
  EXPECT_FALSE((*grammar)->matches(R"({"a": [1,2]})"));
  EXPECT_FALSE((*grammar)->matches(R"({"a": [1],"b": {"k": [1, 2]}})"));
}

TEST(TextGrammar, ErrorsNameLineAndColumn) {
  EXPECT_EQ(error_of("root ::= a\nb ::= \"x\""), "line 1, column 10: rule 'a' is not defined");
  EXPECT_EQ(error_of("x ::= \"a\""), "the grammar has no rule 'root'");
  EXPECT_EQ(error_of(""), "the grammar has no rule 'root'");
  EXPECT_EQ(error_of("root ::= \"a\"\nroot ::= \"b\""), "line 2, column 1: rule 'root' is defined twice");
  EXPECT_EQ(error_of("root ::= (\"a\""), "line 1, column 10: a group without its )");
  EXPECT_EQ(error_of("root ::= \"a"), "line 1, column 10: a literal without its end");
  EXPECT_EQ(error_of("root ::= [a"), "line 1, column 10: a character class without its ]");
  EXPECT_EQ(error_of("root ::= [b-a]"), "line 1, column 14: a range that runs backwards");
  EXPECT_EQ(error_of("root ::= \"a\"{3,2}"),
            "line 1, column 13: a repetition whose maximum is below its minimum");
  EXPECT_EQ(error_of("root ::= \"\\ud800\""), "line 1, column 11: the escape names no character");
  EXPECT_EQ(error_of("root ::= \"\xFF\""), "line 1, column 11: the grammar is not UTF-8");
  EXPECT_EQ(error_of("root ::= \"é\" )"), "line 1, column 14: ')' is not expected here");
  EXPECT_EQ(error_of("root ::= %what {}"),
            "line 1, column 10: %what is unknown; %json, %json_spaced, %regex and %token are known");
  EXPECT_NE(error_of("root ::= a\na ::= b \"x\"\nb ::= a | \"y\"").find("begins with itself"),
            std::string::npos);
  EXPECT_NE(error_of("root ::= n root \"x\" | \"y\"\nn ::= \"z\"?").find("begins with itself"),
            std::string::npos);
  EXPECT_NE(error_of("root ::= \"a\" root").find("matches nothing"), std::string::npos);
  EXPECT_NE(error_of("root ::= root").find("matches nothing"), std::string::npos);
  EXPECT_NE(error_of("root ::= " + std::string(1000, '(')).find("groups in each other"), std::string::npos);
  EXPECT_NE(error_of("root ::= \"a\"**********").find("repetitions of repetitions"), std::string::npos);
}

TEST(TextGrammar, LargeRepetitions) {
  auto counted = Grammar::from_text("root ::= \"a\"{1,100000}");
  ASSERT_TRUE(counted);
  EXPECT_TRUE((*counted)->matches(std::string(100'000, 'a')));
  EXPECT_FALSE((*counted)->matches(std::string(100'001, 'a')));
  EXPECT_FALSE((*counted)->matches(""));
  auto nested = Grammar::from_text("root ::= ((\"a\" | \"bc\"){3,1000}){2,1000}");
  ASSERT_TRUE(nested);
  EXPECT_FALSE((*nested)->matches("abca"));
  EXPECT_TRUE((*nested)->matches("abcabcaa"));
  auto at_least = Grammar::from_text("root ::= \"ab\"{500,}");
  std::string text;
  for (int i = 0; i < 499; ++i) text += "ab";
  EXPECT_FALSE((*at_least)->matches(text));
  EXPECT_TRUE((*at_least)->matches(text + "abab"));
  EXPECT_NE(error_of("root ::= (\"a\"?){1,100000}").find("too large"), std::string::npos);
  EXPECT_NE(error_of("root ::= \"a\"{99999999999}").find("repetitions"), std::string::npos);
  std::string many = "root ::= r0\n";
  for (int i = 0; i < 20'000; ++i)
    many += "r" + std::to_string(i) + " ::= \"x\" r" + std::to_string(i + 1) + "\n";
  EXPECT_EQ(error_of(many + "r20000 ::= \"y\""), "");
}

// Ways of reading that grow with the text are cut off, and what is drawn is still right.
TEST(TextGrammar, AmbiguityIsBounded) {
  auto grammar = Grammar::from_text("root ::= ([ab]{1,3} | \"a\"){1,100000} \"!\"");
  ASSERT_TRUE(grammar);
  EXPECT_TRUE((*grammar)->matches(std::string(600, 'a') + "!"));
  auto deep = Grammar::from_text("root ::= a \"!\"\na ::= \"x\" a a a | \"x\"");
  ASSERT_TRUE(deep);
  const Constraint constraint(*deep, bytes_and({"xx", "xxx!", "x!"}));
  core::Rng rng(3);
  for (int i = 0; i < 10; ++i) {
    const auto text = draw_text(rng, constraint, 40);
    if (text) {
      EXPECT_TRUE((*deep)->matches(*text)) << *text;
    }
  }
}

}  // namespace
}  // namespace mneme::grammar
