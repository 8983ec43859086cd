#include "train/run_plot.h"

#include <algorithm>

#include "core/plot.h"
#include "train/csv.h"

namespace mneme::train {

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
  core::Plot plot{"Loss", "tokens", "nats a token", {{"training", *tokens, smoothed(*loss, 20)}}};
  if (auto held_out = read_csv(folder + "/validation.csv"); held_out) {
    const auto *at = held_out->find("tokens"), *text = held_out->find("text_loss"),
               *answers = held_out->find("answer_loss");
    if (at != nullptr && text != nullptr) plot.series.push_back({"held-out text", *at, *text});
    if (at != nullptr && answers != nullptr) plot.series.push_back({"held-out answers", *at, *answers});
  }
  return core::write_svg(folder + "/loss.svg", plot);
}

}  // namespace mneme::train
