// The curves of a run, out of the tables it leaves.
#pragma once

#include <string>
#include <vector>

#include "core/error.h"

namespace mneme::train {

// The mean of `window` neighbours: a noisy curve made readable.
std::vector<double> smoothed(const std::vector<double>& values, size_t window);

// FOLDER/loss.svg from its log.csv and validation.csv.
Result<void> plot_run(const std::string& folder);

}  // namespace mneme::train
