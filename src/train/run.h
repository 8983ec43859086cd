// A training run: batches in, a checkpoint, a CSV and plots out. Killed at any moment and started again with
// the same options it goes on from its last checkpoint, and its loss curve is the one it would have had.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "train/batches.h"
#include "train/checkpoint.h"
#include "train/network.h"
#include "train/optimizer.h"
#include "train/workers.h"

namespace mneme::train {

// From `from` (a share of the steps) on, rows have this many tokens.
struct Stage {
  double from = 0;
  int tokens = 512;
  bool cross_rows = false;  // queries of global layers see the other rows too
};

struct RunOptions {
  std::string folder;  // checkpoint.pt, log.csv, validation.csv, *.svg
  int steps = 1000;
  int tokens_per_step = 8192;
  std::vector<Stage> stages = {{}};
  uint64_t seed = 1;   // of weights and of batches
  int stop_after = 0;  // steps of this process; 0: all. For tests of resuming
  double checkpoint_every_s = 180;
  int validate_every = 100;  // steps
  int validation_rows = 16;
  bool bf16 = true;
  bool fused = true;
  torch::Device device = torch::kCPU;
};

// A line of validation.csv.
struct Validation {
  double text_loss = 0;      // nats a token, held-out text
  double answer_loss = 0;    // nats a token of answers, held-out tasks
  double answers_right = 0;  // share of answers whose every token is the likeliest one (given the true ones
                             // before)
};

struct RunEvents {
  std::function<void(const std::string&)> line;  // something a person wants to read
};

struct RunInputs {
  Network& network;
  Optimizer& optimizer;
  RowMaker& rows;
  RowMaker& held_out_text;
  RowMaker& held_out_tasks;
  Workers& workers;
};

// Trains until options.steps are done. The last validation.
Result<Validation> run_training(RunInputs inputs, const RunOptions& options,
                                const OptimizerOptions& optimizer, const RunEvents& events);

// Of the network as it is.
Validation validate(const Network& network, RowMaker& text, RowMaker& tasks, const RunOptions& options);

}  // namespace mneme::train
