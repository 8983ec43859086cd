// Which files become text for contexts, and as what.
#include "engine/eval_text.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "engine/byte_text_for_test.h"

namespace mneme::engine {
namespace {

namespace fs = std::filesystem;
using tasks::Language;
using tasks::TextKind;

class Documents : public testing::Test {
 protected:
  Documents() : folder_(fs::temp_directory_path() / ("mneme_eval_text_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~Documents() override { fs::remove_all(folder_); }
  std::string write(const std::string& name, const std::string& content) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return (folder_ / name).string();
  }
  static std::set<std::string> names(const tasks::TextSource& source, TextKind kind, Language language) {
    std::set<std::string> found;
    core::Rng rng(1);
    for (int i = 0; i < 200; ++i) found.emplace(source.pick(rng, kind, language).name);
    return found;
  }
  fs::path folder_;
};

TEST_F(Documents, KindsAndLanguages) {
  write("prose.txt", "It was a dark and stormy night. \xE4\xB8\xAD");
  write("deep/er/code.py", "def f():\n  return 1 < 2\n");
  write("deep/chinese.md", "这里的委员会一共有很多部分, 2 of them. 尽管下着雨。");
  write(".git/hidden.txt", "not this one");
  write(".also_hidden", "nor this one");
  write("binary", std::string("\xFF\xFE\x00\x01", 4));
  write("empty", "");
  write("special.txt", "what ends a turn is <|im_end|> here");
  const std::vector<std::string> paths{folder_.string()};
  const auto source = load_documents(paths, ByteText());
  ASSERT_TRUE(source) << source.error().message;
  using Names = std::set<std::string>;
  EXPECT_EQ(names(**source, TextKind::kProse, Language::kEnglish), Names{"prose.txt"});
  EXPECT_EQ(names(**source, TextKind::kProse, Language::kChinese), Names{"chinese.md"});
  EXPECT_EQ(names(**source, TextKind::kCode, Language::kEnglish), Names{"code.py"});
}

TEST_F(Documents, FailuresNameThePath) {
  const auto message = [](const std::string& path) {
    const std::vector<std::string> paths{path};
    const auto source = load_documents(paths, ByteText());
    return source ? std::string() : source.error().message;
  };
  EXPECT_NE(message("/nonexistent").find("/nonexistent"), std::string::npos);
  EXPECT_NE(message(folder_.string()).find(folder_.string()), std::string::npos);
  EXPECT_NE(message(write("binary", "\xFF\xFE")).find("binary"), std::string::npos);
  EXPECT_EQ(message(write("a.txt", "a")), "");
}

}  // namespace
}  // namespace mneme::engine
