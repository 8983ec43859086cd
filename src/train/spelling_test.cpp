#include "train/spelling.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <map>
#include <set>

#include "train/checkpoint.h"
#include "train/network.h"

namespace mneme::train {
namespace {

// A vocabulary with these words as tokens, each merged letter by letter.
corpus::Vocabulary vocabulary_of(std::span<const std::string_view> words) {
  std::vector<corpus::Merge> merges;
  std::map<std::string, corpus::TokenId> ids;
  corpus::TokenId next = corpus::kByteCount;
  for (const std::string_view word : words) {
    corpus::TokenId left = static_cast<unsigned char>(word[0]);
    for (size_t i = 1; i < word.size(); ++i) {
      const auto [at, fresh] = ids.try_emplace(std::string(word.substr(0, i + 1)), next);
      if (fresh) {
        merges.push_back({left, static_cast<unsigned char>(word[i])});
        ++next;
      }
      left = at->second;
    }
  }
  auto vocabulary = corpus::Vocabulary::make(merges, 600);
  EXPECT_TRUE(vocabulary) << vocabulary.error().message;
  return *vocabulary;
}

constexpr std::string_view kWords[] = {"key",  " key", "Key", "KEY", " Key", "_key",         "kEy",
                                       ")key", "))",   " ))", "  ",  "\n\n", "\xe7\x9a\x84", " \xe7\x9a\x84"};

size_t id_of(const corpus::Vocabulary& vocabulary, std::string_view word) {
  for (int id = 0; id < vocabulary.size(); ++id)
    if (!vocabulary.is_special(id) && vocabulary.bytes(id) == word) return static_cast<size_t>(id);
  ADD_FAILURE() << word;
  return 0;
}

TEST(Spelling, LettersAreSharedAndFormsTellApart) {
  const corpus::Vocabulary vocabulary = vocabulary_of(kWords);
  const Spelling spelling = spelling_of(vocabulary);
  const auto letters = [&](std::string_view word) { return spelling.letters[id_of(vocabulary, word)]; };
  const auto form = [&](std::string_view word) { return spelling.forms[id_of(vocabulary, word)]; };
  for (const std::string_view word : {" key", "Key", "KEY", " Key", "_key", ")key"})
    EXPECT_EQ(letters(word), letters("key")) << word;
  EXPECT_NE(letters("kEy"), letters("key"));
  EXPECT_EQ(letters(" ))"), letters("))"));
  EXPECT_EQ(letters(" \xe7\x9a\x84"), letters("\xe7\x9a\x84"));
  EXPECT_EQ(form(" key"), form(" ))"));
  EXPECT_EQ(form("key"), form("kEy"));
  EXPECT_EQ(letters("A"), letters("a"));

  ASSERT_EQ(std::ssize(spelling.letters), vocabulary.size());
  std::set<std::pair<int64_t, int64_t>> all;
  for (size_t id = 0; id < spelling.letters.size(); ++id) {
    EXPECT_TRUE(all.emplace(spelling.letters[id], spelling.forms[id]).second) << id;
    EXPECT_LT(spelling.letters[id], spelling.letters_count);
    EXPECT_LT(spelling.forms[id], spelling.forms_count);
  }
  EXPECT_LT(spelling.letters_count, vocabulary.size());
}

ModelOptions spelled_options(int vocab_size) {
  ModelOptions o;
  o.vocab_size = vocab_size, o.dim = 32, o.layers = 2, o.heads = 2, o.kv_heads = 1;
  o.head_dim = 16, o.ffn_dim = 64, o.global_layers = {1};
  o.tied = false, o.spelled = true;
  return o;
}

TEST(Spelling, RowsAreSumsThatLearn) {
  const corpus::Vocabulary vocabulary = vocabulary_of(kWords);
  Network network(spelled_options(vocabulary.size()), 1, {}, spelling_of(vocabulary));
  const auto tensors = network.file_tensors();
  for (const auto& [name, index] : {std::pair("token_embd.weight", 0u), {"output.weight", 1u}}) {
    ASSERT_EQ(tensors[index].name, name);
    const torch::Tensor& rows = tensors[index].value;
    ASSERT_EQ(rows.size(0), vocabulary.size());
    const auto row = [&](std::string_view word) {
      return rows[static_cast<int64_t>(id_of(vocabulary, word))];
    };
    // A blank in front is the same step everywhere.
    EXPECT_TRUE(torch::allclose(row(" key") - row("key"), row(" ))") - row("))"), 1e-4, 1e-6));
    EXPECT_FALSE(torch::allclose(row("key"), row("Key")));
  }
  EXPECT_EQ(tensors.size() + 2, network.parameters().size());

  torch::manual_seed(3);
  const auto tokens = torch::randint(0, vocabulary.size(), {2, 20}, torch::kInt64);
  network.loss_sum(tokens, tokens.roll(1, 1), torch::ones({2, 20}), {}).backward();
  for (const Parameter& p : network.parameters()) {
    if (p.kind != ParameterKind::kEmbedding || p.name.starts_with("token_embd")) continue;
    EXPECT_GT(p.value.grad().norm().item<double>(), 0) << p.name;
  }
}

TEST(Spelling, IsKeptWithTheWeights) {
  const corpus::Vocabulary vocabulary = vocabulary_of(kWords);
  Network network(spelled_options(vocabulary.size()), 1, {}, spelling_of(vocabulary));
  Optimizer optimizer(network.parameters(), {});
  const std::string path = testing::TempDir() + "mneme_spelling_" + std::to_string(::getpid()) + ".pt";
  ASSERT_TRUE(save_checkpoint(path, network, optimizer, {}));
  auto loaded = load_network(path, false);
  std::filesystem::remove(path);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->spelling().letters, network.spelling().letters);
  EXPECT_TRUE(torch::equal(loaded->file_tensors()[0].value, network.file_tensors()[0].value));
}

}  // namespace
}  // namespace mneme::train
