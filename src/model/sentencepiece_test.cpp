#include "model/sentencepiece.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/utf8.h"
#include "model/tokenizer_for_test.h"

namespace mneme::model {
namespace {

using Tokens = std::vector<TokenId>;

struct Loaded {
  Vocabulary vocabulary;
  SentencePiece model;
};

Result<Loaded> load(const VocabularyForTest& vocabulary) {
  auto file = open_for_test(vocabulary);
  if (!file) return core::pass(file);
  auto read = Vocabulary::load(*file, Spelling::kSentencePiece);
  if (!read) return core::pass(read);
  auto model = SentencePiece::load(*file, *read);
  if (!model) return core::pass(model);
  return Loaded{std::move(*read), std::move(*model)};
}

Tokens encode(const Loaded& loaded, std::string_view text, bool space_prefix) {
  SentencePiece::Scratch scratch;
  Tokens tokens;
  loaded.model.encode(loaded.vocabulary, text, space_prefix, scratch, tokens);
  return tokens;
}

// The definition over the whole text: join the leftmost neighbours whose result has the highest score.
Tokens merge_by_definition(const VocabularyForTest& vocabulary, std::string_view text) {
  std::map<std::string, TokenId> ids;
  for (size_t i = 0; i < vocabulary.tokens.size(); i++) {
    const auto type = static_cast<TokenType>(vocabulary.types[i]);
    const bool joined = type == TokenType::kNormal || type == TokenType::kUserDefined;
    if (joined) ids.emplace(vocabulary.tokens[i], static_cast<TokenId>(i));
  }
  std::vector<std::string> symbols;
  while (!text.empty()) {
    const size_t length = core::decode_utf8(text).length;
    symbols.push_back(text[0] == ' ' ? "▁" : std::string(text.substr(0, length)));
    text.remove_prefix(length);
  }
  while (true) {
    float best_score = -std::numeric_limits<float>::infinity();
    size_t best = symbols.size();
    for (size_t i = 0; i + 1 < symbols.size(); i++) {
      const auto found = ids.find(symbols[i] + symbols[i + 1]);
      if (found == ids.end()) continue;
      const float score = vocabulary.scores[static_cast<size_t>(found->second)];
      if (score <= best_score) continue;
      best_score = score;
      best = i;
    }
    if (best == symbols.size()) break;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  Tokens tokens;
  for (const std::string& symbol : symbols) {
    if (const auto found = ids.find(symbol); found != ids.end()) {
      tokens.push_back(found->second);
      continue;
    }
    for (const char byte : symbol) tokens.push_back(3 + static_cast<uint8_t>(byte));
  }
  return tokens;
}

TEST(SentencePiece, EqualsTheDefinition) {
  const uint32_t seed = 11;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::string letters[] = {"a", "b", "▁", "é", "世"};
  for (int round = 0; round < 40; round++) {
    VocabularyForTest vocabulary = sentence_piece_for_test();
    for (size_t n = 1 + random() % 50; n > 0; n--) {
      std::string piece;
      for (size_t size = 2 + random() % 3; size > 0; size--) piece += letters[random() % std::size(letters)];
      // Few different scores, so that many are equal; of twins the first counts.
      vocabulary.add(piece, TokenType::kNormal, static_cast<float>(random() % 5) - 2.5f);
    }
    const auto loaded = load(vocabulary);
    ASSERT_TRUE(loaded) << loaded.error().message;
    for (int text_count = 0; text_count < 30; text_count++) {
      std::string text;
      const std::string units[] = {"a", "b", " ", "é", "世", "\xFF", "hello", "\xE4\xB8"};
      for (size_t n = random() % (text_count % 3 == 0 ? 200 : 20); n > 0; n--) text += units[random() % 8];
      EXPECT_EQ(encode(*loaded, text, false), merge_by_definition(vocabulary, text)) << text;
      EXPECT_EQ(encode(*loaded, text, true), merge_by_definition(vocabulary, " " + text)) << text;
    }
  }
}

TEST(SentencePiece, UnknownCharactersAreSpelledInBytes) {
  const auto loaded = load(sentence_piece_for_test());
  ASSERT_TRUE(loaded);
  const auto byte = [](int value) { return 3 + value; };
  EXPECT_EQ(encode(*loaded, "世\xFF\n", false),
            (Tokens{byte(0xE4), byte(0xB8), byte(0x96), byte(0xFF), byte('\n')}));
  EXPECT_EQ(encode(*loaded, "", false), Tokens{});
}

TEST(SentencePiece, TextNeverMergesToControlTokens) {
  const auto loaded = load(sentence_piece_for_test());
  ASSERT_TRUE(loaded);
  const auto id = [&](const char* text) { return *loaded->vocabulary.find(text); };
  EXPECT_EQ(encode(*loaded, "<s>", false), (Tokens{id("<"), id("s>")}));
}

TEST(SentencePiece, LongTextsWithoutBorders) {
  VocabularyForTest vocabulary = sentence_piece_for_test();
  const TokenId pair = vocabulary.add("aa", TokenType::kNormal, 1);
  const auto loaded = load(vocabulary);
  ASSERT_TRUE(loaded);
  const Tokens tokens = encode(*loaded, std::string(SentencePiece::kStretchBytesMax * 2, 'a'), false);
  EXPECT_EQ(tokens, Tokens(SentencePiece::kStretchBytesMax, pair));
}

TEST(SentencePiece, WrongScoresAreRefused) {
  const auto message = [](const VocabularyForTest& vocabulary) {
    const auto loaded = load(vocabulary);
    return loaded ? std::string() : loaded.error().message;
  };
  VocabularyForTest vocabulary = sentence_piece_for_test();
  vocabulary.scores.pop_back();
  EXPECT_NE(message(vocabulary).find("tokenizer.ggml.scores: "), std::string::npos);
  vocabulary.scores.push_back(std::numeric_limits<float>::quiet_NaN());
  EXPECT_NE(message(vocabulary).find("tokenizer.ggml.scores: "), std::string::npos);
  vocabulary.scores.clear();
  EXPECT_NE(message(vocabulary).find("tokenizer.ggml.scores"), std::string::npos);
}

}  // namespace
}  // namespace mneme::model
