// What is drawn follows from the seed: whatever is computed beside it, found or computed anew, however many
// rows a pass has. And what a scheduler counts of it.
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <future>
#include <limits>
#include <set>

#include "serve/recorder_for_test.h"
#include "serve/scheduler.h"

namespace mneme::serve {
namespace {

const std::string kDefault = std::string(MNEME_SOURCE_DIR) + "/models/mneme-default.gguf";

class Seeds : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kDefault)) GTEST_SKIP() << kDefault << " is missing";
  }
  static std::unique_ptr<Scheduler> open(int prefill_rows = 512) {
    EngineOptions options;
    options.model_path = kDefault;
    options.kv_bytes_max = uint64_t{64} << 20;
    options.threads = 2;
    options.prefill_rows = prefill_rows;
    auto engine = Engine::open(options);
    EXPECT_TRUE(engine) << engine.error().message;
    return std::make_unique<Scheduler>(std::move(*engine), SchedulerOptions{});
  }
  static GenerationRequest request(const Scheduler& scheduler, uint64_t seed, const std::string& owner = "") {
    GenerationRequest request;
    // Nothing that is nearly as likely as something else: passes of other sizes round otherwise.
    const std::vector<ChatMessage> messages{{"user", "Tell me a story about the drawers."}};
    const auto prompt = scheduler.text().render_chat(messages, {});
    EXPECT_TRUE(prompt);
    request.prompt = scheduler.text().encode(*prompt, {});
    request.generate.tokens_max = 24;
    request.generate.ignore_end = true;
    request.generate.sampling.temperature = 1;
    request.generate.sampling.seed = seed;
    request.from.owner = owner;
    return request;
  }
  // The state after so many tokens of prompts: it is told after a turn, which may be after its answers.
  static BackendState settled(const Scheduler& scheduler, uint64_t prompt_tokens) {
    for (int i = 0; i < 1000 && scheduler.state().prompt_tokens < prompt_tokens; ++i) ::usleep(10'000);
    return scheduler.state();
  }
  static std::shared_ptr<Recorder> submit(Scheduler& scheduler, GenerationRequest request) {
    auto heard = std::make_shared<Recorder>();
    scheduler.submit(std::move(request), heard);
    return heard;
  }
  static std::shared_ptr<Recorder> ask(Scheduler& scheduler, GenerationRequest request) {
    auto heard = submit(scheduler, std::move(request));
    EXPECT_FALSE(heard->wait().failure);
    return heard;
  }
};

TEST_F(Seeds, TheSameSaysTheSameFoundOrNot) {
  auto scheduler = open();
  const auto first = ask(*scheduler, request(*scheduler, 42));
  EXPECT_EQ(first->found, 0u);
  EXPECT_EQ(first->done->report.generated_tokens, 24u);
  const auto again = ask(*scheduler, request(*scheduler, 42));
  EXPECT_GT(again->found, 0u);
  EXPECT_EQ(again->text, first->text);
  const auto others = ask(*scheduler, request(*scheduler, 42, "another owner, who finds nothing"));
  EXPECT_EQ(others->found, 0u);
  EXPECT_EQ(others->text, first->text);
}

TEST_F(Seeds, TheSameSaysTheSameInCompany) {
  auto scheduler = open();
  const std::string alone = ask(*scheduler, request(*scheduler, 42))->text;
  std::vector<std::shared_ptr<Recorder>> heard;
  for (uint64_t i = 0; i < 4; ++i)
    heard.push_back(submit(*scheduler, request(*scheduler, 40 + i, "owner" + std::to_string(i))));
  for (const auto& one : heard) EXPECT_FALSE(one->wait().failure);
  EXPECT_EQ(heard[2]->text, alone);
}

TEST_F(Seeds, OthersSayOtherThings) {
  auto scheduler = open();
  std::set<std::string> texts;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    auto one = request(*scheduler, seed);
    one.prompt = scheduler->text().encode("The", {});  // of how an answer begins the model is sure
    texts.insert(ask(*scheduler, std::move(one))->text);
  }
  EXPECT_EQ(texts.size(), 4u);
}

TEST_F(Seeds, WithoutTemperatureTheyDoNotMatter) {
  auto scheduler = open();
  std::set<std::string> texts;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    auto one = request(*scheduler, seed);
    one.generate.sampling.temperature = 0;
    texts.insert(ask(*scheduler, one)->text);
  }
  EXPECT_EQ(texts.size(), 1u);
}

TEST_F(Seeds, RowsOfAPassDoNotMatter) {
  std::set<std::string> texts;
  for (const int rows : {7, 16, 512}) {
    auto scheduler = open(rows);
    auto one = request(*scheduler, 42);
    one.generate.sampling.temperature = 0;
    texts.insert(ask(*scheduler, one)->text);
  }
  EXPECT_EQ(texts.size(), 1u);
}

TEST_F(Seeds, ForbiddenTokensAreNotSaid) {
  auto scheduler = open();
  auto one = request(*scheduler, 42);
  one.generate.sampling.temperature = 0;
  const std::string free = ask(*scheduler, one)->text;
  const auto said = scheduler->text().encode(free, {.add_bos_eos = false});
  const std::set<TokenId> forbidden(said.begin(), said.end());
  for (const TokenId token : forbidden)
    one.generate.sampling.logit_bias.emplace_back(token, -std::numeric_limits<float>::infinity());
  one.generate.top_logprobs = 0;
  const auto heard = ask(*scheduler, one);
  ASSERT_EQ(heard->tokens.size(), 24u);
  for (const DrawnToken& token : heard->tokens) EXPECT_FALSE(forbidden.contains(token.token)) << token.bytes;
}

TEST_F(Seeds, EndsAreIgnoredWhereThatIsAskedFor) {
  auto scheduler = open();
  auto one = request(*scheduler, 42);
  one.generate.top_logprobs = 0;
  // The end is all that may be drawn.
  for (TokenId token = 0; token < scheduler->text().vocab_size(); ++token)
    if (scheduler->text().is_end_of_generation(token))
      one.generate.sampling.logit_bias.emplace_back(token, 1e9f);
  ASSERT_FALSE(one.generate.sampling.logit_bias.empty());
  auto heard = ask(*scheduler, one);
  EXPECT_EQ(heard->done->report.generated_tokens, 24u);
  EXPECT_EQ(heard->done->report.reason, StopReason::kLength);
  one.generate.ignore_end = false;
  heard = ask(*scheduler, one);
  EXPECT_EQ(heard->done->report.generated_tokens, 1u);
  EXPECT_EQ(heard->done->report.reason, StopReason::kEnd);
}

TEST_F(Seeds, TotalsAreThoseOfTheRequests) {
  auto scheduler = open();
  size_t computed = 0, found = 0, generated = 0, prompts = 0;
  for (const int tokens_max : {1, 4, 16}) {
    auto one = request(*scheduler, 42);
    one.generate.tokens_max = tokens_max;
    const auto heard = ask(*scheduler, one);
    const GenerateReport& report = heard->done->report;
    EXPECT_EQ(report.generated_tokens, static_cast<size_t>(tokens_max));
    computed += report.prompt_tokens;
    found += report.found_tokens;
    generated += report.generated_tokens;
    prompts += one.prompt.size();
  }
  EXPECT_EQ(computed + found, prompts);
  EXPECT_GT(found, 0u);
  BackendState state = settled(*scheduler, prompts);
  EXPECT_EQ(state.prompt_tokens, prompts);
  EXPECT_EQ(state.found_tokens, found);
  EXPECT_EQ(state.generated_tokens, generated);
  EXPECT_EQ(state.requests, 3u);
  std::promise<void> done;
  scheduler->embed({{1, 2, 3}, {4, 5}}, "", [&](const auto& vectors) {
    EXPECT_TRUE(vectors) << vectors.error().message;
    done.set_value();
  });
  done.get_future().wait();
  state = settled(*scheduler, prompts + 5);
  EXPECT_EQ(state.prompt_tokens, prompts + 5) << "texts that are embedded are read too";
  EXPECT_EQ(state.generated_tokens, generated);
}

TEST_F(Seeds, PromptsInAndOutOfMemoryAreCountedWhole) {
  auto scheduler = open();
  for (int i = 0; i < 12; ++i) {
    const size_t words = 40 + static_cast<size_t>(i * 7 % 5);
    std::string text;
    for (size_t word = 0; word < words; ++word) text += " Hello " + std::to_string(words);
    GenerationRequest one;
    one.prompt = scheduler->text().encode(text, {});
    one.generate.tokens_max = 1 + i % 5;
    one.generate.ignore_end = true;
    const auto heard = ask(*scheduler, one);
    EXPECT_EQ(heard->done->report.prompt_tokens + heard->done->report.found_tokens, one.prompt.size());
    EXPECT_EQ(heard->done->report.generated_tokens, static_cast<size_t>(one.generate.tokens_max));
    if (i >= 5) {
      EXPECT_EQ(heard->found, one.prompt.size() - 1) << "it was read before";
    }
  }
}

}  // namespace
}  // namespace mneme::serve
