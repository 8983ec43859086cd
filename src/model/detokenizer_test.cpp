#include <gtest/gtest.h>

#include <random>
#include <string>

#include "core/utf8.h"
#include "model/tokenizer_for_test.h"

namespace mneme::model {
namespace {

std::string push_all(Detokenizer& detokenizer, std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += detokenizer.push(static_cast<uint8_t>(byte));  // byte = id
  return text;
}

TEST(Detokenizer, HoldsBackUnfinishedCharacters) {
  const auto tokenizer = load_for_test(byte_level_for_test());
  ASSERT_TRUE(tokenizer);
  Detokenizer detokenizer(*tokenizer);
  EXPECT_EQ(detokenizer.push('a'), "a");
  EXPECT_EQ(detokenizer.push(0xF0), "");
  EXPECT_EQ(detokenizer.push(0x9F), "");
  EXPECT_EQ(detokenizer.push(0x98), "");
  EXPECT_EQ(detokenizer.push(*tokenizer->find_token("<|eos|>")), "");  // a hidden token changes nothing
  EXPECT_EQ(detokenizer.push(0x80), "\U0001F600");
  EXPECT_EQ(detokenizer.push(*tokenizer->find_token("Ã©")), "é");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Detokenizer, BrokenTailsBecomeReplacementCharacters) {
  const auto tokenizer = load_for_test(byte_level_for_test());
  ASSERT_TRUE(tokenizer);
  Detokenizer detokenizer(*tokenizer);
  EXPECT_EQ(push_all(detokenizer, "a\xE2\x82"), "a");
  EXPECT_EQ(detokenizer.finish(), "\uFFFD");
  EXPECT_EQ(push_all(detokenizer, "\xE2\x82z"), "\uFFFDz");
  EXPECT_EQ(push_all(detokenizer, "\xC0\xAF"), "\uFFFD\uFFFD");
  EXPECT_EQ(push_all(detokenizer, "\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
}

TEST(Detokenizer, MaximalSubparts) {
  // Unicode 15, table 3-11: the last example of section 3.9.
  const std::string bytes = "\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64";
  const auto tokenizer = load_for_test(byte_level_for_test());
  ASSERT_TRUE(tokenizer);
  Detokenizer detokenizer(*tokenizer);
  EXPECT_EQ(push_all(detokenizer, bytes), "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd");
}

TEST(Detokenizer, EveryPieceOfTextIsValidUtf8) {
  const auto tokenizer = load_for_test(byte_level_for_test());
  ASSERT_TRUE(tokenizer);
  std::mt19937 random(5);
  Detokenizer detokenizer(*tokenizer, true);
  for (int i = 0; i < 20000; i++) {
    const auto token = static_cast<TokenId>(random() % static_cast<uint32_t>(tokenizer->vocab_size()));
    const std::string text = detokenizer.push(token);
    ASSERT_EQ(core::utf8_valid_prefix(text), text.size());
  }
}

TEST(Detokenizer, ShowsSpecialTokensOnRequest) {
  const auto tokenizer = load_for_test(byte_level_for_test());
  ASSERT_TRUE(tokenizer);
  const TokenId end = *tokenizer->find_token("<|im_end|>");
  EXPECT_EQ(Detokenizer(*tokenizer).push(end), "");
  EXPECT_EQ(Detokenizer(*tokenizer, true).push(end), "<|im_end|>");
  EXPECT_EQ(Detokenizer(*tokenizer).push(*tokenizer->find_token("<tool_call>")), "<tool_call>");
}

TEST(Detokenizer, DropsTheSpaceThatSentencePieceAdds) {
  const auto tokenizer = load_for_test(sentence_piece_for_test());
  ASSERT_TRUE(tokenizer);
  for (const std::string text : {"hello", " hello", "  hello the", "é", "", " ", "世 hello", "<tool>"}) {
    Detokenizer detokenizer(*tokenizer);
    std::string back;
    for (const TokenId token : tokenizer->encode(text, {})) back += detokenizer.push(token);
    back += detokenizer.finish();
    EXPECT_EQ(back, text);
  }
  VocabularyForTest vocabulary = sentence_piece_for_test();
  vocabulary.flags.push_back({"add_space_prefix", false});
  const auto without = load_for_test(vocabulary);
  ASSERT_TRUE(without);
  EXPECT_EQ(Detokenizer(*without).push(*without->find_token("▁the")), " the");
}

}  // namespace
}  // namespace mneme::model
