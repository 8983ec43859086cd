// mneme-train compare: what a folder of runs (tools/residuals.sh) says, as tables in a document, CSV and
// plots.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/pending_file.h"
#include "core/plot.h"
#include "train/commands.h"
#include "train/comparison.h"
#include "train/comparison_tables.h"

namespace mneme::train {

namespace {

struct CompareArguments {
  std::string folder, earlier, report, csv, plots;
};

// Kinds that a plot shows, in the order of its colours; more than these are not to be told apart.
constexpr const char* kPlotted[] = {"plain",   "alpha",       "mhc", "mhc-identity",
                                    "muon-vr", "muon-vr-mhc", "wide"};

Result<void> write_text(const std::string& path, const std::string& text) {
  std::error_code code;
  if (const auto parent = std::filesystem::path(path).parent_path(); !parent.empty())
    std::filesystem::create_directories(parent, code);
  return core::write_file(path, text);
}

Result<void> write_report(const std::string& path, const std::vector<NamedTable>& tables) {
  std::string document = document_skeleton(tables);
  if (std::ifstream in(path); in) {
    std::ostringstream text;
    text << in.rdbuf();
    document = text.str();
  }
  for (const NamedTable& table : tables) {
    if (document.find("<!-- table " + table.name + " -->") == std::string::npos)
      std::fprintf(stderr, "%s: no place for table %s\n", path.c_str(), table.name.c_str());
  }
  auto written = with_tables(document, tables);
  if (!written) return core::fail("{}: {}", path, written.error().message);
  return write_text(path, *written);
}

// The full run of a kind: of the lowest seed whose curve is there; without curves, of the lowest; or null.
const RunRecord* full_run(const Experiment& experiment, const std::string& kind, int layers) {
  const RunRecord* first = nullptr;
  for (const RunRecord& run : experiment.runs) {
    if (run.kind != kind || run.layers != layers || run.group != "full" || !run.finished()) continue;
    if (!run.validation_step.empty()) return &run;
    if (first == nullptr) first = &run;
  }
  return first;
}

Result<void> write_plots(const Experiment& experiment, const std::string& folder) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  for (const int layers : layers_of(experiment)) {
    core::Plot curves{fmt::format("Held-out loss, {} layers", layers), "step", "nats a token", {}};
    core::Plot ends{fmt::format("Final loss of shortened schedules, {} layers", layers),
                    "% of the full schedule",
                    "nats a token, held out",
                    {}};
    double low = 0, high = 0;
    for (const char* kind : kPlotted) {
      const RunRecord* full = full_run(experiment, kind, layers);
      if (full == nullptr) continue;
      if (!full->validation_step.empty())
        curves.series.push_back({kind, full->validation_step, full->validation_loss});
      if (std::isfinite(full->final_loss)) {
        low = low == 0 ? full->final_loss : std::min(low, full->final_loss);
        high = std::max(high, full->final_loss);
      }
      core::Series shares{kind, {}, {}};
      std::vector<Point> points = schedules_of(experiment, *full);
      std::sort(points.begin(), points.end(), [](auto& a, auto& b) { return a.steps < b.steps; });
      for (const Point& p : points) {
        shares.x.push_back(100 * p.steps / full->steps);
        shares.y.push_back(p.loss);
      }
      if (points.size() > 1) ends.series.push_back(shares);
    }
    if (curves.series.empty()) continue;
    // The end is what differs: the fall from the first loss would flatten it.
    curves.y_min = 0.98 * low, curves.y_max = 1.6 * high;
    if (auto ok = core::write_svg(fmt::format("{}/residuals-loss-{}.svg", folder, layers), curves); !ok)
      return ok;
    if (ends.series.empty()) continue;
    if (auto ok = core::write_svg(fmt::format("{}/residuals-schedules-{}.svg", folder, layers), ends); !ok)
      return ok;
  }
  return {};
}

Result<void> compare(const CompareArguments& a) {
  auto experiment = read_experiment(a.folder);
  if (!experiment) return core::pass(experiment);
  if (!a.earlier.empty()) {
    if (auto ok = add_earlier_runs(*experiment, a.earlier); !ok) return ok;
  }
  if (experiment->runs.empty()) return core::fail("{}: no run in it", a.folder);
  const std::vector<NamedTable> tables = comparison_tables(*experiment);
  if (!a.report.empty()) {
    if (auto ok = write_report(a.report, tables); !ok) return ok;
  } else {
    for (const NamedTable& table : tables)
      std::printf("%s\n\n%s\n", table.name.c_str(), to_markdown(table).c_str());
  }
  for (const NamedTable& table : tables) {
    if (a.csv.empty() || table.name != "runs") continue;
    if (auto ok = write_text(a.csv, to_csv(table)); !ok) return ok;
  }
  if (!a.plots.empty()) {
    if (auto ok = write_plots(*experiment, a.plots); !ok) return ok;
  }
  for (const std::string& line : missing_runs(*experiment))
    std::fprintf(stderr, "missing: %s\n", line.c_str());
  return {};
}

}  // namespace

void add_compare(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("compare", "tables and plots of the runs of tools/residuals.sh");
  auto a = std::make_shared<CompareArguments>();
  verb->add_option("folder", a->folder, "the folder of the runs")->required();
  verb->add_option("--earlier", a->earlier,
                   "a table that --csv wrote: runs that the folder no longer has are taken from it");
  verb->add_option(
      "--report", a->report,
      "the document whose tables are renewed (made where it does not exist); without it they are "
      "printed");
  verb->add_option("--csv", a->csv, "the table of all runs as CSV");
  verb->add_option("--plots", a->plots, "folder of the SVG plots");
  verb->callback([a, &status] {
    const auto done = compare(*a);
    if (!done) std::fprintf(stderr, "mneme-train: %s\n", done.error().message.c_str());
    status = done ? 0 : 1;
  });
}

}  // namespace mneme::train
