#include "model/pretokenizer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace mneme::model {
namespace {

using Pieces = std::vector<std::string>;

Pieces split(const char* name, std::string_view text, size_t bytes_max = 1 << 20) {
  const auto pretokenizer = Pretokenizer::make(name);
  EXPECT_TRUE(pretokenizer) << name;
  Pieces pieces;
  if (pretokenizer) {
    pretokenizer->split(text, bytes_max, [&](std::string_view piece) { pieces.emplace_back(piece); });
  }
  return pieces;
}

// The expectations are worked out by hand from the expressions published with the models.
TEST(Pretokenizer, Gpt2) {
  EXPECT_EQ(split("gpt-2", "I've 3 apples,  ok\n\n x"),
            (Pieces{"I", "'ve", " 3", " apples", ",", " ", " ok", "\n\n", " x"}));
  EXPECT_EQ(split("gpt-2", "I'VE 12345"), (Pieces{"I", "'", "VE", " 12345"}));
  EXPECT_EQ(split("gpt-2", "x\ny \n"), (Pieces{"x", "\n", "y", " \n"}));
}

TEST(Pretokenizer, LlamaBpe) {
  for (const char* name : {"llama-bpe", "llama3", "llama-v3"}) {
    EXPECT_EQ(split(name, "I'VE 12345 (foo)\r\n  bar"),
              (Pieces{"I", "'VE", " ", "123", "45", " (", "foo", ")\r\n", " ", " bar"}));
    EXPECT_EQ(split(name, "(foo  \n \n  x"), (Pieces{"(foo", "  \n \n", " ", " x"}));
    EXPECT_TRUE(Pretokenizer::make(name)->traits().whole_words);
    EXPECT_TRUE(Pretokenizer::make(name)->traits().add_bos);
  }
}

TEST(Pretokenizer, Qwen2) {
  for (const char* name : {"qwen2", "qwen3", "deepseek-r1-qwen"}) {
    EXPECT_EQ(split(name, "a1b22 你好,world"), (Pieces{"a", "1", "b", "2", "2", " 你好", ",world"}));
    EXPECT_FALSE(Pretokenizer::make(name)->traits().whole_words);
    EXPECT_FALSE(Pretokenizer::make(name)->traits().add_bos);
  }
}

TEST(Pretokenizer, DeepSeekLlm) {
  EXPECT_EQ(split("deepseek-llm", "Hello, 世界 2024\nok"),
            (Pieces{"Hello", ",", " ", "世界", " ", "2024", "\n", "ok"}));
  EXPECT_EQ(split("deepseek-llm", "a  b  "), (Pieces{"a", " ", " b", "  "}));
  // Listed letters take a space in front, others (U+0294, Arabic) are what is left between. The range of Han
  // and its neighbours, U+0800 to U+D7FF with gaps, comes later and divides once more: it has the Kelvin sign
  // and polytonic Greek.
  EXPECT_EQ(split("deepseek-llm", "\u212Ax \u03CE\u1F7D \u0294 \u0628\u06617"),
            (Pieces{"\u212A", "x", " \u03CE", "\u1F7D", " \u0294 \u0628", "\u06617"}));
  EXPECT_EQ(split("deepseek-llm", "\r\n"), (Pieces{"\r", "\n"}));
}

TEST(Pretokenizer, DeepSeekCoder) {
  EXPECT_EQ(split("deepseek-coder", "x = 12;\n"), (Pieces{"x", " = ", "1", "2", ";", "\n"}));
  EXPECT_EQ(split("deepseek-coder", "  if(a)"), (Pieces{" ", " if", "(", "a", ")"}));
}

TEST(Pretokenizer, DeepSeekV3) {
  EXPECT_EQ(split("deepseek-v3", "Hello 12345世界の!abc  \n x"),
            (Pieces{"Hello", " ", "123", "45", "世界の", "!abc", "  \n", " x"}));
  EXPECT_EQ(split("deepseek-v3", "e\u0301a ...\n= b"), (Pieces{"e\u0301a", " ...\n", "=", " b"}));
}

TEST(Pretokenizer, Default) {
  EXPECT_EQ(split("default", "Hi, it's 12345 $5"),
            (Pieces{"Hi", ",", " it", "'", "s", " ", "123", "45", " ", "$", "5"}));
}

TEST(Pretokenizer, SpacesAreUnicodeWhiteSpace) {
  EXPECT_EQ(split("gpt-2", "!\u180E"), (Pieces{"!\u180E"}));  // U+180E is none since Unicode 6.3
  EXPECT_EQ(split("gpt-2", "!\u3000"), (Pieces{"!", "\u3000"}));
  EXPECT_EQ(split("gpt-2", "!\u0085"), (Pieces{"!", "\u0085"}));
}

TEST(Pretokenizer, BytesThatAreNotUtf8AreApart) {
  EXPECT_EQ(split("llama-bpe", "ab\xFF\xFE cd"), (Pieces{"ab", "\xFF\xFE", " cd"}));
  EXPECT_EQ(split("llama-bpe", "\xE2\x82"), (Pieces{"\xE2\x82"}));
  EXPECT_EQ(split("qwen2", "a\xED\xA0\x80z"), (Pieces{"a", "\xED\xA0\x80", "z"}));
}

TEST(Pretokenizer, CutsLongPiecesBetweenCharacters) {
  EXPECT_EQ(split("gpt-2", "ééééé", 5), (Pieces{"éé", "éé", "é"}));
  EXPECT_EQ(split("gpt-2", std::string(9, '\xBF'), 4),
            (Pieces{std::string(4, '\xBF'), std::string(4, '\xBF'), "\xBF"}));
  EXPECT_EQ(split("gpt-2", "\U0001F600\U0001F600", 4), (Pieces{"\U0001F600", "\U0001F600"}));
}

TEST(Pretokenizer, UnknownNamesAreRefused) {
  for (const char* name : {"", "nope", "gpt2"}) {
    const auto pretokenizer = Pretokenizer::make(name);
    ASSERT_FALSE(pretokenizer);
    EXPECT_NE(pretokenizer.error().message.find(name), std::string::npos);
  }
}

TEST(Pretokenizer, LosesNothingOfRandomBytes) {
  const uint32_t seed = 20240817;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::string letters[] = {" ", "\n", "\r",         "a",    "Z",    "'s", "'",     "1",
                                 "é", "世", "\U0001F600", "\xFF", "\xE2", "!",  "\u3000"};
  for (const char* name :
       {"gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "deepseek-coder", "deepseek-v3", "default"}) {
    for (int round = 0; round < 200; round++) {
      std::string text;
      for (size_t n = random() % 60; n > 0; n--) text += letters[random() % std::size(letters)];
      std::string joined;
      for (const std::string& piece : split(name, text, 4 + random() % 20)) {
        EXPECT_FALSE(piece.empty());
        joined += piece;
      }
      EXPECT_EQ(joined, text) << name;
    }
  }
}

// Quadratic time would make this run for hours.
TEST(Pretokenizer, LongRunsAreLinear) {
  for (const char* name : {"gpt-2", "llama-bpe", "deepseek-llm", "deepseek-v3", "default"}) {
    for (const std::string unit : {" ", "\n", "a", "1", "!", "é", "\xFF", " \n", "\t"}) {
      std::string text;
      while (text.size() < 300'000) text += unit;
      text += "中";  // not blank: what follows a run of spaces matters
      size_t bytes = 0;
      for (const std::string& piece : split(name, text)) bytes += piece.size();
      EXPECT_EQ(bytes, text.size());
    }
  }
}

}  // namespace
}  // namespace mneme::model
