// docs/security.md names the tests that hold the server to it: each of them is there.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace mneme::serve {
namespace {

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::set<std::string> tests_in(const std::filesystem::path& folder) {
  static const std::regex head(R"(TEST(_F|_P)?\((\w+), (\w+)\))");
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.path().string().ends_with("_test.cpp")) continue;
    const std::string text = read_text(entry.path());
    for (std::sregex_iterator at(text.begin(), text.end(), head), end; at != end; ++at)
      found.insert((*at)[2].str() + "." + (*at)[3].str());
  }
  return found;
}

TEST(SecurityDocument, NamesTestsThatAreThere) {
  const std::filesystem::path root(MNEME_SOURCE_DIR);
  std::set<std::string> tests = tests_in(root / "src");
  tests.merge(tests_in(root / "tests"));
  const std::string text = read_text(root / "docs" / "security.md");
  static const std::regex name(R"(`([A-Z]\w+\.[A-Z]\w+)`)"), chapter(R"(\n## API(\d+): )");
  size_t named = 0, chapters = 0;
  for (std::sregex_iterator at(text.begin(), text.end(), name), end; at != end; ++at) {
    const std::string test = (*at)[1].str();
    if (test == "Suite.Test") continue;
    EXPECT_TRUE(tests.contains(test)) << test;
    ++named;
  }
  for (std::sregex_iterator at(text.begin(), text.end(), chapter), end; at != end; ++at)
    EXPECT_EQ((*at)[1].str(), std::to_string(++chapters));
  EXPECT_EQ(chapters, 10u);
  EXPECT_GT(named, 30u);
}

}  // namespace
}  // namespace mneme::serve
