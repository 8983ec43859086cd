// mneme bench: prefill and decode speed at several depths, beside the limits of this machine.
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/measure.h"
#include "cli/options.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "mneme/inspect.h"
#include "mneme/machine.h"

namespace mneme::cli {

namespace {

struct BenchArguments {
  ModelArguments model;
  BenchPlan plan;
  bool cold = false;
  bool json = false;
};

nlohmann::ordered_json row_json(const BenchRow& row) {
  nlohmann::ordered_json json;
  json["test"] = row.test;
  json["depth"] = row.depth;
  if (!row.prefill) json["warm_up_tokens"] = row.warm_up_tokens;
  json["tokens_per_second"] = {
      {"median", row.tokens_per_s_median}, {"min", row.tokens_per_s_min}, {"max", row.tokens_per_s_max}};
  json["bytes_per_second"] = row.bytes_per_s;
  json["share_of_limit"] = nullptr;
  if (row.share_of_limit >= 0) json["share_of_limit"] = row.share_of_limit;
  json["rss_bytes"] = row.rss_bytes;
  json["fill"] = fill_name(row.fill);
  if (!row.prefill || row.attention.prefill_sparse) json["attention"] = attention_json(row.attention);
  return json;
}

// {"placement": "disk", "bytes": ..., "share": ...}; null where the model has no n-gram tables.
nlohmann::ordered_json engram_json(const ModelSummary& model, const ModelArguments& arguments) {
  if (model.engram.layers.empty()) return nullptr;
  return {{"placement", arguments.engram}, {"bytes", model.engram.bytes}, {"share", model.engram.share}};
}

std::string engram_text(const ModelSummary& model, const ModelArguments& arguments) {
  if (model.engram.layers.empty()) return "";
  return format("; n-gram tables %s (%.1f %% of all weights) %s", bytes_text(model.engram.bytes).c_str(),
                model.engram.share * 100, arguments.engram == "disk" ? "on disk" : "in memory");
}

std::string header_text(const Engine& engine, const MachineLimits& limits, const std::string& engram) {
  const ModelInfo& info = engine.info();
  std::string text = format(
      "%s: %.2f billion parameters, weights %s; %s, %d thread%s; this machine reads %.1f GB/s",
      info.path.c_str(), static_cast<double>(info.parameters) / 1e9, bytes_text(info.weight_bytes).c_str(),
      info.isa.c_str(), info.threads, info.threads == 1 ? "" : "s", limits.read_bytes_per_s / 1e9);
  if (limits.matmul_flops_per_s > 0) {
    text += format(", multiplies %.0f GFLOP/s", limits.matmul_flops_per_s / 1e9);
  }
  return text + engram +
         format("\n%-9s %8s %10s %10s %10s %14s %9s %10s %8s\n", "test", "depth", "tok/s", "min", "max",
                "rate", "of limit", "memory", "fill");
}

bool says_something(const BenchRow& row) {
  return (row.prefill ? row.attention.prefill : row.attention.all).steps > 0;
}

std::string row_text(const BenchRow& row) {
  const std::string rate = row.prefill ? format("%.1f GFLOP/s", row.flops_per_s / 1e9)
                                       : format("%.1f GB/s", row.bytes_per_s / 1e9);
  const std::string share = row.share_of_limit >= 0 ? format("%.1f %%", row.share_of_limit * 100) : "-";
  return format("%-9s %8zu %10.2f %10.2f %10.2f %14s %9s %10s %8s\n", row.test.c_str(), row.depth,
                row.tokens_per_s_median, row.tokens_per_s_min, row.tokens_per_s_max, rate.c_str(),
                share.c_str(), bytes_text(row.rss_bytes).c_str(), fill_name(row.fill)) +
         (says_something(row) ? "  " + attention_text(row.attention) + "\n" : "");
}

Result<MachineLimits> measure_limits(int threads) {
  auto bandwidth = measure_read_bandwidth(threads);
  if (!bandwidth) return tl::unexpected(bandwidth.error());
  auto peak = measure_matmul_peak(threads);
  if (!peak) return tl::unexpected(peak.error());
  return MachineLimits{.read_bytes_per_s = *bandwidth, .matmul_flops_per_s = *peak};
}

int bench(BenchArguments& arguments) {
  if (arguments.plan.prefill_tokens == 0 && arguments.plan.decode_tokens == 0) {
    return wrong_usage("-p 0 -n 0 leaves nothing to measure");
  }
  // A file that is no model fails before anything is measured; the limits come before the weights are loaded,
  // so that the memory they are measured in never stands beside them.
  auto file = inspect(arguments.model.path);
  if (!file) return fail(file.error());
  if (arguments.cold && file->files > 1) return fail({"--cold: models in several files are not supported"});
  if (arguments.cold) arguments.plan.drop_from_cache = file->path;
  auto limits = measure_limits(arguments.model.threads > 0 ? arguments.model.threads : usable_cpus());
  if (!limits) return fail(limits.error());
  check_storage(arguments.model);
  auto engine = open_engine(arguments.model);
  if (!engine) return fail(engine.error());

  Output output;
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  Progress progress;
  const auto on_row = [&](const BenchRow& row) {
    progress.clear();
    if (!arguments.json && rows.empty()) {
      output.write(header_text(**engine, *limits, engram_text(file->model, arguments.model)));
    }
    if (!arguments.json) output.write(row_text(row));
    rows.push_back(row_json(row));
  };
  const auto on_work = [&](const std::string& work) { progress.show(work); };
  auto done = measure(**engine, arguments.plan, *limits, on_row, on_work);
  progress.clear();
  note_warnings(**engine);
  if (!done) return fail(done.error());
  if (arguments.json) {
    nlohmann::ordered_json json = {{"engram", engram_json(file->model, arguments.model)},
                                   {"rss_peak_bytes", rss_peak_bytes()},
                                   {"rows", rows}};
    if ((*engine)->tiers().on) json["storage"] = tiers_json(**engine);
    output.write(json_text(json));
  }
  return output.ok() ? kDone : fail(output.error());
}

}  // namespace

void add_bench(CLI::App& app, int& status) {
  auto arguments = std::make_shared<BenchArguments>();
  CLI::App& verb = *app.add_subcommand("bench", "speed beside this machine's limits");
  add_model_options(verb, arguments->model);
  add_storage_options(verb, arguments->model, false);
  constexpr size_t kTokensMax = size_t{1} << 30;
  verb.add_option("-p,--prefill-tokens", arguments->plan.prefill_tokens,
                  "tokens of the prefill test; 0 leaves it out")
      ->check(CLI::Range(size_t{0}, kTokensMax))
      ->capture_default_str();
  verb.add_option("-n,--decode-tokens,--decode", arguments->plan.decode_tokens,
                  "tokens of the decode test; 0 leaves it out")
      ->check(CLI::Range(size_t{0}, kTokensMax))
      ->capture_default_str();
  verb.add_option("-d,--depths", arguments->plan.depths,
                  "tokens of context before each test, a list with commas")
      ->delimiter(',')
      ->check(CLI::Range(size_t{0}, kTokensMax))
      ->capture_default_str();
  verb.add_option("-r,--repetitions", arguments->plan.repetitions, "measured runs; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  verb.add_option(
          "--warm-up", arguments->plan.warm_up_tokens,
          "tokens decoded before each decode test and not timed: adaptive attention begins a session with "
          "exact steps")
      ->check(CLI::Range(size_t{0}, kTokensMax))
      ->capture_default_str();
  add_fill_option(verb, arguments->plan.fill);
  verb.add_flag(
      "--cold", arguments->cold,
      "drop the model file from the page cache before each run: what n-gram tables on disk then cost");
  verb.add_flag("--json", arguments->json, "as JSON");
  verb.callback([arguments, &status] { status = bench(*arguments); });
}

}  // namespace mneme::cli
