// Plots as SVG, made to be read in a document: lines with axes of round numbers, a legend, one colour a
// series; heat maps with their values written in.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/error.h"

namespace mneme::core {

struct Series {
  std::string name;
  std::vector<double> x, y;
  bool dots = false;                        // marks instead of a line
  std::vector<double> low = {}, high = {};  // of y: bars of uncertainty; empty: none
};

struct Plot {
  std::string title, x_label, y_label;
  std::vector<Series> series;
  bool x_log = false, y_log = false;
  double y_min = 0, y_max = 0;       // both 0: from the data
  bool legend_outside = false;       // to the right of the plot: for many series
  std::vector<double> x_ticks = {};  // where the x axis is marked; empty: at round numbers
};

// Cells of shares in [0, 1], red to green, their percentages written in; not finite: left empty.
struct HeatMap {
  std::string title, x_label, y_label;
  std::vector<std::string> x_names, y_names;  // y from the top down
  std::vector<double> shares;                 // [y, x]
};

// Points that are not finite (or not positive on a logarithmic axis) are left out.
std::string to_svg(const Plot& plot);
std::string to_svg(const HeatMap& map);
// Several of these, one under the other.
std::string stacked(std::span<const std::string> svgs);
Result<void> write_svg(const std::string& path, const Plot& plot);

}  // namespace mneme::core
