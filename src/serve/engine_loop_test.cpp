// What an EngineLoop does, pass by pass, over an engine without a model.
#include "serve/engine_loop.h"

#include <gtest/gtest.h>

#include "core/clock.h"

#include "serve/recorder_for_test.h"
#include "serve/scripted_engine_for_test.h"

namespace mneme::serve {
namespace {

using Tokens = std::vector<TokenId>;

Tokens bytes(std::string_view text) { return ByteText().encode(text, {}); }
Tokens repeated(char c, size_t count) { return bytes(std::string(count, c)); }
Tokens joined(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Scene {
  ScriptedEngine engine;
  LoopOptions options;
  std::optional<EngineLoop> loop_;
  GenerationId last = 0;

  Scene() { options.context_tokens_max = 100000; }
  EngineLoop& loop() {
    if (!loop_) loop_.emplace(engine, options);
    return *loop_;
  }
  std::shared_ptr<Recorder> submit(GenerationRequest request, double submitted_s = 0) {
    auto listener = std::make_shared<Recorder>();
    request.generate.sampling.temperature = 0;
    loop().submit({++last, std::move(request), listener, submitted_s});
    return listener;
  }
  std::shared_ptr<Recorder> ask(const Tokens& prompt, int tokens_max = 8, const std::string& owner = "",
                                const std::string& affinity = "") {
    GenerationRequest request;
    request.prompt = prompt;
    request.generate.tokens_max = tokens_max;
    request.from.owner = owner;
    request.from.affinity = affinity;
    return submit(std::move(request));
  }
  void run() {
    for (int i = 0; i < 100000 && loop().has_work(); ++i) loop().turn();
    EXPECT_FALSE(loop().has_work());
  }
  // The tokens of the session of a prompt and its answer, as they are left behind.
  static Tokens conversation(const Tokens& prompt, size_t answer) {
    return joined(prompt, bytes(ScriptedEngine::answer_to(prompt, answer)));
  }
};

TEST(EngineLoop, ManyAtOnceSayWhatEachSaysAlone) {
  Scene scene;
  std::vector<std::shared_ptr<Recorder>> heard;
  for (size_t i = 0; i < 40; ++i)
    heard.push_back(scene.ask(repeated(static_cast<char>('A' + i), 1 + i * 37), static_cast<int>(1 + i % 9)));
  scene.run();
  for (size_t i = 0; i < 40; ++i) {
    const auto prompt = repeated(static_cast<char>('A' + i), 1 + i * 37);
    EXPECT_EQ(heard[i]->text, ScriptedEngine::answer_to(prompt, 1 + i % 9)) << i;
    EXPECT_EQ(heard[i]->done->report.reason, StopReason::kLength);
    EXPECT_EQ(heard[i]->done->report.prompt_tokens, prompt.size());
    EXPECT_EQ(heard[i]->order.front(), 'b');
    EXPECT_EQ(heard[i]->order.back(), 'e');
    EXPECT_EQ(heard[i]->prefilled.back(), prompt.size());
  }
}

TEST(EngineLoop, DecodersAreInEveryPassBesideALongPrompt) {
  Scene scene;
  auto chat = scene.ask(bytes("hello"), 40);
  scene.loop().turn();
  auto book = scene.ask(repeated('x', 5000), 1);
  scene.run();
  size_t with_both = 0, without_chat = 0;
  for (const auto& step : scene.engine.steps) {
    const bool decodes = step.rows.front() == 1;
    with_both += decodes && step.sessions.size() == 2 ? 1 : 0;
    without_chat += decodes ? 0 : 1;
  }
  EXPECT_GE(with_both, 5u) << "the prompt goes on while the chat decodes";
  EXPECT_EQ(chat->text, ScriptedEngine::answer_to(bytes("hello"), 40));
  EXPECT_EQ(book->text.size(), 1u);
  EXPECT_LT(chat->prefilled.size(), 2u);
}

TEST(EngineLoop, ABatchTakesNoMoreThanItMay) {
  Scene scene;
  scene.options.running_max = 3;
  for (int i = 0; i < 9; ++i) scene.ask(repeated(static_cast<char>('a' + i), 10), 5);
  size_t most = 0;
  while (scene.loop().has_work()) {
    scene.loop().turn();
    most = std::max(most, scene.loop().state().running);
  }
  EXPECT_EQ(most, 3u);
}

TEST(EngineLoop, WhatIsCancelledEndsBeforeTheNextPass) {
  Scene scene;
  scene.options.running_max = 1;
  auto running = scene.ask(bytes("one"), 100);
  auto waiting = scene.ask(bytes("two"), 100);
  for (int i = 0; i < 4; ++i) scene.loop().turn();
  const size_t passes = scene.engine.steps.size();
  scene.loop().cancel(1);
  scene.loop().cancel(2);
  scene.loop().cancel(77);
  EXPECT_EQ(running->done->report.reason, StopReason::kCancelled);
  EXPECT_EQ(running->text, ScriptedEngine::answer_to(bytes("one"), running->text.size()));
  EXPECT_EQ(running->text.size(), 4u);
  EXPECT_EQ(waiting->done->report.reason, StopReason::kCancelled);
  EXPECT_EQ(waiting->order, "e");
  EXPECT_FALSE(scene.loop().has_work());
  EXPECT_EQ(scene.engine.steps.size(), passes);
  EXPECT_EQ(scene.loop().state().cancelled, 2u);
}

TEST(EngineLoop, WhoWaitsHearsOfIt) {
  Scene scene;
  scene.options.running_max = 1;
  scene.options.tell_s = 0;
  auto running = scene.ask(bytes("x"), 1000);
  scene.loop().turn();
  auto waiting = scene.ask(bytes("long"), 5);
  scene.loop().turn();
  scene.loop().turn();
  EXPECT_EQ(waiting->order, "pp");
  EXPECT_EQ(waiting->prefilled, (std::vector<size_t>{0, 0}));
  EXPECT_EQ(waiting->prefill_total, 4u);
}

TEST(EngineLoop, TimeLimitsEndWhatWaitsAndWhatRuns) {
  Scene scene;
  scene.options.running_max = 1;
  GenerationRequest request;
  request.prompt = bytes("x");
  request.generate.tokens_max = 1000;
  request.time_limit_s = 1000;
  auto running = scene.submit(request, core::now_s());
  scene.loop().turn();
  auto waiting = scene.submit(request, core::now_s() - 2000);
  scene.loop().turn();
  EXPECT_EQ(waiting->done->failure->kind, FailureKind::kOverTime);
  EXPECT_FALSE(running->ended());
  request.time_limit_s = 1e-9;
  scene.loop().cancel(1);
  auto late = scene.submit(request, core::now_s());
  scene.loop().turn();
  EXPECT_EQ(late->done->failure->kind, FailureKind::kOverTime);
}

TEST(EngineLoop, BadRequestsFailAlone) {
  Scene scene;
  auto good = scene.ask(bytes("good"), 5);
  GenerationRequest bad;
  bad.prompt = bytes("bad");
  bad.generate.sampling.logit_bias = {{9999, 1.0f}};
  auto biased = scene.submit(bad);
  auto outside = scene.ask({1, 2, 500}, 5);
  bad.generate.sampling.logit_bias.clear();
  bad.from.session = "kept";
  auto named = scene.submit(bad);
  scene.run();
  EXPECT_EQ(good->text, ScriptedEngine::answer_to(bytes("good"), 5));
  for (const auto& failed : {biased, outside, named}) {
    ASSERT_TRUE(failed->done->failure);
    EXPECT_EQ(failed->done->failure->kind, FailureKind::kInvalid);
  }
  EXPECT_NE(named->done->failure->message.find("--cold-dir"), std::string::npos);
}

TEST(EngineLoop, AnswersToOnePromptWaitForTheFirstToReadIt) {
  Scene scene;
  const Tokens prompt = repeated('p', 3000);
  auto first = scene.ask(prompt, 4);
  GenerationRequest request;
  request.prompt = prompt;
  request.generate.tokens_max = 4;
  request.beside = 1;
  auto second = scene.submit(request), other = scene.ask(bytes("other"), 4);
  request.beside = 77;  // ended long ago, or never was
  auto third = scene.submit(request);
  scene.loop().turn();
  EXPECT_EQ(scene.loop().state().waiting, 1u) << "the second alone";
  while (first->text.empty()) {
    EXPECT_TRUE(second->text.empty());
    scene.loop().turn();
  }
  scene.loop().cancel(1);
  scene.run();
  for (const auto& heard : {second, third}) EXPECT_EQ(heard->text, ScriptedEngine::answer_to(prompt, 4));
  EXPECT_EQ(other->text, ScriptedEngine::answer_to(bytes("other"), 4));
}

// --- Prefixes ---

TEST(EngineLoop, ASecondTurnFindsTheFirst) {
  Scene scene;
  const Tokens first = repeated('q', 300);
  scene.ask(first, 20);
  scene.run();
  const Tokens second = joined(Scene::conversation(first, 20), bytes(" and then?"));
  auto heard = scene.ask(second, 5);
  scene.run();
  EXPECT_EQ(heard->found, 319u) << "all but the answer's last token, which nobody has evaluated";
  EXPECT_EQ(heard->done->report.found_tokens, 319u);
  EXPECT_EQ(heard->done->report.prompt_tokens, second.size() - 319);
  EXPECT_EQ(heard->prefill_total, second.size() - 319);
  EXPECT_EQ(heard->text, ScriptedEngine::answer_to(second, 5));
  EXPECT_EQ(scene.loop().pool().count(), 1u) << "the same session goes on";
}

TEST(EngineLoop, TheSamePromptAgainIsFoundButForItsLastToken) {
  Scene scene;
  const Tokens prompt = repeated('q', 300);
  GenerationRequest warming;
  warming.prompt = prompt;
  warming.warm_only = true;
  auto warm = scene.submit(warming);
  scene.run();
  EXPECT_EQ(warm->done->report.generated_tokens, 0u);
  EXPECT_EQ(warm->done->report.reason, StopReason::kLength);
  auto heard = scene.ask(prompt, 5);
  scene.run();
  EXPECT_EQ(heard->found, 299u);
  EXPECT_EQ(heard->text, ScriptedEngine::answer_to(prompt, 5));
}

TEST(EngineLoop, OwnersDoNotFindEachOthersContexts) {
  for (const bool share : {false, true}) {
    Scene scene;
    scene.options.pool.share = share;
    const Tokens prompt = repeated('q', 300);
    scene.ask(prompt, 5, "alice");
    scene.run();
    auto heard = scene.ask(prompt, 5, "bob");
    scene.run();
    EXPECT_EQ(heard->found, share ? 299u : 0u);
    EXPECT_EQ(heard->text, ScriptedEngine::answer_to(prompt, 5));
  }
}

TEST(EngineLoop, ALongConversationIsNotCutForItsSystemPrompt) {
  for (const bool tiers : {false, true}) {
    Scene scene;
    scene.engine.has_tiers = tiers;
    const Tokens system = repeated('s', 200), first = joined(system, repeated('q', 1000));
    scene.ask(first, 10);
    scene.run();
    auto other = scene.ask(joined(system, bytes("something else")), 10);
    scene.run();
    EXPECT_EQ(other->found, tiers ? 200u : 0u) << "forked where that is possible";
    EXPECT_EQ(other->text, ScriptedEngine::answer_to(joined(system, bytes("something else")), 10));
    auto again = scene.ask(joined(Scene::conversation(first, 10), bytes("more")), 10);
    scene.run();
    EXPECT_EQ(again->found, 1209u);
    EXPECT_EQ(scene.loop().pool().count(), 2u);
  }
}

TEST(EngineLoop, AnEarlierTurnAskedAgainTakesItsConversation) {
  Scene scene;
  const Tokens system = repeated('s', 200), first = joined(system, repeated('q', 1000));
  scene.ask(first, 10, "", "chat-1");
  scene.run();
  auto edited = scene.ask(joined(system, bytes("something else")), 10, "", "chat-1");
  scene.run();
  EXPECT_EQ(edited->found, 200u);
  EXPECT_EQ(scene.loop().pool().count(), 1u);
}

TEST(EngineLoop, WhatCannotBeRewoundIsNotTaken) {
  Scene scene;
  scene.engine.rewind_max = 100;
  const Tokens first = repeated('q', 1000);
  scene.ask(first, 200);
  scene.run();
  auto shorter = scene.ask(joined(repeated('q', 900), bytes("other")), 5);
  scene.run();
  EXPECT_EQ(shorter->found, 0u);
  EXPECT_EQ(scene.loop().pool().count(), 2u) << "the first is still there";
}

TEST(EngineLoop, IdleSessionsAreBounded) {
  Scene scene;
  scene.options.pool.sessions_max = 3;
  for (int i = 0; i < 10; ++i) {
    scene.ask(repeated(static_cast<char>('a' + i), 50), 3);
    scene.run();
  }
  EXPECT_EQ(scene.loop().pool().count(), 3u);
  EXPECT_EQ(scene.engine.alive(), 3u);
  auto heard = scene.ask(joined(repeated('j', 50), bytes("x")), 3);
  scene.run();
  EXPECT_EQ(heard->found, 50u) << "the newest is there";
}

TEST(EngineLoop, PinnedSessionsStay) {
  Scene scene;
  scene.options.pool.sessions_max = 2;
  scene.ask(repeated('a', 150), 3);
  scene.run();
  const std::string id = scene.loop().pool().all().front().id;
  (*scene.loop().pool().find("", id))->pinned = true;
  for (int i = 1; i < 9; ++i) {
    scene.ask(repeated(static_cast<char>('a' + i), 50), 3);
    scene.run();
  }
  EXPECT_EQ(scene.loop().pool().count(), 3u);
  auto beside = scene.ask(joined(repeated('a', 50), bytes("b")), 3);
  scene.run();
  EXPECT_EQ(beside->found, 0u) << "it is not cut either";
  auto heard = scene.ask(joined(Scene::conversation(repeated('a', 150), 3), bytes("x")), 3);
  scene.run();
  EXPECT_EQ(heard->found, 152u);
}

// --- Memory is short ---

TEST(EngineLoop, IdleSessionsMakeRoomOldestFirst) {
  Scene scene;
  scene.engine.tokens_max = 12 * 64;
  for (const char c : {'a', 'b', 'c'}) {
    scene.ask(repeated(c, 150), 3);
    scene.run();
  }
  auto heard = scene.ask(repeated('z', 300), 10);
  scene.run();
  EXPECT_EQ(heard->text, ScriptedEngine::answer_to(repeated('z', 300), 10));
  auto newest = scene.ask(joined(repeated('c', 150), bytes("x")), 3);
  scene.run();
  EXPECT_EQ(newest->found, 150u) << "the youngest of the three was left";
}

TEST(EngineLoop, ThoseWhoDoNotFitTogetherTakeTurns) {
  for (const bool tiers : {false, true}) {
    Scene scene;
    scene.engine.has_tiers = tiers;
    scene.engine.tokens_max = 8 * 64;
    std::vector<std::shared_ptr<Recorder>> heard;
    for (const char c : {'a', 'b', 'c', 'd'}) heard.push_back(scene.ask(repeated(c, 60), 300));
    scene.run();
    size_t i = 0;
    for (const char c : {'a', 'b', 'c', 'd'}) {
      EXPECT_EQ(heard[i]->done->report.reason, StopReason::kLength) << c;
      EXPECT_EQ(heard[i]->text, ScriptedEngine::answer_to(repeated(c, 60), 300)) << c;
      EXPECT_EQ(heard[i]->order.find('b'), heard[i]->order.rfind('b')) << "one beginning";
      ++i;
    }
  }
}

TEST(EngineLoop, OneThatIsTooLongAloneIsFull) {
  Scene scene;
  scene.engine.tokens_max = 4 * 64;
  auto heard = scene.ask(repeated('a', 100), 1000);
  auto other = scene.ask(repeated('b', 10), 20);
  scene.run();
  EXPECT_EQ(heard->done->report.reason, StopReason::kFull);
  EXPECT_EQ(heard->text, ScriptedEngine::answer_to(repeated('a', 100), heard->text.size()));
  EXPECT_GE(heard->text.size(), 150u);
  EXPECT_EQ(other->text, ScriptedEngine::answer_to(repeated('b', 10), 20));
  auto prompt = scene.ask(repeated('c', 1000), 5);
  scene.run();
  ASSERT_TRUE(prompt->done->failure);
  EXPECT_EQ(prompt->done->failure->kind, FailureKind::kTooLong) << prompt->done->failure->message;
}

// --- Embeddings ---

TEST(EngineLoop, EmbeddingsGoBesideGenerations) {
  Scene scene;
  auto heard = scene.ask(bytes("hello"), 30);
  std::vector<Tokens> texts;
  for (size_t i = 1; i <= 70; ++i) texts.push_back(repeated('e', i * 7));
  std::optional<EmbeddingResult> result;
  scene.loop().embed({texts, [&](EmbeddingResult r) { result = std::move(r); }});
  bool none = false;
  scene.loop().embed({{}, [&](EmbeddingResult r) { none = r.has_value() && r->empty(); }});
  scene.run();
  ASSERT_TRUE(result && *result);
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ((**result)[i][0], static_cast<float>(texts[i].size()));
  EXPECT_TRUE(none);
  EXPECT_EQ(heard->text, ScriptedEngine::answer_to(bytes("hello"), 30));
  EXPECT_EQ(scene.engine.alive(), 1u);
}

TEST(EngineLoop, EmbeddingsThatDoNotFitTogetherGoOneByOne) {
  Scene scene;
  scene.engine.tokens_max = 4 * 64;
  std::vector<Tokens> texts(10, repeated('e', 200));
  std::optional<EmbeddingResult> result;
  scene.loop().embed({texts, [&](EmbeddingResult r) { result = std::move(r); }});
  auto heard = scene.ask(bytes("hello"), 30);
  scene.run();
  ASSERT_TRUE(result && *result);
  EXPECT_EQ((*result)->size(), 10u);
  EXPECT_EQ(heard->text.size(), 30u);
  scene.loop().embed({{repeated('e', 400)}, [&](EmbeddingResult r) { result = std::move(r); }});
  scene.run();
  ASSERT_FALSE(*result);
  EXPECT_EQ(result->error().kind, FailureKind::kTooLong);
}

}  // namespace
}  // namespace mneme::serve
