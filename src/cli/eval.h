#pragma once

#include <CLI/App.hpp>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/options.h"
#include "cli/terminal.h"

namespace mneme::cli {

// Each adds its kind of evaluation to the verb `eval`.
void add_eval_recall(CLI::App& verb, int& status);
void add_eval_ruler(CLI::App& verb, int& status);
void add_eval_divergence(CLI::App& verb, int& status);
void add_eval_perplexity(CLI::App& verb, int& status);

// Configuration B of a comparison: A's flags with what these change.
struct AgainstArguments {
  std::string model;
  int threads = 0;
  std::string attention;    // empty: A's
  double target_error = 0;  // 0: A's
  std::string prefill;      // empty: A's

  bool asked() const {
    return !model.empty() || threads > 0 || !attention.empty() || target_error > 0 || !prefill.empty();
  }
  ModelArguments other(ModelArguments a) const;
  nlohmann::ordered_json changes() const;  // but for what model_json() of the answers' file says
  std::string text() const;                // for a person: "x.gguf, 2 threads"
};
void add_against_options(CLI::App& kind, AgainstArguments& arguments, const std::string& what);

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
