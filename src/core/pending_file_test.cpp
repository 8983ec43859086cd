#include "core/pending_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/size_limit_for_test.h"

namespace mneme::core {
namespace {

namespace fs = std::filesystem;

class PendingFileTest : public testing::Test {
 protected:
  PendingFileTest() : folder_(fs::temp_directory_path() / fmt::format("mneme_pending_{}", ::getpid())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~PendingFileTest() override { fs::remove_all(folder_); }

  std::string in_folder(const char* name) const { return folder_ / name; }
  static std::string content(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  size_t file_count() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  static std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

  fs::path folder_;
};

TEST_F(PendingFileTest, IsThereOnceCommitted) {
  const std::string path = in_folder("a.txt");
  ASSERT_TRUE(write_file(path, "old"));
  auto file = PendingFile::create(path);
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->append(bytes("0123")));
  ASSERT_TRUE(file->append({}));
  ASSERT_TRUE(file->append(bytes("4567")));
  ASSERT_TRUE(file->overwrite(2, bytes("ab")));
  ASSERT_TRUE(file->append(bytes("8")));
  EXPECT_EQ(content(path), "old");
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(content(path), "01ab45678");
  EXPECT_EQ(file_count(), 1u);
}

TEST_F(PendingFileTest, WritesTextsOfAnySize) {
  const std::string path = in_folder("text");
  std::string all;
  for (int i = 0; i < 70'001; ++i) all += static_cast<char>(i * 131);
  for (const std::string& text : {std::string(), std::string("a\0b\n", 4), all}) {
    ASSERT_TRUE(write_file(path, text));
    EXPECT_EQ(content(path), text);
  }
  EXPECT_EQ(file_count(), 1u);
}

TEST_F(PendingFileTest, LeavesNothingWithoutCommit) {
  const std::string old = in_folder("old"), fresh = in_folder("fresh");
  ASSERT_TRUE(write_file(old, "old"));
  for (const std::string& path : {old, fresh}) {
    auto file = PendingFile::create(path);
    ASSERT_TRUE(file && file->append(bytes("new")));
  }
  EXPECT_EQ(content(old), "old");
  EXPECT_FALSE(fs::exists(fresh));
  EXPECT_EQ(file_count(), 1u);
}

TEST_F(PendingFileTest, LeavesTheOldFileWhereTheNewOneDoesNotFit) {
  const std::string path = in_folder("a.txt");
  ASSERT_TRUE(write_file(path, "old"));
  {
    const SizeLimit limit(1000);
    const auto done = write_file(path, std::string(1001, 'x'));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message, path + ": cannot be written: File too large");
    auto file = PendingFile::create(path);
    ASSERT_TRUE(file && file->append(bytes("new")));
    EXPECT_FALSE(file->overwrite(1000, bytes("x")));
  }
  EXPECT_EQ(content(path), "old");
  EXPECT_EQ(file_count(), 1u);
}

TEST_F(PendingFileTest, NamesThePathItCannotWrite) {
  const std::string path = in_folder("none") + "/a.txt";
  auto file = PendingFile::create(path);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().message, path + ": cannot be written: No such file or directory");
  EXPECT_FALSE(write_file(path, "x"));
  if (::geteuid() == 0) GTEST_SKIP() << "nothing is forbidden to root";
  fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec);
  const auto done = write_file(in_folder("a.txt"), "x");
  fs::permissions(folder_, fs::perms::owner_all);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, in_folder("a.txt") + ": cannot be written: Permission denied");
}

TEST_F(PendingFileTest, DoesNotReplaceWhatIsNoFile) {
  EXPECT_EQ(write_file("/dev/null", "x").error().message, "/dev/null: cannot be written: not a regular file");
  EXPECT_FALSE(write_file(folder_.string(), "x"));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(PendingFileTest, Moves) {
  const std::string one = in_folder("one"), two = in_folder("two");
  auto first = PendingFile::create(one), second = PendingFile::create(two);
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(first->append(bytes("1")) && second->append(bytes("2")));
  PendingFile moved(std::move(*first));
  ASSERT_TRUE(moved.append(bytes("1")));
  moved = std::move(*second);  // and `second` has the other now
  ASSERT_TRUE(moved.append(bytes("2")));
  ASSERT_TRUE(moved.commit());
  EXPECT_EQ(content(two), "22");
  ASSERT_TRUE(second->commit());
  EXPECT_EQ(content(one), "11");
  EXPECT_EQ(file_count(), 2u);
}

TEST_F(PendingFileTest, WorksWithoutAFolderInThePath) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_);
  EXPECT_TRUE(write_file("bare", "x"));
  fs::current_path(before);
  EXPECT_EQ(content(in_folder("bare")), "x");
}

}  // namespace
}  // namespace mneme::core
