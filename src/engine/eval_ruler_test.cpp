// Prompts, places and scores of ruler(), and going on where a run stopped.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/eval_answerer_for_test.h"

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

RulerOptions every_task() {
  RulerOptions options;
  options.tasks.assign(ruler_tasks().begin(), ruler_tasks().end());
  options.languages = {"en", "zh"};
  options.lengths = {3000, 8000};
  options.samples = 2;
  return options;
}

std::string line(const EvalAnswer& answer) {
  std::string text = answer.task + answer.language + std::to_string(answer.length) +
                     std::to_string(answer.depth) + std::to_string(answer.sample) + "." +
                     std::to_string(answer.question_index) + answer.question + answer.given;
  for (const std::string& one : answer.expected) text += "|" + one;
  return text;
}

TEST(RulerEval, TrueAnswersAreAllCorrectAndOthersAreNot) {
  const RulerOptions options = every_task();
  FakeAnswerer knows, ignorant;
  ignorant.wrong = true;
  const auto report = ruler_over(knows, text(), source(), options, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(knows.cut_short, 0);
  EXPECT_TRUE(report->gaps.empty()) << report->gaps[0].task << ": " << report->gaps[0].reason;
  EXPECT_EQ(report->answers.size(), ruler_tasks().size() * 2 * 2 * 2);
  EXPECT_EQ(report->rows.size(), ruler_tasks().size() * 2 * 2);
  for (const EvalRow& row : report->rows) {
    EXPECT_EQ(row.correct, row.questions) << row.task;
    EXPECT_DOUBLE_EQ(row.score, row.questions) << row.task;
  }
  const auto other = ruler_over(ignorant, text(), source(), options, {});
  ASSERT_TRUE(other);
  for (const EvalRow& row : other->rows) EXPECT_DOUBLE_EQ(row.score, 0) << row.task;
}

TEST(RulerEval, PromptsAreAsLongAsAskedAndBeginTheAnswer) {
  RulerOptions options = every_task();
  options.lengths = {1200, 20'000};
  options.depths = {0, 0.5, 1};
  options.samples = 1;
  FakeAnswerer knows;
  EvalEvents events;
  events.on_answer = [&](const EvalAnswer& answer) {
    SCOPED_TRACE(answer.task + " " + answer.language + " " + std::to_string(answer.length));
    EXPECT_LE(answer.context_tokens, answer.length);
    // Words are of one length each, in short contexts they do not come out even.
    const double share = answer.length > 2000 ? 0.97 : 0.9;
    EXPECT_GE(static_cast<double>(answer.context_tokens), share * static_cast<double>(answer.length));
    const std::string& prompt = knows.prompts.back();
    EXPECT_EQ(prompt.find("<|im_start|>user\n"), 0u);
    EXPECT_GT(prompt.size() - prompt.rfind("<|im_start|>assistant\n"), 30u) << "the answer is begun";
    if (answer.depth >= 0) {
      EXPECT_NEAR(answer.evidence_depth, answer.depth, answer.length > 2000 ? 0.03 : 0.3);
    }
  };
  const auto report = ruler_over(knows, text(), source(), options, events);
  ASSERT_TRUE(report);
  const auto count = [&](const std::string& task) {
    return std::count_if(report->answers.begin(), report->answers.end(),
                         [&](const EvalAnswer& answer) { return answer.task == task; });
  };
  EXPECT_EQ(count("vt"), count("niah_single_1")) << "no depth, but as many contexts as at all depths";
}

TEST(RulerEval, AModelWithoutATemplateGetsPlainText) {
  RulerOptions options;
  options.lengths = {2000};
  options.style = PromptStyle::kPlain;
  FakeAnswerer knows;
  ASSERT_TRUE(ruler_over(knows, text(), source(), options, {}));
  EXPECT_EQ(knows.prompts.back().find("<|im_start|>"), std::string::npos);
  EXPECT_TRUE(knows.prompts.back().ends_with(" is"));
  options.answer_prefix = false;
  ASSERT_TRUE(ruler_over(knows, text(), source(), options, {}));
  EXPECT_TRUE(knows.prompts.back().ends_with("?\n"));
}

TEST(RulerEval, DepthsSpreadEvenlyWhereNoneIsAskedFor) {
  RulerOptions options;
  options.lengths = {4000};
  options.samples = 5;
  options.questions = 4;
  FakeAnswerer knows;
  const auto report = ruler_over(knows, text(), source(), options, {});
  ASSERT_TRUE(report);
  std::vector<double> depths{0, 1};
  for (const EvalAnswer& answer : report->answers) depths.push_back(answer.evidence_depth);
  ASSERT_EQ(depths.size(), 22u);
  std::sort(depths.begin(), depths.end());
  for (size_t i = 1; i < depths.size(); ++i) EXPECT_LT(depths[i] - depths[i - 1], 0.16);
}

TEST(RulerEval, GoesOnWhereItStoppedWithTheSameAnswers) {
  RulerOptions options = every_task();
  options.lengths = {3000};
  options.questions = 3;
  FakeAnswerer knows;
  const auto whole = ruler_over(knows, text(), source(), options, {});
  ASSERT_TRUE(whole);
  const size_t all = whole->answers.size();
  for (const size_t kept : {size_t{0}, size_t{1}, size_t{5}, all / 2, all - 1, all}) {
    const std::vector<EvalAnswer> before(whole->answers.begin(),
                                         whole->answers.begin() + static_cast<ptrdiff_t>(kept));
    std::vector<EvalAnswer> file = before;
    FakeAnswerer again;
    EvalEvents events;
    events.known = before;
    events.on_answer = [&](const EvalAnswer& answer) { file.push_back(answer); };
    const auto rest = ruler_over(again, text(), source(), options, events);
    ASSERT_TRUE(rest);
    ASSERT_EQ(file.size(), all) << kept;
    ASSERT_EQ(rest->answers.size(), all);
    for (size_t i = 0; i < all; ++i) {
      EXPECT_EQ(line(file[i]), line(whole->answers[i]));
      EXPECT_EQ(line(rest->answers[i]), line(whole->answers[i]));
    }
    EXPECT_LE(static_cast<size_t>(again.asked), all - kept + 2) << "whole contexts are not asked again";
    EXPECT_EQ(rest->rows.size(), whole->rows.size());
  }
}

TEST(RulerEval, SaysWhichOptionIsWrong) {
  FakeAnswerer knows;
  RulerOptions options;
  options.tasks = {"passkey"};
  const auto report = ruler_over(knows, text(), source(), options, {});
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("'passkey'"), std::string::npos);
  options.tasks = {"vt"};
  options.lengths = {60};
  const auto gap = ruler_over(knows, text(), source(), options, {});
  ASSERT_TRUE(gap);
  ASSERT_EQ(gap->gaps.size(), 1u);
  EXPECT_NE(gap->gaps[0].reason.find("vt"), std::string::npos);
}

// A random model knows nothing; what is looked at is the machinery around it.
TEST(RulerEval, AModelReadsAContextOnce) {
  auto engine = Engine::open({.model_path = std::string(MNEME_SOURCE_DIR) + "/tests/data/fixture.gguf",
                              .kv_bytes_max = 64 << 20,
                              .threads = 2});
  ASSERT_TRUE(engine) << engine.error().message;
  RulerOptions options;
  options.lengths = {1200};
  options.questions = 2;
  const auto report = ruler(**engine, options, {});
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->answers.size(), 2u);
  EXPECT_GE(report->answers[0].prefill_tokens, 1160u);
  EXPECT_LT(report->answers[1].prefill_tokens, 300u);
}

}  // namespace
}  // namespace mneme::engine
