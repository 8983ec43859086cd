#include "tasks/tasks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "core/hash.h"
#include "tasks/json.h"
#include "tasks/lines.h"
#include "tasks/utf8.h"

namespace mneme::tasks {
namespace {

constexpr Language kLanguages[] = {Language::kEnglish, Language::kChinese};
constexpr Split kSplits[] = {Split::kTrain, Split::kHeldOut};

const SyntheticText& text() {
  static const SyntheticText source(7, size_t{1} << 17);
  return source;
}

Sample make(TaskKind task, const Request& request, uint64_t seed) {
  core::Rng rng(seed);
  return generate(task, request, text(), rng);
}

std::string label(const Sample& sample, uint64_t seed) {
  return std::string(name(sample.task)) + " " + std::string(name(sample.language)) + " " +
         std::string(name(sample.split)) + " " + sample.form + " seed " + std::to_string(seed);
}

uint64_t hash_of(const Sample& sample) {
  std::string all = sample.form + '\1' + sample.context + '\1' + sample.suffix;
  for (const Turn& turn : sample.turns) {
    all += '\1' + turn.text + '\2' + std::to_string(turn.evidence.begin) + ' ' +
           std::to_string(turn.evidence.end);
  }
  return core::hash64(std::as_bytes(std::span(all.data(), all.size())));
}

// Calls check(sample, seed) for every task, language and split.
template <class Check>
void for_all(Request request, uint64_t seeds, Check check) {
  for (const TaskKind task : all_tasks()) {
    for (const Language language : kLanguages) {
      for (const Split split : kSplits) {
        for (uint64_t seed = 1; seed <= seeds; ++seed) {
          request.language = language;
          request.split = split;
          const Sample sample = make(task, request, seed);
          SCOPED_TRACE(label(sample, seed));
          check(sample, seed);
        }
      }
    }
  }
}

void expect_well_formed(const Sample& sample) {
  EXPECT_TRUE(valid_utf8(sample.context));
  EXPECT_TRUE(valid_utf8(sample.suffix));
  std::set<std::string> asked;
  for (size_t i = 0; i < sample.turns.size(); ++i) {
    const Turn& turn = sample.turns[i];
    EXPECT_TRUE(valid_utf8(turn.text));
    EXPECT_FALSE(trimmed(turn.text).empty());
    const bool chat = sample.layout == Layout::kChat;
    EXPECT_EQ(turn.role, chat && i % 2 == 0 ? Role::kUser : Role::kAssistant);
    EXPECT_LE(turn.evidence.begin, turn.evidence.end);
    EXPECT_LE(turn.evidence.end, sample.context.size());
    if (turn.role == Role::kAssistant) {
      EXPECT_LE(turn.text.size(), 160u) << turn.text;
    } else {
      EXPECT_TRUE(asked.insert(turn.text).second) << "asked twice: " << turn.text;
      // Questions that quote natural text may have braces of its own.
      const bool quotes = sample.task == TaskKind::kQuoteLine || sample.task == TaskKind::kCopy ||
                          sample.task == TaskKind::kGrounded;
      EXPECT_TRUE(quotes || turn.text.find('{') == std::string::npos) << "a field left open: " << turn.text;
    }
  }
  const bool chat = sample.layout == Layout::kChat;
  EXPECT_TRUE(chat ? sample.turns.size() % 2 == 0 : sample.turns.size() <= 1) << sample.turns.size();
}

TEST(Tasks, NamesGoBothWays) {
  EXPECT_EQ(all_tasks().size(), 15u);
  for (const TaskKind task : all_tasks()) EXPECT_EQ(parse_task(name(task)), task);
  EXPECT_FALSE(parse_task("nonsense"));
}

TEST(Tasks, ContextIsFilledAndNeverExceeded) {
  for (const size_t bytes : {size_t{200}, size_t{511}, size_t{2000}, size_t{30011}, size_t{300000}}) {
    Request request;
    request.context_bytes = bytes;
    request.questions = 4;
    for_all(request, bytes > 100000 ? 2 : 8, [&](const Sample& sample, uint64_t) {
      const size_t size = sample.context.size() + sample.suffix.size();
      EXPECT_LE(size, bytes);
      EXPECT_GE(static_cast<double>(size) + 200, 0.97 * static_cast<double>(bytes));
      expect_well_formed(sample);
    });
  }
}

TEST(Tasks, SamplesHaveTheirQuestions) {
  Request request;
  request.context_bytes = 20000;
  request.questions = 6;
  size_t samples = 0, short_ones = 0;
  for_all(request, 10, [&](const Sample& sample, uint64_t) {
    ASSERT_FALSE(sample.turns.empty());
    ++samples;
    const size_t wanted = sample.task == TaskKind::kFrequentWords ? 3 : 6;
    if (sample.layout == Layout::kChat && sample.turns.size() < wanted * 2) ++short_ones;
  });
  EXPECT_LT(short_ones * 20, samples);
}

TEST(Tasks, JudgeAcceptsTheAnswerAndRejectsOthers) {
  Request request;
  request.context_bytes = 6000;
  request.questions = 5;
  for_all(request, 10, [&](const Sample& sample, uint64_t) {
    std::set<std::string> answers;
    for (size_t i = 0; i < sample.turns.size(); ++i) {
      const std::string& answer = sample.turns[i].text;
      if (sample.turns[i].role == Role::kUser) {
        EXPECT_FALSE(correct(sample, i, answer));
        continue;
      }
      EXPECT_TRUE(correct(sample, i, answer)) << answer;
      const bool exact = sample.layout == Layout::kContinuation;
      EXPECT_TRUE(exact || correct(sample, i, "  " + answer + "\n"));
      EXPECT_FALSE(correct(sample, i, ""));
      EXPECT_FALSE(correct(sample, i, "x" + answer));
      EXPECT_FALSE(correct(sample, i, answer.substr(0, answer.size() - 1)));
      for (size_t k = 1; k < sample.turns.size(); k += 2) {
        if (sample.turns[k].text != answer && sample.layout == Layout::kChat) {
          EXPECT_FALSE(correct(sample, i, sample.turns[k].text));
        }
      }
    }
    EXPECT_FALSE(correct(sample, sample.turns.size(), "x"));
  });
}

bool says_file(const std::string& answer) {
  return answer.find('.') != std::string::npos && answer.size() < 60;
}

// What each answer needs stands in its evidence.
TEST(Tasks, AnswersStandInTheirEvidence) {
  Request request;
  request.context_bytes = 12000;
  request.questions = 8;
  for_all(request, 12, [&](const Sample& sample, uint64_t) {
    if (sample.task == TaskKind::kFrequentWords || sample.task == TaskKind::kFillInMiddle) return;
    for (const Turn& turn : sample.turns) {
      if (turn.role == Role::kUser) continue;
      ASSERT_GT(turn.evidence.size(), 0u);
      const std::string record = sample.context.substr(turn.evidence.begin, turn.evidence.size());
      switch (sample.task) {
        case TaskKind::kVariableTracking:
        case TaskKind::kSeveral:  // the first of them
          EXPECT_NE(record.find(turn.text.substr(0, turn.text.find_first_of(",\xEF"))), std::string::npos);
          break;
        case TaskKind::kToolCall: {
          const size_t end = turn.text.find('"', 10);
          EXPECT_NE(record.find(turn.text.substr(10, end - 10)), std::string::npos) << record << turn.text;
          EXPECT_TRUE(canonical_json(turn.text));
          break;
        }
        case TaskKind::kExtraction: EXPECT_TRUE(canonical_json(turn.text)); break;
        case TaskKind::kSvg: break;
        case TaskKind::kGrounded:
          if (says_file(turn.text)) break;
          [[fallthrough]];
        default: EXPECT_NE(record.find(turn.text), std::string::npos) << record << "\n" << turn.text;
      }
    }
  });
}

// What is recited stands in the context, word for word, and leads to the answer: from what the question
// names, forward or by an arrow.
TEST(Tasks, RecitalsComeFromTheContext) {
  constexpr std::string_view kBack = " <- ";
  Request request;
  request.context_bytes = 6000;
  request.questions = 8;
  std::map<TaskKind, int> recited, back;
  for_all(request, 12, [&](const Sample& sample, uint64_t) {
    for (size_t i = 1; i < sample.turns.size(); ++i) {
      const Turn& turn = sample.turns[i];
      if (turn.recital.empty()) continue;
      EXPECT_EQ(turn.role, Role::kAssistant);
      ++recited[sample.task];
      std::string told = turn.recital;
      if (sample.task == TaskKind::kToolCall) {  // "book_flight(city, date)": the listing has the names alone
        std::erase(told, ' ');
        for (char& c : told) c = c == '(' || c == ',' || c == ')' ? '\n' : c;
      }
      if (sample.task == TaskKind::kCopy && sample.context.find(told) == std::string::npos)
        told = std::regex_replace(told, std::regex("\\|[0-9]+\\|"), "");   // numbers of words
      const bool own_arrows = sample.task == TaskKind::kVariableTracking;  // programs have them
      const std::string& question = sample.turns[i - 1].text;
      std::istringstream lines(told);
      for (std::string line; std::getline(lines, line);) {
        const size_t arrow = own_arrows ? std::string::npos : line.find(kBack);
        if (arrow != std::string::npos && sample.context.find(line) == std::string::npos) {
          ++back[sample.task];
          const std::string named = line.substr(0, arrow);
          EXPECT_NE(question.find(named.substr(named.find_first_not_of(' '))), std::string::npos)
              << name(sample.task) << ": " << line << "\n"
              << question;
          EXPECT_NE(sample.context.find(named), std::string::npos) << line;
          line.erase(0, arrow + kBack.size());
        }
        EXPECT_NE(sample.context.find(line), std::string::npos) << name(sample.task) << ": " << line;
      }
      const bool whole = sample.task == TaskKind::kPasskey || sample.task == TaskKind::kMultiNeedle ||
                         sample.task == TaskKind::kKeyValue || sample.task == TaskKind::kParaphrase;
      if (whole) {
        EXPECT_NE(turn.recital.find(turn.text), std::string::npos) << turn.recital << "\n" << turn.text;
      }
    }
  });
  for (const TaskKind task :
       {TaskKind::kPasskey, TaskKind::kMultiNeedle, TaskKind::kKeyValue, TaskKind::kParaphrase,
        TaskKind::kExtraction, TaskKind::kVariableTracking, TaskKind::kToolCall})
    EXPECT_GT(recited[task], 20) << name(task);
  for (const TaskKind task : {TaskKind::kMultiNeedle, TaskKind::kKeyValue, TaskKind::kQuoteLine,
                              TaskKind::kSymbolDefinition, TaskKind::kExtraction})
    EXPECT_GT(back[task], 0) << name(task);
}

// A share of lookups whose answer stands in front of what the question names is kept, of train's alone.
TEST(Tasks, AnswersStandInFrontWhereThatIsAsked) {
  const auto share_of = [](TaskKind task, Split split, double backwards) {
    Request request;
    request.split = split, request.backwards = backwards, request.context_bytes = 4000;
    double front = 0, all = 0;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      core::Rng rng(seed);
      const Sample sample = generate(task, request, built_in_text(), rng);
      for (const Turn& turn : sample.turns) {
        if (turn.role != Role::kAssistant || turn.recital.empty()) continue;
        front += turn.recital.ends_with(" <- " + turn.text), ++all;
      }
    }
    return front / all;
  };
  for (const TaskKind task : {TaskKind::kPasskey, TaskKind::kMultiNeedle, TaskKind::kKeyValue}) {
    EXPECT_GT(share_of(task, Split::kTrain, 1), 0.9) << name(task);
    EXPECT_LT(share_of(task, Split::kTrain, 0), 0.1) << name(task);
    EXPECT_EQ(share_of(task, Split::kHeldOut, 1), share_of(task, Split::kHeldOut, -1)) << name(task);
  }
  EXPECT_GT(share_of(TaskKind::kParaphrase, Split::kTrain, 1),
            share_of(TaskKind::kParaphrase, Split::kTrain, 0) + 0.2);
}

TEST(Tasks, DepthIsHonoured) {
  for (const double depth : {0.0, 0.3, 0.5, 0.9, 1.0}) {
    Request request;
    request.context_bytes = 400000;
    request.questions = 1;
    request.depth = depth;
    for_all(request, 2, [&](const Sample& sample, uint64_t) {
      for (const Turn& turn : sample.turns) {
        if (turn.role == Role::kUser || turn.evidence.size() == 0) continue;
        const double at = static_cast<double>(turn.evidence.begin) /
                          static_cast<double>(sample.context.size());
        EXPECT_NEAR(at, depth, 0.06);
      }
      if (sample.layout == Layout::kFillInMiddle) {
        EXPECT_NEAR(static_cast<double>(sample.context.size()) / 400000, depth, 0.06);
      }
    });
  }
}

// Key -> value, read from the formats that a line tells apart.
TEST(Tasks, KeyValueAgreesWithAReaderOfItsFormats) {
  const std::map<std::string, std::string> separators = {
      {"ini", " = "}, {"tsv", "\t"}, {"arrow", " -> "}, {"shell", "=\""}, {"yaml", ": "}};
  size_t checked = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Request request;
    request.context_bytes = 5000;
    request.depth = 0.5;  // a table alone, without noise
    request.language = kLanguages[seed % 2];
    const Sample sample = make(TaskKind::kKeyValue, request, seed);
    SCOPED_TRACE(label(sample, seed));
    const auto form = separators.find(sample.form);
    if (form == separators.end()) continue;
    std::map<std::string, std::string> table;
    std::istringstream lines(sample.context);
    for (std::string line; std::getline(lines, line);) {
      const size_t at = line.find(form->second);
      if (at == std::string::npos) continue;
      std::string key(trimmed(line.substr(0, at)));
      if (key.starts_with("export ")) key = key.substr(7);
      std::string value(trimmed(line.substr(at + form->second.size())));
      if (value.ends_with('"')) value.pop_back();
      EXPECT_TRUE(table.emplace(key, value).second) << "twice: " << key;
    }
    for (size_t i = 0; i < sample.turns.size(); i += 2) {
      bool found = false;
      for (const auto& [key, value] : table) {
        const std::string& question = sample.turns[i].text;
        const std::string& answer = sample.turns[i + 1].text;
        found |= (value == answer && question.find(key) != std::string::npos) ||
                 (key == answer && question.find(value) != std::string::npos);
      }
      EXPECT_TRUE(found) << sample.turns[i].text;
      ++checked;
    }
  }
  EXPECT_GT(checked, 100u);
}

TEST(Tasks, VariablesAgreeWithAnInterpreter) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Request request;
    request.context_bytes = 8000;
    const Sample sample = make(TaskKind::kVariableTracking, request, seed);
    if (sample.form != "ruler") continue;
    SCOPED_TRACE(label(sample, seed));
    std::map<std::string, std::string> values;
    std::istringstream lines(sample.context);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::string var, to, equals, what, from;
      if (!(words >> var >> to >> equals >> what) || var != "VAR" || equals != "=") continue;
      if (what == "VAR") {
        words >> from;
        EXPECT_TRUE(values.contains(from)) << "used before it is assigned: " << from;
      }
      values[to] = what == "VAR" ? values[from] : what;
    }
    for (size_t i = 0; i < sample.turns.size(); i += 2) {
      std::string expected;
      for (const auto& [variable, value] : values) {
        if (sample.turns[i].text.find(value) != std::string::npos) expected += variable + ' ';
      }
      EXPECT_TRUE(correct(sample, i + 1, expected)) << expected << " / " << sample.turns[i + 1].text;
    }
  }
}

TEST(Tasks, FrequentWordsAreThoseThatCountingFinds) {
  for (const size_t bytes : {size_t{400}, size_t{5000}, size_t{100000}}) {
    Request request;
    request.context_bytes = bytes;
    for (const Language language : kLanguages) {
      request.language = language;
      const Sample sample = make(TaskKind::kFrequentWords, request, bytes);
      SCOPED_TRACE(label(sample, bytes));
      std::map<std::string, int> counts;
      std::istringstream words(sample.context);
      for (std::string word; words >> word;) ++counts[word];
      std::vector<std::pair<int, std::string>> ranked;
      for (const auto& [word, count] : counts) ranked.emplace_back(-count, word);
      std::sort(ranked.begin(), ranked.end());
      ASSERT_GE(sample.turns.size(), 2u);
      EXPECT_LT(ranked[2].first, ranked[3].first) << "a tie";
      EXPECT_EQ(sample.turns[1].text, ranked[0].second + ", " + ranked[1].second + ", " + ranked[2].second);
    }
  }
}

TEST(Tasks, HostileRequestsAreSurvived) {
  const double kNan = std::numeric_limits<double>::quiet_NaN();
  for (const size_t bytes : {0, 1, 2, 3, 7, 24, 40, 64, 100}) {
    for (const int questions : {std::numeric_limits<int>::min(), 0, 1, std::numeric_limits<int>::max()}) {
      for (const double depth : {-1.0, 0.0, 5.0, kNan}) {
        const Request request{.context_bytes = bytes, .questions = questions, .depth = depth};
        for_all(request, 2, [&](const Sample& sample, uint64_t) {
          EXPECT_LE(sample.context.size() + sample.suffix.size(), bytes);
          expect_well_formed(sample);
        });
      }
    }
  }
  const Request many{.context_bytes = 20000, .questions = std::numeric_limits<int>::max()};
  for_all(many, 1, [&](const Sample& sample, uint64_t) {
    EXPECT_LE(sample.context.size() + sample.suffix.size(), 20000u);
    expect_well_formed(sample);
  });
}

TEST(Tasks, SourcesWithNothingOrLittleAreSurvived) {
  const std::string newlines(5000, '\n'), long_line(50000, 'x');
  const std::vector<std::vector<Document>> sources = {
      {},
      {{"a", "a", TextKind::kProse, Language::kEnglish}},
      {{"lines", newlines, TextKind::kCode, Language::kEnglish}},
      {{"long", long_line, TextKind::kProse, Language::kChinese}},
      {{"bad", "\xC3\x28", TextKind::kProse, Language::kEnglish}}};
  for (const auto& documents : sources) {
    const InMemoryText source(documents);
    for (const TaskKind task : all_tasks()) {
      for (const size_t bytes : {size_t{100}, size_t{3000}, size_t{40000}}) {
        core::Rng rng(bytes);
        const Sample sample = generate(task, {.context_bytes = bytes}, source, rng);
        SCOPED_TRACE(label(sample, bytes));
        EXPECT_LE(sample.context.size() + sample.suffix.size(), bytes);
        expect_well_formed(sample);
      }
    }
  }
}

// The streams are part of what a training run is made of: a change here is a change of the data.
TEST(Tasks, SeedsGiveTheSameSamples) {
  const std::map<std::string_view, uint64_t> golden = {
      {"passkey", 0x1f3dd105e01ec9b0},
      {"multi_needle", 0xc33de9d0a860ba4c},
      {"key_value", 0x789d0a9fe86a6b2f},
      {"paraphrase", 0xc7b233e0bdc8ff8},
      {"quote_line", 0xcd26da1f179ae746},
      {"copy", 0xc75208a5be73cb8f},
      {"symbol_definition", 0x798a7a81dafd21a8},
      {"variable_tracking", 0xad3a5f5c7e140b4a},
      {"frequent_words", 0x2639c8925b7be31},
      {"extraction", 0x483f226aa7f668d9},
      {"tool_call", 0x899765fd55875c8a},
      {"fill_in_middle", 0xbfdb5932bb112297},
      {"svg", 0x1d9f45b569a0b73a},
      {"grounded", 0x351bdc389d740f40},
      {"several", 0xb0e2cf6b2093db2c},
  };
  for (const TaskKind task : all_tasks()) {
    Request request;
    request.context_bytes = 3000;
    const uint64_t first = hash_of(make(task, request, 11));
    EXPECT_EQ(first, hash_of(make(task, request, 11)));
    EXPECT_NE(first, hash_of(make(task, request, 12)));
    const auto known = golden.find(name(task));
    EXPECT_TRUE(known != golden.end() && known->second == first)
        << "{\"" << name(task) << "\", 0x" << std::hex << first << "},";
  }
}

// How a caller uses the room: draw until a sample has turns, ask, judge.
TEST(Tasks, Example) {
  const std::string story = "The harbour was quiet.\nNobody saw the boat.\n";
  const InMemoryText source({{"story", story, TextKind::kProse, Language::kEnglish}});
  core::Rng rng(1);
  const Request request{.context_bytes = 2000, .questions = 4, .depth = 0.5};
  Sample sample;
  do sample = generate(TaskKind::kPasskey, request, source, rng);
  while (sample.turns.empty());
  const std::string prompt = sample.context + sample.turns[0].text;
  EXPECT_LE(prompt.size(), request.context_bytes + 200);
  EXPECT_TRUE(correct(sample, 1, sample.turns[1].text));
}

}  // namespace
}  // namespace mneme::tasks
