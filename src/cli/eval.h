#pragma once

#include <CLI/App.hpp>
#include <string>

#include "cli/terminal.h"

namespace mneme::cli {

// Each adds its kind of evaluation to the verb `eval`.
void add_eval_recall(CLI::App& verb, int& status);
void add_eval_perplexity(CLI::App& verb, int& status);

// Progress of work that may take hours: in place on a terminal, elsewhere a line now and then.
class LongProgress {
 public:
  LongProgress();
  bool due() const;
  void show(const std::string& line);
  void clear() { progress_.clear(); }

 private:
  Progress progress_;
  bool on_terminal_;
  double next_s_;
};

}  // namespace mneme::cli
