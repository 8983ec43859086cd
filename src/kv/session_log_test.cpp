#include "kv/session_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "kv/session_folder.h"
#include "kv/session_records.h"
#include "kv/store_for_test.h"

namespace mneme::kv {
namespace {

SegmentName name_for_test(uint8_t seed) {
  SegmentName name;
  name.bytes.fill(seed);
  return name;
}

bool equal(const SessionState& a, const SessionState& b) {
  return a.model.model == b.model.model && a.model.shape == b.model.shape && a.model_path == b.model_path &&
         a.tokens == b.tokens && a.segments == b.segments && a.notes == b.notes &&
         a.used_unix_s == b.used_unix_s && a.created_unix_s == b.created_unix_s;
}

class SessionLogs : public ::testing::Test {
 protected:
  std::string path() const { return folder_ / "a.log"; }
  SessionLog open() {
    auto log = SessionLog::open(path(), disk_);
    MNEME_CHECK(log, "{}", log.error().message);
    return std::move(*log);
  }
  // One of every record; the states after each.
  std::vector<SessionState> write_all() {
    auto log = SessionLog::create(path(), {model_for_test(), "models/a.gguf"}, disk_);
    MNEME_CHECK(log, "{}", log.error().message);
    std::vector<SessionState> states = {log->state()};
    const auto done = [&](Result<void> result) {
      EXPECT_TRUE(result) << result.error().message;
      states.push_back(log->state());
    };
    done(log->append_tokens(tokens_for_test(1, 300)));
    done(log->append_segment(name_for_test(1)));
    done(log->append_tokens(tokens_for_test(2, 300)));
    done(log->note("title", "a = b"));
    done(log->append_segment(name_for_test(2)));
    done(log->truncate(511));
    done(log->append_tokens(tokens_for_test(3, 2)));
    done(log->append_segment(name_for_test(3)));
    done(log->mark_used(1234567890));
    done(log->note("title", "b"));
    done(log->sync());
    return states;
  }
  FolderForTest folder_;
  DiskForTest disk_;
};

TEST_F(SessionLogs, ComeBackAsWritten) {
  for (const int odd : {0, 1}) {
    disk_.odd_calls = odd;
    std::filesystem::remove(path());
    const auto states = write_all();
    const SessionLog log = open();
    EXPECT_TRUE(equal(log.state(), states.back()));
    EXPECT_EQ(log.warning(), "");
    EXPECT_EQ(log.state().tokens.size(), 513u);
    const std::vector<SegmentName> names = {name_for_test(1), name_for_test(3)};
    EXPECT_EQ(log.state().segments, names);
    EXPECT_EQ(log.state().notes.at("title"), "b");
    EXPECT_EQ(log.state().model_path, "models/a.gguf");
    EXPECT_EQ(log.state().used_unix_s, 1234567890);
  }
  EXPECT_FALSE(SessionLog::create(path(), {model_for_test(), ""}, disk_)) << "the name is taken";
}

TEST_F(SessionLogs, CutShortAnywhereIsAPrefix) {
  const auto states = write_all();
  const std::string whole = bytes_of_file(path());
  for (size_t length = 0; length < whole.size(); ++length) {
    write_file(path(), std::string_view(whole).substr(0, length));
    auto log = SessionLog::open(path(), disk_);
    if (length < states[0].log_bytes) {
      ASSERT_FALSE(log) << length;
      continue;
    }
    ASSERT_TRUE(log) << length << log.error().message;
    const SessionState* last = nullptr;
    for (const SessionState& state : states) last = state.log_bytes <= length ? &state : last;
    ASSERT_TRUE(equal(log->state(), *last)) << length;
    ASSERT_EQ(log->warning().empty(), last->log_bytes == length) << length;
    const std::vector<int32_t> more = {1, 2, 3};
    ASSERT_TRUE(log->append_tokens(more));
    const SessionLog again = open();
    ASSERT_TRUE(equal(again.state(), log->state())) << length;
    ASSERT_EQ(again.warning(), "");
  }
}

TEST_F(SessionLogs, BitsFlippedAnywhereEndTheReplayThere) {
  const auto states = write_all();
  const std::string whole = bytes_of_file(path());
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string wrong = whole;
    wrong[i] = static_cast<char>(wrong[i] ^ (1 << (i % 8)));
    auto state = replay_session(std::as_bytes(std::span(wrong)), path());
    if (i < states[0].log_bytes) {
      ASSERT_FALSE(state) << i;
      continue;
    }
    ASSERT_TRUE(state) << i;
    const SessionState* last = nullptr;
    for (const SessionState& s : states) last = s.log_bytes <= i ? &s : last;
    ASSERT_TRUE(equal(*state, *last)) << i;
    ASSERT_EQ(state->log_bytes, last->log_bytes);
  }
}

TEST_F(SessionLogs, FramesCountOnlyInTheirPlace) {
  auto log = SessionLog::create(path(), {model_for_test(), ""}, disk_);
  ASSERT_TRUE(log);
  const uint64_t begin = log->state().log_bytes;
  ASSERT_TRUE(log->mark_used(1));
  const uint64_t middle = log->state().log_bytes;
  ASSERT_TRUE(log->mark_used(2));
  const std::string whole = bytes_of_file(path());
  const std::string twice = whole.substr(0, middle) + whole.substr(begin, middle - begin);
  auto state = replay_session(std::as_bytes(std::span(twice)), path());
  ASSERT_TRUE(state);
  EXPECT_EQ(state->log_bytes, middle);
}

TEST_F(SessionLogs, RecordsThatDoNotFitEndTheReplay) {
  const auto tokens = tokens_for_test(1, 300);
  const struct {
    RecordType type;
    std::vector<std::byte> payload;
  } cases[] = {
      {RecordType::kTokens, encode_tokens(299, tokens)},               // they do not follow
      {RecordType::kTokens, std::vector<std::byte>(11)},               // half an id
      {RecordType::kSegment, encode_segment(1, name_for_test(1))},     // 300 tokens have one
      {RecordType::kTruncated, encode_number(301)},                    // more than there are
      {RecordType::kUsed, std::vector<std::byte>(7)},                  // too short
      {RecordType::kNote, std::vector<std::byte>(3, std::byte{'='})},  // no key
      {RecordType::kCreated, encode_created(model_for_test(), "", 0)},
      {static_cast<RecordType>(7), {}},
  };
  for (const auto& wrong : cases) {
    std::vector<std::byte> log = session_log_head();
    add_frame(log, RecordType::kCreated, encode_created(model_for_test(), "", 0), log.size());
    add_frame(log, RecordType::kTokens, encode_tokens(0, tokens), log.size());
    const size_t good = log.size();
    add_frame(log, wrong.type, wrong.payload, log.size());
    auto state = replay_session(log, "a");
    ASSERT_TRUE(state);
    EXPECT_EQ(state->log_bytes, good) << static_cast<int>(wrong.type);
    EXPECT_EQ(state->tokens, tokens);
  }
  std::vector<std::byte> log = session_log_head();
  EXPECT_FALSE(replay_session(log, "a")) << "no first record";
  add_frame(log, RecordType::kTokens, encode_tokens(0, tokens), log.size());
  EXPECT_FALSE(replay_session(log, "a")) << "another first record";
}

TEST_F(SessionLogs, AFullDiskLeavesTheLogAsItWas) {
  write_all();
  SessionLog log = open();
  const SessionState before = log.state();
  const auto tokens = tokens_for_test(5, 10);
  disk_.odd_calls = 1;
  for (int good_writes = 0; good_writes < 3; ++good_writes) {  // some of the frame may have been written
    disk_.write_error = ENOSPC;
    disk_.write_after = good_writes;
    auto appended = log.append_tokens(tokens);
    disk_.write_error = 0;
    if (appended) break;
    EXPECT_NE(appended.error().message.find("No space left"), std::string::npos) << appended.error().message;
    EXPECT_TRUE(equal(log.state(), before));
    EXPECT_TRUE(equal(open().state(), before));
  }
  ASSERT_TRUE(log.append_tokens(tokens));
  EXPECT_TRUE(equal(open().state(), log.state()));
}

TEST_F(SessionLogs, AFailedSyncIsSaidAndSticks) {
  write_all();
  SessionLog log = open();
  ASSERT_TRUE(log.mark_used(5));
  disk_.sync_error = EIO;
  EXPECT_FALSE(log.sync());
  disk_.sync_error = 0;
  EXPECT_FALSE(log.sync());
  EXPECT_FALSE(log.mark_used(6));
  EXPECT_TRUE(open().sync());
}

TEST_F(SessionLogs, NotesAreChecked) {
  write_all();
  SessionLog log = open();
  EXPECT_FALSE(log.note("", "a"));
  EXPECT_FALSE(log.note("a=b", "c"));
  EXPECT_FALSE(log.note("a", std::string("b\0c", 3)));
  EXPECT_FALSE(log.note("a", std::string(70000, 'b')));
  EXPECT_TRUE(log.note("a", ""));
  EXPECT_EQ(open().state().notes.at("a"), "");
}

TEST_F(SessionLogs, AMillionTokensAreSplitAndComeBack) {
  auto log = SessionLog::create(path(), {model_for_test(), ""}, disk_);
  ASSERT_TRUE(log);
  const auto tokens = tokens_for_test(1, kTokensOfRecordMax + 5);
  ASSERT_TRUE(log->append_tokens(tokens));
  EXPECT_EQ(open().state().tokens, tokens);
}

// Sessions by name.

TEST(SessionNames, AreChecked) {
  for (const char* good : {"a", "A-b_c.9", "0"}) EXPECT_TRUE(is_session_name(good)) << good;
  for (const char* bad : {"", ".", "..", ".a", "a/b", "a b", "ä", "a\n"}) EXPECT_FALSE(is_session_name(bad));
  EXPECT_TRUE(is_session_name(std::string(100, 'a')));
  EXPECT_FALSE(is_session_name(std::string(101, 'a')));
  EXPECT_FALSE(read_session("/tmp", "../a"));
}

class SessionFolders : public SessionLogs {
 protected:
  SessionFolders() {
    write_all();
    const SessionLog log = open();
    bytes_ = parts_for_test(tail_tokens(log.state()));
    const auto parts = pieces_of(bytes_);
    EXPECT_TRUE(save_tail(folder_.path(), "a", log.state(), tail_tokens(log.state()).size(), parts, disk_));
  }
  std::vector<BytesForTest> bytes_;
};

TEST_F(SessionFolders, TailsHoldWhileTheirTokensDo) {
  SessionLog log = open();
  auto tail = load_tail(folder_.path(), "a", log.state(), disk_);
  ASSERT_TRUE(tail && *tail != nullptr);
  EXPECT_EQ((*tail)->header().tokens.size(), 1u);
  EXPECT_TRUE(*is_whole(**tail));
  ASSERT_TRUE(log.append_tokens(std::vector<int32_t>{1, 2}));
  EXPECT_NE(*load_tail(folder_.path(), "a", log.state(), disk_), nullptr) << "it is the first of three";
  ASSERT_TRUE(log.truncate(512));
  EXPECT_EQ(*load_tail(folder_.path(), "a", log.state(), disk_), nullptr);
  ASSERT_TRUE(log.append_tokens(std::vector<int32_t>{-5, 1}));
  EXPECT_EQ(*load_tail(folder_.path(), "a", log.state(), disk_), nullptr) << "another token";
  SessionState other = open().state();
  other.model = model_for_test(2);
  EXPECT_EQ(*load_tail(folder_.path(), "a", other, disk_), nullptr);
  EXPECT_EQ(*load_tail(folder_.path(), "b", other, disk_), nullptr);
  EXPECT_TRUE(remove_tail(folder_.path(), "a", disk_));
  EXPECT_TRUE(remove_tail(folder_.path(), "a", disk_));
}

TEST_F(SessionFolders, DamagedTailsAreSetAside) {
  const std::string tail = session_tail_path(folder_.path(), "a");
  std::string bytes = bytes_of_file(tail);
  bytes[100] ^= 4;
  write_file(tail, bytes);
  const SessionState state = open().state();
  EXPECT_FALSE(load_tail(folder_.path(), "a", state, disk_));
  auto again = load_tail(folder_.path(), "a", state, disk_);
  EXPECT_TRUE(again && *again == nullptr);
}

TEST_F(SessionFolders, ForkRenameRemove) {
  ASSERT_TRUE(fork_session(folder_.path(), "a", "b", disk_));
  EXPECT_FALSE(fork_session(folder_.path(), "a", "b", disk_));
  EXPECT_FALSE(fork_session(folder_.path(), "c", "d", disk_));
  EXPECT_FALSE(fork_session(folder_.path(), "a", "../d", disk_));
  auto forked = SessionLog::open(session_log_path(folder_.path(), "b"), disk_);
  ASSERT_TRUE(forked);
  EXPECT_TRUE(equal(forked->state(), open().state()));
  EXPECT_NE(*load_tail(folder_.path(), "b", forked->state(), disk_), nullptr);
  ASSERT_TRUE(forked->truncate(3));
  EXPECT_EQ(open().state().tokens.size(), 513u) << "the other goes its own way";

  ASSERT_TRUE(rename_session(folder_.path(), "b", "c", disk_));
  auto sessions = list_sessions(folder_.path());
  ASSERT_TRUE(sessions);
  ASSERT_EQ(sessions->size(), 2u);
  EXPECT_EQ((*sessions)[0].name, "a");
  EXPECT_EQ((*sessions)[1].name, "c");
  EXPECT_EQ((*sessions)[1].state->tokens.size(), 3u);
  ASSERT_TRUE(remove_session(folder_.path(), "a", disk_));
  EXPECT_FALSE(remove_session(folder_.path(), "a", disk_));
  EXPECT_FALSE(session_exists(folder_.path(), "a"));
  EXPECT_TRUE(std::filesystem::exists(session_tail_path(folder_.path(), "c")));
}

TEST_F(SessionFolders, ForkCutsATornEnd) {
  write_file(path(), bytes_of_file(path()) + "torn");
  ASSERT_TRUE(fork_session(folder_.path(), "a", "b", disk_));
  auto forked = read_session(folder_.path(), "b");
  ASSERT_TRUE(forked);
  EXPECT_EQ(forked->torn_bytes, 0u);
  EXPECT_EQ(read_session(folder_.path(), "a")->torn_bytes, 4u);
}

}  // namespace
}  // namespace mneme::kv
