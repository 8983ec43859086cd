// What train makes up: patterns read in all their ways, and nothing that belongs to held-out.
#include "tasks/open.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <unordered_set>

#include "tasks/relations.h"
#include "tasks/utf8.h"
#include "tasks/wordings.h"
#include "tasks/words.h"

namespace mneme::tasks {
namespace {

using Strings = std::set<std::string>;

constexpr Language kLanguages[] = {Language::kEnglish, Language::kChinese};

struct Fixture {
  explicit Fixture(Language language, Split split = Split::kTrain)
      : request{.split = split, .language = language}, rng(11), draft{request, source, rng, {}, {}} {}
  SyntheticText source{3, 40000};
  Request request;
  core::Rng rng;
  Draft draft;
};

size_t count_of(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// Whether `text` is one way to read `pattern`.
bool reads(std::string_view pattern, std::string_view text) {
  const size_t open = pattern.find('[');
  if (open == std::string_view::npos) return pattern == text;
  if (text.substr(0, open) != pattern.substr(0, open)) return false;
  text.remove_prefix(open);
  int depth = 0;
  size_t from = open + 1;
  std::vector<std::string_view> ways;
  size_t i = open;
  for (;; ++i) {
    if (pattern[i] == '[') ++depth;
    if (pattern[i] == ']' && --depth == 0) break;
    if (pattern[i] != '|' || depth != 1) continue;
    ways.push_back(pattern.substr(from, i - from));
    from = i + 1;
  }
  ways.push_back(pattern.substr(from, i - from));
  for (const std::string_view way : ways) {
    if (reads(std::string(way) + std::string(pattern.substr(i + 1)), text)) return true;
  }
  return false;
}

TEST(Open, ExpandReadsEveryAlternative) {
  Fixture f(Language::kEnglish);
  Strings seen;
  for (int i = 0; i < 400; ++i) seen.insert(expand(f.draft, "[a|b[c|]|]{key}[?|]"));
  const Strings expected = {"a{key}?", "a{key}", "bc{key}?", "bc{key}",
                            "b{key}?", "b{key}", "{key}?",   "{key}"};
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(expand(f.draft, ""), "");
  EXPECT_EQ(expand(f.draft, "plain"), "plain");
  EXPECT_TRUE(reads("[a|b[c|]|]{key}[?|]", "b{key}"));
  EXPECT_FALSE(reads("[a|b[c|]|]{key}[?|]", "c{key}"));
}

TEST(Open, NoWordingOfTrainReadsAsOneOfHeldOut) {
  for (const Language language : kLanguages) {
    for (size_t slot = 0; slot < kSlots; ++slot) {
      for (const auto held_out : wordings(static_cast<Slot>(slot), language, Split::kHeldOut)) {
        EXPECT_EQ(held_out.find('['), std::string_view::npos) << held_out;
        for (const auto train : wordings(static_cast<Slot>(slot), language, Split::kTrain)) {
          EXPECT_FALSE(reads(train, held_out)) << train;
        }
      }
    }
    for (const Relation& held_out : relations(language, Split::kHeldOut)) {
      for (const Relation& train : relations(language, Split::kTrain)) {
        for (const auto& pattern : train.records)
          for (const auto& one : held_out.records) EXPECT_FALSE(reads(pattern, one)) << pattern;
        for (const auto& pattern : train.questions)
          for (const auto& one : held_out.questions) EXPECT_FALSE(reads(pattern, one)) << pattern;
      }
    }
  }
}

// The fields of a slot's wordings stand in each of them once: as many of each as in held-out's first one.
TEST(Open, PatternsHaveTheirFieldsOnce) {
  for (const Language language : kLanguages) {
    Fixture f(language);
    for (size_t slot = 0; slot < kSlots; ++slot) {
      const auto held_out = wordings(static_cast<Slot>(slot), language, Split::kHeldOut).front();
      for (const auto pattern : wordings(static_cast<Slot>(slot), language, Split::kTrain)) {
        for (int i = 0; i < 40; ++i) {
          const std::string text = expand(f.draft, pattern);
          EXPECT_EQ(text.find_first_of("[|]"), std::string::npos) << text;
          for (const std::string_view field :
               {"{key}", "{value}", "{beginning}", "{count}", "{phrase}", "{number}", "{name}", "{subject}",
                "{keys}", "{what}", "{arguments}", "{shapes}", "{file}", "{colour}", "{x}", "{y2}"}) {
            EXPECT_EQ(count_of(text, field), count_of(held_out, field)) << text << " beside " << held_out;
          }
        }
      }
    }
    for (const Relation& one : relations(language, Split::kTrain)) {
      for (int i = 0; i < 20; ++i) {
        for (const auto& pattern : one.records) {
          const std::string text = expand(f.draft, pattern);
          EXPECT_EQ(count_of(text, "{s}"), 1u) << text;
          EXPECT_EQ(count_of(text, "{v}"), 1u) << text;
        }
        for (const auto& pattern : one.questions) EXPECT_EQ(count_of(expand(f.draft, pattern), "{s}"), 1u);
      }
    }
  }
}

TEST(Open, WordsOfTheTextAreNotHeldOutOnes) {
  for (const Language language : kLanguages) {
    Strings held_out;
    for (size_t i = 0; i < kWordClasses; ++i) {
      for (const auto word : words(static_cast<WordClass>(i), language, Split::kHeldOut))
        held_out.emplace(word);
    }
    Fixture f(language);
    Strings seen;
    for (int i = 0; i < 2000; ++i) {
      const std::string word = text_word(f.draft, language);
      EXPECT_TRUE(valid_utf8(word));
      EXPECT_FALSE(word.empty());
      EXPECT_FALSE(held_out.contains(word)) << word;
      seen.insert(word);
    }
    EXPECT_GT(seen.size(), 60u);
  }
}

TEST(Open, RecordsAndQuestionsSayTheirFields) {
  for (const Language language : kLanguages) {
    Fixture f(language);
    for (int i = 0; i < 500; ++i) {
      const std::string record = open_record(f.draft);
      EXPECT_EQ(count_of(record, "{key}"), 1u) << record;
      EXPECT_EQ(count_of(record, "{value}"), 1u) << record;
      const std::string question = open_question(f.draft, "value");
      EXPECT_EQ(count_of(question, "{value}"), 1u) << question;
      EXPECT_TRUE(valid_utf8(record) && valid_utf8(question));
    }
  }
}

TEST(Open, FormatsAreNotHeldOutOnes) {
  Fixture f(Language::kEnglish);
  for (int i = 0; i < 3000; ++i) {
    const RecordFormat format = open_record_format(f.draft);
    EXPECT_EQ(count_of(format.record, "{key}"), 1u) << format.record;
    EXPECT_EQ(count_of(format.record, "{value}"), 1u) << format.record;
    EXPECT_EQ(format.record.back(), '\n');
    for (const RecordFormat& held_out : record_formats(Split::kHeldOut))
      EXPECT_NE(format.record, held_out.record);
    EXPECT_EQ(format.record.find("INSERT"), std::string::npos);
    EXPECT_EQ(format.record.find("({key} . "), std::string::npos);
    EXPECT_EQ(format.record.find("\">{value}</"), std::string::npos) << "XML with an attribute is held out";
    const std::string label = open_label(f.draft, "number", i % 2 == 0);
    EXPECT_EQ(count_of(label, "{number}"), 1u);
    EXPECT_NE(label, "L{number} ");
    EXPECT_NE(label, "#{number} ");
  }
}

TEST(Open, SchemasSayTheirKeys) {
  for (const Language language : kLanguages) {
    Fixture f(language);
    for (int i = 0; i < 300; ++i) {
      const Schema schema = open_schema(f.draft);
      ASSERT_EQ(schema.fields.size(), 4u);
      ASSERT_EQ(schema.sentences.size(), 1u);
      for (const char* slot : {"{a}", "{b}", "{c}", "{d}"})
        EXPECT_EQ(count_of(schema.sentences[0], slot), 1u);
    }
  }
}

// Whatever a list looks like, each tool and parameter that is called stands in it, and none looks as
// held-out's do.
TEST(Open, ToolsOfTrainStandInTheirList) {
  const SyntheticText source(5, 60000);
  core::Rng rng(2);
  std::unordered_set<std::string> names;
  for (int i = 0; i < 200; ++i) {
    const Sample sample = generate(TaskKind::kToolCall, {.context_bytes = 1500, .questions = 2}, source, rng);
    EXPECT_EQ(sample.context.find("<tool name="), std::string::npos);
    for (size_t turn = 1; turn < sample.turns.size(); turn += 2) {
      const std::string& recital = sample.turns[turn].recital;
      const std::string name = recital.substr(0, recital.find('('));
      EXPECT_NE(sample.context.find(name), std::string::npos) << name;
      EXPECT_EQ(sample.context.find("\ndef " + name + '('), std::string::npos) << name;
      names.insert(name);
      for (size_t at = name.size() + 1; at < recital.size();) {
        const size_t end = recital.find_first_of(",)", at);
        EXPECT_NE(sample.context.find(recital.substr(at, end - at)), std::string::npos) << recital;
        at = end + 2;
      }
    }
  }
  EXPECT_GE(names.size(), 200u);
}

TEST(Open, SamplesOfTrainAreManyAndJudgeTheirOwnAnswersRight) {
  const SyntheticText source(5, 60000);
  core::Rng rng(21);
  Strings questions;
  size_t asked = 0;
  for (int i = 0; i < 200; ++i) {
    const Request request{.language = kLanguages[i % 2], .context_bytes = 3000};
    const Sample sample = generate(all_tasks()[static_cast<size_t>(i) % all_tasks().size()], request, source,
                                   rng);
    for (size_t t = 1; t < sample.turns.size(); t += 2) {
      EXPECT_TRUE(correct(sample, t, sample.turns[t].text)) << sample.turns[t].text;
      EXPECT_TRUE(valid_utf8(sample.turns[t - 1].text));
      questions.insert(sample.turns[t - 1].text);
      ++asked;
    }
  }
  EXPECT_GT(asked, 300u);
  EXPECT_GT(questions.size() * 10, asked * 9);
}

}  // namespace
}  // namespace mneme::tasks
