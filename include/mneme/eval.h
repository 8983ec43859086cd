// What a model can do: recall() asks for what lies in long contexts, perplexity() measures how well it
// predicts text.
//
// recall() makes seeded samples (find it, quote it, copy it, extract it; English and Chinese), puts each to
// the model as the conversation it was trained on, and judges what it says. A context is read once; its
// questions are turns of one conversation. Same model, options and machine: same answers.
//
// Both run on the caller's thread until they are done or `cancelled` says true, which is asked between
// steps; what was measured by then stands.
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

struct RecallOptions {
  std::vector<std::string> tasks = {"passkey"};  // of recall_tasks()
  std::vector<std::string> languages = {"en"};   // "en", "zh"
  bool held_out = true;  // wordings, formats and words that no training sample has; else those of training
  // Tokens of a prompt with its first question. Never more; 3 % less at most where the task allows it.
  std::vector<size_t> lengths = {4096};
  std::vector<double> depths = {kAnyDepth};  // where the answers lie, 0: the beginning, 1: the end
  int questions = 4;                         // of a context, 1 .. 1024; fewer where there is no room
  int samples = 1;                           // contexts of each task, language, length and depth
  // Files, and folders of them, that the contexts are made of; empty: built-in sentences. What is no UTF-8
  // and what spells special tokens of the vocabulary is left out.
  std::vector<std::string> text_paths = {};
  uint64_t seed = 0;
};

// Every task that recall() knows, in the order of tables.
std::span<const std::string_view> recall_tasks();

struct RecallAnswer {
  std::string task, language;
  std::string form;  // the record format or variant of the task
  size_t length = 0;
  double depth = kAnyDepth;
  int sample = 0;              // 0 .. samples - 1
  int question_index = 0;      // in its context
  double evidence_depth = -1;  // where the record lies that the answer rests on, [0, 1]; negative: all of it
  std::string question, expected, given;
  StopReason stop = StopReason::kEnd;
  bool correct = false;
  size_t context_tokens = 0;  // of the prompt with the first question
};

// Sums over the contexts of one kind.
struct RecallRow {
  std::string task, language, form;
  size_t length = 0;
  double depth = kAnyDepth;
  int contexts = 0, questions = 0, correct = 0;
  size_t prefill_tokens = 0;  // of prompts with the first question
  double prefill_s = 0;
  size_t decode_tokens = 0;  // after the first of each answer, which belongs to its prefill
  double decode_s = 0;
};

// A cell that could not be measured. Where task is empty, all of the length; where the depth is of no
// matter, kAnyDepth.
struct RecallGap {
  std::string task, language;
  size_t length = 0;
  double depth = kAnyDepth;
  std::string reason;
};

struct RecallReport {
  std::vector<RecallRow> rows;  // by length, task, language, depth, as asked; forms by name
  std::vector<RecallGap> gaps;
  bool cancelled = false;
};

struct RecallWork {
  std::string_view task, language;
  size_t length = 0;
  double depth = kAnyDepth;
  int context = 0, contexts = 0;      // this one, from 1, of all
  size_t tokens = 0, tokens_all = 0;  // of its prompt evaluated so far
  int questions = 0, correct = 0;     // so far, of all contexts
};

struct RecallEvents {
  std::function<void(const RecallAnswer&)> on_answer = {};
  std::function<void(const RecallGap&)> on_gap = {};
  std::function<void(const RecallWork&)> on_work = {};
  std::function<bool()> cancelled = {};
};

// Fails for options that make no sense and for text that cannot be read. A context that the KV budget cannot
// hold, or a task that the vocabulary or the length does not allow, is a gap.
Result<RecallReport> recall(Engine& engine, const RecallOptions& options, const RecallEvents& events);

struct PerplexityText {
  std::string name;  // for messages
  std::string text;
};

struct PerplexityOptions {
  // Windows of `context` tokens; in each but a text's first, `stride` tokens were in the one before and only
  // warm up: every token is scored once, with at least `stride` tokens in front of it.
  size_t context = 0;                 // 0: what the model was trained for, 2048 at most
  std::optional<size_t> stride = {};  // 1 .. context - 1; nothing: a quarter of the context
  // Where not empty, an n-gram model is trained on it and scored on the same tokens; some 150 bytes of memory
  // a token.
  std::vector<PerplexityText> ngram_train = {};
};

// Negative log likelihoods in nats, summed over `tokens`.
struct PerplexityScore {
  size_t tokens = 0;
  uint64_t bytes = 0;  // of the text that these tokens spell
  double nll = 0;
  double nll_mean() const;
  double perplexity() const;
  double bits_per_byte() const;
};

struct PerplexityReport {
  size_t context = 0, stride = 0;
  PerplexityScore model;
  std::optional<PerplexityScore> ngram;  // 5 tokens, interpolated Kneser-Ney
  size_t ngram_train_tokens = 0;
  double seconds = 0;  // of the model's passes
  bool cancelled = false;
};

struct PerplexityEvents {
  std::function<void(size_t done, size_t total, const PerplexityScore&)> on_work = {};  // tokens
  std::function<bool()> cancelled = {};
};

// Texts are scored apart; where the file asks for a BOS token, every window begins with one, else the first
// token of each text is not scored. Fails where a window does not fit the KV budget and where nothing is left
// to score.
Result<PerplexityReport> perplexity(Engine& engine, std::span<const PerplexityText> texts,
                                    const PerplexityOptions& options, const PerplexityEvents& events);

}  // namespace mneme
