// The verbs of mneme-train.
#pragma once

#include <CLI/App.hpp>

#include "core/error.h"

namespace mneme::train {

void add_run(CLI::App& app, int& status);      // train, or go on training
void add_export(CLI::App& app, int& status);   // checkpoint -> GGUF
void add_logits(CLI::App& app, int& status);   // the trainer's own forward pass, for comparisons
void add_compare(CLI::App& app, int& status);  // tables and plots of an experiment's runs
void add_average(CLI::App& app, int& status);  // the mean of several models' weights

int fail(const Error& error);  // says it on stderr; the status of a verb that failed

}  // namespace mneme::train
