// recall() without the model: cells, prompts, judging and sums, over anything that answers.
#pragma once

#include <memory>
#include <span>

#include "core/error.h"
#include "mneme/eval.h"
#include "tasks/tasks.h"

namespace mneme::engine {

struct Question {
  const tasks::Sample& sample;
  size_t turn = 0;  // of the answer
  std::span<const TokenId> prompt;
  int tokens_max = 0;
};

class Answerer {
 public:
  virtual ~Answerer() = default;
  // Whether a context of so many tokens can be held at all.
  virtual Result<void> check_fits(size_t tokens) const = 0;
  // Forgets what was there.
  virtual void begin_context() = 0;
  // The likeliest continuation of the prompt. What it shares with the one before need not be read again.
  virtual Result<GenerateReport> answer(const Question& question, const GenerateEvents& events) = 0;
};

Result<RecallReport> recall_over(Answerer& answerer, const Text& text, const tasks::TextSource& source,
                                 const RecallOptions& options, const RecallEvents& events);

}  // namespace mneme::engine
