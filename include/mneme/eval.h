// What a model can do in long contexts: recall() puts the tasks it may have been trained on (find it, quote
// it, copy it, extract it), ruler() tasks in the style of RULER (Hsieh et al. 2024). English and Chinese.
// compare() sets two runs over the same samples against each other.
//
// Samples are seeded. A context is read once for all of its questions. Same model, options and machine: same
// answers.
//
// Both run on the caller's thread until they are done or `cancelled` says true, which is asked between
// steps; what was measured by then stands, and a later run goes on from there (EvalEvents::known).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mneme/engine.h"
#include "mneme/result.h"

namespace mneme {

inline constexpr double kAnyDepth = -1.0;

struct EvalGrid {
  std::vector<std::string> tasks;
  std::vector<std::string> languages = {"en"};  // "en", "zh"
  // Tokens of a prompt with its first question. Never more; 3 % less at most where the task allows it.
  std::vector<size_t> lengths = {4096};
  std::vector<double> depths = {kAnyDepth};  // where the answers lie, 0: the beginning, 1: the end
  int questions = 1;                         // of a context, 1 .. 1024; fewer where there is no room
  int samples = 1;                           // contexts of each task, language, length and depth
  // Files, and folders of them, that the contexts are made of; empty: built-in sentences. What is no UTF-8
  // and what spells special tokens of the vocabulary is left out.
  std::vector<std::string> text_paths = {};
  uint64_t seed = 0;
};

struct RecallOptions : EvalGrid {
  RecallOptions() {
    tasks = {"passkey"};
    questions = 4;
  }
  bool held_out = true;  // wordings, formats and words that no training sample has; else those of training
};

enum class PromptStyle {
  kByModel,  // kChat where the model file has a chat template, else kPlain
  kChat,
  kPlain,  // context, question and the beginning of the answer as one text
};

// A task that has no depth (variable tracking, words) has as many contexts as the others have at all depths.
// Each question is put alone behind the context. With more than one question a context has as many needles
// (chains) as they need, which is no longer RULER's; words are asked for once.
struct RulerOptions : EvalGrid {
  RulerOptions() { tasks = {"niah_single_1"}; }
  PromptStyle style = PromptStyle::kByModel;
  bool answer_prefix = true;  // RULER's: the answer is begun for the model
};

// Every task that recall() and ruler() know, in the order of tables.
std::span<const std::string_view> recall_tasks();
std::span<const std::string_view> ruler_tasks();

struct EvalAnswer {
  std::string task, language;
  std::string form;  // recall: the record format or variant of the task
  size_t length = 0;
  double depth = kAnyDepth;
  int sample = 0;          // of its task, language, length and depth, from 0
  int question_index = 0;  // in its context
  int questions = 1;       // of its context
  // Where what the answer rests on lies (of several: their mean), [0, 1]; negative: all of the context.
  double evidence_depth = -1;
  std::string question, given;
  std::vector<std::string> expected;  // recall: one
  StopReason stop = StopReason::kEnd;
  double score = 0;      // recall: 1 or 0; ruler: the share of `expected` found in `given`
  bool correct = false;  // the score is 1
  // Where JSON is asked for: whether it is valid and has the asked keys, whatever the values.
  std::optional<bool> right_keys;
  size_t context_tokens = 0;  // of the prompt with the first question
  size_t prefill_tokens = 0;  // evaluated for this answer
  double prefill_s = 0;
  size_t decode_tokens = 0;  // after the first, which belongs to the prefill
  double decode_s = 0;
};

// Sums over the answers of one kind.
struct EvalRow {
  std::string task, language, form;
  size_t length = 0;
  double depth = kAnyDepth;
  int contexts = 0, questions = 0, correct = 0;
  int json_asked = 0, right_keys = 0;
  double score = 0;           // sum
  size_t prefill_tokens = 0;  // of prompts with the first question
  double prefill_s = 0;
  size_t decode_tokens = 0;
  double decode_s = 0;
};

// A cell that could not be measured. Where task is empty, all of the length; where the depth is of no
// matter, kAnyDepth.
struct EvalGap {
  std::string task, language;
  size_t length = 0;
  double depth = kAnyDepth;
  std::string reason;
};

struct EvalReport {
  std::vector<EvalRow> rows;  // by length, task, language, depth, as asked; forms by name
  std::vector<EvalAnswer> answers;
  std::vector<EvalGap> gaps;
  bool cancelled = false;
};

struct EvalWork {
  std::string_view task, language;
  size_t length = 0;
  double depth = kAnyDepth;
  int context = 0, contexts = 0;      // this one, from 1, of all
  size_t tokens = 0, tokens_all = 0;  // of its prompt evaluated so far
  int questions = 0;                  // so far, of all contexts
  double score = 0;                   // their sum
};

struct EvalEvents {
  // Answers of a run before with the same options: contexts that have all of theirs are not asked again, and
  // of the others only what is new goes to on_answer. Must live until the end of the run.
  std::span<const EvalAnswer> known = {};
  std::function<void(const EvalAnswer&)> on_answer = {};
  std::function<void(const EvalGap&)> on_gap = {};
  std::function<void(const EvalWork&)> on_work = {};
  std::function<bool()> cancelled = {};
};

// Both fail for options that make no sense and for text that cannot be read. A context that the KV budget
// cannot hold, or a task that the vocabulary or the length does not allow, is a gap.
Result<EvalReport> recall(Engine& engine, const RecallOptions& options, const EvalEvents& events);
Result<EvalReport> ruler(Engine& engine, const RulerOptions& options, const EvalEvents& events);

struct Interval {
  double low = 0, high = 0;
};

// 95 % confidence interval of a share (Wilson 1927), from `successes` of `count` answers; a score between 0
// and 1 counts as a part of a success, which makes the interval wider than it need be.
Interval share_interval(double successes, size_t count);

// B against A on what both answered. Empty texts and a length of 0 stand for all.
struct EvalDifference {
  std::string task, language;
  size_t length = 0;
  size_t contexts = 0, answers = 0;
  double score_a = 0, score_b = 0;  // means
  double difference = 0;            // of them, B - A
  // 95 %: percentiles of 10,000 seeded resamplings of the contexts with both their answers (paired
  // bootstrap); where not one pair differs, the score interval of Tango (1998) for independent answers.
  Interval interval;
  size_t only_a = 0, only_b = 0;  // wholly correct in one and not in the other
  double mcnemar_p = 1;           // exact, two-sided: that only_a and only_b are equally likely
};

// By task, language and length in the order of `a`, a line for each length where it has several, and all.
// Fails where an answer of the same place in both was asked another question (another vocabulary), and where
// there is no pair.
Result<std::vector<EvalDifference>> compare(std::span<const EvalAnswer> a, std::span<const EvalAnswer> b,
                                            uint64_t seed);

// As SVG: mean score by length with its interval, a line a task and language; and for each of them whose
// answers lie somewhere, a heat map of depth by length.
std::string score_svg(std::span<const EvalAnswer> answers, const std::string& title);

}  // namespace mneme
