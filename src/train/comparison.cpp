#include "train/comparison.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <tuple>

#include "train/csv.h"

namespace mneme::train {

namespace {

constexpr size_t kSpikeWindow = 50, kSpikeStepsMin = 20;  // steps
constexpr double kSpikeDeviations = 4;
constexpr double kNeighbours = 2;  // schedules further apart than this factor say too little about between

using Options = std::map<std::string, std::string>;

Options read_options(const std::string& path) {
  Options options;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const size_t equals = line.find('=');
    if (equals != std::string::npos) options[line.substr(0, equals)] = line.substr(equals + 1);
  }
  return options;
}

double number_of(const Options& options, const std::string& name) {
  const auto found = options.find(name);
  return found == options.end() ? 0 : std::strtod(found->second.c_str(), nullptr);
}

double median(std::vector<double> values) {
  if (values.empty()) return kUnknown;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// Growth of a running total from each row to the next. The first step pays for buffers and is left out.
std::vector<double> growth(const std::vector<double>& total) {
  std::vector<double> steps;
  for (size_t i = 2; i < total.size(); ++i) steps.push_back(total[i] - total[i - 1]);
  return steps;
}

const std::vector<double>& column(const Table& table, const char* name) {
  static const std::vector<double> none;
  const auto* found = table.find(name);
  return found == nullptr ? none : *found;
}

void read_log(const Table& log, int warmup, RunRecord& run) {
  const auto &step = column(log, "step"), &norm = column(log, "gradient_norm");
  if (step.empty()) return;
  run.steps_done = static_cast<int>(step.back());
  const auto &cpu = column(log, "cpu_s"), &wall = column(log, "wall_s");
  if (!cpu.empty()) run.cpu_seconds = cpu.back();
  if (!wall.empty()) run.wall_seconds = wall.back();
  run.step_cpu = median(growth(cpu));
  run.step_wall = median(growth(wall));
  run.spikes = count_spikes(column(log, "loss"));
  std::vector<double> settled;
  for (size_t i = 0; i < norm.size(); ++i) {
    if (step[i] > warmup) settled.push_back(norm[i]);
  }
  run.gradient_variation = log_deviation(settled);
}

void read_validations(const Table& table, RunRecord& run) {
  run.validation_step = column(table, "step");
  run.validation_loss = column(table, "text_loss");
  run.validation_step.resize(std::min(run.validation_step.size(), run.validation_loss.size()));
  for (const double gain : column(table, "composite_gain_max"))
    run.composite_gain_max = std::isfinite(run.composite_gain_max) ? std::max(run.composite_gain_max, gain)
                                                                   : gain;
  // A log that says "done" without the last validation is of a run that was killed in between.
  const bool whole = !run.validation_step.empty() && run.validation_step.back() == run.steps;
  if (run.finished() && whole) run.final_loss = run.validation_loss.back();
  if (run.finished() && !whole) run.steps_done = run.steps - 1;
}

RunRecord read_run(const std::filesystem::path& folder) {
  RunRecord run;
  run.name = folder.filename();
  std::istringstream parts(run.name);
  std::getline(parts, run.kind, '.');
  std::getline(parts, run.group, '.');
  const Options options = read_options(folder / "options.ini");
  run.layers = static_cast<int>(number_of(options, "layers"));
  run.steps = static_cast<int>(number_of(options, "steps"));
  run.seed = static_cast<uint64_t>(number_of(options, "seed"));
  run.adam_rate = number_of(options, "adam-rate");
  run.matrix_rate = number_of(options, "muon") != 0 ? number_of(options, "matrix-rate") : 0;
  if (auto log = read_csv(folder / "log.csv"); log)
    read_log(*log, static_cast<int>(number_of(options, "warmup")), run);
  if (auto table = read_csv(folder / "validation.csv"); table) {
    read_validations(*table, run);
  } else if (run.finished()) {
    run.steps_done = run.steps - 1;
  }
  return run;
}

// Cells of a line; those in quotes may hold commas.
std::vector<std::string> csv_cells(const std::string& line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  return cells;
}

double number_in(const std::string& cell) {
  char* end = nullptr;
  const double value = std::strtod(cell.c_str(), &end);
  return end != cell.c_str() && *end == '\0' ? value : kUnknown;
}

// KIND.GROUP.* and what the table of runs says of it; not finished ("at step 40") where the loss is neither a
// number nor "diverged".
RunRecord earlier_run(const std::vector<std::string>& cells) {
  enum Column { kName, kKind, kLayers, kRate, kSeed, kSteps, kLoss, kCpu, kWall, kSpikes, kVariation, kGain };
  RunRecord run;
  run.name = cells[kName];
  run.kind = cells[kKind];
  run.group = run.name.substr(std::min(run.name.size(), run.kind.size() + 1));
  run.group.resize(std::min(run.group.size(), run.group.find('.')));
  run.layers = std::atoi(cells[kLayers].c_str());
  run.steps = std::atoi(cells[kSteps].c_str());
  run.seed = std::strtoull(cells[kSeed].c_str(), nullptr, 10);
  run.adam_rate = std::strtod(cells[kRate].c_str(), nullptr);
  const size_t matrix = cells[kRate].find("Muon ");
  if (matrix != std::string::npos) run.matrix_rate = std::strtod(cells[kRate].c_str() + matrix + 5, nullptr);
  run.final_loss = number_in(cells[kLoss]);
  if (std::isfinite(run.final_loss) || cells[kLoss] == "diverged") run.steps_done = run.steps;
  run.cpu_seconds = number_in(cells[kCpu]);
  run.wall_seconds = number_in(cells[kWall]);
  run.spikes = std::atoi(cells[kSpikes].c_str());
  run.gradient_variation = number_in(cells[kVariation]);
  run.composite_gain_max = number_in(cells[kGain]);
  return run;
}

void sort_runs(std::vector<RunRecord>& runs) {
  const auto key = [](const RunRecord& r) {
    return std::tuple(r.layers, r.kind != "plain", r.kind, r.group, r.seed, r.steps, r.adam_rate);
  };
  std::sort(runs.begin(), runs.end(),
            [&](const RunRecord& a, const RunRecord& b) { return key(a) < key(b); });
}

}  // namespace

Result<Experiment> read_experiment(const std::string& folder) {
  std::error_code code;
  std::filesystem::directory_iterator entries(folder, code);
  if (code) return core::fail("{}: {}", folder, code.message());
  Experiment experiment;
  for (const auto& entry : entries) {
    if (std::filesystem::exists(entry.path() / "options.ini", code))
      experiment.runs.push_back(read_run(entry.path()));
  }
  sort_runs(experiment.runs);
  std::ifstream plan(folder + "/plan.txt");
  for (PlannedRun p; plan >> p.kind >> p.group >> p.layers >> p.seed >> p.steps;)
    experiment.plan.push_back(p);
  return experiment;
}

Result<void> add_earlier_runs(Experiment& experiment, const std::string& csv) {
  constexpr const char* kHeader =
      "name,kind,layers,rate,seed,steps,final held-out loss,CPU s,wall s,spikes,"
      "gradient variation,composite gain";
  std::ifstream in(csv);
  std::string line;
  if (!std::getline(in, line)) return core::fail("{}: cannot be read, or is empty", csv);
  if (line != kHeader) return core::fail("{}: not a table of runs as --csv writes it", csv);
  for (size_t number = 2; std::getline(in, line); ++number) {
    const std::vector<std::string> cells = csv_cells(line);
    if (cells.size() != csv_cells(kHeader).size())
      return core::fail("{}:{}: {} cells", csv, number, cells.size());
    RunRecord run = earlier_run(cells);
    const auto same = [&](const RunRecord& other) { return other.name == run.name; };
    if (run.finished() && std::none_of(experiment.runs.begin(), experiment.runs.end(), same))
      experiment.runs.push_back(std::move(run));
  }
  sort_runs(experiment.runs);
  return {};
}

int count_spikes(std::span<const double> loss) {
  std::vector<double> before;
  int spikes = 0;
  for (const double value : loss) {
    if (!std::isfinite(value)) {
      ++spikes;
      continue;
    }
    const size_t count = std::min(before.size(), kSpikeWindow);
    if (count >= kSpikeStepsMin) {
      double sum = 0, squares = 0;
      for (size_t i = before.size() - count; i < before.size(); ++i) sum += before[i];
      const double mean = sum / static_cast<double>(count);
      for (size_t i = before.size() - count; i < before.size(); ++i)
        squares += (before[i] - mean) * (before[i] - mean);
      if (value - mean > kSpikeDeviations * std::sqrt(squares / static_cast<double>(count))) ++spikes;
    }
    before.push_back(value);
  }
  return spikes;
}

double log_deviation(std::span<const double> norms) {
  std::vector<double> logs;
  for (const double norm : norms) {
    if (std::isfinite(norm) && norm > 0) logs.push_back(std::log(norm));
  }
  const Estimate e = estimate(logs);
  return e.error * std::sqrt(static_cast<double>(e.count));
}

Estimate estimate(std::span<const double> values) {
  Estimate e;
  e.count = values.size();
  if (values.empty()) return e;
  const auto count = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double v : values) sum += v;
  e.mean = sum / count;
  for (const double v : values) squares += (v - e.mean) * (v - e.mean);
  if (values.size() > 1) e.error = std::sqrt(squares / (count - 1) / count);
  return e;
}

namespace {

void sort_finite(std::vector<Point>& points) {
  std::erase_if(points, [](const Point& p) { return !std::isfinite(p.loss) || p.steps <= 0; });
  std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.steps < b.steps; });
}

bool neighbours(const Point& a, const Point& b) { return b.steps <= kNeighbours * a.steps; }

}  // namespace

Reach steps_to(double loss, std::vector<Point> schedules, const std::vector<Point>& curve) {
  sort_finite(schedules);
  if (schedules.empty() || !std::isfinite(loss)) return {};
  const auto reached = std::find_if(schedules.begin(), schedules.end(),
                                    [&](const Point& p) { return p.loss <= loss; });
  if (reached == schedules.end()) return {Reach::kNever};
  const bool only_full = schedules.size() == 1;
  if (reached == schedules.begin() && !only_full) return {Reach::kShortest, reached->steps};
  if (!only_full && neighbours(*(reached - 1), *reached)) {
    const Point &a = *(reached - 1), &b = *reached;
    const double part = (a.loss - loss) / (a.loss - b.loss);
    return {Reach::kSchedules, a.steps * std::pow(b.steps / a.steps, part), a.steps, b.steps};
  }
  for (size_t i = 0; i < curve.size(); ++i) {
    if (!(curve[i].loss <= loss)) continue;
    if (i == 0) return {Reach::kCurve, curve[0].steps};
    const Point &a = curve[i - 1], &b = curve[i];
    const double part = std::isfinite(a.loss) ? (a.loss - loss) / (a.loss - b.loss) : 1;
    // a shorter schedule may already have done better than this curve
    return {Reach::kCurve, std::min(a.steps + part * (b.steps - a.steps), reached->steps)};
  }
  return {Reach::kCurve, reached->steps};
}

double loss_at(double steps, std::vector<Point> schedules) {
  sort_finite(schedules);
  for (size_t i = 0; i < schedules.size(); ++i) {
    if (std::abs(schedules[i].steps / steps - 1) < 1e-9) return schedules[i].loss;
    if (i == 0 || schedules[i].steps < steps || schedules[i - 1].steps > steps) continue;
    const Point &a = schedules[i - 1], &b = schedules[i];
    if (!neighbours(a, b)) return kUnknown;
    return a.loss + (b.loss - a.loss) * std::log(steps / a.steps) / std::log(b.steps / a.steps);
  }
  return kUnknown;
}

StepCost step_cost(const Experiment& experiment, const std::string& kind, const std::string& baseline,
                   int layers) {
  StepCost cost;
  for (const char* group : {"time", "full"}) {
    std::vector<double> cpu, wall, cpu_ratio, wall_ratio;
    for (const RunRecord& run : experiment.runs) {
      if (run.kind != kind || run.layers != layers || run.group != group || !run.finished()) continue;
      cpu.push_back(run.step_cpu);
      wall.push_back(run.step_wall);
      for (const RunRecord& base : experiment.runs) {
        if (base.kind != baseline || base.layers != layers || base.group != group || !base.finished() ||
            base.seed != run.seed || base.steps != run.steps)
          continue;
        cpu_ratio.push_back(run.step_cpu / base.step_cpu);
        wall_ratio.push_back(run.step_wall / base.step_wall);
      }
    }
    if (cpu.empty()) continue;
    return {cpu.size(), median(cpu), median(wall), median(cpu_ratio), median(wall_ratio)};
  }
  return cost;
}

std::vector<Point> schedules_of(const Experiment& experiment, const RunRecord& full) {
  std::vector<Point> points;
  for (const RunRecord& run : experiment.runs) {
    const bool same = run.kind == full.kind && run.layers == full.layers && run.seed == full.seed &&
                      run.same_rate(full);
    const bool counts = run.group == "rate" || run.group == "short" || run.group == "full";
    if (same && counts && run.finished() && run.steps <= full.steps)
      points.push_back({static_cast<double>(run.steps), run.final_loss});
  }
  return points;
}

std::vector<Pair> pairs_of(const Experiment& experiment, const std::string& kind, const std::string& baseline,
                           int layers) {
  const auto is_full = [&](const RunRecord& run, const std::string& wanted) {
    return run.kind == wanted && run.layers == layers && run.group == "full" && run.finished() &&
           std::isfinite(run.final_loss);
  };
  const StepCost cost = step_cost(experiment, kind, baseline, layers);
  std::vector<Pair> pairs;
  for (const RunRecord& run : experiment.runs) {
    if (!is_full(run, kind)) continue;
    for (const RunRecord& base : experiment.runs) {
      if (!is_full(base, baseline) || base.seed != run.seed || base.steps != run.steps) continue;
      std::vector<Point> curve;
      for (size_t i = 0; i < run.validation_step.size(); ++i)
        curve.push_back({run.validation_step[i], run.validation_loss[i]});
      const std::vector<Point> schedules = schedules_of(experiment, run);
      Pair pair{&run, &base, steps_to(base.final_loss, schedules, curve)};
      const double affordable = base.steps / cost.wall_ratio;  // steps; unknown where the ratio is
      pair.equal_time_loss = loss_at(affordable, schedules);
      if (std::isnan(pair.equal_time_loss)) {
        pair.equal_time_bound = true;
        pair.equal_time_loss = loss_at(affordable, curve);
      }
      pairs.push_back(pair);
    }
  }
  return pairs;
}

std::vector<std::string> missing_runs(const Experiment& experiment) {
  const auto key = [](const auto& run) {
    return std::tuple(run.kind, run.group, run.layers, run.seed, run.steps);
  };
  std::map<std::tuple<std::string, std::string, int, uint64_t, int>, int> wanted, found;
  for (const PlannedRun& run : experiment.plan) ++wanted[key(run)];
  for (const RunRecord& run : experiment.runs) ++found[key(run)];
  std::vector<std::string> missing;
  for (const auto& [which, count] : wanted) {
    const auto& [kind, group, layers, seed, steps] = which;
    if (const int there = found[which]; there < count)
      missing.push_back(fmt::format("{} {}, {} layers, seed {}, {} steps: {} of {} not run", kind, group,
                                    layers, seed, steps, count - there, count));
  }
  for (const RunRecord& run : experiment.runs) {
    if (!run.finished())
      missing.push_back(fmt::format("{}: at step {} of {}", run.name, run.steps_done, run.steps));
  }
  return missing;
}

std::vector<std::string> kinds_of(const Experiment& experiment, int layers) {
  std::vector<std::string> kinds;
  for (const RunRecord& run : experiment.runs) {
    if (run.layers == layers && std::find(kinds.begin(), kinds.end(), run.kind) == kinds.end())
      kinds.push_back(run.kind);
  }
  return kinds;
}

std::vector<int> layers_of(const Experiment& experiment) {
  std::set<int> layers;
  for (const RunRecord& run : experiment.runs) layers.insert(run.layers);
  return {layers.begin(), layers.end()};
}

}  // namespace mneme::train
