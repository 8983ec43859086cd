// A model with sliding windows, a key shift and n-gram tables behind the public interface: what it forgets is
// never seen.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "core/rng.h"
#include "engine/nmse_for_test.h"
#include "mneme/engine.h"
#include "mneme/inspect.h"
#include "model/mneme_model_for_test.h"

namespace mneme {
namespace {

struct Opened {
  std::string path = fmt::format("{}mneme_engine_{}.gguf", testing::TempDir(), ::getpid());
  std::unique_ptr<Engine> engine;

  Opened() {
    model::MnemeOptionsForTest o;
    o.byte_tokenizer = true, o.vocab_size = 259, o.window = 100, o.matrix_type = tensor::DType::kBF16;
    o.residual = "mhc", o.streams = 4, o.engram_layers = {1};
    EXPECT_TRUE(model::random_mneme_model(o, 7).write(path));
    auto opened = Engine::open({.model_path = path, .kv_bytes_max = 16 << 20, .threads = 1});
    EXPECT_TRUE(opened) << opened.error().message;
    engine = std::move(*opened);
  }
  ~Opened() { std::remove(path.c_str()); }

  void evaluate(Session& session) {
    Session* const sessions[] = {&session};
    while (session.pending() > 0) ASSERT_TRUE(engine->step(sessions));
  }
  std::vector<float> logits_after(std::span<const TokenId> tokens) {
    auto session = engine->new_session();
    EXPECT_TRUE(session->append(tokens));
    evaluate(*session);
    return {session->logits().begin(), session->logits().end()};
  }
};

std::vector<TokenId> random_tokens(size_t count) {
  core::Rng rng(1);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(rng.next_below(250));
  return tokens;
}

TEST(MnemeEngine, TruncatesAsFarAsAnyoneAsks) {
  Opened opened;
  const auto tokens = random_tokens(1500);
  const auto session = opened.engine->new_session();
  ASSERT_TRUE(session->append(tokens));
  opened.evaluate(*session);
  for (const size_t keep : {1400, 1000, 600, 30, 1}) {
    session->truncate(keep);
    EXPECT_EQ(session->tokens().size(), keep);
    // 1,500 to 1,400 and 1,000 is near enough to go back; the others are evaluated again.
    EXPECT_EQ(session->pending(), keep == 600 || keep == 30 || keep == 1 ? keep : 0u);
    ASSERT_TRUE(session->append(std::span(tokens).subspan(keep, 1)));
    opened.evaluate(*session);
    // Other shapes of the same products: the tolerance is that of 8-bit or bf16 activations.
    EXPECT_LT(nmse(session->logits(), opened.logits_after(std::span(tokens).first(keep + 1))), 2e-3) << keep;
    ASSERT_TRUE(session->append(std::span(tokens).subspan(keep + 1)));
    opened.evaluate(*session);
    EXPECT_LT(nmse(session->logits(), opened.logits_after(tokens)), 2e-3);
    session->truncate(keep + 500);
    opened.evaluate(*session);
  }
}

TEST(MnemeEngine, RepeatsGeneratesAndInspects) {
  Opened opened;
  auto session = opened.engine->new_session();
  ASSERT_TRUE(session->append(random_tokens(256)));
  opened.evaluate(*session);
  for (const size_t depth : {5000, 512, 3000}) {
    auto repeated = session->repeat_for_bench(256, depth, Repetition::kCopied);
    ASSERT_TRUE(repeated) << repeated.error().message;
    const TokenId token = 7;
    ASSERT_TRUE(session->append({&token, 1}));
    opened.evaluate(*session);
    for (const float logit : session->logits()) ASSERT_TRUE(std::isfinite(logit));
  }
  GenerateOptions options;
  options.tokens_max = 20;
  options.ignore_end = true;
  auto fresh = opened.engine->new_session();
  ASSERT_TRUE(fresh->append(opened.engine->text().encode("abc", {})));
  auto report = generate(*opened.engine, *fresh, options, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->generated_tokens, 20u);

  auto described = inspect(opened.path);
  ASSERT_TRUE(described);
  EXPECT_EQ(described->unsupported, "");
  EXPECT_EQ(described->model.architecture, "mneme");
  EXPECT_EQ(described->model.kv_token_bytes, 4u * 32 * 2) << "one of three layers keeps every token";
}

}  // namespace
}  // namespace mneme
