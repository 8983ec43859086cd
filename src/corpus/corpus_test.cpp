#include "corpus/corpus.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "core/file.h"
#include "core/rng.h"
#include "core/size_limit_for_test.h"
#include "corpus/shares.h"

namespace mneme::corpus {
namespace {

namespace fs = std::filesystem;

class TemporaryFolder {
 public:
  TemporaryFolder()
      : path_(fs::temp_directory_path() / fmt::format("mneme-corpus-{}-{}", ::getpid(), count_++)) {
    fs::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ / name; }
  auto file_count() const { return std::distance(fs::directory_iterator(path_), fs::directory_iterator()); }

 private:
  static inline int count_ = 0;
  fs::path path_;
};

void write_bytes(const std::string& path, std::string_view bytes) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::string write_three(const TemporaryFolder& folder) {
  const std::string path = folder / "three.docs";
  auto writer = DocumentsWriter::create(path);
  EXPECT_TRUE(writer);
  writer->add({"a/one", Kind::kProse, Language::kEnglish, 7, "Hello.\n"});
  writer->add({"b/two", Kind::kProse, Language::kChinese, 8, "你好。\n"});
  writer->add({"c/empty", Kind::kCode, Language::kEnglish, 65535, ""});
  EXPECT_TRUE(writer->finish());
  return path;
}

TEST(Documents, come_back_as_they_were_written) {
  const TemporaryFolder folder;
  const auto documents = Documents::open(write_three(folder));
  ASSERT_TRUE(documents) << documents.error().message;
  ASSERT_EQ(documents->size(), 3u);
  EXPECT_EQ((*documents)[0].text, "Hello.\n");
  EXPECT_EQ((*documents)[0].name, "a/one");
  EXPECT_EQ((*documents)[1].language, Language::kChinese);
  EXPECT_EQ((*documents)[1].text, "你好。\n");
  EXPECT_EQ((*documents)[2].kind, Kind::kCode);
  EXPECT_EQ((*documents)[2].package, 65535);
  EXPECT_TRUE((*documents)[2].text.empty());
  EXPECT_EQ(documents->text_bytes(), 17u);
  EXPECT_TRUE(documents->verify());
  EXPECT_EQ(folder.file_count(), 1);
}

TEST(Documents, of_many_buffers_come_back) {
  const TemporaryFolder folder;
  const std::string path = folder / "large.docs";
  std::vector<std::string> texts;
  for (size_t i = 0; i < 40; i++) texts.emplace_back(i * 10'007, static_cast<char>('a' + i));
  auto writer = DocumentsWriter::create(path);
  ASSERT_TRUE(writer);
  for (const auto& text : texts) writer->add({"n", Kind::kProse, Language::kEnglish, 0, text});
  ASSERT_TRUE(writer->finish());
  const auto documents = Documents::open(path);
  ASSERT_TRUE(documents) << documents.error().message;
  EXPECT_TRUE(documents->verify());
  for (size_t i = 0; i < texts.size(); i++) EXPECT_EQ((*documents)[i].text, texts[i]);
}

TEST(Documents, that_do_not_fit_on_the_disk_leave_the_old_ones) {
  const TemporaryFolder folder;
  const std::string path = write_three(folder);
  {
    const core::SizeLimit limit(3 << 20);
    auto writer = DocumentsWriter::create(path);
    ASSERT_TRUE(writer);
    const std::string text(700'000, 'x');
    for (int i = 0; i < 10; i++) writer->add({"n", Kind::kProse, Language::kEnglish, 0, text});
    const auto done = writer->finish();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message, path + ": cannot be written: File too large");
  }
  EXPECT_TRUE(Documents::open(path));
  EXPECT_EQ(folder.file_count(), 1);
}

TEST(Documents, no_damaged_file_is_read) {
  const TemporaryFolder folder;
  const std::string whole = *core::read_text_file(write_three(folder));
  const std::string path = folder / "bad.docs";
  for (size_t size = 0; size < whole.size(); size++) {
    write_bytes(path, std::string_view(whole).substr(0, size));
    EXPECT_FALSE(Documents::open(path)) << size;
  }
  for (size_t at = 0; at < whole.size(); at++) {
    std::string bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 0x41);
    write_bytes(path, bad);
    const auto documents = Documents::open(path);
    EXPECT_FALSE(documents && documents->verify()) << at;
  }
  write_bytes(path, whole + "x");
  EXPECT_FALSE(Documents::open(path));
}

TEST(Documents, a_writer_that_is_not_finished_leaves_nothing) {
  const TemporaryFolder folder;
  {
    auto writer = DocumentsWriter::create(folder / "x.docs");
    ASSERT_TRUE(writer);
    writer->add({"n", Kind::kProse, Language::kEnglish, 0, "text"});
  }
  EXPECT_EQ(folder.file_count(), 0);
  EXPECT_FALSE(DocumentsWriter::create(folder / "none/x.docs"));
}

TEST(Shares, what_one_cannot_fill_goes_to_the_others) {
  EXPECT_EQ(divide(100, {1000, 1000}, {0.25, 0.75}), (std::vector<uint64_t>{25, 75}));
  EXPECT_EQ(divide(100, {10, 1000}, {0.5, 0.5}), (std::vector<uint64_t>{10, 90}));
  EXPECT_EQ(divide(100, {10, 20}, {0.5, 0.5}), (std::vector<uint64_t>{10, 20}));
  EXPECT_EQ(common_cap({10, 20, 30}, 45), 17u);  // 10 + 17 + 17
  EXPECT_EQ(common_cap({10, 20, 30}, 60), 30u);
  EXPECT_EQ(common_cap({}, 60), 0u);
}

std::string english(int seed) {
  std::string text;
  for (int i = 0; i < 12; i++) {
    text += fmt::format("This is the {}th of the sentences that are in the text number {} of this test. ", i,
                        seed);
    if (i % 4 == 3) text += "\n\n";
  }
  return text + "\n";
}

constexpr const char* kMachineReadable =
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
    "Files: *\nCopyright: someone\nLicense: MIT\n\nFiles: tests/*\nLicense: GPL-2+\n";

TEST(Build, reads_what_is_allowed_and_new) {
  const TemporaryFolder folder;
  std::string code;
  for (int i = 0; i < 20; i++)
    code += fmt::format("int number_{}_of_the_list(int x) {{ return x + {}; }}\n\n", i, i);
  write_bytes(folder / "held/usr/share/doc/held/a.txt", english(1));
  write_bytes(folder / "manual/usr/share/doc/manual/a.txt", english(1));  // is held out
  write_bytes(
      folder / "manual/usr/share/doc/manual/b.html",
      "<html><head><title>t</title></head><body><nav>menu menu</nav><p>" + english(2222) + "</p></body>");
  write_bytes(folder / "manual/usr/share/doc/manual/bad.txt", "\xFF\xFE broken" + english(3));
  write_bytes(folder / "free/debian/copyright", kMachineReadable);
  write_bytes(folder / "free/src/a.c", code);
  write_bytes(folder / "free/src/gpl.c", "/* GNU General Public License */\n" + code);
  write_bytes(folder / "free/tests/b.c", "// another\n" + code);
  write_bytes(folder / "copyleft/debian/copyright", "This is under the GNU General Public License.\n");
  write_bytes(folder / "copyleft/a.c", code);
  std::string rows;
  const auto row = [&](const char* role, const char* form, const char* name) {
    rows += fmt::format("{}\t{}\t{}\t1.0\tabc\t{}\n", role, form, name, folder / name);
  };
  row("train", "doc", "manual");
  row("train", "src", "free");
  row("train", "src", "copyleft");
  row("heldout", "doc", "held");
  write_bytes(folder / "packages.tsv", rows);
  fs::create_directories(folder / "out");
  const auto report = build_corpus({.packages_path = folder / "packages.tsv", .out_folder = folder / "out"});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->documents[0], (std::array<uint64_t, 3>{1, 0, 1}));
  EXPECT_EQ(report->documents[1], (std::array<uint64_t, 3>{1, 0, 0}));
  EXPECT_EQ(report->packages_rejected, 1u);
  const auto train = Documents::open(folder / "out/train.docs");
  ASSERT_TRUE(train) << train.error().message;
  std::map<std::string, std::string> texts;
  for (size_t i = 0; i < train->size(); i++) texts.emplace((*train)[i].name, (*train)[i].text);
  EXPECT_TRUE(texts.contains("free/src/a.c"));
  ASSERT_TRUE(texts.contains("manual/usr/share/doc/manual/b.html"));
  EXPECT_EQ(texts["manual/usr/share/doc/manual/b.html"].find("menu"), std::string::npos);
  const std::string manifest = *core::read_text_file(folder / "out/manifest.tsv");
  EXPECT_NE(manifest.find("train\tsrc\tcopyleft\t1.0\tfree text: copyleft\tabc\t0\t0"), std::string::npos)
      << manifest;
}

TEST(Build, a_bad_list_is_an_error) {
  const TemporaryFolder folder;
  const std::string path = folder / "packages.tsv";
  const BuildOptions options{.packages_path = path, .out_folder = folder / ""};
  EXPECT_FALSE(build_corpus(options));
  for (const char* text : {"train\tdoc\tx\n", "tarin\tdoc\tx\t1\ta\tb\n", "train\tdco\tx\t1\ta\tb\n", "\n"}) {
    write_bytes(path, text);
    EXPECT_FALSE(build_corpus(options)) << text;
  }
  write_bytes(path, "train\tdoc\tx\t1\ta\t/nowhere/at/all\n");
  EXPECT_TRUE(build_corpus(options));  // nothing in it, and the manifest says so
}

}  // namespace
}  // namespace mneme::corpus
