// What the network is shown: rows of tokens made on the spot from text and tasks. A batch is a function of
// the seed and its number alone, so that a resumed run sees what it would have seen.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/rng.h"
#include "model/tokenizer.h"
#include "tasks/tasks.h"

namespace mneme::train {

struct Batch {
  torch::Tensor tokens;   // [B, T] int64
  torch::Tensor targets;  // [B, T] int64: the token after each
  torch::Tensor weights;  // [B, T] f32: of each target in the loss; 0: not learned
};

struct RowOptions {
  int tokens = 1024;                               // T
  double task_share = 0.7;                         // of the rows; the others are plain text
  double context_weight = 0.1, text_weight = 0.5;  // of a token of a task's context, of a plain row; answers:
                                                   // 1
  double chinese_share = 0.2;                      // of the samples
  double variety = 1;                              // of the tasks' wordings: tasks::Request
  double backwards = -1;                           // of lookups: tasks::Request
  double bare_share = 0;                           // of samples that a question without a text, or about a
                                                   // sentence or two, stands in front of
  double tools_share = 0;                          // of samples that a conversation with tools stands in
                                                   // front of
  int question_bytes = 280;                        // of a sample's room for each question it asks
  int questions_max = 32;
  bool recitals = true;  // before answers, as thoughts (tasks/recital.h)
  tasks::Split split = tasks::Split::kTrain;
  std::vector<std::pair<tasks::TaskKind, double>> mixture;  // and their weights; empty: all alike
};

class RowMaker {
 public:
  // References are kept.
  RowMaker(const model::Tokenizer& tokenizer, const tasks::TextSource& text, RowOptions options);

  // [rows, T]; row i of batch `number` is the same whatever the other rows are.
  Batch make(uint64_t seed, uint64_t number, int rows) const;

  const RowOptions& options() const { return options_; }
  void set_tokens(int tokens) { options_.tokens = tokens; }

 private:
  struct Row;
  enum class Thoughts { kAll, kLast, kNone };
  void fill(Row& row, core::Rng& rng) const;
  void add_sample(Row& row, core::Rng& rng) const;
  void add_bare(Row& row, core::Rng& rng) const;
  void add_tools(Row& row, core::Rng& rng) const;
  tasks::Sample draw_bare(core::Rng& rng) const;
  tasks::Request draw_request(core::Rng& rng) const;
  static tasks::Sample without_text(const tasks::Sample& asked);
  bool add_whole(Row& row, const tasks::Sample& sample, Thoughts thoughts, float first = 1) const;
  void add_text(Row& row, core::Rng& rng, double weight) const;
  tasks::TaskKind draw_task(core::Rng& rng) const;
  void add_tokens(Row& row, std::string_view text, double weight) const;
  Thoughts draw_thoughts(core::Rng& rng) const;
  bool add_turns(Row& row, const tasks::Sample& sample, Thoughts thoughts) const;
  void add_chat(Row& row, const tasks::Sample& sample, Thoughts thoughts) const;
  void add_marked(Row& row, std::string_view text, double weight) const;
  void add_answer(Row& row, const tasks::Turn& turn, Thoughts thoughts, bool last) const;

  // Special tokens of the vocabulary.
  struct Marks {
    model::TokenId end_of_text, im_start, im_end, fim_prefix, fim_suffix, fim_middle, think, think_end;
  };
  static Marks find_marks(const model::Tokenizer& tokenizer);

  const model::Tokenizer& tokenizer_;
  const tasks::TextSource& text_;
  RowOptions options_;
  Marks marks_{};
  double bytes_per_token_[2] = {1, 1};  // of each language's prose
};

}  // namespace mneme::train
