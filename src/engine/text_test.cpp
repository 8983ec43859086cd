#include "mneme/text.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace mneme {
namespace {

const std::string kFixture = std::string(MNEME_SOURCE_DIR) + "/tests/data/fixture.gguf";

const std::vector<ChatMessage> kTalk{{"system", "Be brief."}, {"user", "Hi"}};
constexpr std::string_view kChatMl =
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";

TEST(Text, RendersTheFilesTemplate) {
  auto text = Text::open(kFixture);
  ASSERT_TRUE(text) << text.error().message;
  auto prompt = (*text)->render_chat(kTalk, {});
  ASSERT_TRUE(prompt) << prompt.error().message;
  EXPECT_EQ(*prompt, kChatMl);
  auto without = (*text)->render_chat(kTalk, {.add_generation_prompt = false});
  ASSERT_TRUE(without);
  EXPECT_EQ(*without + "<|im_start|>assistant\n", kChatMl);
}

TEST(Text, FallsBackToChatMl) {
  const std::string path = std::string(MNEME_SOURCE_DIR) + "/../shared/tokenizers/ggml-vocab-qwen2.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is missing";
  auto text = Text::open(path);
  ASSERT_TRUE(text) << text.error().message;
  auto prompt = (*text)->render_chat(kTalk, {});
  ASSERT_TRUE(prompt) << prompt.error().message;
  EXPECT_EQ(*prompt, kChatMl);
}

TEST(Text, EncodesAndDecodes) {
  auto text = Text::open(kFixture);
  ASSERT_TRUE(text);
  for (const std::string words : {"", "Hello, world!", "你好,世界。", "a\n\n\tb  c", "\xff\xfe broken"}) {
    const auto tokens = (*text)->encode(words, {.add_bos_eos = false, .parse_specials = false});
    std::string streamed;
    const auto stream = (*text)->stream(false);
    for (const TokenId token : tokens) streamed += stream->push(token);
    streamed += stream->finish();
    EXPECT_EQ(streamed, (*text)->decode(tokens, false));
    if (words.find('\xff') == std::string::npos) {
      EXPECT_EQ(streamed, words);
    }
  }
}

TEST(Text, SpecialsAreRecognisedOnlyWhenAsked) {
  auto text = Text::open(kFixture);
  ASSERT_TRUE(text);
  const auto parsed = (*text)->encode("<|im_end|>", {.add_bos_eos = false, .parse_specials = true});
  ASSERT_EQ(parsed.size(), 1u);
  EXPECT_TRUE((*text)->is_end_of_generation(parsed[0]));
  const auto plain = (*text)->encode("<|im_end|>", {.add_bos_eos = false, .parse_specials = false});
  EXPECT_GT(plain.size(), 1u);
  EXPECT_EQ((*text)->decode(plain, false), "<|im_end|>");
}

TEST(Text, BadFilesAreErrors) {
  EXPECT_FALSE(Text::open("/nonexistent.gguf"));
  EXPECT_FALSE(Text::open("/tmp"));
}

}  // namespace
}  // namespace mneme
