// Line plots as SVG, made to be read in a document: axes with round numbers, a legend, one colour a series.
#pragma once

#include <string>
#include <vector>

#include "core/error.h"

namespace mneme::train {

struct Series {
  std::string name;
  std::vector<double> x, y;
  bool dots = false;  // marks instead of a line
};

struct Plot {
  std::string title, x_label, y_label;
  std::vector<Series> series;
  bool x_log = false, y_log = false;
  double y_min = 0, y_max = 0;  // both 0: from the data
};

// Points that are not finite (or not positive on a logarithmic axis) are left out.
std::string to_svg(const Plot& plot);
Result<void> write_svg(const std::string& path, const Plot& plot);

// The mean of `window` neighbours: a noisy curve made readable.
std::vector<double> smoothed(const std::vector<double>& values, size_t window);

// FOLDER/loss.svg from its log.csv and validation.csv.
Result<void> plot_run(const std::string& folder);

}  // namespace mneme::train
