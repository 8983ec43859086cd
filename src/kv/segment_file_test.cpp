#include "kv/segment_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "kv/store_for_test.h"

namespace mneme::kv {
namespace {

SegmentHeader header_of(std::span<const int32_t> tokens) {
  SegmentHeader header;
  header.model = model_for_test().model;
  header.parent.bytes.fill(9);
  header.name = segment_name(model_for_test(), header.parent, tokens);
  header.first_token = 512;
  header.tokens.assign(tokens.begin(), tokens.end());
  return header;
}

// Writes the segment of a seed.
SegmentHeader write_for_test(const std::string& path, uint64_t seed, Disk& disk, size_t token_count = 256,
                             size_t bytes = 8192) {
  const auto tokens = tokens_for_test(seed, token_count);
  const SegmentHeader header = header_of(tokens);
  const auto parts = parts_for_test(tokens, bytes);
  const auto pieces = pieces_of(parts);
  auto written = write_segment_file(path, header, pieces, disk);
  EXPECT_TRUE(written) << written.error().message;
  EXPECT_EQ(std::filesystem::file_size(path), segment_file_bytes(token_count, pieces));
  return header;
}

SegmentFile::Options options_of(Disk& disk, bool set_aside = true) {
  SegmentFile::Options options;
  options.set_aside = set_aside;
  options.disk = &disk;
  return options;
}

TEST(SegmentNames, HexAndBack) {
  const auto tokens = tokens_for_test(1);
  const SegmentName name = segment_name(model_for_test(), {}, tokens);
  EXPECT_EQ(SegmentName::parse(name.hex()), name);
  EXPECT_EQ(name.hex().size(), 32u);
  EXPECT_FALSE(SegmentName::parse("0123"));
  EXPECT_FALSE(SegmentName::parse(std::string(31, '0') + "g"));
  EXPECT_TRUE(SegmentName::parse(std::string(32, '0'))->is_zero());
}

TEST(SegmentNames, DependOnEverything) {
  auto tokens = tokens_for_test(1);
  SegmentModel model = model_for_test();
  const SegmentName name = segment_name(model, {}, tokens);
  EXPECT_EQ(segment_name(model, {}, tokens), name);
  EXPECT_NE(segment_name(model, name, tokens), name);
  EXPECT_NE(segment_name(model_for_test(2), {}, tokens), name);
  model.shape.push_back(std::byte{0});
  EXPECT_NE(segment_name(model, {}, tokens), name);
  model = model_for_test();
  ++model.content_version;
  EXPECT_NE(segment_name(model, {}, tokens), name);
  tokens.back() ^= 1;
  EXPECT_NE(segment_name(model_for_test(), {}, tokens), name);
}

// The format may not drift: the name of a known segment, once computed with xxh128sum of the bytes that
// segment_name.h lists.
TEST(SegmentNames, AreOfTheDocumentedBytes) {
  SegmentModel model;
  model.model.bytes.fill(7);
  const std::vector<int32_t> tokens = {1, 2, 3};
  EXPECT_EQ(segment_name(model, {}, tokens).hex(), "eb9cb9d910c219c1150c8576acd2e2e4");
}

class SegmentFiles : public ::testing::TestWithParam<bool> {
 protected:
  SegmentFiles() { disk_.buffered = GetParam(); }
  FolderForTest folder_{true};
  DiskForTest disk_;
};
INSTANTIATE_TEST_SUITE_P(DirectOrBuffered, SegmentFiles, ::testing::Bool());

TEST_P(SegmentFiles, ComeBackAsWritten) {
  for (const bool odd : {false, true}) {
    for (const size_t tokens : {size_t{0}, size_t{1}, size_t{255}, size_t{256}}) {  // 0: a tail's
      for (const size_t bytes : {size_t{1}, size_t{4095}, size_t{4096}, size_t{4097}, size_t{1234567}}) {
        disk_.odd_calls = odd ? 1 : 0;
        const std::string path = folder_ / "a.kv";
        const SegmentHeader header = write_for_test(path, tokens + bytes, disk_, tokens, bytes);
        auto file = SegmentFile::open(path, options_of(disk_));
        ASSERT_TRUE(file) << file.error().message;
        EXPECT_EQ((*file)->header(), header);
        auto whole = is_whole(**file, bytes);
        ASSERT_TRUE(whole) << whole.error().message;
        EXPECT_TRUE(*whole) << tokens << " tokens, parts of " << bytes;
        EXPECT_TRUE((*file)->verify());
      }
    }
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a.kv.new"));
}

TEST_P(SegmentFiles, TakeAnyPieces) {
  const std::string path = folder_ / "a.kv";
  write_for_test(path, 3, disk_, 256, 40000);
  auto file = SegmentFile::open(path, options_of(disk_));
  ASSERT_TRUE(file);
  const BytesForTest got(40000);
  const auto expected = parts_for_test((*file)->header().tokens, 40000);
  const std::vector<Bytes> pieces = {got.writable().first(0), got.writable().first(13),
                                     got.writable().subspan(13, 20000), got.writable().subspan(20013)};
  ASSERT_TRUE((*file)->read_part(1, pieces));
  EXPECT_TRUE(std::equal(got.bytes().begin(), got.bytes().end(), expected[1].bytes().begin()));
  EXPECT_FALSE((*file)->read_part(1, std::span(pieces).first(3))) << "fewer bytes than the part has";
}

TEST_P(SegmentFiles, ManyPartsAndNone) {
  const auto tokens = tokens_for_test(1);
  const std::vector<BytesForTest> bytes = [] {
    std::vector<BytesForTest> out;
    for (size_t i = 0; i < 700; ++i) out.emplace_back(i % 5, i);
    return out;
  }();
  const auto parts = pieces_of(bytes);
  for (const size_t count : {size_t{0}, size_t{700}}) {  // 700: a header of more than one page
    ASSERT_TRUE(
        write_segment_file(folder_ / "a.kv", header_of(tokens), std::span(parts).first(count), disk_));
    auto file = SegmentFile::open(folder_ / "a.kv", options_of(disk_));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ((*file)->parts().size(), count);
    EXPECT_TRUE((*file)->verify());
  }
}

// Direct or not makes no difference for damage; the page cache makes the tests quick.
class SegmentDamage : public ::testing::Test {
 protected:
  SegmentDamage() { disk_.buffered = true; }
  FolderForTest folder_;
  DiskForTest disk_;
};

TEST_F(SegmentDamage, CutShortAnywhere) {
  const std::string path = folder_ / "a.kv";
  write_for_test(path, 5, disk_, 100, 100);
  const auto size = static_cast<off_t>(std::filesystem::file_size(path));
  for (off_t length = size - 1; length >= 0; --length) {
    ASSERT_EQ(::truncate(path.c_str(), length), 0);
    ASSERT_FALSE(SegmentFile::open(path, options_of(disk_, false))) << length << " bytes";
  }
  EXPECT_FALSE(SegmentFile::open(path, options_of(disk_)));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(std::filesystem::exists(path + ".bad"));
}

TEST_F(SegmentDamage, BitsFlippedAnywhere) {
  const std::string path = folder_ / "a.kv";
  const SegmentHeader header = write_for_test(path, 6, disk_, 100, 100);
  const std::string good = bytes_of_file(path);
  size_t refused = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    auto file = DiskFile::open(path, O_WRONLY, false, disk_);
    std::byte wrong = static_cast<std::byte>(good[i]) ^ static_cast<std::byte>(1u << (i % 8));
    ConstBytes piece(&wrong, 1);
    ASSERT_TRUE((*file)->write(i, std::span(&piece, 1)));
    auto opened = SegmentFile::open(path, options_of(disk_, false));
    if (opened) {
      ASSERT_EQ((*opened)->header(), header) << "byte " << i;
      auto whole = is_whole(**opened, 100);
      ASSERT_TRUE(!whole || *whole) << "byte " << i;
      refused += !whole;
    } else {
      ++refused;
    }
    wrong = static_cast<std::byte>(good[i]);
    ASSERT_TRUE((*file)->write(i, std::span(&piece, 1)));
  }
  // Everything but the zeros behind the three parts.
  EXPECT_EQ(refused, 4096u + 100 + 100 + 777);
}

TEST_F(SegmentDamage, IsSetAsideOnceAndNamed) {
  const std::string path = folder_ / "a.kv";
  write_for_test(path, 7, disk_);
  std::string bytes = bytes_of_file(path);
  bytes[4096 + 8192 + 5] ^= 1;
  write_file(path, bytes);
  auto file = SegmentFile::open(path, options_of(disk_));
  ASSERT_TRUE(file);
  const BytesForTest got(8192);
  const Bytes piece = got.writable();
  EXPECT_TRUE((*file)->read_part(0, std::span(&piece, 1)));
  auto read = (*file)->read_part(1, std::span(&piece, 1));
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("checksum of part 1"), std::string::npos) << read.error().message;
  EXPECT_TRUE((*file)->bad());
  EXPECT_FALSE(std::filesystem::exists(path));
  write_for_test(path, 7, disk_);  // written anew
  EXPECT_FALSE((*file)->read_part(1, std::span(&piece, 1)));
  EXPECT_TRUE(std::filesystem::exists(path)) << "an old holder does not set the new file aside";
}

TEST_F(SegmentDamage, ReadErrorsKeepTheFile) {
  const std::string path = folder_ / "a.kv";
  write_for_test(path, 8, disk_);
  auto file = SegmentFile::open(path, options_of(disk_));
  ASSERT_TRUE(file);
  disk_.read_error = EIO;
  EXPECT_FALSE(SegmentFile::open(path, options_of(disk_)));
  auto whole = is_whole(**file);
  ASSERT_FALSE(whole);
  EXPECT_NE(whole.error().message.find("Input/output error"), std::string::npos) << whole.error().message;
  EXPECT_TRUE((*file)->bad());
  disk_.read_error = 0;
  EXPECT_TRUE(std::filesystem::exists(path));
  EXPECT_TRUE(SegmentFile::open(path, options_of(disk_)));
}

TEST_F(SegmentDamage, WriteErrorsLeaveWhatWas) {
  const std::string path = folder_ / "a.kv";
  const auto parts_of = parts_for_test(tokens_for_test(9));
  const auto parts = pieces_of(parts_of);
  const SegmentHeader header = write_for_test(path, 8, disk_);
  const auto refused = [&] { return !write_segment_file(path, header_of(tokens_for_test(9)), parts, disk_); };
  disk_.write_error = ENOSPC;
  EXPECT_TRUE(refused());
  disk_.write_error = 0;
  disk_.sync_error = EIO;
  EXPECT_TRUE(refused());
  disk_.sync_error = 0;
  disk_.rename_error = EIO;
  EXPECT_TRUE(refused());
  disk_.rename_error = 0;
  disk_.open_error = EROFS;
  EXPECT_TRUE(refused());
  disk_.open_error = 0;
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  auto file = SegmentFile::open(path, options_of(disk_));
  ASSERT_TRUE(file);
  EXPECT_EQ((*file)->header(), header);
  EXPECT_FALSE(refused());
}

TEST_F(SegmentDamage, OtherVersionsAreRefusedAndKept) {
  const std::string path = folder_ / "a.kv";
  write_for_test(path, 8, disk_);
  std::string bytes = bytes_of_file(path);
  bytes[8] = 1;
  write_file(path, bytes);
  auto file = SegmentFile::open(path, options_of(disk_));
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message.find("version 1"), std::string::npos) << file.error().message;
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(OpenFiles, KeepsTheNewest) {
  FolderForTest folder;
  OpenFiles files(2);
  for (const char* name : {"a", "b", "c"}) write_file(folder / name, "x");
  auto a = files.acquire(folder / "a", Disk::system());
  ASSERT_TRUE(a);
  EXPECT_EQ(*files.acquire(folder / "a", Disk::system()), *a);
  ASSERT_TRUE(files.acquire(folder / "b", Disk::system()));
  EXPECT_EQ(*files.acquire(folder / "a", Disk::system()), *a);
  ASSERT_TRUE(files.acquire(folder / "c", Disk::system()));  // b goes
  EXPECT_EQ(*files.acquire(folder / "a", Disk::system()), *a);
  files.forget(folder / "a");
  EXPECT_NE(*files.acquire(folder / "a", Disk::system()), *a);
  EXPECT_FALSE(files.acquire(folder / "d", Disk::system()));
}

}  // namespace
}  // namespace mneme::kv
