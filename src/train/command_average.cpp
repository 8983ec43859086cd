// mneme-train average: one model whose weights are the mean of several.
#include <CLI/CLI.hpp>
#include <memory>

#include "train/average.h"
#include "train/commands.h"

namespace mneme::train {

void add_average(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("average", "a model whose weights are the mean of several models'");
  auto a = std::make_shared<AverageOptions>();
  verb->add_option("models", a->models, "model files of one shape and vocabulary")->required();
  verb->add_option("--shares", a->shares, "of each, in their order; all alike without")->delimiter(',');
  verb->add_option("--out", a->out, "the GGUF file")->required();
  verb->add_option("--name", a->file.name, "general.name")->capture_default_str();
  verb->add_option("--licence", a->file.licence, "general.license");
  verb->add_option("--description", a->file.description, "general.description");
  verb->callback([a, &status] {
    const auto done = average_models(*a);
    status = done ? 0 : fail(done.error());
  });
}

}  // namespace mneme::train
