// Conversations: prompts for templates of all tempers, and the default model held to its tools.
#include "serve/chat.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "serve/backend_for_test.h"
#include "serve/chat_prompt.h"
#include "serve/chat_reader.h"
#include "serve/json_fields.h"
#include "serve/tool_grammar.h"

namespace mneme::serve {
namespace {

constexpr const char* kDefaultModel = MNEME_SOURCE_DIR "/models/mneme-default.gguf";

// A template with opinions about roles.
class StrictText final : public Text {
 public:
  StrictText(bool system, std::string words) : system_(system), words_(std::move(words)) {}
  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override {
    return bytes_.encode(text, options);
  }
  std::string decode(std::span<const TokenId> tokens, bool show) const override {
    return bytes_.decode(tokens, show);
  }
  bool is_end_of_generation(TokenId token) const override { return bytes_.is_end_of_generation(token); }
  int vocab_size() const override { return bytes_.vocab_size(); }
  bool has_chat_template() const override { return true; }
  std::shared_ptr<const grammar::Vocabulary> vocabulary() const override { return bytes_.vocabulary(); }
  std::string_view chat_template() const override { return words_; }
  std::unique_ptr<Stream> stream(bool show) const override { return bytes_.stream(show); }
  Result<std::string> render_chat(std::span<const ChatMessage> messages,
                                  const ChatTemplateOptions& options) const override {
    std::string text, last;
    for (size_t i = 0; i < messages.size(); ++i) {
      const ChatMessage& message = messages[i];
      if (message.role == "system" && (!system_ || i > 0)) return tl::unexpected(Error{"no system here"});
      if (message.role == last) return tl::unexpected(Error{"roles must alternate"});
      last = message.role;
      text += "[" + message.role + "]" + message.content;
    }
    for (const ToolSpec& tool : options.tools) text += "{" + tool.name + "}";
    return text + (options.add_generation_prompt ? "[assistant]" : "");
  }

 private:
  ByteText bytes_;
  bool system_;
  std::string words_;
};

std::string prompt_of(const Text& text, const ChatRequest& request) {
  auto prompt = render_prompt(text, request);
  return prompt ? *prompt : "error: " + prompt.error().message;
}

TEST(ChatPrompt, SystemMessagesWhereTheTemplateWantsNone) {
  ChatRequest request;
  request.messages = {{"developer", "A"}, {"user", "b"}, {"system", "C"}, {"user", "d"}};
  EXPECT_EQ(prompt_of(StrictText(true, "tools"), request), "[system]A[user]b\n\nC\n\nd[assistant]");
  EXPECT_EQ(prompt_of(StrictText(false, "tools"), request), "[user]A\n\nb\n\nC\n\nd[assistant]");
  EXPECT_EQ(
      prompt_of(ByteText("tools"), request),
      "<|im_start|>system\nA<|im_end|>\n<|im_start|>user\nb<|im_end|>\n<|im_start|>system\nC<|im_end|>\n"
      "<|im_start|>user\nd<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatPrompt, WhatNoFormSatisfiesIsAnError) {
  ChatRequest request;
  request.messages = {{"tool", "a"}, {"tool", "b"}};
  EXPECT_EQ(prompt_of(StrictText(true, "tools"), request), "error: roles must alternate");
}

TEST(ChatPrompt, TemplatesThatKnowNoTools) {
  ChatRequest request;
  request.tools = {{.name = "f", .description = "does", .parameters = R"({"type":"object"})"}};
  request.messages = {
      {"user", "go"},
      {.role = "assistant", .content = "", .tool_calls = {{"1", "f", "{\"a\":1}"}, {"2", "f", ""}}},
      {.role = "tool", .content = "x", .tool_call_id = "1"},
      {.role = "tool", .content = "y", .tool_call_id = "2"}};
  const std::string prompt = prompt_of(StrictText(true, ""), request);
  EXPECT_NE(
      prompt.find(
          "<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"f\", \"description\": \"does\", "
          "\"parameters\": {\"type\": \"object\"}}}\n</tools>"),
      std::string::npos)
      << prompt;
  EXPECT_TRUE(prompt.ends_with(
      "[user]go[assistant]<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>\n"
      "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>[user]<tool_response>\nx\n"
      "</tool_response>\n<tool_response>\ny\n</tool_response>[assistant]"))
      << prompt;
}

TEST(ChatPrompt, AnAnswerThatGoesOn) {
  ChatRequest request;
  request.messages = {{"user", "go"}, {"assistant", "Well, "}};
  request.continues_last = true;
  EXPECT_EQ(prompt_of(StrictText(true, "tools"), request), "[user]go[assistant]Well, ");
}

TEST(ChatPrompt, ShortIds) {
  const ToolDialect dialect{.short_ids = true};
  const std::string id = fitting_call_id(dialect, "call_0123456789");
  EXPECT_EQ(id.size(), 9u);
  EXPECT_EQ(id, fitting_call_id(dialect, "call_0123456789"));
  EXPECT_EQ(fitting_call_id(dialect, "abcDEF123"), "abcDEF123");
  EXPECT_EQ(new_call_id(dialect).size(), 9u);
  EXPECT_EQ(fitting_call_id({}, "call_0"), "call_0");
}

// --- The default model ---

// Everything that a choice told.
class Kept final : public ChatListener {
 public:
  void on_text(std::string_view piece, std::span<const DrawnToken>) override { text += piece; }
  void on_reasoning(std::string_view piece) override { reasoning += piece; }
  void on_tool_begin(size_t, const std::string& id, const std::string& name) override {
    calls.push_back({id, name, ""});
  }
  void on_tool_arguments(size_t, std::string_view piece) override { calls.back().arguments += piece; }
  void on_end(const ChatEnd&) override {}
  void on_failure(const Failure& failure) override { ADD_FAILURE() << failure.message; }
  std::string text, reasoning;
  std::vector<ToolCall> calls;
};

// start_chat() over an engine, at once.
class EngineBackend final : public Backend {
 public:
  explicit EngineBackend(Engine& engine) : engine_(&engine) {}
  const ModelInfo& info() const override { return engine_->info(); }
  const Text& text() const override { return engine_->text(); }
  BackendLimits limits() const override { return {4096}; }
  GenerationId submit(GenerationRequest request, std::shared_ptr<GenerationListener> listener) override {
    prompts.push_back(text().decode(request.prompt, true));
    auto session = engine_->new_session();
    EXPECT_TRUE(session->append(request.prompt));
    const auto report = generate(*engine_, *session, request.generate,
                                 {.on_token = [&](const DrawnToken& token) { listener->on_token(token); },
                                  .on_text = [&](std::string_view piece) { listener->on_text(piece); }});
    if (!report) {
      ADD_FAILURE() << report.error().message;
      return 0;
    }
    texts.push_back(report->text);
    complete = report->complete;
    listener->on_end(*report);
    return 1;
  }
  void cancel(GenerationId) override {}
  void embed(std::vector<std::vector<TokenId>>, std::string,
             std::function<void(tl::expected<std::vector<std::vector<float>>, Failure>)>) override {}
  BackendState state() const override { return {}; }
  std::vector<SessionState> sessions() const override { return {}; }
  Result<TierMap> session_map(const std::string&, const std::string&) override { return TierMap{}; }
  tl::expected<std::string, Failure> fork_session(const std::string&, const std::string&, const std::string&,
                                                  uint64_t) override {
    return std::string();
  }
  Result<void> pin_session(const std::string&, const std::string&, bool) override { return {}; }
  Result<void> remove_session(const std::string&, const std::string&) override { return {}; }
  Result<void> export_session(const std::string&, const std::string&, const std::string&) override {
    return {};
  }
  std::vector<std::string> prompts, texts;
  bool complete = false;

 private:
  Engine* engine_;
};

class DefaultModelChat : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!std::filesystem::exists(kDefaultModel)) return;
    auto opened = Engine::open({.model_path = kDefaultModel, .kv_bytes_max = 64 << 20});
    ASSERT_TRUE(opened) << opened.error().message;
    engine = std::move(*opened);
  }
  static void TearDownTestSuite() { engine.reset(); }
  void SetUp() override {
    if (!engine) GTEST_SKIP() << kDefaultModel << " is missing";
    request.tools = {{.name = "read_file",
                      .description = "Reads a file",
                      .parameters = R"({"type":"object","properties":{"path":{"type":"string","maxLength":30},
                        "lines":{"type":"integer","minimum":1,"maximum":99}},"required":["path","lines"]})"},
                     {.name = "now", .description = "The time", .parameters = ""}};
    request.messages = {{"system", "You help."}, {"user", "Read the file notes.txt"}};
    request.generate.tokens_max = 300;
    request.parallel_tool_calls = false;
  }
  std::shared_ptr<Kept> run(EngineBackend& backend) {
    auto kept = std::make_shared<Kept>();
    const std::shared_ptr<ChatListener> listeners[] = {kept};
    auto started = start_chat(backend, request, listeners);
    EXPECT_TRUE(started) << started.error().message;
    return kept;
  }
  static std::unique_ptr<Engine> engine;
  ChatRequest request;
};
std::unique_ptr<Engine> DefaultModelChat::engine;

TEST_F(DefaultModelChat, RequiredCallsFollowTheirSchemaAtAnyTemperature) {
  request.tool_choice = ToolChoice::kRequired;
  for (int i = 0; i < 8; ++i) {
    request.generate.sampling.temperature = static_cast<float>(i) * 0.5f;
    request.generate.sampling.seed = static_cast<uint64_t>(i);
    EngineBackend backend(*engine);
    const auto kept = run(backend);
    ASSERT_TRUE(backend.complete) << backend.texts.back();
    EXPECT_EQ(kept->text, "");
    ASSERT_EQ(kept->calls.size(), 1u);
    const Json arguments = Json::parse(kept->calls[0].arguments, nullptr, false);
    ASSERT_TRUE(arguments.is_object()) << kept->calls[0].arguments;
    if (kept->calls[0].name == "read_file") {
      EXPECT_TRUE(arguments["path"].is_string());
      EXPECT_TRUE(arguments["lines"].is_number_integer());
    } else {
      EXPECT_EQ(kept->calls[0].name, "now");
    }
  }
}

TEST_F(DefaultModelChat, TheNextPromptBeginsWithThisOneAndItsAnswer) {
  for (const ToolChoice choice : {ToolChoice::kRequired, ToolChoice::kNone}) {
    request.tool_choice = choice;
    request.generate.sampling.temperature = 0;
    request.messages.resize(2);
    EngineBackend backend(*engine);
    const auto kept = run(backend);
    ChatMessage said{.role = "assistant", .content = kept->text, .tool_calls = kept->calls};
    // Clients take arguments apart and write them anew.
    for (ToolCall& call : said.tool_calls) call.arguments = Json::parse(call.arguments).dump();
    request.messages.push_back(said);
    if (choice == ToolChoice::kRequired) {
      request.messages.push_back({.role = "tool", .content = "42", .tool_call_id = kept->calls.at(0).id});
    } else {
      request.messages.push_back({"user", "And now?"});
    }
    const std::string next = prompt_of(engine->text(), request);
    EXPECT_TRUE(next.starts_with(backend.prompts[0] + backend.texts[0]))
        << backend.prompts[0] << "|" << backend.texts[0] << "\n---\n"
        << next;
  }
}

TEST_F(DefaultModelChat, FormatsAreKept) {
  request.tools.clear();
  request.format = AnswerFormat::kJsonSchema;
  request.format_text = R"({"type":"object","properties":{"ok":{"type":"boolean"},"n":{"enum":[1,2]}},
                           "required":["ok","n"],"additionalProperties":false})";
  request.format_strict = true;
  EngineBackend backend(*engine);
  const auto kept = run(backend);
  const Json json = Json::parse(kept->text, nullptr, false);
  ASSERT_TRUE(json.is_object()) << kept->text;
  EXPECT_TRUE(json["ok"].is_boolean());
}

}  // namespace
}  // namespace mneme::serve
