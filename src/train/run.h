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
  // Indexers (train/indexer.h). Shares of the steps: 1: never.
  double indexer_weight = 0;  // of their loss; 0: they do not learn. Muon and Adam do not mind its scale, but
                              // all gradients are clipped together: 0.01 leaves the others undisturbed
  double indexer_only_from = 1;  // from here on nothing else learns
  double sparse_from = 1;        // from here on global layers attend what they choose (ModelOptions::indexer)
  int indexer_queries = 32;      // a row, whose attention the indexer is compared with
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
  // Largest sum of a row or column of the product of all mixing matrices, over the tokens of one batch: how
  // much the streams can amplify a signal. 1 where there are none.
  double composite_gain_max = 1;
  double indexer_mass = 0;  // share of the dense attention's weight on the tenth of the tokens that the
                            // indexer ranks first, mean over global layers; 0: no indexer
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

// Of the network as it is. sparse_top_k: as in ForwardOptions.
Validation validate(const Network& network, RowMaker& text, RowMaker& tasks, const RunOptions& options,
                    int sparse_top_k = 0);

}  // namespace mneme::train
