#include "train/comparison_tables.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

namespace mneme::train {

namespace {

constexpr double kStable = 1.05;  // a rate is stable while the loss stays within this factor of the best
                                  // rate's

std::string cell(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : "-";
}

// mean ± standard error
std::string cell(const Estimate& e, int digits, bool sign = false) {
  if (e.count == 0 || !std::isfinite(e.mean)) return "-";
  const std::string mean = sign ? fmt::format("{:+.{}f}", e.mean, digits) : cell(e.mean, digits);
  return std::isfinite(e.error) ? mean + " ± " + cell(e.error, digits) : mean;
}

std::string loss_cell(const RunRecord& run) {
  if (!run.finished()) return fmt::format("at step {}", run.steps_done);
  return std::isfinite(run.final_loss) ? cell(run.final_loss, 4) : "diverged";
}

std::string rate_cell(const RunRecord& run) {
  if (run.matrix_rate == 0) return fmt::format("{:g}", run.adam_rate);
  return fmt::format("{:g}, Muon {:g}", run.adam_rate, run.matrix_rate);
}

template <class Value>
Estimate estimate_of(const std::vector<Pair>& pairs, Value value) {
  std::vector<double> values;
  for (const Pair& pair : pairs) {
    if (const double v = value(pair); std::isfinite(v)) values.push_back(v);
  }
  return estimate(values);
}

NamedTable runs_table(const Experiment& experiment) {
  NamedTable table{"runs",
                   {"name", "kind", "layers", "rate", "seed", "steps", "final held-out loss", "CPU s",
                    "wall s", "spikes", "gradient variation", "composite gain"},
                   {}};
  for (const RunRecord& run : experiment.runs) {
    if (run.group == "time") continue;  // too short for a loss; table cost
    table.rows.push_back({run.name, run.kind, std::to_string(run.layers), rate_cell(run),
                          std::to_string(run.seed), std::to_string(run.steps), loss_cell(run),
                          cell(run.cpu_seconds, 0), cell(run.wall_seconds, 0), std::to_string(run.spikes),
                          cell(run.gradient_variation, 3), cell(run.composite_gain_max, 3)});
  }
  return table;
}

// One kind's search for a rate, and beyond it.
std::vector<std::string> rates_row(const std::string& kind, const std::vector<const RunRecord*>& runs,
                                   const std::set<double>& rates) {
  const RunRecord* best = nullptr;
  for (const RunRecord* run : runs) {
    const bool counts = run->finished() && std::isfinite(run->final_loss);
    if (counts && (best == nullptr || run->final_loss < best->final_loss)) best = run;
  }
  std::vector<std::string> row = {kind, std::to_string(runs.front()->steps)};
  double stable = kUnknown, tried = 0;
  bool falling = false;
  for (const double rate : rates) {
    const auto found = std::find_if(runs.begin(), runs.end(),
                                    [&](auto* run) { return run->adam_rate == rate; });
    row.push_back(found == runs.end() ? "-" : loss_cell(**found));
    if (found == runs.end() || best == nullptr || !(*found)->finished() || rate < best->adam_rate) continue;
    tried = rate;
    falling = falling || !((*found)->final_loss <= kStable * best->final_loss);
    if (!falling) stable = rate;
  }
  row.push_back(best == nullptr ? "-" : rate_cell(*best));
  row.push_back(!std::isfinite(stable) ? "-" : fmt::format("{}{:g}", stable == tried ? "≥ " : "", stable));
  return row;
}

NamedTable rates_table(const Experiment& experiment) {
  NamedTable table{"rates", {"kind", "steps"}, {}};
  std::set<double> rates;
  for (const RunRecord& run : experiment.runs) {
    if (run.group == "rate") rates.insert(run.adam_rate);
  }
  for (const double rate : rates) table.header.push_back(fmt::format("{:g}", rate));
  table.header.insert(table.header.end(), {"best", "largest stable"});
  for (const int layers : layers_of(experiment)) {
    for (const std::string& kind : kinds_of(experiment, layers)) {
      std::vector<const RunRecord*> runs;
      for (const RunRecord& run : experiment.runs) {
        if (run.group == "rate" && run.kind == kind && run.layers == layers) runs.push_back(&run);
      }
      if (!runs.empty()) table.rows.push_back(rates_row(kind, runs, rates));
    }
  }
  return table;
}

// Which kinds stand beside which: all beside plain, and some beside the one that differs by one thing.
std::vector<std::pair<std::string, std::string>> comparisons(const Experiment& experiment, int layers) {
  std::vector<std::pair<std::string, std::string>> list;
  const std::vector<std::string> kinds = kinds_of(experiment, layers);
  for (const std::string& kind : kinds) list.emplace_back(kind, "plain");
  const std::pair<const char*, const char*> more[] = {
      {"muon-vr-mhc", "muon-vr"}, {"mhc", "mhc-identity"}, {"mhc", "wide"}, {"mhc", "hc"},
      {"mhc-lite", "mhc"},        {"muon-vr", "muon"}};
  for (const auto& [kind, base] : more) {
    const auto has = [&](const char* name) {
      return std::find(kinds.begin(), kinds.end(), name) != kinds.end();
    };
    if (has(kind) && has(base)) list.emplace_back(kind, base);
  }
  return list;
}

NamedTable paired_table(const Experiment& experiment) {
  NamedTable table{"paired",
                   {"kind", "beside", "layers", "pairs", "final loss", "difference, nats", "difference, %",
                    "at equal time, %", "gradient variation", "spikes", "composite gain"},
                   {}};
  for (const int layers : layers_of(experiment)) {
    for (const auto& [kind, base] : comparisons(experiment, layers)) {
      const auto pairs = pairs_of(experiment, kind, base, layers);
      if (pairs.empty()) {
        table.rows.push_back({kind, base, std::to_string(layers), "0", "-", "-", "-", "-", "-", "-", "-"});
        continue;
      }
      const bool self = kind == base;
      const auto of = [&](auto value) { return estimate_of(pairs, value); };
      const bool bound = std::any_of(pairs.begin(), pairs.end(), [](auto& p) { return p.equal_time_bound; });
      const auto difference = of([](auto& p) { return p.run->final_loss - p.base->final_loss; });
      const auto percent = of([](auto& p) { return p.difference_percent(); });
      const auto at_time = of([](auto& p) { return 100 * (p.equal_time_loss / p.base->final_loss - 1); });
      table.rows.push_back({kind, base, std::to_string(layers), std::to_string(pairs.size()),
                            cell(of([](auto& p) { return p.run->final_loss; }), 4),
                            self ? "" : cell(difference, 4, true), self ? "" : cell(percent, 2, true),
                            self ? "" : (bound && at_time.count > 0 ? "≤ " : "") + cell(at_time, 2, true),
                            cell(of([](auto& p) { return p.run->gradient_variation; }), 3),
                            cell(of([](auto& p) { return p.run->spikes; }), 1),
                            cell(of([](auto& p) { return p.run->composite_gain_max; }), 3)});
    }
  }
  return table;
}

std::string how_cell(const Reach& reach) {
  switch (reach.how) {
    case Reach::kSchedules: return fmt::format("schedules {:.0f} and {:.0f}", reach.from, reach.to);
    case Reach::kShortest: return "the shortest schedule: an upper bound";
    case Reach::kCurve: return "full curve: an upper bound";
    case Reach::kNever: return "not reached";
    case Reach::kUnmeasured: break;
  }
  return "-";
}

std::vector<std::string> reach_row(const Pair& pair, const StepCost& cost, const StepCost& base_cost) {
  const bool bound = pair.reach.how == Reach::kShortest || pair.reach.how == Reach::kCurve;
  const auto at_most = [&](double value, int digits) {
    return std::isfinite(value) ? (bound ? "≤ " : "") + cell(value, digits) : "-";
  };
  const double steps = pair.reach.steps, percent = pair.steps_percent();
  return {pair.run->kind,
          pair.base->kind,
          std::to_string(pair.run->layers),
          std::to_string(pair.run->seed),
          cell(pair.base->final_loss, 4),
          at_most(steps, 0),
          at_most(percent, 1),
          at_most(steps * cost.cpu, 0),
          at_most(percent * cost.cpu_ratio, 1),
          at_most(steps * cost.wall, 0),
          at_most(percent * cost.wall_ratio, 1),
          cell(pair.base->steps * base_cost.wall, 0),
          how_cell(pair.reach)};
}

NamedTable reach_table(const Experiment& experiment) {
  NamedTable table{"reach",
                   {"kind", "to the loss of", "layers", "seed", "that loss", "steps", "% of steps", "CPU s",
                    "% of CPU", "wall s", "% of wall", "wall s of the other", "from"},
                   {}};
  for (const int layers : layers_of(experiment)) {
    for (const auto& [kind, base] : comparisons(experiment, layers)) {
      if (kind == base) continue;
      const StepCost cost = step_cost(experiment, kind, base, layers);
      const StepCost base_cost = step_cost(experiment, base, base, layers);
      for (const Pair& pair : pairs_of(experiment, kind, base, layers))
        table.rows.push_back(reach_row(pair, cost, base_cost));
    }
  }
  return table;
}

NamedTable cost_table(const Experiment& experiment) {
  NamedTable table{
      "cost",
      {"kind", "layers", "runs", "CPU s a step", "wall s a step", "CPU, x plain", "wall, x plain"},
      {}};
  for (const int layers : layers_of(experiment)) {
    for (const std::string& kind : kinds_of(experiment, layers)) {
      const StepCost c = step_cost(experiment, kind, "plain", layers);
      if (c.runs == 0) continue;
      table.rows.push_back({kind, std::to_string(layers), std::to_string(c.runs), cell(c.cpu, 3),
                            cell(c.wall, 3), cell(c.cpu_ratio, 2), cell(c.wall_ratio, 2)});
    }
  }
  return table;
}

// What the project set out for, in percent of plain.
struct Target {
  enum What { kSteps, kWall, kLoss } what;
  const char* kind;
  int layers;
  double limit;
};
constexpr Target kTargets[] = {
    {Target::kSteps, "muon-vr-mhc", 16, 60},  {Target::kWall, "muon-vr-mhc", 16, 75},
    {Target::kLoss, "muon-vr-mhc", 16, -5},   {Target::kSteps, "muon-vr", 16, kUnknown},
    {Target::kWall, "muon-vr", 16, kUnknown}, {Target::kLoss, "muon-vr", 16, kUnknown},
    {Target::kSteps, "mhc", 16, 85},          {Target::kSteps, "mhc", 32, 80},
};

std::vector<std::string> target_row(const Experiment& experiment, const Target& target) {
  const std::vector<Pair> all = pairs_of(experiment, target.kind, "plain", target.layers);
  const double ratio = step_cost(experiment, target.kind, "plain", target.layers).wall_ratio;
  const bool is_loss = target.what == Target::kLoss;
  // Interpolated schedules are the measurement; bounds only where there is nothing else. A seed that never
  // got there is not averaged away.
  std::vector<Pair> pairs;
  for (const Pair& pair : all) {
    if (is_loss || pair.reach.how == Reach::kSchedules) pairs.push_back(pair);
  }
  const bool bound = pairs.empty();
  if (bound) pairs = all;
  const auto never = is_loss ? 0 : std::count_if(all.begin(), all.end(), [](const Pair& p) {
    return p.reach.how == Reach::kNever;
  });
  const Estimate e = estimate_of(pairs, [&](const Pair& p) {
    if (is_loss) return p.difference_percent();
    return p.steps_percent() * (target.what == Target::kWall ? ratio : 1);
  });
  std::string measured = (bound && e.count > 0 ? "≤ " : "") + cell(e, 1);
  if (never > 0) measured += fmt::format(" ({} of {} seeds: not reached)", never, all.size());
  // A bound above the limit decides nothing.
  const char* verdict = "-";
  if (std::isfinite(target.limit) && (never > 0 || e.count > 0))
    verdict = never == 0 && e.mean <= target.limit ? "yes" : bound && never == 0 ? "open" : "no";
  const char* what[] = {"steps to plain's loss, %", "wall to plain's loss, %", "final loss, %"};
  return {target.kind,
          std::to_string(target.layers),
          what[target.what],
          std::isfinite(target.limit) ? fmt::format("≤ {:g}", target.limit) : "-",
          measured,
          std::to_string(e.count),
          verdict};
}

NamedTable targets_table(const Experiment& experiment) {
  NamedTable table{"targets", {"kind", "layers", "what", "target", "measured", "seeds", "met"}, {}};
  for (const Target& target : kTargets) table.rows.push_back(target_row(experiment, target));
  return table;
}

NamedTable missing_table(const Experiment& experiment) {
  NamedTable table{"missing", {"planned, not finished"}, {}};
  for (const std::string& line : missing_runs(experiment)) table.rows.push_back({line});
  return table;
}

std::string joined(const std::vector<std::string>& cells, const char* between) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) line += (i == 0 ? "" : between) + cells[i];
  return line;
}

}  // namespace

std::vector<NamedTable> comparison_tables(const Experiment& experiment) {
  return {targets_table(experiment), paired_table(experiment), reach_table(experiment),
          cost_table(experiment),    rates_table(experiment),  runs_table(experiment),
          missing_table(experiment)};
}

std::string to_markdown(const NamedTable& table) {
  if (table.rows.empty()) return "(none)\n";
  std::string text = "| " + joined(table.header, " | ") + " |\n|";
  for (size_t i = 0; i < table.header.size(); ++i) text += "---|";
  text += '\n';
  for (const auto& row : table.rows) text += "| " + joined(row, " | ") + " |\n";
  return text;
}

std::string to_csv(const NamedTable& table) {
  std::string text = joined(table.header, ",") + '\n';
  for (auto row : table.rows) {
    for (std::string& value : row) {
      if (value.find(',') != std::string::npos) value = '"' + value + '"';
    }
    text += joined(row, ",") + '\n';
  }
  return text;
}

Result<std::string> with_tables(const std::string& document, const std::vector<NamedTable>& tables) {
  std::string out;
  std::istringstream in(document);
  bool inside = false;
  std::string name;
  for (std::string line; std::getline(in, line);) {
    if (inside && line.starts_with("<!-- table ")) break;
    if (line == "<!-- end -->") inside = false;
    if (!inside) out += line + '\n';
    if (!line.starts_with("<!-- table ") || !line.ends_with(" -->")) continue;
    name = line.substr(11, line.size() - 15);
    const auto found = std::find_if(tables.begin(), tables.end(), [&](auto& t) { return t.name == name; });
    if (found == tables.end()) continue;
    out += to_markdown(*found);
    inside = true;
  }
  if (inside) return core::fail("<!-- table {} --> has no <!-- end -->", name);
  if (!document.empty() && document.back() != '\n') out.pop_back();
  return out;
}

std::string document_skeleton(const std::vector<NamedTable>& tables) {
  std::string text = "# Residual connections\n";
  for (const NamedTable& table : tables)
    text += fmt::format("\n## {}\n\n<!-- table {} -->\n<!-- end -->\n", table.name, table.name);
  return text;
}

}  // namespace mneme::train
