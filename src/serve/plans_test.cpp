// Costs of passes, shares of prompts, the order of those who wait, and names: what decides, without an
// engine.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "core/rng.h"
#include "serve/prefill_plan.h"
#include "serve/session_names.h"
#include "serve/step_cost.h"
#include "serve/waiting_queue.h"

namespace mneme::serve {
namespace {

ModelInfo small_model() {
  ModelInfo info;
  info.heads = 4, info.kv_heads = 2, info.head_dim = 128;
  info.kv_token_bytes = 2048;  // two layers
  info.parameters = 8'000'000;
  return info;
}

double true_seconds(const StepShape& s) {
  return 1e-3 + 1e-4 * s.decode_rows + 2e-9 * s.decode_depth + 2e-5 * s.prefill_rows + 1e-9 * s.prefill_depth;
}

StepCost learnt(double noise = 0) {
  StepCost cost(small_model());
  core::Rng rng(7);
  for (int i = 0; i < 300; ++i) {
    StepShape shape;
    shape.decode_rows = static_cast<double>(rng.next_below(20));
    shape.decode_depth = shape.decode_rows * static_cast<double>(rng.next_below(20000));
    shape.prefill_rows = static_cast<double>(rng.next_below(512));
    shape.prefill_depth = shape.prefill_rows * static_cast<double>(rng.next_below(100000));
    const double off = noise * (static_cast<double>(rng.next_below(2001)) / 1000 - 1);
    cost.learn(shape, true_seconds(shape) * (1 + off));
  }
  return cost;
}

TEST(StepCost, LearnsWhatPassesTake) {
  for (const double noise : {0.0, 0.2}) {
    const StepCost cost = learnt(noise);
    for (const StepShape& shape : {StepShape{16, 160000, 0, 0}, StepShape{1, 1000, 256, 256.0 * 50000},
                                   StepShape{0, 0, 512, 256.0 * 512}, StepShape{8, 8000, 64, 64.0 * 1000}}) {
      EXPECT_NEAR(cost.seconds(shape) / true_seconds(shape), 1, noise > 0 ? 0.25 : 0.05);
    }
  }
}

TEST(StepCost, ADeepRowIsDearEvenIfNoneWasSeen) {
  StepCost cost(small_model());
  EXPECT_EQ(cost.row_seconds(1e6), 0) << "nothing is known";
  for (int i = 0; i < 20; ++i) cost.learn({0, 0, 100, 5000}, 2e-3);
  EXPECT_NEAR(cost.row_seconds(0), 2e-5, 4e-6);
  EXPECT_GE(cost.row_seconds(1e6), 50 * cost.row_seconds(0));
}

size_t sum(const std::vector<size_t>& rows) { return std::accumulate(rows.begin(), rows.end(), size_t{0}); }

TEST(PlanPrefill, OnePromptGetsWhatTheTimeAllows) {
  const StepCost cost = learnt();
  const PromptInWork book{0, 100000, Priority::kNormal, 0};
  const auto rows = plan_prefill({&book, 1}, cost, {5e-3, 500});
  EXPECT_NEAR(static_cast<double>(rows[0]), 250, 25);
  const PromptInWork deep{1'000'000, 100000, Priority::kNormal, 0};
  EXPECT_EQ(plan_prefill({&deep, 1}, cost, {5e-3, 500})[0], 16u) << "the least";
  EXPECT_EQ(plan_prefill({&book, 1}, cost, {10, 500})[0], 500u);
  EXPECT_EQ(plan_prefill({&book, 1}, StepCost(small_model()), {5e-3, 32})[0], 32u) << "nothing is known";
  EXPECT_TRUE(plan_prefill({}, cost, {5e-3, 500}).empty());
}

TEST(PlanPrefill, TheShortestComesFirstAndTheOthersAreNotForgotten) {
  const StepCost cost = learnt();
  const std::vector<PromptInWork> prompts{{0, 100000, Priority::kNormal, 3}, {0, 150, Priority::kNormal, 9}};
  const auto rows = plan_prefill(prompts, cost, {6e-3, 500});
  EXPECT_EQ(rows[1], 150u) << "all of the short one fits in three quarters";
  EXPECT_GE(rows[0], 60u);
  const std::vector<PromptInWork> high{{0, 900, Priority::kHigh, 3}, {0, 300, Priority::kNormal, 9}};
  EXPECT_GT(plan_prefill(high, cost, {6e-3, 500})[0], 200u);
}

// However many short prompts keep coming, a long one ends.
TEST(PlanPrefill, ALongPromptIsNotStarved) {
  const StepCost cost = learnt();
  constexpr size_t kShort = 4;
  std::vector<PromptInWork> prompts(1 + kShort, {0, 400, Priority::kNormal, 0});
  prompts[0].remaining = 100000;
  size_t of_long = 0, all = 0;
  for (uint64_t pass = 1; pass <= 400; ++pass) {
    const auto rows = plan_prefill(prompts, cost, {5e-3, 500});
    EXPECT_LE(sum(rows), 300u);
    for (size_t i = 0; i < prompts.size(); ++i) {
      all += rows[i];
      if (rows[i] > 0) prompts[i].served = pass;
      prompts[i].remaining -= rows[i];
      if (prompts[i].remaining == 0) prompts[i].remaining = 400;  // the next short one
    }
    of_long += rows[0];
  }
  EXPECT_GE(static_cast<double>(of_long) / static_cast<double>(all), 1.0 / (4 * (kShort + 1)));
}

// --- Who waits ---

Submission waiting(GenerationId id, const std::string& owner = "", Priority priority = Priority::kNormal,
                   double submitted_s = 100) {
  Submission submission;
  submission.id = id;
  submission.request.from.owner = owner;
  submission.request.from.priority = priority;
  submission.request.prompt = {1, 2, 3};
  submission.submitted_s = submitted_s;
  return submission;
}

GenerationId next(WaitingQueue& queue, double now_s = 101, const std::string& busy = "?") {
  auto taken = queue.take(
      now_s, [](const Submission&) { return true; },
      [&](const std::string& owner) { return owner == busy ? size_t{5} : size_t{0}; });
  return taken ? taken->id : 0;
}

TEST(WaitingQueue, FirstComeFirstServedAmongEquals) {
  WaitingQueue queue;
  for (GenerationId id = 1; id <= 3; ++id) queue.push(waiting(id));
  EXPECT_EQ(queue.tokens(), 9u);
  EXPECT_EQ(next(queue), 1u);
  EXPECT_EQ(next(queue), 2u);
  EXPECT_EQ(next(queue), 3u);
  EXPECT_EQ(next(queue), 0u);
  EXPECT_EQ(queue.tokens(), 0u);
}

TEST(WaitingQueue, PrioritiesThenOwnersWithLessRunning) {
  WaitingQueue queue;
  queue.push(waiting(1, "a", Priority::kLow));
  queue.push(waiting(2, "a"));
  queue.push(waiting(3, "b"));
  queue.push(waiting(4, "a", Priority::kHigh));
  EXPECT_EQ(next(queue, 101, "a"), 4u);
  EXPECT_EQ(next(queue, 101, "a"), 3u);
  EXPECT_EQ(next(queue, 101, "a"), 2u);
  EXPECT_EQ(next(queue, 101, "a"), 1u);
}

TEST(WaitingQueue, WaitingMakesBetter) {
  WaitingQueue queue;
  queue.push(waiting(1, "", Priority::kLow, 0));
  queue.push(waiting(2, "", Priority::kNormal, 119));
  EXPECT_EQ(next(queue, 120), 1u);
}

TEST(WaitingQueue, TakesOutByIdAndByDeadline) {
  WaitingQueue queue;
  Submission limited = waiting(1);
  limited.request.time_limit_s = 5;
  queue.push(limited);
  queue.push(waiting(2));
  EXPECT_EQ(queue.next_deadline_s(), 105);
  EXPECT_TRUE(queue.take_overdue(104).empty());
  EXPECT_EQ(queue.take_overdue(105).size(), 1u);
  EXPECT_FALSE(queue.take_out(1));
  EXPECT_TRUE(queue.take_out(2));
  EXPECT_EQ(queue.size(), 0u);
  EXPECT_TRUE(std::isinf(queue.next_deadline_s()));
}

// --- Names ---

TEST(KeptName, OwnersNeverMeetAndNamesComeBack) {
  const std::vector<std::string> words{"",      "a",     "b",      "a.b",  ".a",    "-a",     "a_2eb",
                                       "a_",    "_2",    "_2e",    "__2e", "_5f2e", "Grüße",  "x y.z",
                                       "a_b_c", "_zz1f", "a.b.c.", "~1",   "a b_0", "_ 0a_0a"};
  std::vector<std::string> names;
  for (const std::string& owner : words) {
    for (const std::string& session : words) {
      const auto name = kept_name(owner, session);
      EXPECT_EQ(name.has_value(), !session.empty());
      if (!name) continue;
      for (const char c : *name) EXPECT_TRUE(std::isalnum(c) || c == '.' || c == '_' || c == '-') << *name;
      EXPECT_NE(name->front(), '.');
      EXPECT_NE(name->front(), '-');
      const auto parts = parts_of_kept_name(*name);
      ASSERT_TRUE(parts) << *name;
      EXPECT_EQ(parts->owner, owner);
      EXPECT_EQ(parts->session, session);
      names.push_back(*name);
    }
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  EXPECT_EQ(*kept_name("", "my_chat-1"), "my_chat-1");
  EXPECT_FALSE(kept_name("", std::string(101, 'a')));
  for (const char* unreachable : {".", "..", "a/b", "/", "../a", "a\nb", "a\x7f"})
    EXPECT_FALSE(kept_name("", unreachable)) << "no path of /v1/sessions would find it: " << unreachable;
  EXPECT_FALSE(parts_of_kept_name("a.b.c"));
}

}  // namespace
}  // namespace mneme::serve
