// What recall() and ruler() have in common: cells, contexts, asking, judging and sums, over any family of
// tasks and anything that answers.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "mneme/eval.h"
#include "tasks/tasks.h"

namespace mneme::engine {

// One task, language, length and depth; the indices are those of the options.
struct EvalCell {
  size_t length_index = 0, task_index = 0, language_index = 0, depth_index = 0;
  std::string task;
  tasks::Language language = tasks::Language::kEnglish;
  size_t length = 0;
  double depth = kAnyDepth;
  int samples = 1;
};

struct EvalQuestion {
  std::string form, text;
  std::vector<std::string> expected;
  double evidence_depth = -1;
};

// A context with its questions.
class EvalSheet {
 public:
  virtual ~EvalSheet() = default;
  virtual size_t questions() const = 0;
  virtual EvalQuestion question(size_t index) const = 0;
  // The prompt that asks for this question, after what was given to those before it.
  virtual Result<std::vector<TokenId>> prompt(size_t index, std::span<const std::string> given) const = 0;
  virtual int answer_tokens_max(size_t index) const = 0;
  virtual double score(size_t index, std::string_view given) const = 0;
  virtual std::optional<bool> right_keys(size_t, std::string_view) const { return std::nullopt; }
};

class EvalFamily {
 public:
  virtual ~EvalFamily() = default;
  virtual bool knows(std::string_view task) const = 0;
  virtual bool has_depth(std::string_view task) const = 0;
  // The same for the same cell and sample. Fails where the task does not fit.
  virtual Result<std::unique_ptr<EvalSheet>> make(const EvalCell& cell, int sample) const = 0;
};

struct EvalPrompt {
  std::span<const TokenId> tokens;
  int answer_tokens_max = 0;
  const std::vector<std::string>& expected;  // for tests that know everything
};

class Answerer {
 public:
  virtual ~Answerer() = default;
  // Whether a context of so many tokens can be held at all.
  virtual Result<void> check_fits(size_t tokens) const = 0;
  // Forgets what was there.
  virtual void begin_context() = 0;
  // The likeliest continuation of the prompt. What it shares with the one before need not be read again.
  virtual Result<GenerateReport> answer(const EvalPrompt& prompt, const GenerateEvents& events) = 0;
};

// The model itself: one session a context.
std::unique_ptr<Answerer> make_answerer(Engine& engine);

// Files and folders of text, or built-in sentences: enough of them that a context does not repeat them,
// within reason.
Result<std::unique_ptr<tasks::TextSource>> open_source(const EvalGrid& grid, const Text& text);

Result<void> check_grid(const EvalGrid& grid, const EvalFamily& family);

// Of what makes a sample; depths of a cell get the same samples, so that what differs between them is the
// depth.
uint64_t seed_of(const EvalGrid& grid, const EvalCell& cell, uint64_t task, int sample);

Result<EvalReport> run_eval(Answerer& answerer, const EvalFamily& family, const EvalGrid& grid,
                            const EvalEvents& events);

// The two families, over an answerer.
Result<EvalReport> recall_over(Answerer& answerer, const Text& text, const tasks::TextSource& source,
                               const RecallOptions& options, const EvalEvents& events);
Result<EvalReport> ruler_over(Answerer& answerer, const Text& text, const tasks::TextSource& source,
                              const RulerOptions& options, const EvalEvents& events);

}  // namespace mneme::engine
