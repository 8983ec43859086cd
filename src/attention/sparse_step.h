// The workspace and the parts of a sparse step (sparse_decode.h): sparse_scan.cpp, sparse_read.cpp,
// sparse_audit.cpp.
#pragma once

#include <functional>
#include <vector>

#include "attention/scorer.h"
#include "attention/scratch.h"
#include "attention/selection.h"
#include "attention/softmax_state.h"
#include "attention/sparse_decode.h"
#include "core/arena.h"

namespace mneme::attention {

// A step's blocks: the first and the last ones are always read; between them are the candidates, in runs.
struct SparsePlan {
  static constexpr int kSinkBlocks = 1;
  static constexpr int kRecentBlocks = 2;  // whole ones, beside what is open
  static constexpr int kRunBlocks = 32;
  static constexpr int kCandidatesMin = 32;  // shorter contexts are dense
  static constexpr float kFarCost = 16;      // of bf16 where it may be on the disk (BlockError)

  SparsePlan(const DenseJob& job, int layer, int group);

  int blocks;        // of the context
  int recent;        // the first of the last ones
  int candidates;    // blocks [kSinkBlocks, recent)
  int runs;          // of candidates
  int rows;          // of a KV head: query token * group + head of the group
  int tokens_fixed;  // that the first query token sees in the blocks always read

  int run_first(int run) const { return run * kRunBlocks; }
  int run_count(int run) const { return std::min(kRunBlocks, candidates - run_first(run)); }
};

// One call of SparseAttention::run, and the KV heads it is about.
struct SparseStep {
  const kernels::Ops& ops;
  core::ThreadPool& pool;
  int layer;
  const DenseJob& job;
  const LayerController& controller;
  SparsePlan plan;
  int first_head, heads;
  float* out;           // as DenseJob has it
  double target;        // SparseOptions::target_error
  float full_cost = 1;  // BlockError
  bool whole = false;   // the audit computes every head densely, and that is the output
};

struct SparseAttention::State {
  kv::KvShape shape;
  int heads, group;
  float default_scale;
  SketchScorer sketch;
  const Scorer* scorer = &sketch;

  // One thread's working set.
  struct Thread {
    Scratch scratch;
    std::vector<kv::SealedBlock> sealed;
    std::vector<kv::BlockView> views;
    std::vector<const uint16_t*> keys, values;
    std::vector<kernels::SealedSummary> summaries;
    std::vector<kernels::SealedFp8> copies;
    std::vector<int> chosen, limits;
    std::vector<float> share2, highest;
  };
  std::vector<Thread> threads;

  // Of each KV head h and candidate b (kv_head * candidates + b):
  std::vector<kernels::SealedSummary> summaries;
  std::vector<kernels::SealedFp8> copies;
  struct ValueSize {
    float norm, spread;
  };
  std::vector<ValueSize> values;
  std::vector<float> share2;  // p^2 / n: the largest of the query tokens'
  std::vector<BlockError> errors;
  std::vector<Treatment> treatments;  // of select()
  // Of each KV head, row and candidate, estimated: the mass relative to exp(top) of its run and row, and its
  // square over the tokens that share it (RelativeMassTask).
  std::vector<float> mass, mass2;
  std::vector<float> top, total;  // [kv_head, runs, rows]: what masses are relative to, and their sums
  std::vector<float> queries;     // [kv_head, rows, head_dim], scaled
  std::vector<StepHistogram> histograms;
  std::vector<float> states;  // [kv_head, 1 + runs] softmax states: what is always read, then the runs
  std::vector<float> audit_states;
  std::vector<int> counted;       // [kv_head, runs, 3]: blocks of each Treatment
  std::vector<int> fixed_blocks;  // held: what is always read
  // Of certified steps: states and logit bounds of every candidate, those read in bf16, bounds of heads.
  std::vector<float> block_states, bounds;
  std::vector<uint8_t> escalated;
  std::vector<double> certified_bounds;

  // --- sparse_scan.cpp
  void lay_out(const SparseStep& step);
  void scan(const SparseStep& step);
  void select(const SparseStep& step, double allowed_error);
  void share_out(const SparseStep& step, int head, Thread& thread);
  void expect_errors(const SparseStep& step, int head);
  float mass_of_row(const SparseStep& step, int head, int row, float& highest);

  void gather(const SparseStep& step, int head, int run, Thread& thread);
  void estimate_run(const SparseStep& step, int head, int run, Thread& thread);

  // --- sparse_hold.cpp
  Result<void> hold_fixed(const SparseStep& step);
  void release_fixed(const SparseStep& step);
  // Calls body(first, end) for groups of runs [first, end) that make up all of them, in order, each while the
  // candidates among its blocks that are `wanted` are in memory.
  Result<void> for_runs_held(const SparseStep& step, const std::function<bool(int candidate)>& is_wanted,
                             const std::function<void(int first, int end)>& body);
  bool read_by_any(const SparseStep& step, int b) const;

  // --- sparse_read.cpp
  Result<void> read(const SparseStep& step);
  void merge(const SparseStep& step);
  void read_one(const SparseStep& step, int head, int block, const SoftmaxState& state, Thread& thread);
  void write_out(const SparseStep& step, int head);
  struct BlockCounts {
    uint64_t full = 0, eight_bit = 0, estimated = 0;
  };
  void count_blocks(const SparseStep& step, const BlockCounts& blocks, SparseCounters& counters) const;
  void count(const SparseStep& step, SparseCounters& counters) const;
  void count_dense(const SparsePlan& plan, SparseCounters& counters) const;
  void read_fixed(const SparseStep& step, int head, Thread& thread, const SoftmaxState& state);
  void read_run(const SparseStep& step, int head, int run, Thread& thread);
  // Adds what was selected as `which` in a run to a state, read as `how`; returns how many blocks.
  int read_blocks(const SparseStep& step, int head, int run, Treatment which, Treatment how,
                  const SoftmaxState& state, Thread& thread);
  void add_estimates(const SparseStep& step, int head, int run, const int* chosen, int count,
                     const SoftmaxState& state, Thread& thread);
  void read_whole(const SparseStep& step, int head, int run, const SoftmaxState& state, Thread& thread);
  void read_full(const SparseStep& step, int head, int first, const SoftmaxState& state, Thread& thread);

  // --- sparse_audit.cpp
  // Computes `head` densely too; `out` holds its sparse output, and all of the dense one afterwards where the
  // step asks for it.
  Result<void> audit(const SparseStep& step, int head, PendingAudit& audit);
  Result<void> read_audited(const SparseStep& step, int head);
  void write_dense(const SparseStep& step, int head, const SoftmaxState& exact);
  SoftmaxState audit_state(const SparseStep& step, size_t index) {
    const size_t floats = softmax_state_floats(step.plan.rows, shape.head_dim);
    return softmax_state_at(&audit_states[index * floats], step.plan.rows, shape.head_dim);
  }

  // --- sparse_certified.cpp
  void certify(const SparseStep& step, double allowed_error, SparseCounters& counters);
  void scan_certified(const SparseStep& step);
  void merge_certified(const SparseStep& step, int head);
  double bound_head(const SparseStep& step, int head);
  void escalate(const SparseStep& step, int head, double allowed, Thread& thread);
  void count_certified(const SparseStep& step, SparseCounters& counters) const;
  SoftmaxState block_state(const SparseStep& step, int head, int b) {
    const size_t floats = softmax_state_floats(step.plan.rows, shape.head_dim);
    return softmax_state_at(&block_states[candidate_at(step, head, b) * floats], step.plan.rows,
                            shape.head_dim);
  }
  SoftmaxState fixed_state(const SparseStep& step, int head) { return state_of(step, head, 1); }

  bool has_copy(size_t candidate) const { return copies[candidate].keys != nullptr; }
  size_t candidate_at(const SparseStep& step, int head, int b) const {
    return static_cast<size_t>(head) * static_cast<size_t>(step.plan.candidates) + static_cast<size_t>(b);
  }
  size_t mass_at(const SparseStep& step, int head, int row, int b) const {
    return (static_cast<size_t>(head * step.plan.rows + row)) * static_cast<size_t>(step.plan.candidates) +
           static_cast<size_t>(b);
  }
  size_t top_at(const SparseStep& step, int head, int run) const {
    return static_cast<size_t>((head * step.plan.runs + run) * step.plan.rows);
  }
  const float* queries_of(const SparseStep& step, int head) const {
    return &queries[static_cast<size_t>(head * step.plan.rows) * static_cast<size_t>(shape.head_dim)];
  }
  // Part 0: what is always read; 1 + run.
  SoftmaxState state_of(const SparseStep& step, int head, int part) {
    const size_t index = static_cast<size_t>(head) * static_cast<size_t>(step.plan.runs + 1) +
                         static_cast<size_t>(part);
    return softmax_state_at(&states[index * softmax_state_floats(step.plan.rows, shape.head_dim)],
                            step.plan.rows, shape.head_dim);
  }
};

}  // namespace mneme::attention
