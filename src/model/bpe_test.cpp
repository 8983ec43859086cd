#include "model/bpe.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "model/tokenizer_for_test.h"

namespace mneme::model {
namespace {

using Tokens = std::vector<TokenId>;

// The definition, word for word: while some neighbours can be merged, merge the leftmost pair of the best
// rank.
Tokens merge_by_definition(const VocabularyForTest& vocabulary, const std::string& bytes) {
  std::map<std::string, TokenId> ids;
  for (size_t i = 0; i < vocabulary.tokens.size(); i++)
    ids.emplace(vocabulary.tokens[i], static_cast<TokenId>(i));
  std::vector<std::string> symbols;
  for (const char c : bytes) append_byte_level({&c, 1}, symbols.emplace_back());
  while (true) {
    size_t best_rank = vocabulary.merges.size();
    size_t best = 0;
    for (size_t i = 0; i + 1 < symbols.size(); i++) {
      for (size_t rank = 0; rank < best_rank; rank++) {
        if (vocabulary.merges[rank] != symbols[i] + " " + symbols[i + 1]) continue;
        best_rank = rank;
        best = i;
      }
    }
    if (best_rank == vocabulary.merges.size()) break;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  Tokens tokens;
  for (const std::string& symbol : symbols) tokens.push_back(ids.at(symbol));
  return tokens;
}

struct Loaded {
  Vocabulary vocabulary;
  Bpe bpe;
};

Result<Loaded> load(const VocabularyForTest& vocabulary) {
  auto file = open_for_test(vocabulary);
  if (!file) return core::pass(file);
  auto read = Vocabulary::load(*file, Spelling::kByteLevel);
  if (!read) return core::pass(read);
  auto bpe = Bpe::load(*file, *read);
  if (!bpe) return core::pass(bpe);
  return Loaded{std::move(*read), std::move(*bpe)};
}

Tokens encode(const Loaded& loaded, std::string_view piece, bool whole_words = false, size_t bytes = 0) {
  Bpe::Scratch scratch;
  Bpe::prepare(scratch, bytes);
  Tokens tokens;
  loaded.bpe.encode(loaded.vocabulary, piece, whole_words, scratch, tokens);
  return tokens;
}

// Merges of random existing tokens over a few letters: many ties, chains and merges that block each other.
VocabularyForTest random_merges(std::mt19937& random, int count) {
  VocabularyForTest vocabulary = byte_level_for_test();
  vocabulary.merges.clear();
  std::vector<std::string> made = {"a", "b", "c", "Ġ", "Ã", "©"};
  while (count-- > 0) {
    const std::string left = made[random() % made.size()];
    const std::string right = made[random() % made.size()];
    if (left.size() + right.size() > 12) continue;
    vocabulary.add_merge(left, right);  // the same one twice now and then: the first counts
    made.push_back(left + right);
  }
  return vocabulary;
}

TEST(Bpe, EqualsTheDefinition) {
  const uint32_t seed = 7;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 40; round++) {
    const VocabularyForTest vocabulary = random_merges(random, 1 + static_cast<int>(random() % 60));
    const auto loaded = load(vocabulary);
    ASSERT_TRUE(loaded) << loaded.error().message;
    Bpe::Scratch scratch;
    Bpe::prepare(scratch, 1 << 16);  // with the cache of words
    for (int text_count = 0; text_count < 30; text_count++) {
      std::string text;
      const size_t size = random() % (text_count % 3 == 0 ? 200 : 20);  // both sides of merge_symbols' border
      while (text.size() < size) text += "abc \xC3\xA9"[random() % 6];
      Tokens tokens;
      loaded->bpe.encode(loaded->vocabulary, text, false, scratch, tokens);
      EXPECT_EQ(tokens, merge_by_definition(vocabulary, text)) << text;
      EXPECT_EQ(encode(*loaded, text), tokens);
    }
  }
}

TEST(Bpe, WholeWordsGoBeforeMerges) {
  VocabularyForTest vocabulary = byte_level_for_test();
  const TokenId whole = vocabulary.add("abc");  // no merge makes it
  const TokenId spaced = vocabulary.add("Ġx");
  const TokenId control = vocabulary.add("xyz", TokenType::kControl);
  const auto loaded = load(vocabulary);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(encode(*loaded, "abc", true), Tokens{whole});
  EXPECT_EQ(encode(*loaded, " x", true), Tokens{spaced});
  EXPECT_EQ(encode(*loaded, "abc", false), (Tokens{'a', 'b', 'c'}));
  EXPECT_EQ(encode(*loaded, "xyz", true), (Tokens{'x', 'y', 'z'})) << "not token " << control;
}

TEST(Bpe, TextNeverMergesToControlTokens) {
  VocabularyForTest vocabulary = byte_level_for_test();
  vocabulary.merges.push_back("x y");
  vocabulary.add("xy", TokenType::kControl);
  const auto loaded = load(vocabulary);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(encode(*loaded, "xy"), (Tokens{'x', 'y'}));
}

TEST(Bpe, MissingBytes) {
  VocabularyForTest vocabulary = byte_level_for_test();
  vocabulary.tokens[0xFF] = "gone";
  auto loaded = load(vocabulary);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(encode(*loaded, "a\xFF"), (Tokens{'a', 0xEF, 0xBF, 0xBD}));
  // "ÿ" as the character, which is how byte FF is spelled in the alphabet.
  vocabulary.add("ÿ", TokenType::kUserDefined);
  loaded = load(vocabulary);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(encode(*loaded, "a\xFF"), (Tokens{'a', 0xEF, 0xBF, 0xBD}));
  const TokenId unknown = vocabulary.add("<unk>", TokenType::kUnknown);
  loaded = load(vocabulary);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(encode(*loaded, "a\xFF\xFF"), (Tokens{'a', unknown, unknown}));
}

TEST(Bpe, MalformedMergesAreRefused) {
  for (const char* merge : {"", " ", "ab", "a ", "a zz", "zz a", "a b", "a  b", "h e "}) {
    VocabularyForTest vocabulary = byte_level_for_test();
    vocabulary.merges.push_back(merge);
    const auto loaded = load(vocabulary);
    ASSERT_FALSE(loaded) << "'" << merge << "'";
    EXPECT_NE(loaded.error().message.find("tokenizer.ggml.merges: merge 16 "), std::string::npos)
        << loaded.error().message;
  }
  VocabularyForTest vocabulary = byte_level_for_test();
  vocabulary.merges.clear();
  EXPECT_FALSE(load(vocabulary));  // the key is missing
}

}  // namespace
}  // namespace mneme::model
