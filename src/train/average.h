// One model whose weights are the mean of several. Models that were trained on from one another lie in one
// valley, whose middle is often better than any of them (Wortsman et al. 2022, "Model soups", arXiv
// 2203.05482).
#pragma once

#include <string>
#include <vector>

#include "core/error.h"
#include "train/export.h"

namespace mneme::train {

struct AverageOptions {
  std::vector<std::string> models;  // files of one shape and vocabulary, two at least
  std::vector<double> shares;       // of each; greater than 0, of any sum; none: all alike
  std::string out;
  ExportOptions file;
};

// Nothing is written after an error. Sums are in f64, one model in memory beside them.
Result<void> average_models(const AverageOptions& options);

}  // namespace mneme::train
