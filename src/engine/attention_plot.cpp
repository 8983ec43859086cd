// attention_svg(): what audits of sparse attention found over a context, as a picture.
#include <algorithm>

#include "core/error.h"
#include "core/plot.h"
#include "mneme/engine.h"

namespace mneme {

namespace {

using core::Series;

// A line or dots of one number of every audit of a layer.
template <class Number>
Series series_of(const AttentionReport::Layer& layer, const std::string& what, bool dots, Number number) {
  Series series{fmt::format("layer {}, {}", layer.layer, what), {}, {}, dots};
  for (const AttentionReport::Audit& audit : layer.audits) {
    series.x.push_back(static_cast<double>(audit.position));
    series.y.push_back(number(audit));
  }
  return series;
}

// From the first audit to the last.
Series target_of(const AttentionReport& report) {
  Series target{"target", {}, {}};
  for (const AttentionReport::Layer& layer : report.layers) {
    if (layer.audits.empty()) continue;
    target.x.push_back(static_cast<double>(layer.audits.front().position));
    target.x.push_back(static_cast<double>(layer.audits.back().position));
  }
  std::sort(target.x.begin(), target.x.end());
  if (target.x.size() > 2) target.x = {target.x.front(), target.x.back()};
  target.y.assign(target.x.size(), report.target_error);
  return target;
}

}  // namespace

std::string attention_svg(const AttentionReport& report) {
  using Audit = AttentionReport::Audit;
  const std::string position = "position in the context, tokens";
  core::Plot errors{"Errors of adaptive attention, as audited", position, "error / residual stream", {}};
  core::Plot shares{"How tokens were read since the audit before", position, "% of tokens", {}};
  errors.y_log = true;
  shares.y_max = 100;
  errors.legend_outside = shares.legend_outside = true;
  errors.series.push_back(target_of(report));
  for (const AttentionReport::Layer& layer : report.layers) {
    const auto add = [&](core::Plot& plot, const char* what, bool dots, auto number) {
      plot.series.push_back(series_of(layer, what, dots, number));
    };
    add(errors, "audited", true, [](const Audit& a) { return a.error; });
    add(errors, "held at", false, [](const Audit& a) { return a.held; });
    add(shares, "8 bits", false, [](const Audit& a) { return 100 * a.tokens_8bit; });
    add(shares, "estimated", false, [](const Audit& a) { return 100 * a.tokens_estimated; });
  }
  const std::string pictures[] = {core::to_svg(errors), core::to_svg(shares)};
  return core::stacked(pictures);
}

}  // namespace mneme
