// Generations that share steps, and what is told of each token.
#include "mneme/generation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/log_probs.h"

namespace mneme {
namespace {

const std::string kDefault = std::string(MNEME_SOURCE_DIR) + "/models/mneme-default.gguf";

std::unique_ptr<Engine> open(uint64_t kv_bytes_max = uint64_t{128} << 20) {
  auto engine = Engine::open({.model_path = kDefault, .kv_bytes_max = kv_bytes_max, .threads = 2});
  EXPECT_TRUE(engine) << engine.error().message;
  return engine ? std::move(*engine) : nullptr;
}

struct Task {
  std::string prompt;
  GenerateOptions options;
};

std::vector<Task> tasks() {
  std::vector<Task> all(6);
  for (size_t i = 0; i < all.size(); ++i) {
    all[i].prompt = "The " + std::string(1 + i * i * 40, static_cast<char>('a' + i)) + " of the";
    all[i].options.tokens_max = static_cast<int>(5 + 4 * i);
    all[i].options.sampling.seed = i;
    all[i].options.sampling.temperature = i % 2 == 0 ? 0.0f : 0.5f;
    all[i].options.ignore_end = true;
  }
  all[3].options.stop = {"e", "a"};
  return all;
}

std::unique_ptr<Session> session_with(Engine& engine, const std::string& prompt) {
  auto session = engine.new_session();
  EXPECT_TRUE(session->append(engine.text().encode(prompt, {})));
  return session;
}

TEST(Generation, TogetherTheySayWhatEachSaysAlone) {
  const auto engine = open();
  std::vector<GenerateReport> alone;
  for (const Task& task : tasks()) {
    const auto session = session_with(*engine, task.prompt);
    alone.push_back(*generate(*engine, *session, task.options, {}));
  }
  const auto all = tasks();
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<std::unique_ptr<Generation>> generations;
  std::vector<std::string> shown(all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    GenerateEvents events;
    events.on_text = [&shown, i](std::string_view piece) { shown[i] += piece; };
    sessions.push_back(session_with(*engine, all[i].prompt));
    auto generation = Generation::begin(*engine, *sessions[i], all[i].options, events);
    ASSERT_TRUE(generation) << generation.error().message;
    generations.push_back(std::move(*generation));
  }
  for (size_t pass = 0;; ++pass) {
    std::vector<Session*> now;
    std::vector<size_t> rows;
    std::vector<Generation*> running;
    for (size_t i = 0; i < all.size(); ++i) {
      if (generations[i]->finished() || pass < i) continue;  // one begins after the other
      now.push_back(sessions[i].get());
      rows.push_back(7 + i);
      running.push_back(generations[i].get());
    }
    if (now.empty()) break;
    const auto done = engine->step(now, rows);
    ASSERT_TRUE(done) << done.error().message;
    for (Generation* generation : running) ASSERT_TRUE(generation->advance());
  }
  for (size_t i = 0; i < all.size(); ++i) {
    const GenerateReport& report = generations[i]->report();
    EXPECT_EQ(report.text, alone[i].text) << i;
    EXPECT_EQ(shown[i], alone[i].text);
    EXPECT_EQ(report.reason, alone[i].reason);
    EXPECT_EQ(report.prompt_tokens, alone[i].prompt_tokens);
    EXPECT_EQ(report.generated_tokens, alone[i].generated_tokens);
  }
}

TEST(Generation, RowsOfAStepAreBounded) {
  const auto engine = open();
  const auto one = session_with(*engine, std::string(400, 'a')),
             two = session_with(*engine, std::string(300, 'b'));
  Session* const both[] = {one.get(), two.get()};
  const size_t of_one = one->pending(), of_two = two->pending();
  const size_t rows[] = {10, 0};
  ASSERT_EQ(engine->step(both, rows).value_or(0), 10u);
  EXPECT_EQ(one->pending(), of_one - 10);
  EXPECT_EQ(two->pending(), of_two);
  EXPECT_EQ(one->computed(), 10u);
}

TEST(Generation, IsStoppedFromOutside) {
  const auto engine = open();
  const auto session = session_with(*engine, "one two three");
  auto generation = Generation::begin(*engine, *session, {.stop = {"never to be said"}}, {});
  ASSERT_TRUE(generation);
  Session* const sessions[] = {session.get()};
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(engine->step(sessions));
    ASSERT_TRUE((*generation)->advance());
  }
  (*generation)->stop(StopReason::kFull, "no more");
  EXPECT_TRUE((*generation)->finished());
  EXPECT_EQ((*generation)->report().reason, StopReason::kFull);
  EXPECT_EQ((*generation)->report().message, "no more");
  EXPECT_EQ((*generation)->report().generated_tokens, 3u);
  (*generation)->stop(StopReason::kCancelled, "");
  EXPECT_EQ((*generation)->report().reason, StopReason::kFull) << "it had ended";
}

TEST(Generation, GoesOnWhenItsContextIsEvaluatedAgain) {
  const auto engine = open();
  GenerateOptions options;
  options.tokens_max = 12;
  options.sampling.temperature = 0;
  options.ignore_end = true;
  const auto plain = session_with(*engine, "The memory of the");
  const std::string expected = generate(*engine, *plain, options, {})->text;
  const auto session = session_with(*engine, "The memory of the");
  auto generation = Generation::begin(*engine, *session, options, {});
  ASSERT_TRUE(generation);
  Session* const sessions[] = {session.get()};
  for (int i = 0; !(*generation)->finished(); ++i) {
    if (i == 5) {  // as where memory is short for a while
      const std::vector<TokenId> tokens(session->tokens().begin(), session->tokens().end());
      session->truncate(0);
      ASSERT_TRUE(session->append(tokens));
    }
    const size_t rows[] = {3};
    ASSERT_TRUE(engine->step(sessions, rows));
    ASSERT_TRUE((*generation)->advance());
  }
  EXPECT_EQ((*generation)->report().text, expected);
  EXPECT_EQ((*generation)->report().generated_tokens, 12u);
}

// --- Log probabilities ---

TEST(LogProbs, AreThoseOfTheRow) {
  std::vector<float> logits(500);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = std::sin(static_cast<float>(i * i)) * 9;
  logits[7] = std::nanf("");
  logits[8] = -std::numeric_limits<float>::infinity();
  logits[100] = logits[200] = 9.5f;  // equals: the lower id first
  double sum = 0;
  for (const float x : logits) sum += std::isnan(x) ? 0 : std::exp(static_cast<double>(x));
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return (std::isnan(logits[a]) ? -1e9f : logits[a]) > (std::isnan(logits[b]) ? -1e9f : logits[b]);
  });
  engine::LogProbs log_probs;
  for (const int top : {0, 1, 20, 480}) {
    log_probs.read(logits, top);
    ASSERT_EQ(log_probs.top().size(), static_cast<size_t>(top));
    for (size_t i = 0; i < log_probs.top().size(); ++i) {
      const auto& [token, logprob] = log_probs.top()[i];
      EXPECT_EQ(static_cast<size_t>(token), order[i]);
      EXPECT_NEAR(logprob, static_cast<double>(logits[order[i]]) - std::log(sum), 1e-5);
    }
  }
  EXPECT_NEAR(log_probs.of(logits, 3), static_cast<double>(logits[3]) - std::log(sum), 1e-5);
  EXPECT_TRUE(std::isinf(log_probs.of(logits, 7)));
  log_probs.read(logits, 1000);
  EXPECT_EQ(log_probs.top().size(), logits.size());
}

TEST(Generation, TellsTheModelsOwnProbabilities) {
  const auto engine = open();
  GenerateOptions options{.tokens_max = 10, .top_logprobs = 5};
  options.sampling.logit_bias = {{300, 50.0f}};  // shows in what is drawn, not in what is told
  options.sampling.temperature = 1.5f;
  const auto session = session_with(*engine, "The memory of the");
  std::vector<DrawnToken> drawn;
  std::string shown;
  GenerateEvents events;
  events.on_token = [&](const DrawnToken& token) { drawn.push_back(token); };
  events.on_text = [&](std::string_view piece) { shown += piece; };
  const size_t prompt = session->tokens().size();
  ASSERT_TRUE(generate(*engine, *session, options, events));
  ASSERT_EQ(drawn.size(), session->tokens().size() - prompt);

  // The oracle: one row of logits a token, softmax in double.
  const auto plain = engine->new_session();
  std::vector<std::vector<float>> rows;
  ASSERT_TRUE(engine->logits_of(*plain, session->tokens(), true, [&](std::span<const float> row) {
    rows.emplace_back(row.begin(), row.end());
  }));
  std::string bytes;
  for (size_t i = 0; i < drawn.size(); ++i) {
    const std::vector<float>& row = rows[prompt - 1 + i];
    double sum = 0;
    for (const float x : row) sum += std::exp(static_cast<double>(x));
    EXPECT_EQ(drawn[i].token, session->tokens()[prompt + i]);
    EXPECT_NEAR(drawn[i].logprob,
                static_cast<double>(row[static_cast<size_t>(drawn[i].token)]) - std::log(sum), 2e-2);
    ASSERT_EQ(drawn[i].top.size(), 5u);
    const float most = *std::max_element(row.begin(), row.end());
    EXPECT_NEAR(drawn[i].top[0].logprob, static_cast<double>(most) - std::log(sum), 2e-2);
    for (size_t k = 1; k < 5; ++k) EXPECT_LE(drawn[i].top[k].logprob, drawn[i].top[k - 1].logprob);
    bytes += drawn[i].bytes;
  }
  EXPECT_EQ(bytes.substr(0, 8), shown.substr(0, 8));
}

// Every token of a prompt, scored in passes of its own and in company; then it goes on as ever.
TEST(Generation, ScoresTheTokensOfAPrompt) {
  const auto engine = open();
  const std::string prompt = "The memory of the " + std::string(60, 'x') + " is the memory of the";
  const auto plain = session_with(*engine, prompt);
  GenerateOptions options{.tokens_max = 6};
  options.sampling.temperature = 0;
  const GenerateReport wanted = *generate(*engine, *plain, options, {});
  const auto oracle = engine->new_session();
  const auto tokens = engine->text().encode(prompt, {});
  std::vector<double> logprobs, most;
  ASSERT_TRUE(engine->logits_of(*oracle, tokens, false, [&](std::span<const float> row) {
    double sum = 0;
    for (const float x : row) sum += std::exp(static_cast<double>(x));
    most.push_back(static_cast<double>(*std::max_element(row.begin(), row.end())) - std::log(sum));
    if (most.size() < tokens.size())
      logprobs.push_back(static_cast<double>(row[static_cast<size_t>(tokens[most.size()])]) - std::log(sum));
  }));

  const auto session = session_with(*engine, prompt), other = session_with(*engine, prompt + prompt);
  std::vector<DrawnToken> scores, drawn;
  size_t prefill_steps = 0;
  GenerateEvents events;
  events.on_prefill = [&](size_t, size_t) { ++prefill_steps; };
  events.on_prompt_token = [&](const DrawnToken& token) {
    EXPECT_GT(prefill_steps, 0u);
    EXPECT_TRUE(drawn.empty());
    scores.push_back(token);
  };
  events.on_token = [&](const DrawnToken& token) { drawn.push_back(token); };
  options.top_logprobs = 2;
  options.score_prompt = true;
  auto scored = Generation::begin(*engine, *session, options, events);
  auto beside = Generation::begin(*engine, *other, {.tokens_max = 20}, {});
  ASSERT_TRUE(scored && beside);
  while (!(*scored)->finished() || !(*beside)->finished()) {
    std::vector<Session*> now;
    if (!(*scored)->finished()) now.push_back(session.get());
    if (!(*beside)->finished()) now.push_back(other.get());
    const std::vector<size_t> rows(now.size(), 7);
    ASSERT_TRUE(engine->step(now, rows));
    for (auto& generation : {&*scored, &*beside}) ASSERT_TRUE((*generation)->advance());
  }
  EXPECT_GT(prefill_steps, 2u);
  ASSERT_EQ(scores.size(), tokens.size() - 1);
  for (size_t i = 0; i < scores.size(); ++i) {
    EXPECT_EQ(scores[i].token, tokens[i + 1]);
    EXPECT_NEAR(scores[i].logprob, logprobs[i], 0.1);  // passes of other sizes round otherwise
    ASSERT_EQ(scores[i].top.size(), 2u);
    EXPECT_NEAR(scores[i].top[0].logprob, most[i], 0.1);
  }
  EXPECT_EQ(drawn.size(), (*scored)->report().generated_tokens);
  EXPECT_EQ((*scored)->report().text, wanted.text);
  EXPECT_EQ((*scored)->report().prompt_tokens, tokens.size());
  EXPECT_FALSE(Generation::begin(*engine, *session, options, {})) << "it is evaluated already";
}

}  // namespace
}  // namespace mneme
