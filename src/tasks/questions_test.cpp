// What train's questions are like where people would ask so: plain keys, gaps, several answers at once.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <string>

#include "tasks/tasks.h"

namespace mneme::tasks {
namespace {

Sample make(TaskKind task, const Request& request, uint64_t seed) {
  static const SyntheticText source(7, size_t{1} << 17);
  core::Rng rng(seed);
  return generate(task, request, source, rng);
}

// People who try a model out show it a sentence, and ask for a word of it.
TEST(Tasks, LittleTextsHavePlainKeys) {
  const auto plain_share = [](size_t bytes) {
    int plain = 0, all = 0;
    for (uint64_t seed = 0; seed < 200; ++seed) {
      Request request;
      request.context_bytes = bytes;
      const Sample sample = make(TaskKind::kPasskey, request, seed);
      for (const Turn& turn : sample.turns) {
        if (turn.recital.empty() || turn.recital[0] != ' ') continue;
        const std::string key = turn.recital.substr(1, turn.recital.find(' ', 1) - 1);
        ++all;
        plain += std::all_of(key.begin(), key.end(), [](unsigned char c) { return std::isalpha(c) != 0; });
      }
    }
    EXPECT_GT(all, 50) << bytes;
    return static_cast<double>(plain) / all;
  };
  EXPECT_GT(plain_share(200), 0.5);
  EXPECT_LT(plain_share(4000), 0.4);
  EXPECT_GT(plain_share(4000), 0.05);
}

// A question may be the record itself with a gap.
TEST(Tasks, SomeQuestionsAreTheRecordWithAGap) {
  int gaps = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const Sample sample = make(TaskKind::kParaphrase, Request{}, seed);
    for (size_t i = 0; i + 1 < sample.turns.size(); i += 2) {
      const std::string& question = sample.turns[i].text;
      const size_t gap = question.find("___");
      if (gap == std::string::npos) continue;
      ++gaps;
      const std::string record = question.substr(0, gap) + sample.turns[i + 1].text +
                                 question.substr(gap + 3, question.size() - gap - 4);
      EXPECT_NE(sample.context.find(record), std::string::npos) << question << "\n" << record;
    }
  }
  EXPECT_GT(gaps, 3);
}

// Not within a longer word.
size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    const auto before = static_cast<unsigned char>(at > 0 ? text[at - 1] : ' ');
    const bool within = std::isalnum(static_cast<unsigned char>(part[0])) != 0 &&
                        (std::isalnum(before) != 0 || before == '_' || before == '-');
    if (!within) ++count;
  }
  return count;
}

// All values that the text has for a key, and none of others; or one for each key that is named.
TEST(Tasks, SeveralAnswersAreAllThereAre) {
  int values = 0, keys = 0;
  for (const Split split : {Split::kTrain, Split::kHeldOut}) {
    for (uint64_t seed = 0; seed < 60; ++seed) {
      Request request;
      request.split = split;
      const Sample sample = make(TaskKind::kSeveral, request, seed);
      for (size_t i = 0; i + 1 < sample.turns.size(); i += 2) {
        const std::string &answer = sample.turns[i + 1].text, &told = sample.turns[i + 1].recital;
        const size_t parts = count_of(answer, ", ") + 1;
        EXPECT_TRUE(parts >= 2 && parts <= 4) << answer;
        EXPECT_EQ(count_of(told, "\n") + 1, parts) << told;
        (sample.form == "values" ? values : keys) += 1;
        EXPECT_TRUE(correct(sample, i + 1, answer));
        EXPECT_FALSE(correct(sample, i + 1, answer.substr(0, answer.find(','))));
        if (sample.form == "keys") continue;
        // Every record begins its line of the thought with the same key: there are no more of them.
        const std::string record = told.substr(0, told.find('\n'));
        const size_t value = record.rfind(answer.substr(0, answer.find(',')));
        if (record.find(" <- ") != std::string::npos) continue;
        EXPECT_EQ(count_of(sample.context, record.substr(0, value)), parts) << record;
      }
    }
  }
  EXPECT_GT(values, 30);
  EXPECT_GT(keys, 30);
}

}  // namespace
}  // namespace mneme::tasks
