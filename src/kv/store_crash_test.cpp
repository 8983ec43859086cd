// A process that is killed while it stores.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kv/session_folder.h"
#include "kv/store_check.h"
#include "kv/store_for_test.h"

namespace mneme::kv {
namespace {

constexpr int kRounds = 50;
constexpr size_t kStepTokens = 100;
constexpr uint64_t kTokensMax = 1 << 20;

// What a running engine does: tokens, a segment when there are 256 more, now and then a sync. After each sync
// it says through the pipe how many tokens are safe.
[[noreturn]] void store_forever(const std::string& folder, std::span<const int32_t> tokens, int pipe) {
  auto store = Store::open({folder});
  if (!store) ::_exit(1);
  const std::string path = session_log_path((*store)->sessions_folder(), "s");
  auto log = session_exists((*store)->sessions_folder(), "s")
                 ? SessionLog::open(path)
                 : SessionLog::create(path, {model_for_test(), "models/a.gguf"});
  if (!log) ::_exit(2);
  for (int step = 0; log->state().tokens.size() + kStepTokens < tokens.size(); ++step) {
    const SessionState& state = log->state();
    if (!log->append_tokens(tokens.subspan(state.tokens.size(), kStepTokens))) ::_exit(3);
    const uint64_t first = state.segments.size() * kSegmentTokens;
    if (state.tokens.size() >= first + kSegmentTokens) {
      auto put = put_for_test(**store, state.last_segment(), first, tokens.subspan(first, kSegmentTokens),
                              100);
      if (!put || !log->append_segment((*put)->header().name)) ::_exit(4);
    }
    if (step % 3 != 2) continue;
    if (!log->sync()) ::_exit(5);
    const uint64_t safe = state.tokens.size();
    if (::write(pipe, &safe, sizeof(safe)) != sizeof(safe)) ::_exit(6);
  }
  ::_exit(0);
}

// The newest number in the pipe.
uint64_t last_of(int pipe, uint64_t before) {
  uint64_t safe = 0;
  while (::read(pipe, &safe, sizeof(safe)) == sizeof(safe)) before = safe;
  return before;
}

void wait_for_one(int pipe) {
  pollfd readable{.fd = pipe, .events = POLLIN, .revents = 0};
  ::poll(&readable, 1, 60'000);
}

TEST(StoreCrash, KilledAtAnyMomentWhatWasSyncedIsThere) {
  FolderForTest folder;
  const auto tokens = tokens_for_test(1, kTokensMax);
  core::Rng rng(2);  // of the moments
  uint64_t safe = 0;
  for (int round = 0; round < kRounds; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      store_forever(folder / "store", tokens, ends[1]);
    }
    ::close(ends[1]);
    if (round + 1 == kRounds) wait_for_one(ends[0]);  // however slow the disk
    ::usleep(rng.next_below(20000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << "round " << round << ": " << status;
    safe = last_of(ends[0], safe);
    ::close(ends[0]);

    auto store = Store::open({folder / "store"});
    ASSERT_TRUE(store) << store.error().message;
    if (!session_exists((*store)->sessions_folder(), "s")) {
      ASSERT_EQ(safe, 0u);
      continue;
    }
    auto state = read_session((*store)->sessions_folder(), "s");
    ASSERT_TRUE(state) << state.error().message;
    ASSERT_GE(state->tokens.size(), safe) << "round " << round;
    ASSERT_TRUE(std::equal(state->tokens.begin(), state->tokens.end(), tokens.begin()));
    ASSERT_GE(state->segments.size() + 1, safe / kSegmentTokens);
    for (const SegmentName& name : state->segments) ASSERT_TRUE((*store)->has(name));
  }
  EXPECT_GT(safe, 0u) << "no round got as far as a sync";
  auto store = Store::open({folder / "store"});
  ASSERT_TRUE(store);
  auto report = verify_store(**store);
  ASSERT_TRUE(report);
  for (const SessionReport& session : report->sessions) {
    for (const SegmentReport& segment : session.segments)
      EXPECT_EQ(segment.condition, SegmentCondition::kOk) << segment.error;
  }
  for (const SegmentReport& segment : report->unnamed)
    EXPECT_EQ(segment.condition, SegmentCondition::kOk) << segment.error;
  // What was unfinished is found and goes, what is named stays.
  ASSERT_TRUE((*store)->collect_garbage());
  EXPECT_TRUE(verify_store(**store)->unnamed.empty());
}

}  // namespace
}  // namespace mneme::kv
