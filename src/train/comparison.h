// What a folder of runs says about residual kinds: the experiment of tools/residuals.sh, read back.
//
// A run is OUT/KIND.GROUP.*/ with options.ini (what it was told), log.csv and validation.csv. KIND is a name
// of the script (plain, mhc, muon-vr-mhc, ...); GROUP says what the run is for: "rate" (a short run of the
// search for a learning rate), "full", "short" (a shortened schedule), "time" (a few steps, for the cost of a
// step). OUT/plan.txt holds the runs that were meant, KIND GROUP LAYERS SEED STEPS a line.
//
// Nothing is invented: what cannot be computed from finished runs is NaN, and missing_runs() names what
// lacks.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"

namespace mneme::train {

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

struct RunRecord {
  std::string name, kind, group;
  int layers = 0, steps = 0;  // steps: of the whole schedule
  uint64_t seed = 0;
  double adam_rate = 0, matrix_rate = 0;  // matrix_rate 0: AdamW for everything
  int steps_done = 0;
  double final_loss = kUnknown;              // held-out text after the last step; not finite: diverged
  double cpu_seconds = 0, wall_seconds = 0;  // of the training steps, without validation
  double step_cpu = kUnknown, step_wall = kUnknown;  // medians, seconds
  int spikes = 0;
  double gradient_variation = kUnknown;
  double composite_gain_max = kUnknown;  // largest of all validations
  std::vector<double> validation_step, validation_loss;

  bool finished() const { return steps > 0 && steps_done == steps; }
  bool same_rate(const RunRecord& other) const {
    return adam_rate == other.adam_rate && matrix_rate == other.matrix_rate;
  }
};

struct PlannedRun {
  std::string kind, group;
  int layers = 0;
  uint64_t seed = 0;
  int steps = 0;
};

struct Experiment {
  std::vector<RunRecord> runs;  // by layers, kind, group, seed, steps, rate
  std::vector<PlannedRun> plan;
};
Result<Experiment> read_experiment(const std::string& folder);

// Finished runs of a table that `compare --csv` wrote, whose folders are gone: final figures without curves,
// and no cost of a step. A run that the folder has is not taken from the table.
Result<void> add_earlier_runs(Experiment& experiment, const std::string& csv);

// Steps whose loss exceeds the mean of up to 50 steps before it by more than 4 of their standard deviations
// (at least 20 steps), or is not finite.
int count_spikes(std::span<const double> loss);

// Standard deviation of log(norm); norms that are not positive and finite are left out.
double log_deviation(std::span<const double> norms);

// Mean and standard error (NaN for fewer than two).
struct Estimate {
  size_t count = 0;
  double mean = kUnknown, error = kUnknown;
};
Estimate estimate(std::span<const double> values);

struct Point {
  double steps = 0, loss = 0;
};

// Steps a kind needs for a given loss.
struct Reach {
  enum How {
    kUnmeasured,  // no finished full run of it or of the baseline
    kSchedules,   // between two schedules of different length, each run to its end: linear in log(steps)
    kShortest,    // the shortest schedule got there: steps is an upper bound
    kCurve,       // the curve of the full run, whose rate had not decayed: steps is an upper bound
    kNever,       // not within the full length
  } how = kUnmeasured;
  double steps = kUnknown;
  double from = kUnknown, to = kUnknown;  // kSchedules: the two lengths
};

// schedules: (length, final loss), any order, the full one among them; neighbours more than twice apart are
// not interpolated. curve: (step, held-out loss) of the full run.
Reach steps_to(double loss, std::vector<Point> schedules, const std::vector<Point>& curve);

// Final loss after `steps` of a schedule of that length, between neighbours at most twice apart; else NaN.
double loss_at(double steps, std::vector<Point> schedules);

// Seconds of one step, medians over the "time" runs (without any: over the full runs); the ratios are to the
// baseline's run of the same seed and group, so that the drift of a shared machine cancels.
struct StepCost {
  size_t runs = 0;
  double cpu = kUnknown, wall = kUnknown, cpu_ratio = kUnknown, wall_ratio = kUnknown;
};
StepCost step_cost(const Experiment& experiment, const std::string& kind, const std::string& baseline,
                   int layers);

// One full run beside the baseline's of the same layers, seed and length.
struct Pair {
  const RunRecord* run = nullptr;
  const RunRecord* base = nullptr;
  Reach reach;  // of the baseline's final loss
  // Of the schedule that costs what the baseline's full run costs (wall); bound: only the full run's curve
  // was there, whose rate had not decayed, so the loss would be lower.
  double equal_time_loss = kUnknown;
  bool equal_time_bound = false;
  double difference_percent() const { return 100 * (run->final_loss / base->final_loss - 1); }
  double steps_percent() const { return 100 * reach.steps / base->steps; }
};

// Finished pairs only, by seed; diverged runs are left out.
std::vector<Pair> pairs_of(const Experiment& experiment, const std::string& kind, const std::string& baseline,
                           int layers);

// Planned runs that were never begun, and runs that are not finished, a line of text each.
std::vector<std::string> missing_runs(const Experiment& experiment);

std::vector<std::string> kinds_of(const Experiment& experiment, int layers);  // plain first
std::vector<int> layers_of(const Experiment& experiment);
std::vector<Point> schedules_of(const Experiment& experiment, const RunRecord& full);

}  // namespace mneme::train
