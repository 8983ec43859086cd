// Embeddings: means of the states that the head sees.
#include <gtest/gtest.h>

#include <cmath>

#include "core/rng.h"
#include "engine/nmse_for_test.h"
#include "mneme/engine.h"
#include "model/gguf.h"
#include "tensor/dequantize.h"

namespace mneme {
namespace {

const std::string kFixture = std::string(MNEME_SOURCE_DIR) + "/tests/data/fixture.gguf";

std::unique_ptr<Engine> open(int prefill_rows = 512, uint64_t kv_bytes_max = 64 << 20) {
  auto engine = Engine::open(
      {.model_path = kFixture, .kv_bytes_max = kv_bytes_max, .threads = 2, .prefill_rows = prefill_rows});
  EXPECT_TRUE(engine) << engine.error().message;
  return engine ? std::move(*engine) : nullptr;
}

std::vector<TokenId> random_tokens(size_t count, uint64_t seed) {
  core::Rng rng(seed);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(rng.next_below(500));
  return tokens;
}

double length(const std::vector<float>& x) {
  double squares = 0;
  for (const float one : x) squares += static_cast<double>(one) * static_cast<double>(one);
  return std::sqrt(squares);
}

// head [vocab_size, dim] times state [dim], in double
std::vector<float> logits_of_state(const std::vector<float>& state, size_t vocab_size) {
  const auto file = model::Gguf::open(kFixture);
  EXPECT_TRUE(file);
  const model::TensorInfo* info = file->find_tensor("output.weight");
  if (info == nullptr) info = file->find_tensor("token_embd.weight");
  std::vector<float> head(vocab_size * state.size());
  tensor::dequantize(info->type, info->bytes, head);
  std::vector<float> logits;
  for (size_t row = 0; row < vocab_size; ++row) {
    double sum = 0;
    for (size_t i = 0; i < state.size(); ++i)
      sum += static_cast<double>(head[row * state.size() + i]) * static_cast<double>(state[i]);
    logits.push_back(static_cast<float>(sum));
  }
  return logits;
}

// The least distance that any scale of `got` has from `expected`.
double nmse_scaled(std::vector<float> got, const std::vector<float>& expected) {
  double dot = 0, power = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    dot += static_cast<double>(got[i]) * static_cast<double>(expected[i]);
    power += static_cast<double>(got[i]) * static_cast<double>(got[i]);
  }
  for (float& x : got) x *= static_cast<float>(dot / power);
  return nmse(got, expected);
}

TEST(Embed, OfATokenIsWhatTheHeadSees) {
  const auto engine = open();
  const std::vector<TokenId> tokens{42};
  const auto embeddings = embed(*engine, {{tokens}});
  ASSERT_TRUE(embeddings);
  const auto session = engine->new_session();
  std::vector<float> logits;
  ASSERT_TRUE(
      engine->logits_of(*session, tokens, false, [&](auto row) { logits.assign(row.begin(), row.end()); }));
  EXPECT_LE(nmse_scaled(logits_of_state((*embeddings)[0], logits.size()), logits), 1e-3);
}

// The head is linear: of the mean of states it says the mean of their logits.
TEST(Embed, OfATextIsTheMeanOverItsTokens) {
  const auto engine = open();
  const auto tokens = random_tokens(90, 3);
  const auto embeddings = embed(*engine, {{tokens}});
  ASSERT_TRUE(embeddings);
  const auto session = engine->new_session();
  std::vector<float> mean;
  ASSERT_TRUE(engine->logits_of(*session, tokens, false, [&](std::span<const float> row) {
    mean.resize(row.size());
    for (size_t i = 0; i < row.size(); ++i) mean[i] += row[i] / 90;
  }));
  EXPECT_LE(nmse_scaled(logits_of_state((*embeddings)[0], mean.size()), mean), 1e-3);
}

TEST(Embed, ManyTogetherAreWhatEachIsAlone) {
  const auto engine = open();
  std::vector<std::vector<TokenId>> texts;
  for (const size_t size : {1, 2, 63, 64, 65, 200, 700, 5}) texts.push_back(random_tokens(size, size));
  const auto together = embed(*engine, texts);
  ASSERT_TRUE(together);
  ASSERT_EQ(together->size(), texts.size());
  const auto narrow = open(33);
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto alone = embed(*narrow, {&texts[i], 1});
    ASSERT_TRUE(alone);
    EXPECT_EQ((*together)[i].size(), static_cast<size_t>(engine->info().dim));
    EXPECT_NEAR(length((*together)[i]), 1, 1e-5);
    EXPECT_LE(nmse((*together)[i], (*alone)[0]), 2e-3) << texts[i].size();
  }
  EXPECT_GT(nmse((*together)[2], (*together)[3]), 1e-2) << "different texts";
  EXPECT_EQ(engine->kv_bytes_used(), 0u);
}

TEST(Embed, RefusesWhatHasNoEmbedding) {
  const auto engine = open();
  EXPECT_TRUE(embed(*engine, {})->empty());
  EXPECT_FALSE(embed(*engine, {{{}}}));
  EXPECT_FALSE(embed(*engine, {{{1, 2, 1'000'000}}}));
  const auto small = open(512, 1 << 20);
  const auto full = embed(*small, {{random_tokens(100'000, 1)}});
  EXPECT_FALSE(full);
  EXPECT_EQ(small->kv_bytes_used(), 0u);
}

TEST(Embed, ASessionOfAnotherKindHasNone) {
  const auto engine = open();
  const auto session = engine->new_session();
  const auto tokens = random_tokens(5, 1);
  ASSERT_TRUE(session->append(tokens));
  Session* const sessions[] = {session.get()};
  ASSERT_TRUE(engine->step(sessions));
  EXPECT_TRUE(session->embedding().empty());
  const auto embedding = engine->new_embedding();
  ASSERT_TRUE(embedding->append(tokens));
  EXPECT_TRUE(embedding->embedding().empty());
  Session* const other[] = {embedding.get()};
  ASSERT_TRUE(engine->step(other));
  EXPECT_TRUE(embedding->logits().empty());
  EXPECT_FALSE(embedding->embedding().empty());
}

}  // namespace
}  // namespace mneme
