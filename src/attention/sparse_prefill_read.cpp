// Reading of a sparse prefill pass: what is always read, what was chosen, and the output.
#include <algorithm>

#include "attention/sparse_prefill_step.h"
#include "kv/sealed_block.h"

namespace mneme::attention {

using kernels::kAttendRowsMax;
using kv::kBlockTokens;

void SparsePrefill::State::place_queries(const PrefillStep& step, int kv_head, int token, int tokens,
                                         Thread& thread) const {
  const size_t dim = as_size(shape.head_dim);
  const float scale = step.job.scale == 0.0f ? default_scale : step.job.scale;
  thread.queries.resize(as_size(tokens * group) * dim);
  float* to = thread.queries.data();
  for (int row = 0; row < tokens * group; ++row) {
    const int at = (token + row / group) * heads + kv_head * group + row % group;
    const float* q = step.job.queries + as_size(at) * dim;
    for (size_t c = 0; c < dim; ++c) *to++ = q[c] * scale;
  }
}

// Queries [state.rows, head_dim] over the blocks in thread.keys and thread.values, each row up to its limit
// in thread.limits: as many rows at a time as kernels take.
void SparsePrefill::State::attend(const PrefillStep& step, const SoftmaxState& state, int head_dim,
                                  const float* queries, Thread& thread) const {
  const int parts = (state.rows + kAttendRowsMax - 1) / kAttendRowsMax;
  for (int part = 0; part < parts; ++part) {
    const int row = state.rows * part / parts;
    const size_t at = as_size(row) * as_size(head_dim);
    kernels::AttendTask task;
    task.queries = queries + at;
    task.query_stride = as_size(head_dim);
    task.rows = state.rows * (part + 1) / parts - row;
    task.head_dim = head_dim;
    task.keys = thread.keys.data();
    task.values = thread.values.data();
    task.blocks = static_cast<int>(thread.keys.size());
    task.limits = thread.limits.data() + row;
    task.out = state.out + at;
    task.max = state.max + row;
    task.sum = state.sum + row;
    task.scratch = thread.scratch.data();
    step.ops.attend(task);
  }
}

// The first blocks and the last ones as one run; a sink logit counts here. The unit's queries are placed.
void SparsePrefill::State::read_fixed(const PrefillStep& step, const PrefillUnit& unit,
                                      const SoftmaxState& state, Thread& thread) const {
  clear_state(state);
  for (int row = 0; row < state.rows && step.job.sinks != nullptr; ++row) {
    state.max[row] = step.job.sinks[unit.kv_head * group + row % group];
    state.sum[row] = 1.0f;
  }
  const int end = kv::blocks_of(step.job.first + unit.token + unit.tokens);
  thread.views.resize(as_size(PrefillPlan::kSinkBlocks + end - step.plan.recent));
  const auto views = std::span(thread.views);
  step.job.sequence->view(step.layer, unit.kv_head, 0, views.first(PrefillPlan::kSinkBlocks));
  step.job.sequence->view(step.layer, unit.kv_head, step.plan.recent,
                          views.subspan(PrefillPlan::kSinkBlocks));
  thread.keys.clear(), thread.values.clear(), thread.limits.clear();
  for (const kv::BlockView& view : views)
    thread.keys.push_back(view.keys), thread.values.push_back(view.values);
  for (int row = 0; row < state.rows; ++row) {
    thread.limits.push_back(step.job.first + unit.token + row / group + 1 -
                            step.plan.candidates * kBlockTokens);
  }
  attend(step, state, shape.head_dim, thread.queries.data(), thread);
}

Result<void> SparsePrefill::State::read(const PrefillStep& step) {
  const BlockRuns runs = step.plan.runs();
  const auto read_runs = [&](int first, int end) {
    const int last = runs.run_first(end - 1) + runs.run_count(end - 1);
    step.pool.run(step.units(), [&](int unit, int index) {
      Thread& thread = threads[as_size(index)];
      const PrefillUnit of = step.unit(unit);
      place_queries(step, of.kv_head, of.token, of.tokens, thread);
      const auto wanted = [&](int b) { return chosen[candidate_at(step, unit, b)] != 0; };
      read_blocks(step, of.kv_head, runs.run_first(first), last, wanted, state_of(step, unit), thread);
    });
  };
  return for_runs_held(
      *step.job.sequence, step.layer, runs, [&](int b) { return chosen_by_any[as_size(b)] != 0; }, read_runs);
}

void SparsePrefill::State::finish(const PrefillStep& step) {
  step.pool.run(step.units(), [&](int unit, int index) {
    estimate(step, unit, threads[as_size(index)]);
    write_out(step, unit);
  });
}

void SparsePrefill::State::write_out(const PrefillStep& step, int unit) {
  const size_t dim = as_size(shape.head_dim);
  const PrefillUnit of = step.unit(unit);
  const SoftmaxState state = state_of(step, unit);
  for (int row = 0; row < of.rows; ++row) {
    const int at = (of.token + row / group) * heads + of.kv_head * group + row % group;
    float* to = step.job.out + as_size(at) * dim;
    const float factor = 1.0f / state.sum[row];
    for (size_t c = 0; c < dim; ++c) to[c] = state.out[as_size(row) * dim + c] * factor;
  }
}

void SparsePrefill::State::count_dense(const PrefillPlan& plan, SparseCounters& counters) const {
  const auto heads_of_tiles = static_cast<uint64_t>(shape.kv_heads * plan.tiles);
  counters.add_dense(static_cast<uint64_t>(plan.blocks) * heads_of_tiles, plan.rows_max, shape.head_dim);
}

// Multiply-adds of query heads are two a channel and token.
double SparsePrefill::State::count(const PrefillStep& step, SparseCounters& counters) const {
  const uint64_t block_bytes = 2 * shape.half_block_bytes();
  const auto candidates = static_cast<uint64_t>(step.plan.candidates);
  uint64_t read_of_all = 0;
  for (int unit = 0; unit < step.units(); ++unit) {
    const PrefillUnit of = step.unit(unit);
    const auto first = chosen.begin() + static_cast<std::ptrdiff_t>(candidate_at(step, unit, 0));
    const auto read = static_cast<uint64_t>(
        std::count(first, first + static_cast<std::ptrdiff_t>(candidates), 1));
    const auto seen = static_cast<uint64_t>(kv::blocks_of(step.job.first + of.token + of.tokens));
    const uint64_t full = seen - candidates + read;
    read_of_all += read;
    counters.tokens_full += full * kBlockTokens;
    counters.tokens_estimated += (candidates - read) * kBlockTokens;
    counters.bytes_read += candidates * kv::summary_bytes(shape.head_dim) + full * block_bytes;
    counters.bytes_dense += seen * block_bytes;
    counters.macs_full += 2.0 * kBlockTokens * shape.head_dim * of.rows * static_cast<double>(full);
    counters.macs_sketch += 1.0 * kBlockTokens * shape.head_dim * samples * static_cast<double>(candidates);
  }
  return static_cast<double>(read_of_all) /
         static_cast<double>(candidates * static_cast<uint64_t>(step.units()));
}

}  // namespace mneme::attention
