#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/terminal.h"
#include "mneme/engine.h"

namespace mneme::cli {

// Flags of every verb that runs a model.
struct ModelArguments {
  std::string path;
  int threads = 0;
  std::string kv_size;            // checked when parsed
  std::string engram = "memory";  // or "disk"
};
void add_model_options(CLI::App& verb, ModelArguments& arguments);
// With the progress of loading.
Result<std::unique_ptr<Engine>> open_engine(const ModelArguments& arguments);

// Flags of every verb that generates.
struct SamplingArguments {
  SamplingOptions options;
  std::optional<uint64_t> seed;         // random where not given
  std::vector<std::string> logit_bias;  // "ID=VALUE", checked when parsed
};
void add_sampling_options(CLI::App& verb, SamplingArguments& arguments);
SamplingOptions sampling_options(const SamplingArguments& arguments);

}  // namespace mneme::cli
