// What `run --ask` and `chat` show of a model that thinks: the answer on standard output, the thought beside
// it.
#include "cli/thought.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace mneme::cli {
namespace {

using Said = std::pair<std::string, std::string>;  // thought, answer

Said in_pieces(std::string_view text, size_t size) {
  ThoughtReader reader;
  Said said;
  const auto add = [&](const ThoughtReader::Part& part) {
    said.first += part.thought;
    said.second += part.answer;
  };
  for (; !text.empty(); text.remove_prefix(std::min(size, text.size())))
    add(reader.push(text.substr(0, size)));
  add(reader.finish());
  return said;
}

TEST(Thought, IsToldFromTheAnswerWhateverThePieces) {
  const std::vector<std::pair<std::string, Said>> cases = {
      {"<think>the key is 7</think>7", {"the key is 7", "7"}},
      {"\n<think>\na < b\n</think>\n\nyes\n", {"\na < b\n", "yes\n"}},
      {"<think></think>7", {"", "7"}},
      {"7", {"", "7"}},
      {"  7 ", {"", "  7 "}},
      {"<thin air", {"", "<thin air"}},
      {"<th", {"", "<th"}},
      {"", {"", ""}},
      {"a <think>b</think>", {"", "a <think>b</think>"}},
      {"<think>it never ends </thi", {"it never ends </thi", ""}},
      {"<think>one</think> two <think>three</think>", {"one", "two <think>three</think>"}},
      {"<think>想</think>答", {"想", "答"}},
  };
  for (const auto& [text, wanted] : cases) {
    for (size_t size = 1; size <= text.size() + 1; ++size) EXPECT_EQ(in_pieces(text, size), wanted) << text;
    const ThoughtReader::Part part = parts_of(text);
    EXPECT_EQ(Said(part.thought, part.answer), wanted);
  }
}

TEST(Thought, NothingIsHeldBackLongerThanItMust) {
  ThoughtReader reader;
  EXPECT_EQ(reader.push("<think>a").thought, "a");
  EXPECT_EQ(reader.push(" </").thought, " ");  // could be the end
  EXPECT_EQ(reader.push("b").thought, "</b");
  EXPECT_EQ(reader.push("</think>x").answer, "x");
  EXPECT_EQ(reader.push("<").answer, "<");
}

}  // namespace
}  // namespace mneme::cli
