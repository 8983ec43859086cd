// The Scheduler: what its threads share, what it bounds and how it stops. Over an engine without a model.
#include "serve/scheduler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "serve/recorder_for_test.h"
#include "serve/scripted_engine_for_test.h"

namespace mneme::serve {
namespace {

using std::chrono::milliseconds;

GenerationRequest request_of(std::string_view prompt, int tokens_max) {
  GenerationRequest request;
  request.prompt = ByteText().encode(prompt, {});
  request.generate.tokens_max = tokens_max;
  request.generate.sampling.temperature = 0;
  return request;
}
std::string answer_to(std::string_view prompt, size_t count) {
  return ScriptedEngine::answer_to(ByteText().encode(prompt, {}), count);
}

struct Scene {
  Gate gate;
  ScriptedEngine* engine = nullptr;
  std::unique_ptr<Scheduler> scheduler;

  explicit Scene(const SchedulerOptions& options = {}) {
    auto owned = std::make_unique<ScriptedEngine>();
    engine = owned.get();
    engine->on_step = [this](size_t) { gate.pass(); };
    scheduler = std::make_unique<Scheduler>(std::move(owned), options);
  }
  std::shared_ptr<Recorder> ask(std::string_view prompt, int tokens_max) {
    auto listener = std::make_shared<Recorder>();
    ids.push_back(scheduler->submit(request_of(prompt, tokens_max), listener));
    return listener;
  }
  std::vector<GenerationId> ids;
};

TEST(Scheduler, AnswersManyThreadsAtOnce) {
  Scene scene;
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 30; ++i) {
        const std::string prompt = std::string(static_cast<size_t>(1 + i * 7), static_cast<char>('A' + t));
        auto listener = std::make_shared<Recorder>();
        const GenerationId id = scene.scheduler->submit(request_of(prompt, 12), listener);
        if (i % 5 == 4) scene.scheduler->cancel(id);
        const auto end = listener->wait();
        const size_t count = end.report.text.size();
        const bool whole = count == 12 || end.report.reason == StopReason::kCancelled;
        if (!end.failure && whole && end.report.text == answer_to(prompt, count)) ++right;
        if (i % 7 == 0) (void)scene.scheduler->sessions();
        (void)scene.scheduler->state();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 240);
  scene.scheduler->stop(milliseconds(1000));
  const BackendState state = scene.scheduler->state();
  EXPECT_EQ(state.requests, 240u);
  EXPECT_EQ(state.running + state.waiting, 0u);
  EXPECT_GT(state.generated_tokens, 8u * 24 * 12 - 1);
}

TEST(Scheduler, QueuesAreBoundedAndSayWhenToComeAgain) {
  SchedulerOptions options;
  options.running_max = 1;
  options.waiting_max = 2;
  Scene scene(options);
  scene.gate.close();
  auto running = scene.ask("a", 5);
  scene.gate.wait_for_arrivals(1);  // it has begun
  auto second = scene.ask("b", 5), third = scene.ask("c", 5), fourth = scene.ask("d", 5);
  ASSERT_TRUE(fourth->ended()) << "at once";
  EXPECT_EQ(fourth->done->failure->kind, FailureKind::kBusy);
  EXPECT_GE(fourth->done->failure->retry_after_s, 1);
  EXPECT_EQ(scene.ids.back(), 0u);
  EXPECT_EQ(scene.scheduler->state().waiting, 2u);
  scene.gate.open();
  EXPECT_EQ(third->wait().report.text, answer_to("c", 5));
  EXPECT_EQ(second->wait().report.text, answer_to("b", 5));
  EXPECT_EQ(running->wait().report.text, answer_to("a", 5));
  EXPECT_EQ(scene.ask("d", 5)->wait().report.text, answer_to("d", 5));
}

TEST(Scheduler, WaitingPromptsAreBoundedByTheirTokens) {
  SchedulerOptions options;
  options.running_max = 1;
  options.waiting_tokens_max = 100;
  Scene scene(options);
  scene.gate.close();
  auto running = scene.ask("a", 5);
  scene.gate.wait_for_arrivals(1);
  auto one = scene.ask(std::string(60, 'b'), 5), two = scene.ask(std::string(60, 'c'), 5);
  ASSERT_TRUE(two->ended());
  EXPECT_EQ(two->done->failure->kind, FailureKind::kBusy);
  scene.gate.open();
  EXPECT_FALSE(one->wait().failure);
  EXPECT_FALSE(running->wait().failure);
}

TEST(Scheduler, PromptsThatCannotBeAreRefused) {
  SchedulerOptions options;
  options.context_tokens_max = 100;
  Scene scene(options);
  EXPECT_EQ(scene.scheduler->limits().context_tokens_max, 100u);
  auto empty = scene.ask("", 5);
  EXPECT_EQ(empty->wait().failure->kind, FailureKind::kInvalid);
  auto overlong = scene.ask(std::string(100, 'x'), 5);
  const auto failure = *overlong->wait().failure;
  EXPECT_EQ(failure.kind, FailureKind::kTooLong);
  EXPECT_EQ(failure.tokens, 100u);
  EXPECT_EQ(failure.tokens_max, 100u);
  auto fitting = scene.ask(std::string(90, 'x'), 50);
  EXPECT_EQ(fitting->wait().report.text.size(), 10u) << "as many as there is room for";
  auto endless = scene.ask(std::string(95, 'x'), -1);
  EXPECT_EQ(endless->wait().report.text.size(), 5u);
}

TEST(Scheduler, ACancelledGenerationEndsWithItsStep) {
  Scene scene;
  scene.gate.close();
  auto listener = scene.ask("abc", 1000);
  scene.gate.wait_for_arrivals(1);
  scene.scheduler->cancel(scene.ids[0]);
  scene.gate.open();
  const auto end = listener->wait();
  EXPECT_EQ(end.report.reason, StopReason::kCancelled);
  EXPECT_LE(end.report.text.size(), 1u);
}

TEST(Scheduler, ListenersMaySubmitAndCancel) {
  Scene scene;
  auto next = std::make_shared<Recorder>();
  auto first = std::make_shared<Recorder>();
  std::atomic<GenerationId> id = 0;
  first->during_text = [&] {
    if (first->text.size() == 3) scene.scheduler->submit(request_of("next", 5), next);
    if (first->text.size() == 4) scene.scheduler->cancel(id);
  };
  scene.gate.close();
  id = scene.scheduler->submit(request_of("first", 1000), first);
  scene.gate.open();
  EXPECT_EQ(first->wait().report.reason, StopReason::kCancelled);
  EXPECT_EQ(next->wait().report.text, answer_to("next", 5));
}

TEST(Scheduler, StopLetsWhatRunsEnd) {
  SchedulerOptions options;
  options.running_max = 1;
  Scene scene(options);
  scene.gate.close();
  auto running = scene.ask("abc", 20);
  scene.gate.wait_for_arrivals(1);
  auto waiting = scene.ask("def", 20);
  std::thread stopper([&] { scene.scheduler->stop(milliseconds(60'000)); });
  while (!scene.ask("late", 1)->ended()) std::this_thread::yield();  // until it takes nothing more
  scene.gate.open();
  stopper.join();
  EXPECT_EQ(running->wait().report.text, answer_to("abc", 20));
  EXPECT_EQ(waiting->wait().failure->kind, FailureKind::kStopping);
  auto late = scene.ask("ghi", 20);
  EXPECT_EQ(late->wait().failure->kind, FailureKind::kStopping);
  EXPECT_TRUE(scene.scheduler->sessions().empty());
  EXPECT_FALSE(scene.scheduler->session_map("", "~1"));
}

TEST(Scheduler, StopCancelsWhatDoesNotEndInTime) {
  Scene scene;
  auto running = scene.ask("abc", 10'000);
  std::promise<EmbeddingResult> embedded;
  scene.gate.wait_for_arrivals(3);
  scene.scheduler->embed({{1, 2, 3}}, "",
                         [&](EmbeddingResult result) { embedded.set_value(std::move(result)); });
  scene.scheduler->stop(milliseconds(0));
  const auto end = running->wait();
  EXPECT_FALSE(end.failure);
  EXPECT_EQ(end.report.reason, StopReason::kCancelled);
  EXPECT_EQ(end.report.text, answer_to("abc", end.report.text.size()));
  (void)embedded.get_future().get();  // one way or the other
}

TEST(Scheduler, EmbedsAndRefusesWhatHasNone) {
  Scene scene;
  const auto embed = [&](std::vector<std::vector<TokenId>> texts) {
    std::promise<EmbeddingResult> promise;
    scene.scheduler->embed(std::move(texts), "", [&](EmbeddingResult r) { promise.set_value(std::move(r)); });
    return promise.get_future().get();
  };
  const auto vectors = embed({{1, 2, 3}, {4}});
  ASSERT_TRUE(vectors);
  EXPECT_EQ((*vectors)[0][0], 3);
  EXPECT_EQ((*vectors)[1][0], 1);
  EXPECT_EQ(embed({{1}, {}}).error().kind, FailureKind::kInvalid);
  EXPECT_EQ(embed({{1}, {700}}).error().kind, FailureKind::kInvalid);
  EXPECT_EQ(embed({std::vector<TokenId>(2 << 20, 1)}).error().kind, FailureKind::kTooLong);
}

TEST(Scheduler, SessionsAreListedPinnedAndRemoved) {
  Scene scene;
  GenerationRequest request = request_of(std::string(100, 'q'), 5);
  request.from.owner = "alice";
  request.from.affinity = "chat";
  auto listener = std::make_shared<Recorder>();
  scene.scheduler->submit(request, listener);
  listener->wait();
  auto sessions = scene.scheduler->sessions();
  ASSERT_EQ(sessions.size(), 1u);
  EXPECT_EQ(sessions[0].owner, "alice");
  EXPECT_EQ(sessions[0].affinity, "chat");
  EXPECT_EQ(sessions[0].tokens, 105u);
  EXPECT_EQ(sessions[0].pending, 1u);
  const std::string id = sessions[0].id;
  EXPECT_FALSE(scene.scheduler->session_map("bob", id)) << "nobody else's";
  EXPECT_FALSE(scene.scheduler->remove_session("bob", id));
  EXPECT_EQ(scene.scheduler->session_map("alice", id)->tokens, 104u);
  EXPECT_TRUE(scene.scheduler->pin_session("alice", id, true));
  EXPECT_TRUE(scene.scheduler->sessions()[0].pinned);
  const auto forked = scene.scheduler->fork_session("alice", id, "", 0);
  ASSERT_FALSE(forked);
  EXPECT_NE(forked.error().message.find("--cold-dir"), std::string::npos);
  EXPECT_FALSE(scene.scheduler->export_session("alice", id, "/nowhere"));
  EXPECT_TRUE(scene.scheduler->remove_session("alice", id));
  EXPECT_TRUE(scene.scheduler->sessions().empty());
  EXPECT_FALSE(scene.scheduler->remove_session("alice", id));
}

}  // namespace
}  // namespace mneme::serve
