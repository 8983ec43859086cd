// Comparisons of hand-made runs whose figures can be worked out on paper.
#include "train/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "train/comparison_tables.h"

namespace mneme::train {
namespace {

struct Folder {
  std::filesystem::path path;
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "comparison-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
};

struct FakeRun {
  std::string kind = "plain", group = "full";
  int steps = 100, layers = 16, seed = 1;
  double final_loss = 2.0;
  double step_seconds = 1.0;
  double rate = 0.004;
  int steps_done = -1;  // -1: all
};

std::string name_of(const FakeRun& r) {
  return r.kind + "." + r.group + ".l" + std::to_string(r.layers) + ".x" + std::to_string(r.rate) + ".s" +
         std::to_string(r.seed) + "." + std::to_string(r.steps);
}

// Loss 4 halfway through the schedule and the final one at its end; the training loss is constant.
void write_run(const Folder& folder, const FakeRun& r) {
  const auto at = folder.path / name_of(r);
  std::filesystem::create_directories(at);
  std::ofstream(at / "options.ini") << "[run]\nlayers=" << r.layers << "\nsteps=" << r.steps
                                    << "\nseed=" << r.seed << "\nadam-rate=" << r.rate
                                    << "\nmuon=0\nmatrix-rate=0.02\n"
                                    << "warmup=10\n";
  const int done = r.steps_done < 0 ? r.steps : r.steps_done;
  std::ofstream log(at / "log.csv");
  log << "step,tokens,loss,gradient_norm,rate,cpu_s,wall_s\n";
  for (int i = 1; i <= done; ++i)
    log << i << ',' << i * 10 << ",3,"
        << (i <= 10      ? 100.0
            : i % 2 == 0 ? 2.0
                         : 0.5)
        << ",1," << i * r.step_seconds << ',' << 2 * i * r.step_seconds << '\n';
  std::ofstream validation(at / "validation.csv");
  validation << "step,tokens,text_loss,answer_loss,answers_right,cpu_s,wall_s,composite_gain_max\n";
  if (done >= r.steps / 2) validation << r.steps / 2 << ",1,4,0,0,0,0,1.5\n";
  if (done == r.steps) validation << r.steps << ",1," << r.final_loss << ",0,0,0,0,1.25\n";
}

Experiment read(const Folder& folder) {
  auto experiment = read_experiment(folder.path.string());
  EXPECT_TRUE(experiment.has_value());
  return *experiment;
}

const NamedTable& table_of(const std::vector<NamedTable>& tables, const std::string& name) {
  for (const NamedTable& t : tables) {
    if (t.name == name) return t;
  }
  ADD_FAILURE() << "no table " << name;
  return tables.front();
}

TEST(Comparison, ReadsARun) {
  const Folder folder;
  write_run(folder, {.kind = "mhc", .steps = 60, .layers = 32, .seed = 7, .step_seconds = 0.5});
  const Experiment e = read(folder);
  ASSERT_EQ(e.runs.size(), 1U);
  const RunRecord& run = e.runs[0];
  EXPECT_EQ(run.kind, "mhc");
  EXPECT_EQ(run.group, "full");
  EXPECT_EQ(run.layers, 32);
  EXPECT_EQ(run.seed, 7U);
  EXPECT_TRUE(run.finished());
  EXPECT_DOUBLE_EQ(run.adam_rate, 0.004);
  EXPECT_DOUBLE_EQ(run.matrix_rate, 0);  // of Muon, which is off
  EXPECT_DOUBLE_EQ(run.final_loss, 2.0);
  EXPECT_DOUBLE_EQ(run.cpu_seconds, 30);
  EXPECT_DOUBLE_EQ(run.wall_seconds, 60);
  EXPECT_DOUBLE_EQ(run.step_cpu, 0.5);
  EXPECT_DOUBLE_EQ(run.composite_gain_max, 1.5);
  // 50 norms of 2 and 1/2, half each, once the warm-up is over
  EXPECT_NEAR(run.gradient_variation, std::log(2.0) * std::sqrt(50.0 / 49.0), 1e-12);
}

TEST(Comparison, RunsThatAreNotFinishedHaveNoLoss) {
  const Folder folder;
  write_run(folder, {.steps_done = 99});
  write_run(folder, {.kind = "mhc"});
  const FakeRun killed{.kind = "alpha"};  // after the last step, before the last validation was written
  write_run(folder, killed);
  std::ofstream(folder.path / name_of(killed) / "validation.csv") << "step,text_loss\n50,4\n";
  const Experiment e = read(folder);
  for (const RunRecord& run : e.runs) {
    EXPECT_EQ(run.finished(), run.kind == "mhc") << run.name;
    EXPECT_EQ(std::isnan(run.final_loss), run.kind != "mhc") << run.name;
  }
  EXPECT_TRUE(pairs_of(e, "mhc", "plain", 16).empty());  // plain of this seed is not there
}

TEST(Comparison, CountsSpikes) {
  std::vector<double> loss;
  for (int i = 0; i < 60; ++i) loss.push_back(i % 2 == 0 ? 1.0 : 1.2);  // mean 1.1, deviation 0.1
  EXPECT_EQ(count_spikes(loss), 0);
  loss.push_back(1.1 + 0.39);
  EXPECT_EQ(count_spikes(loss), 0);
  loss.back() = 1.1 + 0.41;
  EXPECT_EQ(count_spikes(loss), 1);
  loss.push_back(0.1);  // downwards is no spike
  loss.push_back(kUnknown);
  loss.push_back(std::numeric_limits<double>::infinity());
  EXPECT_EQ(count_spikes(loss), 3);
  EXPECT_EQ(count_spikes(std::vector<double>{1, 1, 1, 9}), 0);  // too early to tell
  EXPECT_EQ(count_spikes({}), 0);
}

TEST(Comparison, EstimatesMeanAndStandardError) {
  const Estimate e = estimate(std::vector<double>{1, 2, 6});
  EXPECT_EQ(e.count, 3U);
  EXPECT_DOUBLE_EQ(e.mean, 3);
  EXPECT_DOUBLE_EQ(e.error, std::sqrt(14.0 / 2 / 3));
  EXPECT_TRUE(std::isnan(estimate(std::vector<double>{5}).error));
  EXPECT_TRUE(std::isnan(estimate({}).mean));
  EXPECT_TRUE(std::isnan(log_deviation(std::vector<double>{0, -1, kUnknown, 4})));
}

TEST(Comparison, InterpolatesBetweenSchedules) {
  const std::vector<Point> schedules = {{100, 2.0}, {80, 2.4}, {40, kUnknown}, {70, 2.6}};
  const Reach half = steps_to(2.2, schedules, {});
  EXPECT_EQ(half.how, Reach::kSchedules);
  EXPECT_NEAR(half.steps, std::sqrt(80.0 * 100.0), 1e-9);  // half-way in log(steps)
  EXPECT_EQ(half.from, 80);
  EXPECT_EQ(half.to, 100);
  EXPECT_NEAR(steps_to(2.4, schedules, {}).steps, 80, 1e-9);
  EXPECT_NEAR(steps_to(2.0, schedules, {}).steps, 100, 1e-9);

  EXPECT_EQ(steps_to(1.9, schedules, {}).how, Reach::kNever);
  const Reach early = steps_to(2.7, schedules, {});
  EXPECT_EQ(early.how, Reach::kShortest);
  EXPECT_EQ(early.steps, 70);
  EXPECT_EQ(steps_to(2.2, {}, {}).how, Reach::kUnmeasured);
  EXPECT_EQ(steps_to(kUnknown, schedules, {}).how, Reach::kUnmeasured);
}

TEST(Comparison, FallsBackToTheFullCurve) {
  const std::vector<Point> curve = {{50, 4}, {75, 3}, {100, 2}};
  const Reach alone = steps_to(2.5, {{100, 2}}, curve);
  EXPECT_EQ(alone.how, Reach::kCurve);
  EXPECT_DOUBLE_EQ(alone.steps, 87.5);
  // a schedule of a quarter says nothing about three quarters
  EXPECT_EQ(steps_to(2.5, {{25, 3.5}, {100, 2}}, curve).how, Reach::kCurve);
  EXPECT_DOUBLE_EQ(steps_to(5, {{100, 2}}, curve).steps, 50);
  EXPECT_EQ(steps_to(1.5, {{100, 2}}, curve).how, Reach::kNever);
}

TEST(Comparison, LossBetweenSchedules) {
  const std::vector<Point> schedules = {{64, 3.0}, {81, 2.0}, {20, 5.0}};
  EXPECT_NEAR(loss_at(72, schedules), 2.5, 1e-9);
  EXPECT_DOUBLE_EQ(loss_at(64, schedules), 3.0);
  EXPECT_TRUE(std::isnan(loss_at(40, schedules)));  // 20 and 64 are too far apart
  EXPECT_TRUE(std::isnan(loss_at(90, schedules)));
  EXPECT_TRUE(std::isnan(loss_at(kUnknown, schedules)));
}

TEST(Comparison, PairsBySeedLayersAndLength) {
  const Folder folder;
  write_run(folder, {.seed = 1, .final_loss = 2.0});
  write_run(folder, {.seed = 2, .final_loss = 2.5});
  write_run(folder, {.layers = 32, .seed = 3, .final_loss = 9});
  write_run(folder, {.kind = "mhc", .seed = 1, .final_loss = 1.8});
  write_run(folder, {.kind = "mhc", .seed = 2, .final_loss = 2.2});
  write_run(folder, {.kind = "mhc", .seed = 3, .final_loss = 1.0});               // plain has other layers
  write_run(folder, {.kind = "mhc", .steps = 80, .seed = 2, .final_loss = 2.6});  // another length
  const Experiment e = read(folder);
  const auto pairs = pairs_of(e, "mhc", "plain", 16);
  ASSERT_EQ(pairs.size(), 2U);
  EXPECT_NEAR(pairs[0].difference_percent(), -10, 1e-9);
  EXPECT_NEAR(pairs[1].difference_percent(), -12, 1e-9);
  const auto tables = comparison_tables(e);
  for (const auto& row : table_of(tables, "paired").rows) {
    if (row[0] != "mhc" || row[2] != "16") continue;
    EXPECT_EQ(row[3], "2");
    EXPECT_EQ(row[5], "-0.2500 ± 0.0500");
    EXPECT_EQ(row[6], "-11.00 ± 1.00");
  }
}

TEST(Comparison, StepsAndSecondsToPlainsLoss) {
  const Folder folder;
  write_run(folder, {.final_loss = 2.0, .step_seconds = 1.0});
  for (const auto& [steps, loss] : {std::pair(64, 2.2), {81, 1.9}, {100, 1.7}})
    write_run(folder, {.kind = "mhc",
                       .group = steps == 100 ? "full" : "short",
                       .steps = steps,
                       .final_loss = loss,
                       .step_seconds = 1.25});
  // Another rate and another seed are other schedules.
  write_run(folder, {.kind = "mhc", .group = "rate", .steps = 50, .final_loss = 0.1, .rate = 0.008});
  write_run(folder, {.kind = "mhc", .group = "short", .steps = 50, .seed = 2, .final_loss = 0.1});
  const Experiment e = read(folder);
  const StepCost cost = step_cost(e, "mhc", "plain", 16);
  EXPECT_DOUBLE_EQ(cost.cpu, 1.25);
  EXPECT_DOUBLE_EQ(cost.wall, 2.5);
  EXPECT_DOUBLE_EQ(cost.wall_ratio, 1.25);
  const auto pairs = pairs_of(e, "mhc", "plain", 16);
  ASSERT_EQ(pairs.size(), 1U);
  const double expected = 64 * std::pow(81.0 / 64, 2.0 / 3);
  EXPECT_NEAR(pairs[0].reach.steps, expected, 1e-9);
  // plain's time pays for 80 steps of mhc
  EXPECT_NEAR(pairs[0].equal_time_loss, 2.2 - 0.3 * std::log(80.0 / 64) / std::log(81.0 / 64), 1e-9);
  EXPECT_FALSE(pairs[0].equal_time_bound);
  const auto tables = comparison_tables(e);
  const NamedTable& table = table_of(tables, "reach");
  ASSERT_EQ(table.rows.size(), 1U);
  EXPECT_EQ(table.rows[0][5], fmt::format("{:.0f}", expected));
  EXPECT_EQ(table.rows[0][7], fmt::format("{:.0f}", expected * 1.25));
  EXPECT_EQ(table.rows[0][10], fmt::format("{:.1f}", expected * 1.25));
  EXPECT_EQ(table.rows[0][12], "schedules 64 and 81");
}

TEST(Comparison, TimingRunsDecideTheCost) {
  const Folder folder;
  write_run(folder, {.step_seconds = 9});
  write_run(folder, {.kind = "mhc", .step_seconds = 1});
  for (const int seed : {1, 2, 3}) {  // a machine that grows slower
    write_run(folder, {.group = "time", .steps = 10, .seed = seed, .step_seconds = 1.0 * seed});
    write_run(folder,
              {.kind = "mhc", .group = "time", .steps = 10, .seed = seed, .step_seconds = 1.5 * seed});
  }
  const StepCost cost = step_cost(read(folder), "mhc", "plain", 16);
  EXPECT_EQ(cost.runs, 3U);
  EXPECT_NEAR(cost.cpu, 3.0, 1e-9);
  EXPECT_NEAR(cost.cpu_ratio, 1.5, 1e-9);
  EXPECT_EQ(step_cost(read(folder), "alpha", "plain", 16).runs, 0U);
}

TEST(Comparison, MissingRunsAreNamedAndNotInvented) {
  const Folder folder;
  write_run(folder, {});
  write_run(folder, {.kind = "alpha", .steps_done = 30});
  std::ofstream(folder.path / "plan.txt")
      << "plain full 16 1 100\nplain full 16 2 100\nalpha full 16 1 100\nmhc full 16 1 100\n"
      << "mhc rate 16 1 25\nmhc rate 16 1 25\n";
  const Experiment e = read(folder);
  const auto missing = missing_runs(e);
  ASSERT_EQ(missing.size(), 4U);
  EXPECT_EQ(missing[0], "mhc full, 16 layers, seed 1, 100 steps: 1 of 1 not run");
  EXPECT_EQ(missing[1], "mhc rate, 16 layers, seed 1, 25 steps: 2 of 2 not run");
  EXPECT_EQ(missing[2], "plain full, 16 layers, seed 2, 100 steps: 1 of 1 not run");
  EXPECT_TRUE(missing[3].ends_with(": at step 30 of 100")) << missing[3];
  const auto tables = comparison_tables(e);
  for (const auto& row : table_of(tables, "targets").rows) {
    EXPECT_EQ(row[4], "-") << row[0];
    EXPECT_EQ(row[6], "-") << row[0];
  }
  EXPECT_TRUE(table_of(tables, "reach").rows.empty());
  EXPECT_FALSE(read_experiment((folder.path / "nothing").string()).has_value());
}

TEST(Comparison, DivergedRunsAreShownAndLeftOut) {
  const Folder folder;
  write_run(folder, {});
  write_run(folder, {.kind = "hc", .final_loss = kUnknown});
  const Experiment e = read(folder);
  EXPECT_TRUE(missing_runs(e).empty());
  EXPECT_TRUE(pairs_of(e, "hc", "plain", 16).empty());
  bool shown = false;
  const auto tables = comparison_tables(e);
  for (const auto& row : table_of(tables, "runs").rows)
    shown = shown || (row[1] == "hc" && row[6] == "diverged");
  EXPECT_TRUE(shown);
}

TEST(Comparison, TargetsAreJudged) {
  const Folder folder;
  write_run(folder, {.final_loss = 2.0});
  for (const auto& [steps, loss] : {std::pair(50, 2.1), {60, 1.95}, {100, 1.85}})
    write_run(folder, {.kind = "muon-vr-mhc",
                       .group = steps == 100 ? "full" : "short",
                       .steps = steps,
                       .final_loss = loss,
                       .step_seconds = 1.5});
  write_run(folder, {.kind = "mhc", .final_loss = 2.01});
  const auto tables = comparison_tables(read(folder));
  const auto& rows = table_of(tables, "targets").rows;
  EXPECT_EQ(rows[0][6], "yes");  // 56 % of the steps
  EXPECT_EQ(rows[1][6], "no");   // 85 % of the time
  EXPECT_EQ(rows[2][4], "-7.5");
  EXPECT_EQ(rows[2][6], "yes");
  EXPECT_EQ(rows[6][4], "- (1 of 1 seeds: not reached)");
  EXPECT_EQ(rows[6][6], "no");
  EXPECT_EQ(rows[7][6], "-");  // no run of 32 layers
}

TEST(Comparison, RatesAreRanked) {
  const Folder folder;
  const double loss[] = {3.0, 2.8, 2.9, 3.5};
  for (int i = 0; i < 4; ++i)
    write_run(folder, {.group = "rate", .steps = 25, .final_loss = loss[i], .rate = 0.001 * (1 << i)});
  const auto tables = comparison_tables(read(folder));
  const auto& rows = table_of(tables, "rates").rows;
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0], (std::vector<std::string>{"plain", "25", "3.0000", "2.8000", "2.9000", "3.5000", "0.002",
                                               "0.004"}));
}

TEST(Comparison, RunsWhoseFoldersAreGoneAreTakenFromTheTable) {
  const Folder before, after;
  write_run(before, {.final_loss = 2.0});
  write_run(before, {.kind = "mhc", .final_loss = 1.5, .rate = 0.008});
  write_run(before, {.kind = "mhc", .group = "short", .steps = 50, .final_loss = 1.75});
  write_run(before, {.kind = "alpha", .steps_done = 40});
  const std::string csv = (after.path / "earlier.csv").string();
  std::ofstream(csv) << to_csv(table_of(comparison_tables(read(before)), "runs"))
                     << "muon.full.l16.x2.s1.100,muon,16,\"0.008, Muon 0.04\",1,100,1.25,9,8,3,0.5,-\n";
  write_run(after, {.final_loss = 2.25});

  Experiment e = read(after);
  ASSERT_TRUE(add_earlier_runs(e, csv).has_value());
  ASSERT_EQ(e.runs.size(), 4U);  // the folder's own plain, both of mhc, muon; not the one that was cut short
  EXPECT_EQ(e.runs[0].kind, "plain");
  EXPECT_EQ(e.runs[0].final_loss, 2.25);
  EXPECT_EQ(e.runs[1].name, name_of({.kind = "mhc", .rate = 0.008}));
  EXPECT_EQ(e.runs[1].adam_rate, 0.008);
  EXPECT_EQ(e.runs[1].group, "full");
  EXPECT_EQ(e.runs[1].cpu_seconds, 100);
  EXPECT_EQ(e.runs[1].composite_gain_max, 1.5);
  EXPECT_EQ(e.runs[2].group, "short");
  EXPECT_EQ(e.runs[3].matrix_rate, 0.04);
  EXPECT_EQ(e.runs[3].spikes, 3);
  EXPECT_TRUE(std::isnan(e.runs[3].composite_gain_max));
  EXPECT_EQ(pairs_of(e, "mhc", "plain", 16).size(), 1U);
}

TEST(Comparison, OtherTablesAreNotTakenForEarlierRuns) {
  const Folder folder;
  Experiment e;
  const std::string path = (folder.path / "earlier.csv").string();
  EXPECT_FALSE(add_earlier_runs(e, path).has_value());
  std::ofstream(path) << "step,loss\n1,2\n";
  EXPECT_FALSE(add_earlier_runs(e, path).has_value());
  std::ofstream(path) << to_csv(table_of(comparison_tables(e), "runs")) << "mhc.full,mhc,16\n";
  EXPECT_FALSE(add_earlier_runs(e, path).has_value());
}

TEST(ComparisonDocument, TablesAreRenewedAndProseIsKept) {
  const std::vector<NamedTable> tables = {{"a", {"x", "y"}, {{"1", "2"}}}, {"b", {"z"}, {}}};
  const std::string document =
      "# Title\nprose <!-- table a --> in a line\n<!-- table a -->\nold\nrows\n<!-- end -->\nmore\n\n"
      "<!-- table other -->\nkept\n<!-- end -->\n<!-- table b -->\n<!-- end -->\nlast";
  const std::string expected =
      "# Title\nprose <!-- table a --> in a line\n<!-- table a -->\n| x | y |\n|---|---|\n| 1 | 2 |\n"
      "<!-- end -->\nmore\n\n<!-- table other -->\nkept\n<!-- end -->\n<!-- table b -->\n(none)\n<!-- end "
      "-->\n"
      "last";
  const auto once = with_tables(document, tables);
  ASSERT_TRUE(once.has_value());
  EXPECT_EQ(*once, expected);
  EXPECT_EQ(*with_tables(*once, tables), expected);
  EXPECT_EQ(*with_tables("", tables), "");

  EXPECT_FALSE(with_tables("<!-- table a -->\nrows\nprose that must not vanish\n", tables).has_value());
  EXPECT_FALSE(with_tables("<!-- table a -->\n<!-- table b -->\n<!-- end -->\n", tables).has_value());
  const auto made = with_tables(document_skeleton(tables), tables);
  ASSERT_TRUE(made.has_value());
  EXPECT_NE(made->find("| 1 | 2 |"), std::string::npos);
}

TEST(ComparisonDocument, CsvQuotesCommas) {
  EXPECT_EQ(to_csv({"a", {"x", "y"}, {{"1, 2", "3"}}}), "x,y\n\"1, 2\",3\n");
}

}  // namespace
}  // namespace mneme::train
