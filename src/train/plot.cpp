#include "train/plot.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/pending_file.h"
#include "train/csv.h"

namespace mneme::train {

namespace {

constexpr double kWidth = 720, kHeight = 420, kLeft = 70, kRight = 20, kTop = 40, kBottom = 55;
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

std::string frame(const Plot& plot, const Axis& x, const Axis& y) {
  std::string svg;
  for (const double v : x.ticks()) {
    const double p = x.pixel(v);
    svg += fmt::format("<path d=\"M{0:.1f} {1}V{2}\" stroke=\"#e6e6e6\"/>\n", p, kTop, kHeight - kBottom);
    svg += text(p, kHeight - kBottom + 16, "middle", number(v));
  }
  for (const double v : y.ticks()) {
    const double p = y.pixel(v);
    svg += fmt::format("<path d=\"M{1} {0:.1f}H{2}\" stroke=\"#e6e6e6\"/>\n", p, kLeft, kWidth - kRight);
    svg += text(kLeft - 6, p + 4, "end", number(v));
  }
  svg += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#444\"/>\n",
                     kLeft, kTop, kWidth - kLeft - kRight, kHeight - kTop - kBottom);
  svg += text(kWidth / 2, 22, "middle", plot.title, " font-size=\"15\" font-weight=\"bold\"");
  svg += text((kLeft + kWidth - kRight) / 2, kHeight - 12, "middle", plot.x_label);
  const double middle = (kTop + kHeight - kBottom) / 2;
  return svg + text(18, middle, "middle", plot.y_label,
                    fmt::format(" transform=\"rotate(-90 18 {})\"", middle).c_str());
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
  x.from = kLeft, x.to = kWidth - kRight, y.from = kHeight - kBottom, y.to = kTop;
  for (const Series& s : plot.series) {
    for (const double v : s.x) x.cover(v);
    for (const double v : s.y) y.cover(v);
  }
  if (plot.y_min != 0 || plot.y_max != 0) y.min = y.scale(plot.y_min), y.max = y.scale(plot.y_max);
  x.settle(), y.settle();
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      kWidth, kHeight);
  svg += frame(plot, x, y);
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const char* colour = kColours[i % std::size(kColours)];
    svg += drawn(plot.series[i], colour, x, y);
    const double at = kTop + 18 + 17 * static_cast<double>(i);
    svg += fmt::format("<path d=\"M{} {}h22\" stroke=\"{}\" stroke-width=\"3\"/>\n", kWidth - kRight - 200,
                       at - 4, colour);
    svg += text(kWidth - kRight - 172, at, "start", plot.series[i].name);
  }
  return svg + "</svg>\n";
}

Result<void> write_svg(const std::string& path, const Plot& plot) {
  return core::write_file(path, to_svg(plot));
}

std::vector<double> smoothed(const std::vector<double>& values, size_t window) {
  std::vector<double> out;
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    sum += values[i];
    if (i >= window) sum -= values[i - window];
    out.push_back(sum / static_cast<double>(std::min(i + 1, window)));
  }
  return out;
}

Result<void> plot_run(const std::string& folder) {
  auto log = read_csv(folder + "/log.csv");
  if (!log) return core::pass(log);
  const auto *tokens = log->find("tokens"), *loss = log->find("loss");
  if (tokens == nullptr || loss == nullptr) return core::fail("{}/log.csv: no such columns", folder);
  Plot plot{"Loss", "tokens", "nats a token", {{"training", *tokens, smoothed(*loss, 20)}}};
  if (auto held_out = read_csv(folder + "/validation.csv"); held_out) {
    const auto *at = held_out->find("tokens"), *text = held_out->find("text_loss"),
               *answers = held_out->find("answer_loss");
    if (at != nullptr && text != nullptr) plot.series.push_back({"held-out text", *at, *text});
    if (at != nullptr && answers != nullptr) plot.series.push_back({"held-out answers", *at, *answers});
  }
  return write_svg(folder + "/loss.svg", plot);
}

}  // namespace mneme::train
