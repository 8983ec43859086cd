#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mneme/engine.h"
#include "mneme/machine.h"

namespace mneme::cli {

struct BenchPlan {
  size_t prefill_tokens = 512;    // 0: no such test
  size_t decode_tokens = 32;      // 0: no such test
  std::vector<size_t> depths{0};  // tokens of context before each test
  // Tokens decoded right before those of each decode test, not timed: adaptive attention begins a session
  // with exact steps and audits, which a session that has gone on for a while does not have.
  size_t warm_up_tokens = 0;
  int repetitions = 3;
  std::optional<Repetition> fill;    // how a short prefill reaches a depth; nothing: all of it is read
  std::string drop_from_cache = {};  // a file that leaves the page cache before each run; empty: none
};

struct BenchRow {
  std::string test;  // "pp512", "tg32"
  size_t depth = 0;
  bool prefill = false;
  size_t warm_up_tokens = 0;  // that went before each measured run, behind `depth`
  double tokens_per_s_median = 0, tokens_per_s_min = 0, tokens_per_s_max = 0;
  double bytes_per_s = 0;      // weights, keys and values read
  double flops_per_s = 0;      // of the matrix products, the head left out; prefill only
  double share_of_limit = -1;  // decode: of the read bandwidth; prefill: of the matmul peak; < 0: not known
  uint64_t rss_bytes = 0;
  std::optional<Repetition> fill;  // nothing: prefill
  AttentionReport attention;       // of the session: a depth that was filled by prefill counts too
};

// Runs the plan. Each test is done once before it is measured. `on_row` gets each row as it is done;
// `on_work` says what goes on, at every step.
Result<void> measure(Engine& engine, const BenchPlan& plan, const MachineLimits& limits,
                     const std::function<void(const BenchRow&)>& on_row,
                     const std::function<void(const std::string&)>& on_work);

}  // namespace mneme::cli
