#include "model/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "core/file.h"
#include "model/tokenizer_for_test.h"

namespace mneme::model {
namespace {

using Tokens = std::vector<TokenId>;

constexpr Tokenizer::EncodeOptions kPlain = {.add_bos_eos = false, .parse_specials = false};
constexpr Tokenizer::EncodeOptions kSpecials = {.add_bos_eos = false, .parse_specials = true};

std::string joined_pieces(const Tokenizer& tokenizer, const Tokens& tokens) {
  std::string bytes;
  for (const TokenId token : tokens) bytes += tokenizer.piece(token, true);
  return bytes;
}

// tests of real vocabularies: NAME.gguf with NAME.gguf.inp (texts) and NAME.gguf.out (their ids).
class SharedVocabulary : public testing::TestWithParam<const char*> {};

TEST_P(SharedVocabulary, EncodesAsTheReferenceDoes) {
  const std::string path = std::string(MNEME_SOURCE_DIR "/../shared/tokenizers/ggml-vocab-") + GetParam() +
                           ".gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not here";
  const auto file = Gguf::open(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto tokenizer = Tokenizer::load(*file);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto texts = core::read_text_file(path + ".inp");
  const auto expected = core::read_text_file(path + ".out");
  ASSERT_TRUE(texts && expected);
  const std::string border = "\n__ggml_vocab_test__\n";
  std::istringstream lines(*expected);
  int pairs = 0;
  for (size_t at = 0, end = 0; (end = texts->find(border, at)) != std::string::npos;
       at = end + border.size()) {
    const std::string text = texts->substr(at, end - at);
    std::string line;
    ASSERT_TRUE(std::getline(lines, line));
    std::istringstream numbers(line);
    const Tokens wanted{std::istream_iterator<TokenId>(numbers), {}};
    const Tokens tokens = tokenizer->encode(text, kPlain);
    EXPECT_EQ(tokens, wanted) << text;
    Detokenizer detokenizer(*tokenizer);
    std::string back;
    for (const TokenId token : tokens) back += detokenizer.push(token);
    EXPECT_EQ(back + detokenizer.finish(), text);
    pairs++;
  }
  EXPECT_EQ(pairs, 46);
  std::string rest;
  EXPECT_FALSE(std::getline(lines, rest)) << rest;
}

INSTANTIATE_TEST_SUITE_P(Files, SharedVocabulary,
                         testing::Values("gpt-2", "llama-bpe", "llama-spm", "qwen2"));

TEST(Tokenizer, AnyBytesRoundTrip) {
  const uint32_t seed = 42;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (const char* pre :
       {"gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "deepseek-coder", "deepseek-v3", "default"}) {
    VocabularyForTest vocabulary = byte_level_for_test();
    vocabulary.pre = pre;
    const auto tokenizer = load_for_test(vocabulary);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    for (int round = 0; round < 100; round++) {
      std::string text;
      for (size_t n = random() % 300; n > 0; n--) text.push_back(static_cast<char>(random()));
      if (round % 2 == 0) text += "hello <|im_end|> the <tool_call>\xF0\x9F";
      EXPECT_EQ(joined_pieces(*tokenizer, tokenizer->encode(text, kPlain)), text);
      EXPECT_EQ(joined_pieces(*tokenizer, tokenizer->encode(text, kSpecials)), text);
    }
  }
}

TEST(Tokenizer, SpecialTokensInText) {
  const auto tokenizer = load_for_test(byte_level_for_test());
  ASSERT_TRUE(tokenizer);
  const auto id = [&](const char* text) { return tokenizer->find_token(text).value(); };
  EXPECT_EQ(tokenizer->encode("a<|im_end|>b", kSpecials), (Tokens{'a', id("<|im_end|>"), 'b'}));
  EXPECT_EQ(tokenizer->encode("<|im_end", kSpecials), (Tokens{id("<|im"), '_', 'e', 'n', 'd'}));
  EXPECT_EQ(tokenizer->encode("<<|bos|><|eos|>", kSpecials), (Tokens{'<', id("<|bos|>"), id("<|eos|>")}));
  EXPECT_EQ(tokenizer->encode("<|bos|", kSpecials).size(), 6u);
  // Control tokens are text unless asked for; user-defined ones are found always, the longest first.
  EXPECT_EQ(tokenizer->encode("<|bos|>", kPlain), (Tokens{'<', '|', 'b', 'o', 's', '|', '>'}));
  EXPECT_EQ(tokenizer->encode("<tool_call>x<tool", kPlain), (Tokens{id("<tool_call>"), 'x', id("<tool")}));
  EXPECT_EQ(tokenizer->encode("", kSpecials), Tokens{});
  EXPECT_TRUE(tokenizer->is_special(id("<|bos|>")));
  EXPECT_TRUE(tokenizer->is_special(id("<tool")));
  EXPECT_FALSE(tokenizer->is_special('a'));
}

TEST(Tokenizer, SentencePieceSpecialsAndSpaces) {
  const auto tokenizer = load_for_test(sentence_piece_for_test());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto id = [&](const char* text) { return tokenizer->find_token(text).value(); };
  EXPECT_EQ(tokenizer->encode("hello the", {}), (Tokens{1, id("▁hello"), id("▁the")}));
  EXPECT_EQ(tokenizer->encode("hello</s>hello", {}), (Tokens{1, id("▁hello"), 2, id("▁hello")}));
  EXPECT_EQ(tokenizer->encode("the<tool>", kPlain), (Tokens{id("▁the"), id("<tool>")}));
  EXPECT_EQ(tokenizer->encode("<s>", kPlain), (Tokens{id("▁"), id("<"), id("s>")}));
  EXPECT_EQ(tokenizer->encode("", {}), Tokens{1});
  EXPECT_EQ(tokenizer->piece(3 + '\n'), "\n");
  EXPECT_EQ(tokenizer->piece(id("▁▁")), "  ");
  EXPECT_EQ(tokenizer->piece(0), "");
  EXPECT_EQ(tokenizer->piece(0, true), "<unk>");
  EXPECT_EQ(tokenizer->token_text(id("▁▁")), "▁▁");
  EXPECT_TRUE(tokenizer->is_end_of_generation(2));
  EXPECT_EQ(tokenizer->model_name(), "llama");
  EXPECT_EQ(tokenizer->pre_name(), "");
}

TEST(Tokenizer, BosAndEosFlags) {
  VocabularyForTest vocabulary = byte_level_for_test();
  auto tokenizer = load_for_test(vocabulary);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->bos(), std::nullopt);
  const auto bos = static_cast<uint32_t>(*tokenizer->find_token("<|bos|>"));
  const TokenId bos_id = static_cast<TokenId>(bos);
  vocabulary.numbers = {{"bos_token_id", bos}, {"eos_token_id", bos + 1}};
  tokenizer = load_for_test(vocabulary);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->bos(), bos_id);
  EXPECT_EQ(tokenizer->eos(), bos_id + 1);
  EXPECT_EQ(tokenizer->encode("a", {}), Tokens{'a'}) << "gpt-2 adds none";
  vocabulary.pre = "llama-bpe";
  tokenizer = load_for_test(vocabulary);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->encode("a", {}), (Tokens{bos_id, 'a'}));
  EXPECT_EQ(tokenizer->encode("a", kSpecials), Tokens{'a'});
  vocabulary.flags = {{"add_bos_token", false}, {"add_eos_token", true}};
  tokenizer = load_for_test(vocabulary);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->encode("a", {}), (Tokens{'a', bos_id + 1}));
}

TEST(Tokenizer, EndOfGeneration) {
  VocabularyForTest vocabulary = byte_level_for_test();
  const auto deepseek = vocabulary.add("<｜end▁of▁sentence｜>", TokenType::kControl);
  vocabulary.numbers = {
      {"eos_token_id", 'x'}, {"eot_token_id", 'y'}, {"eom_token_id", 'z'}, {"bos_token_id", 0xFFFFFFFF}};
  const auto tokenizer = load_for_test(vocabulary);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  for (const TokenId id :
       {TokenId{'x'}, TokenId{'y'}, TokenId{'z'}, deepseek, *tokenizer->find_token("<|im_end|>")}) {
    EXPECT_TRUE(tokenizer->is_end_of_generation(id)) << id;
  }
  EXPECT_FALSE(tokenizer->is_end_of_generation('a'));
  EXPECT_FALSE(tokenizer->is_end_of_generation(-1));
  EXPECT_EQ(tokenizer->bos(), std::nullopt);
}

TEST(Tokenizer, ErrorsNameTheKey) {
  const auto expect_error = [](const VocabularyForTest& vocabulary, const char* key) {
    const auto tokenizer = load_for_test(vocabulary);
    ASSERT_FALSE(tokenizer) << key;
    EXPECT_NE(tokenizer.error().message.find(key), std::string::npos) << tokenizer.error().message;
  };
  VocabularyForTest vocabulary = byte_level_for_test();
  vocabulary.model = "bert\n";
  expect_error(vocabulary, "tokenizer.ggml.model");
  vocabulary = byte_level_for_test();
  vocabulary.pre = "unheard-of";
  expect_error(vocabulary, "tokenizer.ggml.pre");
  vocabulary = byte_level_for_test();
  vocabulary.types.pop_back();
  expect_error(vocabulary, "tokenizer.ggml.token_type");
  vocabulary = byte_level_for_test();
  vocabulary.types[3] = 7;
  expect_error(vocabulary, "tokenizer.ggml.token_type");
  vocabulary = byte_level_for_test();
  vocabulary.tokens.clear();
  vocabulary.types.clear();
  expect_error(vocabulary, "tokenizer.ggml.tokens");
  for (const char* key : {"bos_token_id", "eos_token_id", "eot_token_id", "eom_token_id"}) {
    vocabulary = byte_level_for_test();
    vocabulary.numbers = {{key, static_cast<uint32_t>(vocabulary.tokens.size())}};
    expect_error(vocabulary, key);
  }
}

TEST(Tokenizer, MissingPreTokeniserMeansDefault) {
  VocabularyForTest vocabulary = byte_level_for_test();
  vocabulary.pre.clear();
  const auto tokenizer = load_for_test(vocabulary);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->pre_name(), "default");
}

TEST(Tokenizer, TwinsAndEmptyTokens) {
  VocabularyForTest vocabulary = byte_level_for_test();
  vocabulary.add("a");
  const TokenId empty = vocabulary.add("", TokenType::kControl);
  vocabulary.add("<|bos|>", TokenType::kControl);
  const auto tokenizer = load_for_test(vocabulary);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->find_token("a"), 'a');
  EXPECT_EQ(tokenizer->find_token(""), empty);
  EXPECT_EQ(tokenizer->encode("a<|bos|>", kSpecials), (Tokens{'a', *tokenizer->find_token("<|bos|>")}));
}

}  // namespace
}  // namespace mneme::model
