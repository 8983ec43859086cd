// The scripted backend keeps to what backend.h says of every Backend.
#include "serve/backend_for_test.h"

#include <gtest/gtest.h>

#include <future>

#include "serve/recorder_for_test.h"

namespace mneme::serve {
namespace {

GenerationRequest request_of(const Text& text, std::string_view prompt) {
  GenerationRequest request;
  request.prompt = text.encode(prompt, {});
  return request;
}

TEST(ScriptedBackend, SaysItsAnswer) {
  ScriptedBackend backend("Grüße");
  backend.set_found(3);
  auto listener = std::make_shared<Recorder>();
  backend.submit(request_of(backend.text(), "<|im_start|>hello"), listener);
  const auto end = listener->wait();
  EXPECT_FALSE(end.failure);
  EXPECT_EQ(listener->prompt, 6u);
  EXPECT_EQ(listener->found, 3u);
  EXPECT_EQ(listener->text, "Grüße");
  EXPECT_EQ(end.report.text, "Grüße");
  EXPECT_EQ(end.report.reason, StopReason::kEnd);
  EXPECT_EQ(end.report.generated_tokens, 8u) << "seven bytes and the end token";
  EXPECT_EQ(backend.last_prompt(), "<|im_start|>hello");
}

TEST(ScriptedBackend, StopsAtStopTextsAndLengths) {
  ScriptedBackend backend("one two three");
  auto stopped = std::make_shared<Recorder>();
  GenerationRequest request = request_of(backend.text(), "x");
  request.generate.stop = {" three", "never"};
  backend.submit(request, stopped);
  EXPECT_EQ(stopped->wait().report.reason, StopReason::kStopText);
  EXPECT_EQ(stopped->text, "one two");
  auto cut = std::make_shared<Recorder>();
  request.generate = {.tokens_max = 5};
  request.generate.top_logprobs = 2;
  backend.submit(request, cut);
  EXPECT_EQ(cut->wait().report.reason, StopReason::kLength);
  EXPECT_EQ(cut->text, "one t");
  ASSERT_EQ(cut->tokens.size(), 5u);
  EXPECT_EQ(cut->tokens[0].bytes, "o");
  EXPECT_EQ(cut->tokens[0].top.size(), 2u);
}

TEST(ScriptedBackend, FailsInEveryKind) {
  ScriptedBackend backend;
  using enum FailureKind;
  for (const FailureKind kind : {kInvalid, kTooLong, kBusy, kOverTime, kStopping, kInternal}) {
    for (const size_t after : {0u, 2u}) {
      backend.push_failure({kind, "no", 0, 0, 1.5}, after);
      auto listener = std::make_shared<Recorder>();
      backend.submit(request_of(backend.text(), "x"), listener);
      const auto end = listener->wait();
      ASSERT_TRUE(end.failure);
      EXPECT_EQ(end.failure->kind, kind);
      EXPECT_EQ(listener->text.size(), after);
    }
  }
}

TEST(ScriptedBackend, IsCancelledWhileHeld) {
  ScriptedBackend backend;
  backend.set_held(true);
  auto listener = std::make_shared<Recorder>();
  const GenerationId id = backend.submit(request_of(backend.text(), "x"), listener);
  backend.cancel(id);
  EXPECT_EQ(listener->wait().report.reason, StopReason::kCancelled);
  EXPECT_TRUE(backend.wait_until_idle());
}

TEST(ScriptedBackend, StaysWithinAConstraint) {
  ScriptedBackend backend("{\"a\":1}");
  const auto grammar = grammar::Grammar::from_schema(
      R"({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})", {});
  ASSERT_TRUE(grammar);
  GenerationRequest request = request_of(backend.text(), "x");
  request.generate.constraint = std::make_shared<grammar::Constraint>(*grammar, backend.text().vocabulary());
  auto fitting = std::make_shared<Recorder>();
  backend.submit(request, fitting);
  EXPECT_EQ(fitting->wait().report.reason, StopReason::kEnd);
  backend.set_answer("no JSON");
  auto refused = std::make_shared<Recorder>();
  backend.submit(request, refused);
  const auto end = refused->wait();
  EXPECT_EQ(end.report.reason, StopReason::kNoToken);
  EXPECT_FALSE(end.report.complete);
}

TEST(ScriptedBackend, Embeds) {
  ScriptedBackend backend;
  std::promise<std::vector<std::vector<float>>> vectors;
  backend.embed({{1, 2}, {1}}, "", [&](auto done) { vectors.set_value(*done); });
  EXPECT_EQ(vectors.get_future().get(), (std::vector<std::vector<float>>{{0, 0, 1, 0}, {0, 1, 0, 0}}));
}

}  // namespace
}  // namespace mneme::serve
