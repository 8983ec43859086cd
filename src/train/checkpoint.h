// A training state on disk: everything that the next step depends on. A run that is killed at any moment, or
// has no more room on the disk, finds a whole one (core/pending_file.h).
#pragma once

#include <string>

#include "core/error.h"
#include "train/network.h"
#include "train/optimizer.h"

namespace mneme::train {

struct Progress {
  int64_t step = 0;         // steps done
  int64_t tokens = 0;       // shown so far
  double cpu_seconds = 0;   // of all threads
  double wall_seconds = 0;  // while training
};

Result<void> save_checkpoint(const std::string& path, const Network& network, Optimizer& optimizer,
                             const Progress& progress);

// Into a network of the same options; anything else is an error and leaves everything as it was.
Result<Progress> load_checkpoint(const std::string& path, Network& network, Optimizer& optimizer);

// The options and weights alone, for the exporter. `averaged`: the EMA where there is one.
Result<Network> load_network(const std::string& path, bool averaged);

}  // namespace mneme::train
