#include "kv/session_archive.h"

#include <gtest/gtest.h>

#include "kv/session_folder.h"
#include "kv/store_check.h"
#include "kv/store_for_test.h"

namespace mneme::kv {
namespace {

class Archives : public ::testing::Test {
 protected:
  Archives() : from_(open("from")) {
    auto log = SessionLog::create(session_log_path(from_->sessions_folder(), "s"),
                                  {model_for_test(), "m.gguf"});
    EXPECT_TRUE(log);
    for (uint64_t i = 0; i < 3; ++i) {
      const auto tokens = tokens_for_test(i);
      auto put = put_for_test(*from_, log->state().last_segment(), i * kSegmentTokens, tokens, 100);
      EXPECT_TRUE(put && log->append_tokens(tokens) && log->append_segment((*put)->header().name));
    }
    EXPECT_TRUE(log->append_tokens(tokens_for_test(9, 10)));
    const auto bytes = parts_for_test(tail_tokens(log->state()), 100);
    EXPECT_TRUE(save_tail(from_->sessions_folder(), "s", log->state(), tail_tokens(log->state()).size(),
                          pieces_of(bytes)));
    state_ = log->state();
  }
  std::unique_ptr<Store> open(const std::string& name, uint64_t bytes_max = 0) {
    auto store = Store::open({folder_ / name, bytes_max});
    MNEME_CHECK(store, "{}", store.error().message);
    return std::move(*store);
  }
  static size_t files_in(const std::string& folder) {
    size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
      count += entry.is_regular_file();
    return count;
  }
  FolderForTest folder_;
  std::string archive_ = folder_ / "s.mneme";
  std::unique_ptr<Store> from_;
  SessionState state_;
};

TEST_F(Archives, TravelWhole) {
  auto exported = export_session(*from_, "s", archive_);
  ASSERT_TRUE(exported) << exported.error().message;
  EXPECT_EQ(exported->segments, 3u);
  EXPECT_EQ(exported->bytes, std::filesystem::file_size(archive_));
  auto to = open("to");
  auto imported = import_session(*to, archive_, "t");
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(imported->segments, 3u);
  EXPECT_EQ(imported->segments_shared, 0u);
  auto report = verify_session(*to, "t");
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->ok());
  EXPECT_TRUE(report->has_tail);
  auto state = read_session(to->sessions_folder(), "t");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->tokens, state_.tokens);
  EXPECT_EQ(state->segments, state_.segments);
  auto tail = load_tail(to->sessions_folder(), "t", *state);
  ASSERT_TRUE(tail && *tail != nullptr);
  EXPECT_TRUE(*is_whole(**tail, 100));
  auto again = import_session(*to, archive_, "u");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->segments_shared, 3u);
  EXPECT_FALSE(import_session(*to, archive_, "u")) << "the name is taken";
  EXPECT_FALSE(import_session(*to, archive_, "../u"));
}

TEST_F(Archives, WithoutWhatIsMissing) {
  std::filesystem::remove(from_->segment_path(state_.segments[1]));
  auto exported = export_session(*from_, "s", archive_);
  ASSERT_TRUE(exported);
  EXPECT_EQ(exported->segments, 2u);
  EXPECT_EQ(exported->segments_missing, 1u);
  auto to = open("to");
  auto imported = import_session(*to, archive_, "t");
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(verify_session(*to, "t")->segments[1].condition, SegmentCondition::kMissing);
  EXPECT_EQ(verify_session(*to, "t")->segments[2].condition, SegmentCondition::kOk);
}

TEST_F(Archives, UnderAQuota) {
  ASSERT_TRUE(export_session(*from_, "s", archive_));
  auto small = open("small", 30000);
  EXPECT_FALSE(import_session(*small, archive_, "t"));
  EXPECT_FALSE(session_exists(small->sessions_folder(), "t"));
  EXPECT_EQ(files_in(small->folder()), 2u);
  auto enough = open("enough", 200000);
  EXPECT_TRUE(import_session(*enough, archive_, "t"));
}

// Every 23rd byte behind the first: the beginning of every field is hit, and the test stays quick.
TEST_F(Archives, DamageAnywhereIsRefused) {
  ASSERT_TRUE(export_session(*from_, "s", archive_));
  const std::string good = bytes_of_file(archive_);
  auto to = open("to");
  for (size_t i = 0; i < good.size(); i += i < 256 ? 1 : 23) {
    std::string wrong = good;
    wrong[i] = static_cast<char>(wrong[i] ^ (1 << (i % 8)));
    write_file(archive_, wrong);
    ASSERT_FALSE(import_session(*to, archive_, "t")) << i;
    ASSERT_FALSE(session_exists(to->sessions_folder(), "t")) << i;
  }
  for (size_t length = 0; length < good.size(); length += 29) {
    write_file(archive_, std::string_view(good).substr(0, length));
    ASSERT_FALSE(import_session(*to, archive_, "t")) << length;
  }
  write_file(archive_, good + "x");
  EXPECT_FALSE(import_session(*to, archive_, "t"));
  EXPECT_EQ(files_in(to->folder()), 2u) << "version and lock: nothing is left of what failed";
  write_file(archive_, good);
  EXPECT_TRUE(import_session(*to, archive_, "t"));
  EXPECT_EQ(files_in(to->folder()), 2u + 3 + 2)
      << "version, lock, segments, log, tail, and nothing unfinished";
}

}  // namespace
}  // namespace mneme::kv
