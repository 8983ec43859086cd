#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/terminal.h"
#include "mneme/engine.h"

namespace mneme::cli {

// For options that name a file to be written in the end: what is wrong with its path, before anything is
// computed.
std::string check_file_to_write(const std::string& path);

// Flags of every verb that runs a model.
struct ModelArguments {
  std::string path;
  int threads = 0;
  std::string kv_size;            // checked when parsed
  std::string engram = "memory";  // or "disk"
  std::string attention = "exact";
  double target_error = EngineOptions().target_error;
  std::string prefill = "auto";
  // Of verbs with add_storage_options; sizes are checked when parsed.
  std::string session;  // empty: unnamed
  std::string cold_folder, cold_max, hot, warm;

  bool has_cold_tier() const { return !session.empty() || !cold_folder.empty(); }
};
void add_model_options(CLI::App& verb, ModelArguments& arguments);
// The same without -m, for verbs that take several models.
void add_engine_options(CLI::App& verb, ModelArguments& arguments);
// What --attention, --prefill and --target-error take.
CLI::Validator attention_mode();
CLI::Validator prefill_mode();
CLI::Validator target_error_range();
// --fill: how a depth is reached; nothing: by prefill.
void add_fill_option(CLI::App& verb, std::optional<Repetition>& fill);
const char* fill_name(const std::optional<Repetition>& fill);
// --cold-dir, --cold-max, --hot, --warm, and --session where the verb has one context.
void add_storage_options(CLI::App& verb, ModelArguments& arguments, bool with_session);
// Throws CLI::ValidationError, as a parse does, for sizes of tiers that are not there.
void check_storage(const ModelArguments& arguments);
// With the progress of loading.
Result<std::unique_ptr<Engine>> open_engine(const ModelArguments& arguments);
// The named session, or a new one.
Result<std::unique_ptr<Session>> open_session(Engine& engine, const ModelArguments& arguments);
// What the engine has to say about its cold tier, a line each on stderr.
void note_warnings(Engine& engine);

// Flags of every verb that generates.
struct SamplingArguments {
  SamplingOptions options;
  std::optional<uint64_t> seed;         // random where not given
  std::vector<std::string> logit_bias;  // "ID=VALUE", checked when parsed
};
void add_sampling_options(CLI::App& verb, SamplingArguments& arguments);
SamplingOptions sampling_options(const SamplingArguments& arguments);

// Flags of every verb whose text may be held to a grammar; one of them at most.
struct ConstraintArguments {
  std::string grammar_path, schema, regex;  // empty: not given
};
void add_constraint_options(CLI::App& verb, ConstraintArguments& arguments);
// Null where none was asked for. What a schema says that is not held to is noted on stderr.
Result<std::shared_ptr<const grammar::Grammar>> read_grammar(const ConstraintArguments& arguments);
// Null for no grammar.
std::shared_ptr<const grammar::Constraint> constraint_on(const Text& text,
                                                         std::shared_ptr<const grammar::Grammar> grammar);

}  // namespace mneme::cli
