#include "corpus/bpe_trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "core/rng.h"
#include "model/chat_template.h"
#include "model/jinja_json.h"

namespace mneme::corpus {
namespace {

constexpr const char* kText =
    "the cat sat on the mat, and the other cat sat on the other mat. 机器学习 is 机器学习; 学习 is "
    "learning.\n"
    "    if (x == 10) {\n        return x + 100;\n    }\naaaa aaaaa aaaaaa abababab don't they'll\n\n\n";

WordCounts count(std::string_view text) {
  auto words = WordCounts::make();
  EXPECT_TRUE(words);
  words->add(text);
  return std::move(*words);
}

// The definition: count all pairs of all words anew for each merge.
std::vector<Merge> train_naively(const WordCounts& counts, const BpeOptions& options) {
  std::vector<std::pair<std::vector<TokenId>, uint64_t>> words;
  for (const auto& [text, n] : counts.counts()) {
    words.push_back({{}, n});
    for (const char byte : text) words.back().first.push_back(static_cast<uint8_t>(byte));
  }
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; byte++) tokens.emplace_back(1, static_cast<char>(byte));
  std::vector<Merge> merges;
  while (static_cast<int>(tokens.size()) < 256 + options.learned) {
    std::map<std::pair<TokenId, TokenId>, uint64_t> pairs;  // in the order that decides ties
    for (const auto& [word, n] : words) {
      for (size_t i = 0; i + 1 < word.size(); i++) pairs[{word[i], word[i + 1]}] += n;
    }
    const std::pair<TokenId, TokenId>* best = nullptr;
    uint64_t best_count = options.count_min - 1;
    for (const auto& [pair, n] : pairs) {
      const size_t bytes = tokens[static_cast<size_t>(pair.first)].size() +
                           tokens[static_cast<size_t>(pair.second)].size();
      if (n <= best_count || bytes > options.token_bytes_max) continue;
      best = &pair;
      best_count = n;
    }
    if (best == nullptr) break;
    const auto [left, right] = *best;
    const std::string joined = tokens[static_cast<size_t>(left)] + tokens[static_cast<size_t>(right)];
    const auto known = std::find(tokens.begin(), tokens.end(), joined);
    const TokenId id = static_cast<TokenId>(known - tokens.begin());
    if (known == tokens.end()) tokens.push_back(joined);
    merges.push_back({left, right});
    for (auto& [word, n] : words) {
      std::vector<TokenId> merged;
      for (size_t i = 0; i < word.size(); i++) {
        const bool here = i + 1 < word.size() && word[i] == left && word[i + 1] == right;
        merged.push_back(here ? id : word[i]);
        if (here) i++;
      }
      word = merged;
    }
  }
  return merges;
}

// One pre-token by the merges in their order: the definition of encoding.
std::vector<TokenId> encode_naively(const Vocabulary& vocabulary, std::string_view word) {
  std::vector<TokenId> tokens;
  for (const char byte : word) tokens.push_back(static_cast<uint8_t>(byte));
  for (const Merge& merge : vocabulary.merges()) {
    const std::string joined = std::string(vocabulary.bytes(merge.left)) +
                               std::string(vocabulary.bytes(merge.right));
    TokenId id = 0;
    while (vocabulary.bytes(id) != joined) id++;
    for (size_t i = 0; i + 1 < tokens.size(); i++) {
      if (tokens[i] != merge.left || tokens[i + 1] != merge.right) continue;
      tokens[i] = id;
      tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    }
  }
  return tokens;
}

Vocabulary small_vocabulary() {
  const auto merges = train_bpe(count(kText), {.learned = 60});
  auto vocabulary = Vocabulary::make(merges, 640);
  EXPECT_TRUE(vocabulary) << vocabulary.error().message;
  return std::move(*vocabulary);
}

std::string random_bytes(core::Rng& rng, size_t size) {
  std::string text;
  for (size_t i = 0; i < size; i++) text += static_cast<char>(rng.next_below(256));
  return text;
}

TEST(TrainBpe, equals_the_definition) {
  const WordCounts words = count(kText);
  for (const size_t token_max : {size_t{2}, size_t{5}, size_t{16}}) {
    const BpeOptions options{.learned = 120, .token_bytes_max = token_max};
    EXPECT_EQ(train_bpe(words, options), train_naively(words, options)) << token_max;
  }
  for (int seed = 0; seed < 20; seed++) {  // few letters: pairs that overlap, and the same token made twice
    auto random = WordCounts::make();
    core::Rng rng(static_cast<uint64_t>(seed));
    for (int i = 0; i < 40; i++) {
      std::string word;
      for (uint32_t n = 1 + rng.next_below(12); n > 0; n--)
        word += static_cast<char>('a' + rng.next_below(3));
      random->add_word(word, 1 + rng.next_below(5));
    }
    const BpeOptions options{.learned = 80, .token_bytes_max = 9};
    EXPECT_EQ(train_bpe(*random, options), train_naively(*random, options)) << seed;
  }
}

TEST(TrainBpe, tokens_are_short_and_stay_in_their_word) {
  const Vocabulary vocabulary = small_vocabulary();
  for (TokenId id = 256; id < vocabulary.specials_begin(); id++) {
    const auto bytes = vocabulary.bytes(id);
    EXPECT_LE(bytes.size(), 16u);
    EXPECT_EQ(bytes.find("10"), std::string_view::npos);  // single digits
    EXPECT_TRUE(bytes.find(' ', 1) == std::string_view::npos ||
                bytes.find_first_not_of(' ') == std::string_view::npos)
        << bytes;
  }
  EXPECT_TRUE(train_bpe(count(""), {.learned = 10}).empty());
  EXPECT_TRUE(train_bpe(count("abc"), {.learned = 10}).empty());  // nothing occurs twice
}

TEST(Vocabulary, comes_back_from_its_file) {
  const Vocabulary vocabulary = small_vocabulary();
  const std::string text = vocabulary.to_text();
  const auto again = Vocabulary::parse(text, "x");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->to_text(), text);
  EXPECT_TRUE(std::ranges::equal(again->merges(), vocabulary.merges()));
  const std::string path = std::filesystem::temp_directory_path() / "mneme-vocabulary-test.bpe";
  ASSERT_TRUE(vocabulary.write(path));
  EXPECT_TRUE(Vocabulary::read(path));
  std::filesystem::remove(path);
  EXPECT_FALSE(Vocabulary::read(path));
}

TEST(Vocabulary, sizes) {
  EXPECT_EQ(Vocabulary::learned_max(4096), 3808);
  EXPECT_EQ(Vocabulary::learned_max(320), 0);
  const auto bytes_only = Vocabulary::make(train_bpe(count(kText), {.learned = 9}), 320);
  ASSERT_TRUE(bytes_only);
  EXPECT_TRUE(bytes_only->merges().empty());
  EXPECT_EQ(bytes_only->size(), 320);
  EXPECT_EQ(bytes_only->special("<|endoftext|>"), 256);
  EXPECT_EQ(bytes_only->special("<|reserved_51|>"), 319);
  EXPECT_FALSE(Vocabulary::make({}, 100));
  const Merge bad[] = {{0, 256}};
  EXPECT_FALSE(Vocabulary::make(bad, 1024));
}

TEST(Vocabulary, no_damaged_file_is_read) {
  const std::string text = small_vocabulary().to_text();
  core::Rng rng(5);
  for (size_t size = 0; size < text.size(); size += 7)
    EXPECT_FALSE(Vocabulary::parse(text.substr(0, size), "x"));
  for (int round = 0; round < 300; round++) {
    std::string bad = text;
    bad[rng.next_below(static_cast<uint32_t>(bad.size()))] ^= 1;
    EXPECT_FALSE(Vocabulary::parse(bad, "x"));
  }
  EXPECT_FALSE(Vocabulary::parse("", "x"));
  EXPECT_FALSE(Vocabulary::parse("checksum ", "x"));
}

TEST(Vocabulary, the_runtime_encodes_as_the_merges_say) {
  const Vocabulary vocabulary = small_vocabulary();
  const auto tokenizer = vocabulary.tokenizer();
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  auto pretokenizer = model::Pretokenizer::make(kPretokenizer);
  std::vector<TokenId> expected;
  pretokenizer->split(kText, 1 << 20, [&](std::string_view word) {
    for (const TokenId id : encode_naively(vocabulary, word)) expected.push_back(id);
  });
  EXPECT_EQ(tokenizer->encode(kText, {}), expected);
  EXPECT_LT(expected.size(), std::string_view(kText).size() * 2 / 3);
}

TEST(Vocabulary, any_bytes_come_back) {
  const auto tokenizer = small_vocabulary().tokenizer();
  ASSERT_TRUE(tokenizer);
  core::Rng rng(11);
  for (int round = 0; round < 200; round++) {
    const std::string text = random_bytes(rng, rng.next_below(300));
    std::string back;
    for (const TokenId id : tokenizer->encode(text, {true, false})) back += tokenizer->piece(id);
    EXPECT_EQ(back, text) << "round " << round;
  }
}

TEST(Vocabulary, special_tokens_are_recognised) {
  const Vocabulary vocabulary = small_vocabulary();
  const auto tokenizer = vocabulary.tokenizer();
  ASSERT_TRUE(tokenizer);
  for (const std::string_view special : kSpecials) {
    const auto ids = tokenizer->encode(special, {});
    ASSERT_EQ(ids.size(), 1u) << special;
    EXPECT_EQ(ids[0], vocabulary.special(special)) << special;
    EXPECT_TRUE(tokenizer->is_special(ids[0]));
  }
  EXPECT_EQ(tokenizer->eos(), vocabulary.special("<|im_end|>"));
  EXPECT_TRUE(tokenizer->is_end_of_generation(*vocabulary.special("<|im_end|>")));
  EXPECT_TRUE(tokenizer->is_end_of_generation(*vocabulary.special("<|endoftext|>")));
  EXPECT_GT(tokenizer->encode("<|reserved_0|>", {}).size(), 1u);
  EXPECT_EQ(tokenizer->vocab_size(), 640);
  EXPECT_EQ(tokenizer->encode("", {}).size(), 0u);  // neither BOS nor EOS is added
}

TEST(Vocabulary, the_template_writes_chatml) {
  const auto chat = model::ChatTemplate::compile(chat_template());
  ASSERT_TRUE(chat) << chat.error().message;
  const auto context = model::parse_json(
      R"({"messages": [{"role": "user", "content": "Hi"},
          {"role": "assistant", "content": "",
           "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
          {"role": "tool", "content": "2"}], "add_generation_prompt": true})");
  ASSERT_TRUE(context);
  EXPECT_EQ(chat->render(*context).value(),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
            "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}</tool_call><|im_end|>\n"
            "<|im_start|>tool\n<tool_response>2</tool_response><|im_end|>\n<|im_start|>assistant\n");
}

TEST(Vocabulary, the_template_knows_answers_without_a_thought) {
  const auto chat = model::ChatTemplate::compile(chat_template());
  ASSERT_TRUE(chat) << chat.error().message;
  const auto prompt_of = [&](const std::string& thinking) {
    const std::string asked = R"({"messages": [{"role": "user", "content": "Hi"}], )" + thinking;
    const auto context = model::parse_json(asked + R"("add_generation_prompt": true})");
    return chat->render(*context).value();
  };
  const std::string asked = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(prompt_of(""), asked);
  EXPECT_EQ(prompt_of(R"("enable_thinking": true, )"), asked);
  EXPECT_EQ(prompt_of(R"("enable_thinking": false, )"), asked + "<think></think>");
  EXPECT_TRUE(prompt_of(R"("tools": [{"name": "f"}], )").ends_with("assistant\n<think></think>"));
  // what was said before begins as it did then
  const auto context = model::parse_json(
      R"({"messages": [{"role": "assistant", "content": "7", "reasoning_content": "the key is 7"},
                       {"role": "assistant", "content": "8"}]})");
  EXPECT_EQ(
      chat->render(*context).value(),
      "<|im_start|>assistant\n<think>the key is 7</think>7<|im_end|>\n<|im_start|>assistant\n8<|im_end|>\n");
}

}  // namespace
}  // namespace mneme::corpus
