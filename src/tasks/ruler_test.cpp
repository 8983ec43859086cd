// That what is asked for is in the context, where it was put, and that nothing else answers the question.
#include "tasks/ruler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "tasks/utf8.h"

namespace mneme::tasks {
namespace {

const TextSource& source() {
  static const SyntheticText one(3, size_t{1} << 18);
  return one;
}

RulerSample make(RulerTask task, const RulerRequest& request, uint64_t seed = 1) {
  core::Rng rng(seed);
  return generate_ruler(task, request, source(), rng);
}

size_t occurrences(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

std::string_view part(const RulerSample& sample, const Range& range) {
  return std::string_view(sample.context).substr(range.begin, range.size());
}

double depth(const RulerSample& sample, const Range& range) {
  return static_cast<double>(range.begin) / static_cast<double>(sample.context.size());
}

// Words between blanks behind the first line.
std::map<std::string, int> counted(const RulerSample& sample, bool numbered) {
  std::istringstream words(sample.context.substr(sample.context.find('\n')));
  std::map<std::string, int> counts;
  int number = 0;
  for (std::string word; words >> word;) {
    if (numbered && ++number % 2 == 1) {
      EXPECT_EQ(word, std::to_string(number / 2 + 1) + ".");
    } else {
      ++counts[word];
    }
  }
  return counts;
}

// The least count of the expected words and the greatest of the others.
std::pair<int, int> gap(const std::map<std::string, int>& counts, const std::vector<std::string>& expected) {
  int least = INT32_MAX, greatest = 0;
  for (const auto& [word, count] : counts) {
    if (word == "...") continue;
    const bool asked = std::find(expected.begin(), expected.end(), word) != expected.end();
    if (asked) least = std::min(least, count);
    if (!asked) greatest = std::max(greatest, count);
  }
  return {least, greatest};
}

constexpr Language kBoth[] = {Language::kEnglish, Language::kChinese};

TEST(Ruler, ContextsAreAsLargeAsAskedAndWholeCharacters) {
  for (const RulerTask task : all_ruler_tasks()) {
    for (const Language language : kBoth) {
      for (const size_t bytes : {3000u, 20'000u, 200'001u}) {
        const RulerSample sample = make(task, {language, bytes, {0.3, 0.9}});
        SCOPED_TRACE(std::string(name(task)) + " " + std::string(name(language)) + " " +
                     std::to_string(bytes));
        EXPECT_LE(sample.context.size(), bytes);
        EXPECT_GE(static_cast<double>(sample.context.size()), 0.97 * static_cast<double>(bytes) - 140);
        EXPECT_TRUE(valid_utf8(sample.context));
        EXPECT_EQ(sample.context.substr(sample.context.size() - 2), "\n\n");
        const bool words = task == RulerTask::kCommonWords || task == RulerTask::kFrequentWords;
        EXPECT_EQ(sample.questions.size(), words ? 1u : 2u);
        for (const RulerQuestion& question : sample.questions) {
          EXPECT_FALSE(question.text.empty());
          EXPECT_FALSE(question.answer_prefix.empty());
          EXPECT_EQ(question.text.find('{'), std::string::npos) << question.text;
          EXPECT_EQ(question.answer_prefix.find('{'), std::string::npos) << question.answer_prefix;
          for (const std::string& one : question.expected) {
            EXPECT_EQ((question.text + question.answer_prefix).find(one), std::string::npos)
                << "the prompt must not say the answer";
          }
        }
      }
    }
  }
}

TEST(Ruler, NeedlesLieWhereTheyWerePut) {
  for (const RulerTask task : all_ruler_tasks()) {
    if (!has_depth(task)) continue;
    for (const Language language : kBoth) {
      for (const double place : {0.0, 0.1, 0.5, 0.77, 1.0}) {
        const RulerSample sample = make(task, {language, 30'000, {place}, true}, 5);
        SCOPED_TRACE(std::string(name(task)) + " " + std::string(name(language)) + " at " +
                     std::to_string(place));
        ASSERT_EQ(sample.questions.size(), 1u);
        const RulerQuestion& question = sample.questions[0];
        ASSERT_EQ(question.evidence.size(), question.expected.size());
        for (const Range& range : question.evidence) EXPECT_NEAR(depth(sample, range), place, 0.03);
      }
    }
  }
}

TEST(Ruler, ANeedleSaysItsValueAndNothingElseDoes) {
  for (const RulerTask task : all_ruler_tasks()) {
    if (!has_depth(task)) continue;
    for (const Language language : kBoth) {
      for (const uint64_t seed : {1u, 2u, 3u}) {
        const RulerSample sample = make(task, {language, 25'000, {0.1, 0.6, 0.8}}, seed);
        ASSERT_EQ(sample.questions.size(), 3u) << name(task);
        std::set<std::string> values;
        for (const RulerQuestion& question : sample.questions) {
          for (size_t i = 0; i < question.expected.size(); ++i) {
            const std::string& value = question.expected[i];
            EXPECT_TRUE(values.insert(value).second);
            EXPECT_EQ(occurrences(sample.context, value), 1u) << value << ", seed " << seed;
            const std::string_view needle = part(sample, question.evidence[i]);
            EXPECT_NE(needle.find(value), std::string_view::npos) << needle;
            // Its key is what the question asks for.
            const bool english = language == Language::kEnglish;
            const size_t begin = needle.find(english ? " for " : "“") + (english ? 5 : 3);
            const std::string key(needle.substr(begin, needle.find(english ? " is:" : "”") - begin));
            EXPECT_NE(question.text.find(key), std::string::npos) << key << ": " << question.text;
            const std::string sought = english ? " for " + key + " is:" : "“" + key + "”的";
            EXPECT_EQ(occurrences(sample.context, sought), task == RulerTask::kNiahMultivalue ? 4u : 1u);
          }
        }
      }
    }
  }
}

TEST(Ruler, NeedlesOfAQuestionAreSpreadUnlessTheyGoTogether) {
  const RulerSample spread = make(RulerTask::kNiahMultiquery, {Language::kEnglish, 40'000, {0.6}, false});
  ASSERT_EQ(spread.questions.size(), 1u);
  const double expected[] = {0.6, 0.85, 0.1, 0.35};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(depth(spread, spread.questions[0].evidence[i]), expected[i], 0.03);
  }
}

TEST(Ruler, HaystacksAreWhatTheirNamesSay) {
  const auto needles = [&](RulerTask task) {
    return occurrences(make(task, {Language::kEnglish, 20'000, {0.5}}).context, "One of the special magic");
  };
  EXPECT_EQ(needles(RulerTask::kNiahSingle1), 1u);
  EXPECT_EQ(needles(RulerTask::kNiahMultikey1), 4u);
  EXPECT_EQ(needles(RulerTask::kNiahMultivalue), 4u);
  EXPECT_GT(needles(RulerTask::kNiahMultikey2), 200u);
  EXPECT_GT(needles(RulerTask::kNiahMultikey3), 130u);
  const std::string repeated = make(RulerTask::kNiahSingle1, {Language::kEnglish, 20'000, {0.5}}).context;
  EXPECT_GT(occurrences(repeated, "The grass is green."), 150u);
  const std::string text = make(RulerTask::kNiahSingle2, {Language::kEnglish, 20'000, {0.5}}).context;
  EXPECT_EQ(occurrences(text, "The grass is green."), 0u);
}

TEST(Ruler, AChainCanBeFollowedFromItsValueToItsLastName) {
  for (const Language language : kBoth) {
    const RulerSample sample = make(RulerTask::kVariableTracking, {language, 20'000, {0, 0, 0}});
    const std::string var = language == Language::kEnglish ? "VAR " : "变量 ";
    ASSERT_EQ(sample.questions.size(), 3u);
    for (const RulerQuestion& question : sample.questions) {
      ASSERT_EQ(question.expected.size(), 5u);
      const size_t digit = question.text.find_first_of("0123456789");
      std::string from = question.text.substr(digit, 5);
      for (size_t i = 0; i < 5; ++i) {
        const std::string statement = var + question.expected[i] + " = " + from;
        EXPECT_EQ(occurrences(sample.context, statement), 1u) << statement;
        EXPECT_EQ(part(sample, question.evidence[i]), statement);
        if (i > 0) {
          EXPECT_LT(question.evidence[i - 1].begin, question.evidence[i].begin);
        }
        from = var + question.expected[i];
      }
      EXPECT_EQ(occurrences(sample.context, "= " + from), 0u) << "nothing goes on from the last name";
    }
  }
}

TEST(Ruler, CommonWordsAreTheTenMostCommon) {
  for (const Language language : kBoth) {
    for (const size_t bytes : {2500u, 12'000u, 100'000u, 500'000u}) {
      const RulerSample sample = make(RulerTask::kCommonWords, {language, bytes});
      ASSERT_EQ(sample.questions.size(), 1u);
      const auto& expected = sample.questions[0].expected;
      EXPECT_EQ(std::set<std::string>(expected.begin(), expected.end()).size(), 10u);
      const auto [least, greatest] = gap(counted(sample, true), expected);
      EXPECT_GE(least, 2 * greatest) << bytes;
      if (bytes >= 100'000) {
        EXPECT_EQ(least, 30);
        EXPECT_EQ(greatest, 3);
      }
    }
    EXPECT_TRUE(make(RulerTask::kCommonWords, {language, 300}).questions.empty());
  }
}

TEST(Ruler, FrequentWordsAreTheThreeMostFrequent) {
  for (const Language language : kBoth) {
    for (const size_t bytes : {1500u, 12'000u, 500'000u}) {
      const RulerSample sample = make(RulerTask::kFrequentWords, {language, bytes});
      ASSERT_EQ(sample.questions.size(), 1u);
      const auto& expected = sample.questions[0].expected;
      ASSERT_EQ(expected.size(), 3u);
      auto counts = counted(sample, false);
      const auto [least, greatest] = gap(counts, expected);
      EXPECT_GT(least, greatest) << bytes;
      EXPECT_GT(counts["..."], counts[expected[0]]);
      // Ranks 2 and 4 of Zipf's law with exponent 2.
      if (bytes > 100'000) {
        EXPECT_NEAR(counts[expected[0]], 4 * counts[expected[2]], 4);
      }
    }
    EXPECT_TRUE(make(RulerTask::kFrequentWords, {language, 100}).questions.empty());
  }
}

TEST(Ruler, TheSeedSaysEverything) {
  for (const RulerTask task : all_ruler_tasks()) {
    const RulerRequest request{Language::kEnglish, 9000, {0.4}};
    EXPECT_EQ(make(task, request, 7).context, make(task, request, 7).context);
    EXPECT_NE(make(task, request, 7).context, make(task, request, 8).context);
    EXPECT_EQ(parse_ruler_task(name(task)), task);
  }
  EXPECT_FALSE(parse_ruler_task("niah"));
}

TEST(Ruler, TheScoreIsTheShareOfStringsFound) {
  const std::vector<std::string> expected{"Alpha", "7", "中文", "gamma"};
  EXPECT_DOUBLE_EQ(ruler_score(expected, ""), 0);
  EXPECT_DOUBLE_EQ(ruler_score(expected, "ALPHA and gamm"), 0.25);
  EXPECT_DOUBLE_EQ(ruler_score(expected, "alpha, 1734, 中文。GAMMA"), 1);
  EXPECT_DOUBLE_EQ(ruler_score({}, "anything"), 0);
}

}  // namespace
}  // namespace mneme::tasks
