// mneme eval ppl: how well a model predicts text. And what the evaluations share.
#include "cli/eval.h"

#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/report.h"
#include "mneme/likelihood.h"

namespace mneme::cli {

namespace {

constexpr double kLineInterval_s = 10;

struct PerplexityArguments {
  ModelArguments model;
  std::vector<std::string> files, ngram_files;
  PerplexityOptions options;
  bool json = false;
};

Result<std::vector<PerplexityText>> read_texts(const std::vector<std::string>& files) {
  std::vector<PerplexityText> texts;
  for (const std::string& file : files) {
    auto text = read_input(file);
    if (!text) return tl::unexpected(text.error());
    texts.push_back({file, std::move(*text)});
  }
  return texts;
}

nlohmann::ordered_json score_json(const PerplexityScore& score) {
  return {{"tokens", score.tokens},
          {"bytes", score.bytes},
          {"nll_per_token", score.nll_mean()},
          {"perplexity", score.perplexity()},
          {"bits_per_byte", score.bits_per_byte()}};
}

std::string json_report(const Engine& engine, const PerplexityReport& report) {
  nlohmann::ordered_json json;
  json["model"] = engine.info().path;
  json["context"] = report.context;
  json["stride"] = report.stride;
  json.update(score_json(report.model));
  json["tokens_per_second"] = per_second(report.model.tokens, report.seconds);
  if (report.ngram) {
    json["ngram"] = score_json(*report.ngram);
    json["ngram"]["train_tokens"] = report.ngram_train_tokens;
  }
  json["cancelled"] = report.cancelled;
  return json_text(json);
}

std::string score_text(const char* name, const PerplexityScore& score) {
  const double perplexity = score.perplexity();
  return format("%-8s %10zu %12llu %10.4f %12s %10.4f", name, score.tokens,
                static_cast<unsigned long long>(score.bytes), score.nll_mean(),
                (perplexity < 1e6 ? format("%.3f", perplexity) : format("%.3e", perplexity)).c_str(),
                score.bits_per_byte());
}

std::string text_report(const PerplexityReport& report) {
  std::string text = format("windows of %zu tokens, %zu of them read before\n", report.context,
                            report.stride);
  text += format("%-8s %10s %12s %10s %12s %10s %10s\n", "", "tokens", "bytes", "nll/token", "perplexity",
                 "bits/byte", "tok/s");
  text += score_text("model", report.model) +
          format(" %10.1f\n", per_second(report.model.tokens, report.seconds));
  if (report.ngram) {
    text += score_text("5-gram", *report.ngram) +
            format("  (trained on %zu tokens)\n", report.ngram_train_tokens);
  }
  return text;
}

int eval_perplexity(PerplexityArguments& arguments) {
  if (arguments.files.empty() && is_terminal(STDIN_FILENO)) {
    return wrong_usage("nothing to score: give -f FILE, or text on standard input");
  }
  if (arguments.files.empty()) arguments.files.push_back("-");
  auto texts = read_texts(arguments.files);
  if (!texts) return fail(texts.error());
  auto train = read_texts(arguments.ngram_files);
  if (!train) return fail(train.error());
  arguments.options.ngram_train = std::move(*train);
  auto engine = open_engine(arguments.model);
  if (!engine) return fail(engine.error());

  const Interrupt interrupt;
  LongProgress progress;
  const double start_s = now_s();
  PerplexityEvents events;
  events.cancelled = [&] { return interrupt.asked(); };
  events.on_work = [&](size_t done, size_t total, const PerplexityScore& score) {
    if (!progress.due()) return;
    const double left_s = (now_s() - start_s) * static_cast<double>(total - done) / static_cast<double>(done);
    progress.show(format("%zu of %zu tokens, perplexity %.3f, %s left", done, total, score.perplexity(),
                         duration_text(left_s).c_str()));
  };
  auto report = perplexity(**engine, *texts, arguments.options, events);
  progress.clear();
  if (!report) return fail(report.error());
  if (report->cancelled) note("interrupted: what was scored until then");
  Output output;
  output.write(arguments.json ? json_report(**engine, *report) : text_report(*report));
  return output.ok() ? kDone : fail(output.error());
}

}  // namespace

ModelArguments AgainstArguments::other(ModelArguments a) const {
  if (!model.empty()) a.path = model;
  if (threads > 0) a.threads = threads;
  if (!attention.empty()) a.attention = attention;
  if (target_error > 0) a.target_error = target_error;
  if (!prefill.empty()) a.prefill = prefill;
  return a;
}

nlohmann::ordered_json AgainstArguments::changes() const {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (threads > 0) json["threads"] = threads;
  return json;
}

std::string AgainstArguments::text() const {
  std::string text = model.empty() ? "the same model" : model;
  if (threads > 0) text += format(", %d threads", threads);
  if (!attention.empty()) text += ", attention " + attention;
  if (target_error > 0) text += format(", target error %g", target_error);
  if (!prefill.empty()) text += ", prefill " + prefill;
  return text;
}

void add_against_options(CLI::App& kind, AgainstArguments& arguments, const std::string& what) {
  kind.add_option("--against", arguments.model, "model file of " + what);
  kind.add_option("--against-threads", arguments.threads, "threads of the second configuration")
      ->check(CLI::Range(1, 1024));
  kind.add_option("--against-attention", arguments.attention, "attention of the second configuration")
      ->check(attention_mode());
  kind.add_option("--against-target-error", arguments.target_error,
                  "target error of the second configuration")
      ->check(target_error_range());
  kind.add_option("--against-prefill", arguments.prefill, "prefill of the second configuration")
      ->check(prefill_mode());
}

LongProgress::LongProgress() : on_terminal_(is_terminal(STDERR_FILENO)), next_s_(now_s() + kLineInterval_s) {}

bool LongProgress::due() const { return on_terminal_ ? progress_.due() : now_s() >= next_s_; }

void LongProgress::show(const std::string& line) {
  if (!due()) return;
  if (on_terminal_) return progress_.show(line);
  next_s_ = now_s() + kLineInterval_s;
  note(line);
}

void add_eval_perplexity(CLI::App& verb, int& status) {
  auto arguments = std::make_shared<PerplexityArguments>();
  CLI::App& kind = *verb.add_subcommand("ppl", "perplexity of text, beside an n-gram model's if asked");
  add_model_options(kind, arguments->model);
  constexpr size_t kTokensMax = size_t{1} << 30;
  kind.add_option("-f,--file", arguments->files,
                  "text to score; repeatable, each is scored apart; -: standard input, which is read where "
                  "no file is given")
      ->allow_extra_args(false);
  kind.add_option("--context", arguments->options.context,
                  "tokens of a window; what the model was trained for if not given, 2048 at most")
      ->check(CLI::Range(size_t{2}, kTokensMax));
  kind.add_option("--stride", arguments->options.stride,
                  "tokens at the start of a window that were scored in the one before and only warm up; a "
                  "quarter of the window if not given")
      ->check(CLI::Range(size_t{1}, kTokensMax));
  kind.add_option("--ngram-train", arguments->ngram_files,
                  "text to train a 5-gram model on (interpolated Kneser-Ney), which is scored on the same "
                  "tokens; repeatable")
      ->allow_extra_args(false);
  kind.add_flag("--json", arguments->json, "as JSON");
  kind.callback([arguments, &status] { status = eval_perplexity(*arguments); });
}

void add_eval(CLI::App& app, int& status) {
  CLI::App& verb = *app.add_subcommand(
      "eval", "what a model finds in long contexts, its perplexity, and two configurations compared");
  verb.require_subcommand(1);
  add_eval_recall(verb, status);
  add_eval_ruler(verb, status);
  add_eval_perplexity(verb, status);
  add_eval_divergence(verb, status);
}

}  // namespace mneme::cli
