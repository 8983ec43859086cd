#include "cli/options.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <random>

#include "cli/input.h"
#include "mneme/sessions.h"

namespace mneme::cli {

namespace {

std::string check_size(const std::string& text) {
  const auto size = parse_size(text);
  return size && *size > 0 ? "" : "'" + text + "' is no size: write 512MiB or 2GiB";
}

std::string check_not_empty(const std::string& text) { return text.empty() ? "is empty" : ""; }

std::string check_size_or_zero(const std::string& text) { return text == "0" ? "" : check_size(text); }

std::optional<std::pair<TokenId, float>> parse_bias(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals + 1 == text.size()) return std::nullopt;
  const auto id = parse_int(std::string_view(text).substr(0, equals));
  char* end = nullptr;
  const float value = std::strtof(text.c_str() + equals + 1, &end);  // "-inf" forbids
  if (!id || *id < 0 || *end != '\0' || std::isnan(value)) return std::nullopt;
  return std::pair(*id, value);
}

std::string check_bias(const std::string& text) {
  return parse_bias(text) ? "" : "'" + text + "' is no bias: write ID=VALUE, -inf to forbid";
}

// Finite, and not below `least`.
CLI::Validator number_from(float least) {
  const auto check = [least](const std::string& text) {
    char* end = nullptr;
    const float value = std::strtof(text.c_str(), &end);
    if (*end == '\0' && end != text.c_str() && std::isfinite(value) && value >= least) return std::string();
    return "'" + text + "' is no number" + (std::isfinite(least) ? format(" from %g", double{least}) : "");
  };
  return CLI::Validator(check, "");
}

}  // namespace

std::string check_file_to_write(const std::string& path) {
  std::error_code none;
  const std::filesystem::path file(path), parent = file.has_parent_path() ? file.parent_path() : ".";
  if (!file.has_filename() || std::filesystem::is_directory(file, none))
    return path + ": names a folder, not a file";
  const std::string& checked = std::filesystem::exists(file, none) ? path : parent.string();
  return ::access(checked.c_str(), W_OK) == 0 ? "" : path + ": cannot be written: " + std::strerror(errno);
}

CLI::Validator attention_mode() { return CLI::IsMember({"exact", "certified", "adaptive"}); }
CLI::Validator prefill_mode() { return CLI::IsMember({"auto", "dense", "sparse"}); }
CLI::Validator target_error_range() {
  const auto check = [](const std::string& text) -> std::string {
    double value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = read.ec == std::errc() && read.ptr == text.data() + text.size();
    if (whole && value >= 1e-6 && value <= 1.0) return {};  // "nan" is a number that is neither
    return "Value " + text + " not in range [1e-06 - 1]";
  };
  return CLI::Validator(check, "FLOAT in [1e-06 - 1]");
}

void add_model_options(CLI::App& verb, ModelArguments& arguments) {
  verb.add_option("-m,--model", arguments.path, "GGUF model file (the first part of a split one)")
      ->required();
  add_engine_options(verb, arguments);
}

void add_engine_options(CLI::App& verb, ModelArguments& arguments) {
  verb.add_option("-t,--threads", arguments.threads,
                  "threads; one a core that this process may use if not given")
      ->check(CLI::Range(1, 1024));
  verb.add_option("--kv", arguments.kv_size,
                  "memory for keys and values, e.g. 2GiB; half of what is free after loading if not given")
      ->check(CLI::Validator(check_size, "SIZE"));
  verb.add_option(
          "--engram", arguments.engram,
          "where a model's n-gram tables lie: memory, or disk, from which each pass reads the rows it needs")
      ->check(CLI::IsMember({"memory", "disk"}))
      ->capture_default_str();
  verb.add_option(
          "--attention", arguments.attention,
          "how decoding reads a long context: exact; certified (8 bits and more, with a proven bound); "
          "adaptive (what matters, the rest estimated, at a target error)")
      ->check(attention_mode())
      ->capture_default_str();
  verb.add_option(
          "--prefill", arguments.prefill,
          "how inputs past about 8,000 tokens are read: dense; sparse (what matters, the rest "
          "estimated, at 4 times the target error; the last 512 tokens always densely); auto: sparse where "
          "attention is adaptive")
      ->check(prefill_mode())
      ->capture_default_str();
  verb.add_option("--target-error", arguments.target_error,
                  "of certified and adaptive attention and sparse prefill: error of a layer's output "
                  "relative to the residual "
                  "stream; smaller is slower")
      ->check(target_error_range())
      ->capture_default_str();
}

const char* fill_name(const std::optional<Repetition>& fill) {
  if (!fill) return "prefill";
  return *fill == Repetition::kDrawn ? "draw" : "repeat";
}

void add_fill_option(CLI::App& verb, std::optional<Repetition>& fill) {
  const auto take = [&fill](const std::string& name) {
    fill = name == "repeat" ? std::optional(Repetition::kCopied)
           : name == "draw" ? std::optional(Repetition::kDrawn)
                            : std::nullopt;
  };
  verb.add_option_function<std::string>(
          "--fill", take,
          "how a depth is reached: prefill; repeat (copies the keys and values of 512 tokens; fast); draw "
          "(blocks of keys and values drawn from those of 512 tokens, no two the same; fast)")
      ->check(CLI::IsMember({"prefill", "repeat", "draw"}))
      ->default_str("prefill");
}

void add_storage_options(CLI::App& verb, ModelArguments& arguments, bool with_session) {
  if (with_session) {
    verb.add_option("--session", arguments.session,
                    "keep the context under this name, and go on with it where it is there already")
        ->check(CLI::Validator(check_not_empty, "NAME"));
  }
  verb.add_option("--cold-dir", arguments.cold_folder,
                  "keep keys and values in this folder, so that contexts may be larger than memory and "
                  "prompts that were read once are found again" +
                      std::string(with_session ? "; with --session MNEME_HOME/store if not given" : ""))
      ->check(CLI::Validator(check_not_empty, "FOLDER"));
  verb.add_option("--cold-max", arguments.cold_max,
                  "bytes that the folder may take, e.g. 20GiB; the disk if not given")
      ->check(CLI::Validator(check_size, "SIZE"));
  const CLI::Validator size(check_size_or_zero, "SIZE");
  verb.add_option("--hot", arguments.hot,
                  "memory of the hot tier, e.g. 1GiB; with neither --hot nor --warm: what 20 % of the "
                  "contexts' blocks and 50 % of them at half their size take, 256 MiB at least")
      ->check(size);
  verb.add_option("--warm", arguments.warm,
                  "memory of the warm tier; 0 is allowed. With --attention adaptive it holds 8-bit copies")
      ->check(size);
}

void check_storage(const ModelArguments& arguments) {
  const bool sizes = !arguments.cold_max.empty() || !arguments.hot.empty() || !arguments.warm.empty();
  if (sizes && !arguments.has_cold_tier())
    throw CLI::ValidationError("--hot, --warm and --cold-max need --cold-dir or --session");
}

Result<std::unique_ptr<Session>> open_session(Engine& engine, const ModelArguments& arguments) {
  if (arguments.session.empty()) return engine.new_session();
  return engine.open_session(arguments.session);
}

void note_warnings(Engine& engine) {
  for (const std::string& warning : engine.take_warnings()) note(warning);
}

Result<std::unique_ptr<Engine>> open_engine(const ModelArguments& arguments) {
  Progress progress;
  EngineOptions options;
  options.model_path = arguments.path;
  options.threads = arguments.threads;
  options.kv_bytes_max = parse_size(arguments.kv_size).value_or(0);
  if (arguments.engram == "disk") options.engram = EngramPlacement::kDisk;
  if (arguments.attention == "certified") options.attention = AttentionMode::kCertified;
  if (arguments.attention == "adaptive") options.attention = AttentionMode::kAdaptive;
  if (arguments.prefill == "dense") options.prefill = PrefillMode::kDense;
  if (arguments.prefill == "sparse") options.prefill = PrefillMode::kSparse;
  options.target_error = arguments.target_error;
  if (arguments.has_cold_tier()) {
    options.cold_folder = arguments.cold_folder.empty() ? default_cold_folder() : arguments.cold_folder;
    options.cold_bytes_max = parse_size(arguments.cold_max).value_or(0);
    if (!arguments.hot.empty() || !arguments.warm.empty()) {
      options.hot_bytes = parse_size(arguments.hot).value_or(0);
      options.warm_bytes = parse_size(arguments.warm).value_or(0);
    }
  }
  options.on_load = [&](double share) {
    if (progress.due()) progress.show(format("loading %s: %.0f %%", arguments.path.c_str(), share * 100));
  };
  return Engine::open(options);
}

void add_sampling_options(CLI::App& verb, SamplingArguments& arguments) {
  SamplingOptions& options = arguments.options;
  constexpr float kAny = -std::numeric_limits<float>::infinity();
  verb.add_option("--seed", arguments.seed, "same seed, same text; random if not given")
      ->check(CLI::NonNegativeNumber);
  verb.add_option("--temp", options.temperature, "temperature; 0: always the likeliest token")
      ->check(number_from(0))
      ->capture_default_str();
  verb.add_option("--top-k", options.top_k, "only the K likeliest tokens; 0: off")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb.add_option("--top-p", options.top_p, "only the likeliest tokens that make up P together; 1: off")
      ->check(number_from(0))
      ->check(CLI::Range(0.0f, 1.0f))
      ->capture_default_str();
  verb.add_option("--min-p", options.min_p, "only tokens at least P times as likely as the likeliest; 0: off")
      ->check(number_from(0))
      ->check(CLI::Range(0.0f, 1.0f))
      ->capture_default_str();
  verb.add_option("--repeat-penalty", options.repetition_penalty,
                  "divides the logits of recent tokens; 1: off")
      ->check(number_from(1e-6f))
      ->capture_default_str();
  verb.add_option("--presence-penalty", options.presence_penalty, "subtracted from recent tokens; 0: off")
      ->check(number_from(kAny))
      ->capture_default_str();
  verb.add_option("--frequency-penalty", options.frequency_penalty,
                  "subtracted each time a token is recent; 0: off")
      ->check(number_from(kAny))
      ->capture_default_str();
  verb.add_option("--penalty-window", options.penalty_window, "tokens that count as recent; -1: all")
      ->check(CLI::Range(-1, 1 << 30))
      ->capture_default_str();
  verb.add_option("--logit-bias", arguments.logit_bias,
                  "ID=VALUE added to a token's logit; -inf forbids; repeatable")
      ->check(CLI::Validator(check_bias, "ID=VALUE"))
      ->allow_extra_args(false);
}

SamplingOptions sampling_options(const SamplingArguments& arguments) {
  SamplingOptions options = arguments.options;
  options.seed = arguments.seed ? *arguments.seed : std::random_device{}();
  for (const std::string& text : arguments.logit_bias) {
    if (const auto bias = parse_bias(text)) options.logit_bias.push_back(*bias);
  }
  return options;
}

}  // namespace mneme::cli
