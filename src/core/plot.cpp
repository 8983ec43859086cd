#include "core/plot.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/pending_file.h"

namespace mneme::core {

namespace {

constexpr double kWidth = 720, kHeight = 420, kLeft = 70, kRight = 20, kTop = 40, kBottom = 55;
constexpr double kLegendWidth = 200;
constexpr const char* kColours[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e",
                                    "#17becf", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22"};

// Values to pixels along one axis.
struct Axis {
  double min = std::numeric_limits<double>::infinity(), max = -min;
  bool log = false;
  double from = 0, to = 1;  // pixels

  bool shows(double v) const { return std::isfinite(v) && (!log || v > 0); }
  double scale(double v) const { return log ? std::log10(v) : v; }
  void cover(double v) {
    if (!shows(v)) return;
    min = std::min(min, scale(v));
    max = std::max(max, scale(v));
  }
  void settle() {
    if (!(min <= max)) min = 0, max = 1;
    if (max - min < 1e-12) min -= 0.5, max += 0.5;
  }
  double pixel(double v) const { return from + (scale(v) - min) / (max - min) * (to - from); }

  // 1, 2 or 5 times a power of ten, about six of them; on a logarithmic axis the values themselves.
  std::vector<double> ticks() const {
    std::vector<double> out;
    if (log && max - min >= 1) {
      for (double e = std::floor(min); e <= std::ceil(max); ++e) {
        for (const double m : {1.0, 2.0, 5.0}) out.push_back(m * std::pow(10, e));
      }
    } else {
      const double low = log ? std::pow(10, min) : min, high = log ? std::pow(10, max) : max;
      const double rough = (high - low) / 6, power = std::pow(10, std::floor(std::log10(rough)));
      const double step = power * (rough / power < 1.5   ? 1
                                   : rough / power < 3.5 ? 2
                                   : rough / power < 7.5 ? 5
                                                         : 10);
      for (double v = std::ceil(low / step) * step; v <= high + 1e-9 * step; v += step) out.push_back(v);
    }
    std::erase_if(out, [&](double v) { return !shows(v) || scale(v) < min - 1e-9 || scale(v) > max + 1e-9; });
    return out;
  }
};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out += c == '<'   ? "&lt;"
           : c == '>' ? "&gt;"
           : c == '&' ? "&amp;"
           : c == '"' ? "&quot;"
                      : std::string(1, c);
  }
  return out;
}

std::string number(double v) {
  if (std::abs(v) >= 1e6) return fmt::format("{:g}M", v / 1e6);
  if (std::abs(v) >= 1e4) return fmt::format("{:g}k", v / 1e3);
  return fmt::format("{:g}", std::abs(v) < 1e-12 ? 0 : v);
}

std::string text(double x, double y, const char* anchor, const std::string& what, const char* more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor, more,
                     escaped(what));
}

std::string titles(const std::string& title, const std::string& x_label, const std::string& y_label) {
  const double middle = (kTop + kHeight - kBottom) / 2;
  return text(kWidth / 2, 22, "middle", title, " font-size=\"15\" font-weight=\"bold\"") +
         text((kLeft + kWidth - kRight) / 2, kHeight - 12, "middle", x_label) +
         text(18, middle, "middle", y_label, fmt::format(" transform=\"rotate(-90 18 {})\"", middle).c_str());
}

std::string beginning(double height) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      kWidth, height);
}

std::string frame(const Plot& plot, const Axis& x, const Axis& y) {
  std::string svg;
  for (const double v : plot.x_ticks.empty() ? x.ticks() : plot.x_ticks) {
    const double p = x.pixel(v);
    svg += fmt::format("<path d=\"M{0:.1f} {1}V{2}\" stroke=\"#e6e6e6\"/>\n", p, kTop, kHeight - kBottom);
    svg += text(p, kHeight - kBottom + 16, "middle", number(v));
  }
  for (const double v : y.ticks()) {
    const double p = y.pixel(v);
    svg += fmt::format("<path d=\"M{1} {0:.1f}H{2}\" stroke=\"#e6e6e6\"/>\n", p, kLeft, x.to);
    svg += text(kLeft - 6, p + 4, "end", number(v));
  }
  svg += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#444\"/>\n",
                     kLeft, kTop, x.to - kLeft, kHeight - kTop - kBottom);
  return svg + titles(plot.title, plot.x_label, plot.y_label);
}

std::string bars(const Series& series, const char* colour, const Axis& x, const Axis& y) {
  std::string path;
  for (size_t i = 0; i < std::min({series.x.size(), series.low.size(), series.high.size()}); ++i) {
    if (!x.shows(series.x[i]) || !y.shows(series.low[i]) || !y.shows(series.high[i])) continue;
    const auto at = [&](double v) { return std::clamp(y.pixel(v), kTop, kHeight - kBottom); };
    path += fmt::format("M{0:.1f} {1:.1f}h6m-3 0V{2:.1f}m-3 0h6", x.pixel(series.x[i]) - 3, at(series.low[i]),
                        at(series.high[i]));
  }
  if (path.empty()) return path;
  return fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" opacity=\"0.6\"/>\n", path, colour);
}

std::string drawn(const Series& series, const char* colour, const Axis& x, const Axis& y) {
  std::string path, dots;
  bool pen = false;
  for (size_t i = 0; i < std::min(series.x.size(), series.y.size()); ++i) {
    if (!x.shows(series.x[i]) || !y.shows(series.y[i])) {
      pen = false;
      continue;
    }
    const double px = x.pixel(series.x[i]), py = std::clamp(y.pixel(series.y[i]), kTop, kHeight - kBottom);
    path += fmt::format("{}{:.1f} {:.1f}", pen ? "L" : "M", px, py);
    dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", px, py, colour);
    pen = true;
  }
  if (series.dots) return dots;
  return fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\"/>\n", path, colour);
}

}  // namespace

std::string to_svg(const Plot& plot) {
  Axis x, y;
  x.log = plot.x_log, y.log = plot.y_log;
  x.from = kLeft, x.to = kWidth - (plot.legend_outside ? kLegendWidth : kRight), y.from = kHeight - kBottom,
  y.to = kTop;
  for (const Series& s : plot.series) {
    for (const double v : s.x) x.cover(v);
    for (const double v : s.y) y.cover(v);
    for (const double v : s.low) y.cover(v);
    for (const double v : s.high) y.cover(v);
  }
  if (plot.y_min != 0 || plot.y_max != 0) y.min = y.scale(plot.y_min), y.max = y.scale(plot.y_max);
  x.settle(), y.settle();
  std::string svg = beginning(kHeight);
  svg += frame(plot, x, y);
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const char* colour = kColours[i % std::size(kColours)];
    svg += drawn(plot.series[i], colour, x, y) + bars(plot.series[i], colour, x, y);
    const double at = kTop + 18 + 17 * static_cast<double>(i);
    const double legend = plot.legend_outside ? x.to + 12 : kWidth - kRight - kLegendWidth;
    svg += fmt::format("<path d=\"M{} {}h22\" stroke=\"{}\" stroke-width=\"3\"/>\n", legend, at - 4, colour);
    svg += text(legend + 28, at, "start", plot.series[i].name);
  }
  return svg + "</svg>\n";
}

std::string to_svg(const HeatMap& map) {
  std::string svg = beginning(kHeight);
  const size_t columns = map.x_names.size(), rows = map.y_names.size();
  const double width = (kWidth - kLeft - kRight) / static_cast<double>(std::max<size_t>(columns, 1));
  const double height = (kHeight - kTop - kBottom) / static_cast<double>(std::max<size_t>(rows, 1));
  for (size_t i = 0; i < rows * columns && i < map.shares.size(); ++i) {
    if (!std::isfinite(map.shares[i])) continue;
    const double share = std::clamp(map.shares[i], 0.0, 1.0);
    const double x = kLeft + width * static_cast<double>(i % columns);
    const double y = kTop + height * static_cast<double>(i / columns);
    svg += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"hsl({:.0f} 60% 72%)\" "
        "stroke=\"white\"/>\n",
        x, y, width, height, 120 * share);
    svg += text(x + width / 2, y + height / 2 + 4, "middle", fmt::format("{:.0f}", 100 * share));
  }
  for (size_t i = 0; i < columns; ++i) {
    svg += text(kLeft + width * (static_cast<double>(i) + 0.5), kHeight - kBottom + 16, "middle",
                map.x_names[i]);
  }
  for (size_t i = 0; i < rows; ++i) {
    svg += text(kLeft - 6, kTop + height * (static_cast<double>(i) + 0.5) + 4, "end", map.y_names[i]);
  }
  return svg + titles(map.title, map.x_label, map.y_label) + "</svg>\n";
}

std::string stacked(std::span<const std::string> svgs) {
  std::string svg = beginning(kHeight * static_cast<double>(svgs.size()));
  for (size_t i = 0; i < svgs.size(); ++i) {
    svg += fmt::format("<g transform=\"translate(0 {})\">\n{}</g>\n", kHeight * static_cast<double>(i),
                       svgs[i]);
  }
  return svg + "</svg>\n";
}

Result<void> write_svg(const std::string& path, const Plot& plot) { return write_file(path, to_svg(plot)); }

}  // namespace mneme::core
