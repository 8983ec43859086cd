// Masks against asking for every token by itself.
#include <gtest/gtest.h>

#include <thread>

#include "grammar/masks.h"
#include "grammar/tokens_for_test.h"
#include "mneme/grammar.h"

namespace mneme::grammar {
namespace {

std::shared_ptr<const Grammar> text_grammar(const std::string& text) {
  auto made = Grammar::from_text(text);
  EXPECT_TRUE(made.has_value()) << made.error().message;
  return *made;
}

std::vector<std::string> random_pieces(core::Rng& rng, size_t count) {
  static const std::string kBits[] = {
      "a",    "b",    "\"",   "\\",   "{",    "}",    ":",    ",",    " ",    "1",    "\n",
      "\xC3", "\xA9", "\xE4", "\xB8", "\xAD", "\xF0", "\x9F", "\x98", "\x80", "\xFF", std::string(1, '\0'),
      "é",    "中"};
  std::vector<std::string> pieces;
  for (size_t i = 0; i < count; ++i) {
    std::string piece;
    for (uint32_t k = rng.next_below(7); k > 0; --k) piece += kBits[rng.next_below(24)];
    pieces.push_back(piece);  // some are empty, some twice
  }
  pieces.push_back(std::string(300, 'a'));
  return pieces;
}

const char* const kGrammars[] = {
    "root ::= %json {\"type\": \"object\"}",
    "root ::= %json {\"type\": \"string\", \"maxLength\": 9}",
    "root ::= \"a\"* \"b\" | [^\\\"]{3,20} | \"\\\"\" (\"\\\\\" . | [^\\\"\\\\])* \"\\\"\"",
    "root ::= (\"{\" root \"}\" | [a-z]) root?",
    "root ::= .*",
    "root ::= \"\\U0001F600\" [\\u0080-\\u07FF\\U00010000-\\U0010FFFF]{2,4}",
    "root ::= (%token \"<tool>\" \"a\" | \"a\" \"b\"?) root | \"\\x00\"",
};

TEST(Masks, EveryTokenByItself) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    core::Rng rng(seed);
    const auto vocabulary = bytes_and(random_pieces(rng, 400));
    for (const char* text : kGrammars) {
      const Constraint constraint(text_grammar(text), vocabulary);
      Guide guide = constraint.guide();
      for (int step = 0; step < 25; ++step) {
        const auto allowed = tokens_of(guide.allowed());
        std::vector<TokenId> expected;
        for (TokenId token = 0; token < static_cast<TokenId>(vocabulary->size()); ++token) {
          Guide other = guide;
          if (other.accept(token)) expected.push_back(token);
        }
        ASSERT_EQ(allowed, expected) << "seed " << seed << ", step " << step << " of " << text;
        ASSERT_EQ(guide.complete(), std::find(allowed.begin(), allowed.end(), kEndForTest) != allowed.end());
        ASSERT_EQ(guide.finished(), allowed == std::vector<TokenId>{kEndForTest});
        if (guide.finished()) break;
        ASSERT_TRUE(guide.accept(allowed[rng.next_below(static_cast<uint32_t>(allowed.size()))]));
      }
    }
  }
}

TEST(Masks, SpecialTokensAreNoText) {
  const Constraint any(text_grammar("root ::= .*"), bytes_and({"<tool>"}));
  Guide guide = any.guide();
  EXPECT_FALSE(guide.accept(kSpecialForTest));
  EXPECT_TRUE(guide.accept(kSpecialForTest + 1));
  const Constraint named(text_grammar("root ::= %token \"<tool>\" \"x\""), bytes_and({"<tool>"}));
  Guide other = named.guide();
  EXPECT_EQ(tokens_of(other.allowed()), std::vector<TokenId>{kSpecialForTest});
  EXPECT_EQ(other.forced(), "");
  ASSERT_TRUE(other.accept(kSpecialForTest));
  EXPECT_EQ(other.forced(), "x");
}

TEST(Masks, WhatMustFollow) {
  auto schema = Grammar::from_schema(R"({"type": "object", "properties": {"temperature": {"type": "boolean"}},
      "required": ["temperature"], "additionalProperties": false})",
                                     {.spaces = JsonSpaces::kNone});
  ASSERT_TRUE(schema);
  const Constraint constraint(*schema, bytes_and({}));
  Guide guide = constraint.guide();
  EXPECT_EQ(guide.forced(), "{\"temperature\":");
  ASSERT_TRUE(guide.accept_text("{\"temperature\":f"));
  EXPECT_EQ(guide.forced(), "alse}");
  ASSERT_TRUE(guide.accept_text("alse}"));
  EXPECT_TRUE(guide.finished());
  EXPECT_EQ(guide.forced(), "");
  EXPECT_FALSE(guide.accept_text("x"));
  EXPECT_TRUE(guide.accept(kEndForTest));
}

TEST(Masks, AVocabularyThatCannotSpellIt) {
  const std::vector<TokenSpelling> tokens = {
      {.bytes = "a"}, {.bytes = ""}, {TokenSpelling::Kind::kEnd, ""}, {TokenSpelling::Kind::kUnused, "b"}};
  const Constraint constraint(text_grammar("root ::= \"ab\""), std::make_shared<const Vocabulary>(tokens));
  Guide guide = constraint.guide();
  EXPECT_EQ(tokens_of(guide.allowed()), std::vector<TokenId>{0});
  ASSERT_TRUE(guide.accept(0));
  EXPECT_TRUE(tokens_of(guide.allowed()).empty());
  EXPECT_FALSE(guide.accept(2));
  EXPECT_FALSE(guide.accept(3));
  EXPECT_FALSE(guide.accept(-1));
  EXPECT_FALSE(guide.accept(4));
  const Constraint none(text_grammar("root ::= \"ab\""),
                        std::make_shared<const Vocabulary>(std::span<const TokenSpelling>()));
  Guide empty = none.guide();
  EXPECT_TRUE(empty.allowed().empty());
}

// The same place in another cache: what may follow is the same.
TEST(Masks, GoOverToAFreshCache) {
  for (const char* text : kGrammars) {
    core::Rng rng(11);
    const auto vocabulary = bytes_and(random_pieces(rng, 200));
    const auto first = std::make_shared<MaskCache>(text_grammar(text)->machine(), vocabulary);
    ConfigId config = first->start();
    for (int step = 0; step < 15; ++step) {
      auto second = first->fresh();
      const ConfigId moved = second->adopt(*first, config);
      ASSERT_EQ(tokens_of(first->mask(config)), tokens_of(second->mask(moved))) << text << ", step " << step;
      const auto allowed = tokens_of(first->mask(config));
      const TokenId token = allowed[rng.next_below(static_cast<uint32_t>(allowed.size()))];
      if (token == kEndForTest) break;
      config = first->next(config, vocabulary->spelling(token));
      ASSERT_NE(second->next(moved, vocabulary->spelling(token)), kDead);
    }
  }
}

// Every place of a long counted text, its masks shared where they are the same.
TEST(Masks, CountedTexts) {
  std::vector<std::string> pieces;
  for (size_t size = 2; size < 40; ++size) pieces.push_back(std::string(size, 'x'));
  for (size_t size = 1; size < 40; ++size) pieces.push_back(std::string(size, 'x') + "]");
  const auto vocabulary = bytes_and(pieces);
  const Constraint constraint(text_grammar("root ::= \"[\" [a-z]{100,400} \"]\""), vocabulary);
  const Constraint strings(
      text_grammar("root ::= %json {\"type\": \"string\", \"minLength\": 100, \"maxLength\": 400}"),
      vocabulary);
  Guide guide = constraint.guide(), string = strings.guide();
  ASSERT_TRUE(guide.accept('['));
  ASSERT_TRUE(string.accept('"'));
  for (size_t count = 0; count <= 400; ++count) {
    const auto inside = tokens_of(guide.allowed()), quoted = tokens_of(string.allowed());
    for (TokenId token = 0; token < static_cast<TokenId>(vocabulary->size()); ++token) {
      const std::string_view text = vocabulary->spelling(token);
      const bool closes = text.ends_with(']');
      const size_t letters = text.size() - (closes ? 1 : 0);
      const bool only_letters = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz") >= letters;
      const bool fits = !text.empty() && only_letters && count + letters <= 400 &&
                        (!closes || count + letters >= 100);
      ASSERT_EQ(std::binary_search(inside.begin(), inside.end(), token), fits)
          << count << " '" << text << "'";
      if (token <= kSpecialForTest) continue;
      ASSERT_EQ(std::binary_search(quoted.begin(), quoted.end(), token), count + text.size() <= 400)
          << count << " " << text;
    }
    if (count < 400) {
      ASSERT_TRUE(guide.accept('x'));
      ASSERT_TRUE(string.accept('x'));
    }
  }
}

TEST(Masks, ManyThreads) {
  const Constraint constraint(text_grammar(kGrammars[0]), bytes_and({"{\"", "\":", "abc"}));
  std::vector<std::thread> threads;
  std::vector<int> ended(4);
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      core::Rng rng(t);
      for (int i = 0; i < 5; ++i) ended[t] += draw_text(rng, constraint, 100).has_value() ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  for (const int count : ended) EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace mneme::grammar
