// The workspace and the parts of a sparse prefill pass (sparse_prefill.h): sparse_prefill_scan.cpp,
// sparse_prefill_read.cpp, sparse_prefill_estimate.cpp, sparse_prefill_audit.cpp.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "attention/held_runs.h"
#include "attention/scorer.h"
#include "attention/scratch.h"
#include "attention/selection.h"
#include "attention/softmax_state.h"
#include "attention/sparse_prefill.h"
#include "core/arena.h"

namespace mneme::attention {

inline size_t as_size(int n) { return static_cast<size_t>(n); }

// A pass's blocks and tiles. The first block and those from `recent` on are always read; between them are the
// candidates.
struct PrefillPlan {
  static constexpr int kSinkBlocks = 1;
  static constexpr int kRecentBlocks = 2;  // whole ones before the pass
  static constexpr int kRunBlocks = 32;    // held and scanned together
  static constexpr int kTokensMin = 64;    // fewer are dense
  static constexpr int kTileRows = 512;    // a larger tile scans less and selects for more rows at once

  PrefillPlan(const DenseJob& job, int layer, int group, const PrefillPlace& place);

  int tokens;      // of the job, its first
  int blocks;      // that they see
  int recent;      // the first of the last ones
  int candidates;  // blocks [kSinkBlocks, recent)
  int tiles;       // of the tokens, nearly equal
  int rows_max;    // of a tile

  bool is_sparse() const { return tokens >= kTokensMin && candidates > 0; }
  BlockRuns runs() const { return {kSinkBlocks, candidates, kRunBlocks}; }
  int tile_begin(int tile) const { return tokens * tile / tiles; }
};

// One tile's rows of one KV head: query tokens [token, token + tokens) of the job, row = token * group +
// head.
struct PrefillUnit {
  int kv_head, tile;
  int token, tokens;
  int rows;
};

// One call of SparsePrefill::run, and the KV heads and tiles it is about.
struct PrefillStep {
  const kernels::Ops& ops;
  core::ThreadPool& pool;
  int layer;
  const DenseJob& job;
  const LayerController& controller;
  PrefillPlan plan;
  int group;
  int first_head, heads;
  int first_tile, tiles;
  bool unread;

  int units() const { return heads * tiles; }
  PrefillUnit unit(int index) const {
    const int tile = first_tile + index % tiles, token = plan.tile_begin(tile);
    const int tokens = plan.tile_begin(tile + 1) - token;
    return {first_head + index / tiles, tile, token, tokens, tokens * group};
  }
};

struct SparsePrefill::State {
  // Channels that carry the correction of a log-mass beside a centre's: two, filled up for kernels that take
  // whole tiles.
  static constexpr int kExtraChannels = 32;
  static constexpr int kMeanBlocks = 8;  // blocks of 64 means that are made at a time

  kv::KvShape shape;
  int heads, group;
  int samples;  // rows of a tile that are scanned
  float default_scale;
  SketchScorer sketch;
  const Scorer* scorer = &sketch;
  std::array<float, 256> e4m3;  // values of codes

  // One thread's working set.
  struct Thread {
    Scratch scratch;
    std::vector<float> queries;  // [rows, head_dim], scaled
    std::vector<int> limits;     // [rows]
    std::vector<kv::SealedBlock> sealed;
    std::vector<kernels::SealedSummary> summaries;
    std::vector<kv::BlockView> views;
    std::vector<const uint16_t*> keys, values;
    // Of the sampled rows: the Scorer's estimates (in max errors in the end), logits of centres, [samples,
    // candidates].
    std::vector<float> sampled, max, sum, centre;  // sampled: queries [samples, head_dim]
    std::vector<float> centres;                    // of a run, f32 [kRunBlocks, head_dim]
    std::vector<float> size2;                      // [candidates, 2]: s^2 and m^2 of sparse_prefill.h
    // Of estimates.
    std::vector<int> estimated;             // candidates
    std::vector<float> wide_queries, wide;  // [rows, wide_dim], of one query head after the other; state
    std::vector<uint16_t> mean_keys, mean_values;  // [kMeanBlocks] blocks of wide_dim
  };
  std::vector<Thread> threads;

  std::vector<float> states;              // [units]
  std::vector<float> errors;              // [units, candidates]
  std::vector<float> corrections;         // [units, group, candidates]: c of sparse_prefill.h
  std::vector<StepHistogram> histograms;  // [units]
  std::vector<double> expected;           // [units]: of the blocks that are not chosen
  std::vector<uint8_t> chosen;            // [units, candidates]: read in bf16
  std::vector<uint8_t> chosen_by_any;     // [candidates]
  std::vector<int> fixed_blocks;          // held
  std::vector<float> audit_states;

  int wide_dim() const { return shape.head_dim + kExtraChannels; }
  size_t candidate_at(const PrefillStep& step, int unit, int b) const {
    return as_size(unit) * as_size(step.plan.candidates) + as_size(b);
  }
  float* corrections_of(const PrefillStep& step, int unit, int query_head) {
    return &corrections[as_size(unit * group + query_head) * as_size(step.plan.candidates)];
  }
  SoftmaxState state_of(const PrefillStep& step, int unit) {
    const int rows = step.unit(unit).rows;
    return softmax_state_at(&states[as_size(unit) * softmax_state_floats(step.plan.rows_max, shape.head_dim)],
                            rows, shape.head_dim);
  }

  Result<int> run_unread(const PrefillStep& step, SparseCounters& counters);
  void lay_out(const PrefillStep& step);
  Result<void> hold_fixed(const PrefillStep& step);

  // --- sparse_prefill_scan.cpp
  void scan(const PrefillStep& step);
  void choose_none(const PrefillStep& step);
  void scan_samples(const PrefillStep& step, int unit, Thread& thread);
  void weigh(const PrefillStep& step, int unit, Thread& thread);
  float weigh_sample(const PrefillStep& step, int unit, int sample, Thread& thread);
  void expect_errors(const PrefillStep& step, int unit, int query_head, Thread& thread);
  void select(const PrefillStep& step, double allowed_error);
  int sampled_row(const PrefillUnit& unit, int sample) const;

  // --- sparse_prefill_read.cpp
  // Queries of the job's tokens [token, token + tokens), scaled, into thread.queries.
  void place_queries(const PrefillStep& step, int kv_head, int token, int tokens, Thread& thread) const;
  void read_fixed(const PrefillStep& step, const PrefillUnit& unit, const SoftmaxState& state,
                  Thread& thread) const;
  // Adds the candidates [first, end) that are `wanted` to a state; the queries are placed.
  template <class Wanted>
  void read_blocks(const PrefillStep& step, int kv_head, int first, int end, const Wanted& wanted,
                   const SoftmaxState& state, Thread& thread) const;
  void attend(const PrefillStep& step, const SoftmaxState& state, int head_dim, const float* queries,
              Thread& thread) const;
  Result<void> read(const PrefillStep& step);
  void finish(const PrefillStep& step);
  void write_out(const PrefillStep& step, int unit);
  double count(const PrefillStep& step, SparseCounters& counters) const;  // the share that was read
  void count_dense(const PrefillPlan& plan, SparseCounters& counters) const;

  // --- sparse_prefill_estimate.cpp
  void estimate(const PrefillStep& step, int unit, Thread& thread);
  void make_means(const PrefillStep& step, const PrefillUnit& unit, std::span<const int> candidates,
                  Thread& thread) const;

  // --- sparse_prefill_audit.cpp
  Result<void> audit(const PrefillStep& step, int unit, PendingAudit& audit);
  Result<void> read_audited(const PrefillStep& step, int unit, std::span<const int> tokens);
};

template <class Wanted>
void SparsePrefill::State::read_blocks(const PrefillStep& step, int kv_head, int first, int end,
                                       const Wanted& wanted, const SoftmaxState& state,
                                       Thread& thread) const {
  thread.keys.clear(), thread.values.clear();
  for (int b = first; b < end; ++b) {
    if (!wanted(b)) continue;
    kv::BlockView view;
    step.job.sequence->view(step.layer, kv_head, PrefillPlan::kSinkBlocks + b, {&view, 1});
    thread.keys.push_back(view.keys);
    thread.values.push_back(view.values);
  }
  if (thread.keys.empty()) return;
  thread.limits.assign(as_size(state.rows), static_cast<int>(thread.keys.size()) * kv::kBlockTokens);
  attend(step, state, shape.head_dim, thread.queries.data(), thread);
}

}  // namespace mneme::attention
