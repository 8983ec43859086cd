// Cells, prompts, judging and sums of recall(), with answerers that know everything, nothing, or no end.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/eval_answerer_for_test.h"
#include "engine/eval_prompt.h"
#include "engine/eval_run.h"

namespace mneme::engine {
namespace {

const ByteText& text() {
  static const ByteText one;
  return one;
}

const tasks::TextSource& source() {
  static const tasks::SyntheticText one(1);
  return one;
}

RecallOptions every_task() {
  RecallOptions options;
  options.tasks.assign(recall_tasks().begin(), recall_tasks().end());
  options.languages = {"en", "zh"};
  options.lengths = {4096};
  options.questions = 3;
  options.samples = 2;
  return options;
}

TEST(Recall, ThoughtsAreNoPartOfAnAnswer) {
  EXPECT_EQ(without_thought("<think>the key is 7</think>7"), "7");
  EXPECT_EQ(without_thought("<think></think>\n 7"), "\n 7");
  EXPECT_EQ(without_thought("7"), "7");
  EXPECT_EQ(without_thought("<think>7"), "");           // never came to its end
  EXPECT_EQ(without_thought("the key</think>7"), "7");  // the prompt began it
  EXPECT_EQ(without_thought(""), "");
}

TEST(Recall, TrueAnswersAreAllCorrectAndOthersAreNot) {
  RecallOptions options = every_task();
  for (const bool held_out : {true, false}) {
    options.held_out = held_out;
    FakeAnswerer knows;
    const auto report = recall_over(knows, text(), source(), options, {});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(knows.cut_short, 0);
    EXPECT_TRUE(report->gaps.empty()) << report->gaps[0].task << ": " << report->gaps[0].reason;
    size_t contexts = 0;
    for (const EvalRow& row : report->rows) {
      EXPECT_EQ(row.correct, row.questions) << row.task << " " << row.language << " " << row.form;
      const bool json = row.task == "extraction" || row.task == "tool_call";
      EXPECT_EQ(row.json_asked, json ? row.questions : 0) << row.task;
      EXPECT_EQ(row.right_keys, row.json_asked) << row.task;
      EXPECT_GT(row.questions, 0);
      EXPECT_DOUBLE_EQ(row.prefill_s, 0.5 * row.contexts);
      EXPECT_DOUBLE_EQ(row.decode_s, 0.25 * row.questions);
      EXPECT_EQ(row.decode_tokens, 2u * static_cast<size_t>(row.questions));
      contexts += static_cast<size_t>(row.contexts);
    }
    EXPECT_EQ(contexts, recall_tasks().size() * 2 * 2);
    FakeAnswerer ignorant;
    ignorant.wrong = true;
    const auto other = recall_over(ignorant, text(), source(), options, {});
    ASSERT_TRUE(other);
    ASSERT_EQ(other->rows.size(), report->rows.size());
    for (const EvalRow& row : other->rows) {
      EXPECT_EQ(row.correct, 0) << row.task;
      EXPECT_EQ(row.right_keys, 0) << row.task;
    }
  }
}

TEST(Recall, PromptsAreAsLongAsAsked) {
  RecallOptions options = every_task();
  options.depths = {0, 0.5, 1};
  options.samples = 1;
  options.lengths = {3000, 20'000};
  FakeAnswerer knows;
  EvalEvents events;
  int answers = 0;
  events.on_answer = [&](const EvalAnswer& answer) {
    EXPECT_LE(answer.context_tokens, answer.length) << answer.task << " " << answer.language;
    EXPECT_GE(answer.context_tokens, 0.97 * static_cast<double>(answer.length))
        << answer.task << " " << answer.language << " " << answer.form << " at " << answer.depth;
    EXPECT_LE(answer.evidence_depth, 1);
    if (answer.question_index == 0) {
      EXPECT_EQ(knows.prompts.back().find("<|im_start|>user\n") == 0 ||
                    knows.prompts.back().find("<|fim_prefix|>") == 0 || answer.form == "continuation",
                true);
    }
    ++answers;
  };
  const auto report = recall_over(knows, text(), source(), options, events);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->gaps.empty());
  EXPECT_EQ(answers, knows.asked);
}

TEST(Recall, QuestionsAreTurnsOfOneConversation) {
  RecallOptions options;
  options.lengths = {2000};
  options.questions = 5;
  FakeAnswerer knows;
  std::vector<EvalAnswer> answers;
  EvalEvents events;
  events.on_answer = [&](const EvalAnswer& answer) { answers.push_back(answer); };
  ASSERT_TRUE(recall_over(knows, text(), source(), options, events));
  ASSERT_EQ(answers.size(), 5u);
  for (size_t i = 1; i < answers.size(); ++i) {
    EXPECT_EQ(knows.prompts[i], knows.prompts[i - 1] + answers[i - 1].given +
                                    "<|im_end|>\n<|im_start|>user\n" + answers[i].question +
                                    "<|im_end|>\n<|im_start|>assistant\n");
    EXPECT_NE(answers[i].question, answers[i - 1].question);
    EXPECT_EQ(answers[i].question_index, static_cast<int>(i));
  }
}

TEST(Recall, TheSeedSaysEverything) {
  RecallOptions options;
  options.tasks = {"key_value", "copy"};
  options.depths = {0, 1};
  const auto questions = [&](uint64_t seed) {
    options.seed = seed;
    std::string all;
    FakeAnswerer knows;
    EvalEvents events;
    events.on_answer = [&](const EvalAnswer& answer) { all += answer.question + answer.expected[0] + "\n"; };
    EXPECT_TRUE(recall_over(knows, text(), source(), options, events));
    return all;
  };
  EXPECT_EQ(questions(1), questions(1));
  EXPECT_NE(questions(1), questions(2));
}

TEST(Recall, WhatDoesNotFitIsAGapAndTheRestGoesOn) {
  RecallOptions options;
  options.tasks = {"passkey", "grounded"};
  options.depths = {0, 1};
  options.lengths = {50'000, 1000, 17};
  FakeAnswerer knows;
  knows.fits_max = 10'000;
  const auto report = recall_over(knows, text(), source(), options, {});
  ASSERT_TRUE(report);
  // The first length once, and each cell of the last.
  ASSERT_EQ(report->gaps.size(), 5u);
  EXPECT_EQ(report->gaps[0].task, "");
  EXPECT_EQ(report->gaps[0].length, 50'000u);
  EXPECT_EQ(report->gaps[0].reason, "too long");
  EXPECT_EQ(report->gaps[4].task, "grounded");
  EXPECT_EQ(report->gaps[4].length, 17u);
  for (const EvalRow& row : report->rows) EXPECT_EQ(row.length, 1000u);
  EXPECT_FALSE(report->rows.empty());

  knows.reason = StopReason::kFull;
  const auto full = recall_over(knows, text(), source(), options, {});
  ASSERT_TRUE(full);
  EXPECT_TRUE(full->rows.empty());
  EXPECT_EQ(full->gaps[1].reason, "the budget is used up");
}

TEST(Recall, CancelledKeepsWhatWasMeasured) {
  RecallOptions options;
  options.questions = 2;
  options.samples = 50;
  options.lengths = {1000};
  FakeAnswerer knows;
  EvalEvents events;
  events.cancelled = [&] { return knows.asked > 5; };
  const auto report = recall_over(knows, text(), source(), options, events);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->cancelled);
  int questions = 0;
  for (const EvalRow& row : report->rows) questions += row.questions;
  EXPECT_EQ(questions, 5);
}

TEST(Recall, SaysWhichOptionIsWrong) {
  const auto message = [](auto change) {
    RecallOptions options;
    change(options);
    FakeAnswerer knows;
    const auto report = recall_over(knows, text(), source(), options, {});
    return report ? std::string() : report.error().message;
  };
  EXPECT_NE(message([](RecallOptions& o) { o.tasks = {"needle"}; }).find("'needle'"), std::string::npos);
  EXPECT_NE(message([](RecallOptions& o) { o.languages = {"fr"}; }).find("'fr'"), std::string::npos);
  EXPECT_NE(message([](RecallOptions& o) { o.depths = {1.5}; }).find("1.5"), std::string::npos);
  EXPECT_NE(message([](RecallOptions& o) { o.depths = {NAN}; }), "");
  EXPECT_NE(message([](RecallOptions& o) { o.lengths = {}; }), "");
  EXPECT_NE(message([](RecallOptions& o) { o.lengths = {9, 5, 9}; }).find("twice"), std::string::npos);
  EXPECT_NE(message([](RecallOptions& o) { o.questions = 0; }), "");
  EXPECT_NE(message([](RecallOptions& o) { o.samples = 0; }), "");
}

TEST(Recall, FillInTheMiddleNeedsItsMarks) {
  RecallOptions options;
  options.tasks = {"fill_in_middle"};
  FakeAnswerer knows;
  const auto without = recall_over(knows, ByteText(false), source(), options, {});
  ASSERT_TRUE(without);
  ASSERT_EQ(without->gaps.size(), 1u);
  EXPECT_NE(without->gaps[0].reason.find("<|fim_prefix|>"), std::string::npos);

  tasks::Request request;
  request.questions = 1;
  const auto fitted = fit_sample(text(), tasks::TaskKind::kFillInMiddle, request, 2000, source(), 3);
  ASSERT_TRUE(fitted);
  const tasks::Sample& sample = fitted->sample;
  EXPECT_EQ(text().decode(fitted->prompt, true),
            "<|fim_prefix|>" + sample.context + "<|fim_suffix|>" + sample.suffix + "<|fim_middle|>");
}

// A random model knows nothing; what is looked at is the machinery around it.
TEST(Recall, AModelReadsAContextOnce) {
  auto engine = Engine::open({.model_path = std::string(MNEME_SOURCE_DIR) + "/tests/data/fixture.gguf",
                              .kv_bytes_max = 64 << 20,
                              .threads = 2});
  ASSERT_TRUE(engine) << engine.error().message;
  RecallOptions options;
  options.lengths = {1500};
  options.questions = 4;
  size_t most = 0;  // tokens read for a question after the first
  std::string said;
  EvalEvents events;
  int answers = 0;
  events.on_answer = [&](const EvalAnswer& answer) {
    ++answers;
    said += answer.given;
  };
  events.on_work = [&](const EvalWork& work) {
    EXPECT_LE(work.tokens, work.tokens_all);
    if (answers == 0 && work.tokens > 0) {
      EXPECT_GE(work.tokens_all, 1455u);
    }
    if (answers > 0) most = std::max(most, work.tokens_all);
  };
  const auto report = recall(**engine, options, events);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(answers, 4);
  // The question, and the answer where its text is not what its tokens were.
  EXPECT_LT(most, 400u);
  EXPECT_GT(most, 0u);
  EXPECT_EQ((*engine)->kv_bytes_used(), 0u);
  const std::string first = std::exchange(said, "");
  ASSERT_TRUE(recall(**engine, options, events));
  EXPECT_EQ(said, first);
}

}  // namespace
}  // namespace mneme::engine
