// mneme eval kl: how far apart two configurations are in what they predict.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/eval.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/report.h"
#include "mneme/likelihood.h"

namespace mneme::cli {

using Json = nlohmann::ordered_json;

namespace {

struct DivergenceArguments {
  ModelArguments model;
  AgainstArguments against;
  std::string file;
  DivergenceOptions options;
  bool json = false;
};

Json row_json(const DivergenceRow& row) {
  return {{"depth", row.depth ? Json(*row.depth) : Json(nullptr)},
          {"tokens", row.tokens},
          {"kl_mean", row.kl_mean},
          {"kl_mean_low", row.kl_mean_low},
          {"kl_mean_high", row.kl_mean_high},
          {"kl_p99", row.kl_p99},
          {"kl_max", row.kl_max},
          {"top1_agreement", row.top1_agreement},
          {"nll_a", row.nll_a},
          {"nll_b", row.nll_b},
          {"nmse", row.nmse}};
}

std::string json_report(const DivergenceArguments& arguments, const DivergenceReport& report) {
  Json json;
  json["a"] = arguments.model.path;
  json["b"] = arguments.against.text();
  json["tokens"] = arguments.options.tokens;
  json["seed"] = arguments.options.seed;
  json["fill"] = fill_name(arguments.options.fill);
  json["rows"] = Json::array();
  for (const DivergenceRow& row : report.rows) json["rows"].push_back(row_json(row));
  json["cancelled"] = report.cancelled;
  return json_text(json);
}

std::string text_report(const DivergenceArguments& arguments, const DivergenceReport& report) {
  std::string text = "KL(A || B) in nats a token; A: " + arguments.model.path +
                     ", B: " + arguments.against.text() + "\n";
  text += format("%10s %7s %10s %21s %10s %10s %8s %8s %8s %9s\n", "depth", "tokens", "mean", "95 %", "p99",
                 "max", "top-1 %", "nll A", "nll B", "NMSE");
  for (const DivergenceRow& row : report.rows) {
    if (!row.depth && report.rows.size() == 2) continue;  // one depth is all of it
    const std::string interval = format("%.3e..%.3e", row.kl_mean_low, row.kl_mean_high);
    text += format("%10s %7zu %10.3e %21s %10.3e %10.3e %8.2f %8.4f %8.4f %9.2e\n",
                   row.depth ? format("%zu", *row.depth).c_str() : "all", row.tokens, row.kl_mean,
                   interval.c_str(), row.kl_p99, row.kl_max, 100 * row.top1_agreement, row.nll_a, row.nll_b,
                   row.nmse);
  }
  return text;
}

int eval_divergence(DivergenceArguments& arguments) {
  if (!arguments.against.asked())
    return wrong_usage("nothing to compare with: give --against MODEL or another --against option");
  auto& depths = arguments.options.depths;
  std::sort(depths.begin(), depths.end());
  depths.erase(std::unique(depths.begin(), depths.end()), depths.end());
  auto text = read_input(arguments.file);
  if (!text) return fail(text.error());
  auto a = open_engine(arguments.model);
  if (!a) return fail(a.error());
  auto b = open_engine(arguments.against.other(arguments.model));
  if (!b) return fail(b.error());

  const Interrupt interrupt;
  LongProgress progress;
  DivergenceEvents events;
  events.cancelled = [&] { return interrupt.asked(); };
  events.on_work = [&](size_t depth, size_t done, size_t total) {
    if (progress.due()) progress.show(format("depth %zu: %zu of %zu tokens", depth, done, total));
  };
  auto report = divergence(**a, **b, *text, arguments.options, events);
  progress.clear();
  if (!report) return fail(report.error());
  if (report->cancelled) note("interrupted: what was measured until then");
  Output output;
  output.write(arguments.json ? json_report(arguments, *report) : text_report(arguments, *report));
  return output.ok() ? kDone : fail(output.error());
}

}  // namespace

void add_eval_divergence(CLI::App& verb, int& status) {
  auto arguments = std::make_shared<DivergenceArguments>();
  CLI::App& kind = *verb.add_subcommand("kl", "KL divergence a token between two configurations, decoding");
  add_model_options(kind, arguments->model);
  add_against_options(kind, arguments->against,
                      "B, which A (the options without --against) is compared with");
  kind.add_option("-f,--file", arguments->file, "text that both read; -: standard input")->required();
  kind.add_option("--depths", arguments->options.depths,
                  "how many tokens of the text stand in front (read as a prompt), with commas")
      ->delimiter(',')
      ->check(CLI::Range(size_t{1}, size_t{1} << 30))
      ->capture_default_str();
  kind.add_option("--tokens", arguments->options.tokens, "tokens decoded behind each depth, one at a time")
      ->check(CLI::Range(size_t{1}, size_t{1} << 20))
      ->capture_default_str();
  add_fill_option(kind, arguments->options.fill);
  kind.add_option("--seed", arguments->options.seed, "of the interval's resampling")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  kind.add_flag("--json", arguments->json, "as JSON");
  kind.callback([arguments, &status] { status = eval_divergence(*arguments); });
}

}  // namespace mneme::cli
