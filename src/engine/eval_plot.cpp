// score_svg(): answers as pictures.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/plot.h"
#include "mneme/eval.h"

namespace mneme {

namespace {

constexpr int kDepthBins = 10;  // where no depths were asked for

struct Sum {
  double score = 0;
  size_t count = 0;
  double mean() const {
    return count > 0 ? score / static_cast<double>(count) : std::numeric_limits<double>::quiet_NaN();
  }
  void add(double one) {
    score += one;
    ++count;
  }
};

std::string series_name(const EvalAnswer& answer, bool with_language) {
  return with_language ? answer.task + " " + answer.language : answer.task;
}

// The depth asked for, or the tenth of the context that the evidence lies in; negative: nowhere.
double depth_of(const EvalAnswer& answer, bool asked) {
  if (asked) return answer.depth;
  if (answer.evidence_depth < 0) return -1;
  const double bin = std::min(std::floor(answer.evidence_depth * kDepthBins), kDepthBins - 1.0);
  return (bin + 0.5) / kDepthBins;
}

std::string depth_name(double depth, bool asked) {
  if (asked) return fmt::format("{:g}", depth);
  const double half = 0.5 / kDepthBins;
  return fmt::format("{:.1f}-{:.1f}", depth - half, depth + half);
}

// Nothing where the answers lie nowhere, or all at one depth.
std::string heat_map(std::span<const EvalAnswer* const> answers, const std::string& title) {
  const bool asked = std::any_of(answers.begin(), answers.end(), [](auto* one) { return one->depth >= 0; });
  std::map<std::pair<double, size_t>, Sum> cells;
  std::set<double> depths;
  std::set<size_t> lengths;
  for (const EvalAnswer* answer : answers) {
    const double depth = depth_of(*answer, asked);
    if (depth < 0) continue;
    depths.insert(depth);
    lengths.insert(answer->length);
    cells[{depth, answer->length}].add(answer->score);
  }
  if (depths.size() < 2) return {};
  core::HeatMap map{title + ": score in %", "tokens of the context", "depth (0: the beginning)", {}, {}, {}};
  for (const size_t length : lengths) map.x_names.push_back(std::to_string(length));
  for (const double depth : depths) {
    map.y_names.push_back(depth_name(depth, asked));
    for (const size_t length : lengths) map.shares.push_back(cells[{depth, length}].mean());
  }
  return core::to_svg(map);
}

}  // namespace

std::string score_svg(std::span<const EvalAnswer> answers, const std::string& title) {
  std::set<std::string> languages;
  for (const EvalAnswer& answer : answers) languages.insert(answer.language);
  std::vector<std::string> order;
  std::map<std::string, std::vector<const EvalAnswer*>> kinds;
  std::set<size_t> lengths;
  for (const EvalAnswer& answer : answers) {
    const std::string name = series_name(answer, languages.size() > 1);
    auto& kind = kinds[name];
    if (kind.empty()) order.push_back(name);
    kind.push_back(&answer);
    lengths.insert(answer.length);
  }
  core::Plot plot{title, "tokens of the context", "score in %", {}};
  plot.x_log = lengths.size() > 1;
  plot.y_min = 0, plot.y_max = 100;
  plot.legend_outside = true;
  for (const size_t length : lengths) plot.x_ticks.push_back(static_cast<double>(length));
  std::vector<std::string> pictures(1);
  for (const std::string& name : order) {
    std::map<size_t, Sum> by_length;
    for (const EvalAnswer* answer : kinds[name]) by_length[answer->length].add(answer->score);
    core::Series series{name, {}, {}, by_length.size() == 1};
    for (const auto& [length, sum] : by_length) {
      const Interval interval = share_interval(sum.score, sum.count);
      series.x.push_back(static_cast<double>(length));
      series.y.push_back(100 * sum.mean());
      series.low.push_back(100 * interval.low);
      series.high.push_back(100 * interval.high);
    }
    plot.series.push_back(std::move(series));
    std::string map = heat_map(kinds[name], name);
    if (!map.empty()) pictures.push_back(std::move(map));
  }
  pictures[0] = core::to_svg(plot);
  return core::stacked(pictures);
}

}  // namespace mneme
