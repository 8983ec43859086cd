// The Scheduler over real engines: what it finds again between turns and between processes.
#include <gtest/gtest.h>

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <limits>
#include <thread>

#include "mneme/generation.h"
#include "mneme/sessions.h"
#include "serve/recorder_for_test.h"
#include "serve/scheduler.h"

namespace mneme::serve {
namespace {

namespace fs = std::filesystem;

const std::string kDefault = std::string(MNEME_SOURCE_DIR) + "/models/mneme-default.gguf";

class SchedulerOnAModel : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("scheduler_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::unique_ptr<Scheduler> open(bool tiers, SchedulerOptions options = {}) const {
    EngineOptions engine_options;
    engine_options.model_path = kDefault;
    engine_options.kv_bytes_max = uint64_t{256} << 20;
    engine_options.threads = 2;
    if (tiers) engine_options.cold_folder = options.cold_folder = folder_.string();
    auto engine = Engine::open(engine_options);
    EXPECT_TRUE(engine) << engine.error().message;
    return std::make_unique<Scheduler>(std::move(*engine), std::move(options));
  }
  static std::vector<TokenId> tokens_of(const Scheduler& scheduler,
                                        const std::vector<ChatMessage>& messages) {
    const auto prompt = scheduler.text().render_chat(messages, {});
    EXPECT_TRUE(prompt);
    return scheduler.text().encode(*prompt, {});
  }
  static std::shared_ptr<Recorder> ask(Scheduler& scheduler, std::vector<TokenId> prompt, int tokens_max = 24,
                                       const std::string& session = "", const std::string& owner = "",
                                       std::vector<std::pair<TokenId, float>> bias = {}) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.generate.tokens_max = tokens_max;
    request.generate.sampling.temperature = 0;
    request.generate.sampling.logit_bias = std::move(bias);
    request.from.session = session;
    request.from.owner = owner;
    auto heard = std::make_shared<Recorder>();
    scheduler.submit(request, heard);
    heard->wait();
    return heard;
  }
  static std::string long_question(size_t lines) {
    std::string text;
    for (size_t i = 0; i < lines; ++i)
      text += "The key of drawer " + std::to_string(i * 7) + " is " + std::to_string(i * i + 13) + ".\n";
    return text + "What is the key of drawer 21?";
  }

  fs::path folder_;
};

TEST_F(SchedulerOnAModel, TheSecondTurnOfAChatFindsItsFirst) {
  for (const bool tiers : {false, true}) {
    auto scheduler = open(tiers);
    std::vector<ChatMessage> messages{{"system", "Answer with a number."}, {"user", long_question(40)}};
    for (int turn = 0; turn < 3; ++turn) {
      const auto prompt = tokens_of(*scheduler, messages);
      const auto heard = ask(*scheduler, prompt);
      ASSERT_FALSE(heard->done->failure);
      const GenerateReport& report = heard->done->report;
      EXPECT_EQ(report.prompt_tokens + report.found_tokens, prompt.size());
      // All but the new question and the marks around it.
      if (turn > 0) {
        EXPECT_LE(report.prompt_tokens, 40u) << "turn " << turn << ", tiers " << tiers;
      }
      messages.push_back({"assistant", report.text});
      messages.push_back({"user", "And of drawer 35, please?"});
    }
    EXPECT_EQ(scheduler->sessions().size(), 1u);
  }
}

TEST_F(SchedulerOnAModel, APromptIsFoundAfterARestart) {
  std::string said;
  size_t size = 0;
  for (int round = 0; round < 2; ++round) {
    auto scheduler = open(true);
    const auto prompt = tokens_of(*scheduler, {{"user", long_question(120)}});
    const auto heard = ask(*scheduler, prompt);
    size = prompt.size();
    if (round == 0) said = heard->text;
    EXPECT_EQ(heard->text, said);
    EXPECT_GE(heard->found, round == 0 ? 0 : size - 400) << "of " << size;
    scheduler->stop(std::chrono::milliseconds(1000));
  }
}

TEST_F(SchedulerOnAModel, APromptOfSeveralAnswersIsReadOnce) {
  auto scheduler = open(true);
  GenerationRequest request;
  request.prompt = tokens_of(*scheduler, {{"user", long_question(120)}});
  request.generate.tokens_max = 24;
  std::vector<std::shared_ptr<Recorder>> heard;
  for (int i = 0; i < 3; ++i) {
    const GenerationId id = scheduler->submit(request, heard.emplace_back(std::make_shared<Recorder>()));
    if (i == 0) request.beside = id;
  }
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_FALSE(heard[i]->wait().failure);
    EXPECT_GE(heard[i]->found, i == 0 ? 0 : request.prompt.size() - 400) << "of " << request.prompt.size();
  }
}

TEST_F(SchedulerOnAModel, ManyAtOnceSayWhatEachSaysAlone) {
  std::vector<std::string> alone;
  auto scheduler = open(false);
  std::vector<std::vector<TokenId>> prompts;
  for (size_t i = 0; i < 6; ++i)
    prompts.push_back(tokens_of(*scheduler, {{"user", long_question(2 + i * 9)}}));
  for (const auto& prompt : prompts) alone.push_back(ask(*scheduler, prompt)->text);
  std::vector<std::shared_ptr<Recorder>> heard;
  for (size_t i = 0; i < prompts.size(); ++i) {
    GenerationRequest request;
    request.prompt = prompts[i];
    request.from.owner = "other" + std::to_string(i);  // finds nothing
    request.generate.tokens_max = 24;
    request.generate.sampling.temperature = 0;
    scheduler->submit(request, heard.emplace_back(std::make_shared<Recorder>()));
  }
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(heard[i]->wait().report.text, alone[i]);
    EXPECT_EQ(heard[i]->found, 0u);
  }
}

TEST_F(SchedulerOnAModel, NamedSessionsAreKeptForTheirOwners) {
  std::vector<ChatMessage> messages{{"user", long_question(10)}};
  size_t tokens = 0;
  {
    auto scheduler = open(true);
    const auto prompt = tokens_of(*scheduler, messages);
    const auto heard = ask(*scheduler, prompt, 8, "notes", "alice");
    ASSERT_FALSE(heard->done->failure);
    EXPECT_EQ(ask(*scheduler, prompt, 8, "notes", "bob")->found, 0u) << "too short to be sealed";
    const auto sessions = scheduler->sessions();
    ASSERT_EQ(sessions.size(), 2u);
    EXPECT_TRUE(sessions[0].named);
    EXPECT_EQ(sessions[0].id, "notes");
    messages.push_back({"assistant", heard->text});
    messages.push_back({"user", "And of drawer 35?"});
    tokens = prompt.size() + heard->done->report.generated_tokens;
  }
  EXPECT_EQ(list_sessions(folder_.string())->size(), 2u);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // the store counts whole seconds
  auto scheduler = open(true);
  for (const auto& session : scheduler->sessions()) {
    EXPECT_TRUE(session.resting);
    EXPECT_GE(session.idle_s, 1);
    EXPECT_EQ(session.id, "notes");
    EXPECT_EQ(session.tokens, tokens);
  }
  EXPECT_EQ(ask(*scheduler, tokens_of(*scheduler, messages), 8, "notes", "alice")->found, tokens - 1);
}

TEST_F(SchedulerOnAModel, SessionsAreForkedExportedAndRemoved) {
  auto scheduler = open(true);
  const auto prompt = tokens_of(*scheduler, {{"user", long_question(60)}});
  ASSERT_FALSE(ask(*scheduler, prompt, 8, "notes", "alice")->done->failure);
  EXPECT_FALSE(scheduler->fork_session("alice", "nothing", "x", 0));
  EXPECT_FALSE(scheduler->fork_session("bob", "notes", "x", 0));
  EXPECT_FALSE(scheduler->fork_session("alice", "notes", "notes", 0));
  ASSERT_EQ(scheduler->fork_session("alice", "notes", "copy", 0).value_or("?"), "copy");
  EXPECT_EQ(scheduler->fork_session("alice", "notes", "", 0).value_or("?").front(), '~');
  EXPECT_FALSE(scheduler->session_map("alice", "notes")->extents.empty());
  const std::string file = (folder_ / "out.session").string();
  const auto exported = scheduler->export_session("alice", "copy", file);
  EXPECT_TRUE(exported) << exported.error().message;
  EXPECT_GT(fs::file_size(file), 1000u);
  EXPECT_FALSE(scheduler->export_session("alice", "nothing", file));
  EXPECT_GT(ask(*scheduler, prompt, 8, "copy", "alice")->found, 256u);
  EXPECT_TRUE(scheduler->remove_session("alice", "notes"));
  EXPECT_FALSE(scheduler->remove_session("alice", "notes"));
  size_t named = 0;
  for (const auto& session : scheduler->sessions()) named += session.named ? 1 : 0;
  EXPECT_EQ(named, 1u);
  EXPECT_FALSE(scheduler->fork_session("alice", "~99", "", 0));
}

TEST_F(SchedulerOnAModel, AScoredPromptIsComputedWholeThoughItIsKnown) {
  for (const bool tiers : {false, true}) {
    auto scheduler = open(tiers);
    const auto prompt = tokens_of(*scheduler, {{"user", long_question(20)}});
    ASSERT_GT(prompt.size(), 300u);
    const auto first = ask(*scheduler, prompt, 8);
    EXPECT_GT(ask(*scheduler, prompt, 8)->found, 256u);
    for (const char* session : {"", "book"}) {
      if (!tiers && *session != 0) continue;
      GenerationRequest request;
      request.from.session = session;
      request.prompt = prompt;
      request.generate = {.tokens_max = 8, .top_logprobs = 1, .score_prompt = true};
      request.generate.sampling.temperature = 0;
      auto heard = std::make_shared<Recorder>();
      scheduler->submit(request, heard);
      heard->wait();
      ASSERT_FALSE(heard->done->failure);
      EXPECT_EQ(heard->found, 0u);
      EXPECT_EQ(heard->text, first->text);
      ASSERT_EQ(heard->scores.size(), prompt.size() - 1);
      for (size_t i = 0; i < heard->scores.size(); ++i) EXPECT_EQ(heard->scores[i].token, prompt[i + 1]);
      EXPECT_EQ(heard->order.substr(0, 3), "bps");
    }
    EXPECT_GT(ask(*scheduler, prompt, 8)->found, 256u);
  }
}

TEST_F(SchedulerOnAModel, NamedSessionsOfAnOwnerHaveALimitHoweverTheyAreMade) {
  auto scheduler = open(true);
  const auto prompt = tokens_of(*scheduler, {{"user", "hi"}});
  const auto failure_of = [&](const std::string& session, const std::string& owner) {
    GenerationRequest request;
    request.from.owner = owner;
    request.from.session = session;
    request.from.sessions_max = 2;
    request.prompt = prompt;
    request.generate.tokens_max = 1;
    auto heard = std::make_shared<Recorder>();
    scheduler->submit(request, heard);
    heard->wait();
    return heard->done->failure ? heard->done->failure->kind : std::optional<FailureKind>();
  };
  EXPECT_EQ(failure_of("a", "alice"), std::nullopt);
  ASSERT_TRUE(scheduler->fork_session("alice", "a", "b", 2));
  EXPECT_EQ(failure_of("c", "alice"), FailureKind::kNoSessions);
  EXPECT_EQ(scheduler->fork_session("alice", "a", "c", 2).error().kind, FailureKind::kNoSessions);
  // What is there goes on, and is told as it is; what has no name, and others', does not count.
  EXPECT_EQ(failure_of("b", "alice"), std::nullopt);
  EXPECT_EQ(scheduler->fork_session("alice", "a", "b", 2).error().kind, FailureKind::kInvalid);
  EXPECT_TRUE(scheduler->fork_session("alice", "a", "", 2));
  EXPECT_EQ(failure_of("", "alice"), std::nullopt);
  EXPECT_EQ(failure_of("a", "bob"), std::nullopt);
  EXPECT_TRUE(scheduler->fork_session("alice", "a", "c", 0));
  // After a restart they are on the disk alone, and count.
  scheduler.reset();
  scheduler = open(true);
  EXPECT_EQ(failure_of("d", "alice"), FailureKind::kNoSessions);
  EXPECT_TRUE(scheduler->remove_session("alice", "b"));
  EXPECT_TRUE(scheduler->remove_session("alice", "c"));
  EXPECT_EQ(failure_of("d", "alice"), std::nullopt);
}

TEST_F(SchedulerOnAModel, IdleSessionsRestOnTheDiskAndComeBack) {
  SchedulerOptions options;
  options.idle_awake_max = 1;
  auto scheduler = open(true, options);
  std::vector<std::vector<ChatMessage>> chats;
  size_t tokens = 0;
  for (size_t i = 0; i < 3; ++i) {
    std::vector<ChatMessage>& chat = chats.emplace_back();
    chat.push_back({"user", std::to_string(i) + long_question(20)});
    const auto prompt = tokens_of(*scheduler, chat);
    // No thought: one that the answer's limit cuts off is not sent back as it was.
    const TokenId thought = scheduler->text().encode(kThoughtOpen, {}).front();
    const auto heard = ask(*scheduler, prompt, 4, "", "",
                           {{thought, -std::numeric_limits<float>::infinity()}});
    if (i == 0) tokens = prompt.size() + heard->done->report.generated_tokens;
    chat.push_back({"assistant", heard->text});
    chat.push_back({"user", "And of drawer 35?"});
  }
  size_t resting = 0;
  for (const auto& session : scheduler->sessions()) resting += session.resting ? 1 : 0;
  EXPECT_EQ(resting, 2u);
  EXPECT_EQ(ask(*scheduler, tokens_of(*scheduler, chats[0]), 4)->found, tokens - 1);
}

}  // namespace
}  // namespace mneme::serve
