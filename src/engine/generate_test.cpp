#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "mneme/engine.h"

namespace mneme {
namespace {

// A vocabulary of bytes: token n is the byte n, 0 ends a generation, 255 is a token without text.
class ByteText final : public Text {
 public:
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions&) const override {
    std::vector<TokenId> tokens;
    for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
    return tokens;
  }
  std::string decode(std::span<const TokenId> tokens, bool) const override {
    std::string text;
    for (const TokenId token : tokens) text += static_cast<char>(token);
    return text;
  }
  bool is_end_of_generation(TokenId token) const override { return token == 0; }
  int vocab_size() const override { return 256; }
  bool has_chat_template() const override { return false; }
  Result<std::string> render_chat(std::span<const ChatMessage>, const ChatTemplateOptions&) const override {
    return std::string();
  }
  std::unique_ptr<Stream> stream(bool) const override {
    class Bytes final : public Stream {
     public:
      std::string push(TokenId token) override {
        return token == 255 ? "" : std::string(1, static_cast<char>(token));
      }
      std::string finish() override { return {}; }
    };
    return std::make_unique<Bytes>();
  }
};

class ScriptedSession final : public Session {
 public:
  explicit ScriptedSession(std::string script) : script_(std::move(script)), logits_(256) {}
  Result<void> append(std::span<const TokenId> tokens) override {
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
    return {};
  }
  std::span<const TokenId> tokens() const override { return tokens_; }
  size_t pending() const override { return tokens_.size() - evaluated_; }
  // After the prompt comes the script, byte by byte, and then the letter z for ever.
  std::span<const float> logits() const override {
    return pending() == 0 && !stale_ ? std::span<const float>(logits_) : std::span<const float>();
  }
  size_t computed() const override { return evaluated_; }
  size_t kept_by_truncate(size_t count) const override { return std::min(count, evaluated_); }
  std::vector<float> embedding() const override { return {}; }
  void hear_logits(std::function<void(size_t, std::span<const float>)>) override {}
  void truncate(size_t count) override {
    tokens_.resize(std::min(count, tokens_.size()));
    stale_ = stale_ || count < evaluated_;
    evaluated_ = std::min(evaluated_, tokens_.size());
  }
  Result<void> repeat_for_bench(size_t, size_t, Repetition) override { return {}; }
  const std::string& name() const override { return name_; }
  size_t reused() const override { return 0; }
  Result<void> flush() override { return {}; }
  Result<void> demote() override { return {}; }
  Result<std::unique_ptr<Session>> fork() override { return core::fail("no"); }
  TierMap map() const override { return {}; }
  AttentionReport attention() const override { return {}; }
  Result<void> set_note(std::string_view, std::string_view) override { return {}; }
  std::string note(std::string_view) const override { return {}; }

  void evaluate(size_t count) {
    evaluated_ += count;
    stale_ = false;
    const size_t at = evaluated_ - prompt_size;
    std::fill(logits_.begin(), logits_.end(), 0.0f);
    logits_[at < script_.size() ? static_cast<unsigned char>(script_[at]) : 'z'] = 10;
  }
  size_t prompt_size = 0;

 private:
  std::string script_, name_;
  std::vector<float> logits_;
  std::vector<TokenId> tokens_;
  size_t evaluated_ = 0;
  bool stale_ = false;
};

class ScriptedEngine final : public Engine {
 public:
  const ModelInfo& info() const override { return info_; }
  const Text& text() const override { return text_; }
  std::unique_ptr<Session> new_session(const std::string&) override { return nullptr; }
  Result<std::unique_ptr<Session>> open_session(const std::string&, const std::string&) override {
    return core::fail("no");
  }
  std::unique_ptr<Session> new_embedding() override { return nullptr; }
  Result<void> remove_session(const std::string&) override { return core::fail("no"); }
  TierReport tiers() const override { return {}; }
  std::vector<std::string> take_warnings() override { return {}; }
  Result<size_t> step(std::span<Session* const> sessions, std::span<const size_t>) override {
    auto& session = static_cast<ScriptedSession&>(*sessions[0]);
    const size_t count = std::min<size_t>(session.pending(), 4);
    if (session.tokens().size() - session.pending() + count > tokens_max)
      return core::fail("the KV cache is full");
    session.evaluate(count);
    ++steps;
    return count;
  }
  Result<void> logits_of(Session&, std::span<const TokenId>, bool,
                         const std::function<void(std::span<const float>)>&) override {
    return {};
  }
  uint64_t kv_bytes_used() const override { return 0; }
  uint64_t kv_bytes_max() const override { return kv_bytes; }

  ModelInfo info_;
  size_t tokens_max = 1'000'000;
  uint64_t kv_bytes = 0;
  int steps = 0;

 private:
  ByteText text_;
};

struct Scene {
  ScriptedEngine engine;
  ScriptedSession session;
  GenerateOptions options;
  GenerateEvents events;
  std::vector<std::string> pieces;

  explicit Scene(const std::string& prompt, const std::string& script) : session(script) {
    options.sampling.temperature = 0;
    options.tokens_max = 20;
    session.prompt_size = prompt.size();
    EXPECT_TRUE(session.append(engine.text().encode(prompt, {})));
    events.on_text = [this](std::string_view piece) { pieces.emplace_back(piece); };
  }
  Result<GenerateReport> go() { return generate(engine, session, options, events); }
};

TEST(Generate, StopsAtTheEndToken) {
  Scene scene("hello", std::string("abc\0def", 7));
  auto report = scene.go();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->text, "abc");
  EXPECT_EQ(report->reason, StopReason::kEnd);
  EXPECT_EQ(report->prompt_tokens, 5u);
  EXPECT_EQ(report->generated_tokens, 4u);
  EXPECT_EQ(scene.session.tokens().size(), 9u);
  EXPECT_EQ(scene.session.tokens().back(), 0);
  EXPECT_EQ(scene.pieces, (std::vector<std::string>{"a", "b", "c"}));
}

TEST(Generate, GoesOnPastTheEndTokenWhenAsked) {
  Scene scene("hello", std::string("a\0b", 3));
  scene.options.ignore_end = true;
  scene.options.tokens_max = 4;
  auto report = scene.go();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->text, std::string("a\0bz", 4));
  EXPECT_EQ(report->reason, StopReason::kLength);
}

TEST(Generate, PrefillsInStepsAndTellsOfThem) {
  Scene scene("0123456789", "x");
  std::vector<size_t> done;
  scene.events.on_prefill = [&](size_t tokens, size_t total) {
    EXPECT_EQ(total, 10u);
    done.push_back(tokens);
  };
  scene.options.tokens_max = 0;
  auto report = scene.go();
  ASSERT_TRUE(report);
  EXPECT_EQ(done, (std::vector<size_t>{4, 8, 10}));
  EXPECT_EQ(report->generated_tokens, 0u);
  EXPECT_EQ(report->reason, StopReason::kLength);
  EXPECT_EQ(scene.session.pending(), 0u);
}

TEST(Generate, DoesNotEvaluateTheLastToken) {
  Scene scene("abcd", "xyz");
  scene.options.tokens_max = 2;
  ASSERT_TRUE(scene.go());
  EXPECT_EQ(scene.engine.steps, 2);
  EXPECT_EQ(scene.session.pending(), 1u);
}

TEST(Generate, StopTextsMayStraddleTokens) {
  Scene scene("q", "ab STOP cd");
  scene.options.stop = {"XX", " STOP"};
  auto report = scene.go();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->text, "ab");
  EXPECT_EQ(report->reason, StopReason::kStopText);
  std::string shown;
  for (const auto& piece : scene.pieces) shown += piece;
  EXPECT_EQ(shown, "ab");
}

TEST(Generate, HeldBackTextComesOutAtTheEnd) {
  Scene scene("q", std::string("ab STO\0", 7));
  scene.options.stop = {" STOP"};
  auto report = scene.go();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->text, "ab STO");
  EXPECT_EQ(report->reason, StopReason::kEnd);
}

TEST(Generate, CancelledWhileDecodingKeepsTheText) {
  Scene scene("q", "abcdef");
  scene.events.cancelled = [&] { return scene.pieces.size() >= 3; };
  auto report = scene.go();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->text, "abc");
  EXPECT_EQ(report->reason, StopReason::kCancelled);
}

TEST(Generate, CancelledWhilePrefilling) {
  Scene scene("0123456789", "abc");
  scene.events.cancelled = [&] { return scene.engine.steps >= 1; };
  auto report = scene.go();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->reason, StopReason::kCancelled);
  EXPECT_EQ(report->prompt_tokens, 4u);
  EXPECT_EQ(report->generated_tokens, 0u);
}

TEST(Generate, AFullCacheKeepsWhatWasGenerated) {
  Scene scene("0123", "abcdef");
  scene.engine.tokens_max = 6;
  auto report = scene.go();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->text, "abc");
  EXPECT_EQ(report->reason, StopReason::kFull);
  EXPECT_EQ(report->message, "the KV cache is full");
}

TEST(Generate, APromptBeyondTheBudgetFailsBeforeAnyWork) {
  Scene scene(std::string(130, 'x'), "abc");
  scene.engine.info_.kv_token_bytes = 1000;
  scene.engine.kv_bytes = 3 * 64 * 1000 - 1;
  auto report = scene.go();
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("130 tokens"), std::string::npos) << report.error().message;
  EXPECT_EQ(scene.engine.steps, 0);
  scene.engine.kv_bytes = 3 * 64 * 1000;
  EXPECT_TRUE(scene.go());
}

TEST(Generate, AnEmptyContextIsAnError) {
  Scene scene("", "abc");
  EXPECT_FALSE(scene.go());
}

TEST(Generate, GoesOnAfterATruncation) {
  Scene scene("abcd", "xyz");
  scene.options.tokens_max = 1;
  ASSERT_TRUE(scene.go());
  scene.session.truncate(4);
  ASSERT_TRUE(scene.session.logits().size() > 0) << "only a pending token was cut";
  scene.session.truncate(3);
  scene.session.prompt_size = 3;
  auto report = scene.go();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->text, "x");
  EXPECT_EQ(report->prompt_tokens, 1u) << "the last token is evaluated again for its logits";
}

}  // namespace
}  // namespace mneme
