// Reading of a sparse step: every block as selected, and the states of runs merged.
#include <algorithm>
#include <numeric>

#include "attention/sparse_step.h"
#include "kv/sealed_block.h"

namespace mneme::attention {

using kv::kBlockTokens;

namespace {

size_t as_size(int n) { return static_cast<size_t>(n); }

void attend(const SparseStep& step, const float* queries, std::span<const uint16_t* const> keys,
            std::span<const uint16_t* const> values, std::span<const int> limits, const SoftmaxState& state,
            void* scratch) {
  kernels::AttendTask task;
  task.queries = queries;
  task.query_stride = as_size(state.head_dim);
  task.rows = state.rows;
  task.head_dim = state.head_dim;
  task.keys = keys.data();
  task.values = values.data();
  task.blocks = static_cast<int>(keys.size());
  task.limits = limits.data();
  task.out = state.out;
  task.max = state.max;
  task.sum = state.sum;
  task.scratch = scratch;
  step.ops.attend(task);
}

}  // namespace

// The first blocks and the last ones as one run; a sink logit counts here.
void SparseAttention::State::read_fixed(const SparseStep& step, int head, Thread& thread,
                                        const SoftmaxState& state) {
  const SparsePlan& plan = step.plan;
  clear_state(state);
  for (int row = 0; row < plan.rows && step.job.sinks != nullptr; ++row) {
    state.max[row] = step.job.sinks[head * group + row % group];
    state.sum[row] = 1.0f;
  }
  const int last = plan.blocks - plan.recent;
  thread.views.resize(as_size(SparsePlan::kSinkBlocks + last));
  const auto views = std::span(thread.views);
  step.job.sequence->view(step.layer, head, 0, views.first(SparsePlan::kSinkBlocks));
  step.job.sequence->view(step.layer, head, plan.recent, views.subspan(SparsePlan::kSinkBlocks));
  thread.keys.clear(), thread.values.clear(), thread.limits.clear();
  for (const kv::BlockView& view : views)
    thread.keys.push_back(view.keys), thread.values.push_back(view.values);
  for (int row = 0; row < plan.rows; ++row) thread.limits.push_back(plan.tokens_fixed + row / group);
  attend(step, queries_of(step, head), thread.keys, thread.values, thread.limits, state,
         thread.scratch.data());
}

int SparseAttention::State::read_blocks(const SparseStep& step, int head, int run, Treatment which,
                                        Treatment how, const SoftmaxState& state, Thread& thread) {
  const SparsePlan& plan = step.plan;
  const int first = plan.run_first(run);
  const size_t at = candidate_at(step, head, first);
  thread.chosen.clear();
  for (int i = 0; i < plan.run_count(run); ++i) {
    if (treatments[at + as_size(i)] == which) thread.chosen.push_back(i);
  }
  const int count = static_cast<int>(thread.chosen.size());
  if (count == 0) return 0;
  if (how == Treatment::kFull) {
    read_full(step, head, first, state, thread);
  } else if (how == Treatment::kEightBit) {
    thread.summaries.clear(), thread.copies.clear();
    for (const int i : thread.chosen) {
      thread.summaries.push_back(summaries[at + as_size(i)]);
      thread.copies.push_back(copies[at + as_size(i)]);
    }
    step.ops.attend_sealed({queries_of(step, head), as_size(shape.head_dim), plan.rows, shape.head_dim,
                            thread.summaries.data(), thread.copies.data(), count, state.out, state.max,
                            state.sum, thread.scratch.data()});
  } else {
    add_estimates(step, head, run, thread.chosen.data(), count, state, thread);
  }
  return count;
}

// `count` blocks of a run as their means: those of `chosen`, or (null) the first.
void SparseAttention::State::add_estimates(const SparseStep& step, int head, int run, const int* chosen,
                                           int count, const SoftmaxState& state, Thread& thread) {
  const int first = step.plan.run_first(run), rows = step.plan.rows;
  const float* tops = &top[top_at(step, head, run)];
  thread.highest.resize(as_size(rows));
  for (size_t row = 0; row < as_size(rows); ++row)
    thread.highest[row] = tops[row] - static_cast<float>(step.controller.log_bias());
  step.ops.add_means({&summaries[candidate_at(step, head, first)], chosen, count, rows, shape.head_dim,
                      &mass[mass_at(step, head, 0, first)], as_size(step.plan.candidates),
                      thread.highest.data(), state.out, state.max, state.sum});
}

// The chosen candidates behind `first` in bf16.
void SparseAttention::State::read_full(const SparseStep& step, int head, int first, const SoftmaxState& state,
                                       Thread& thread) {
  thread.keys.clear(), thread.values.clear();
  for (const int i : thread.chosen) {
    kv::BlockView view;
    step.job.sequence->view(step.layer, head, SparsePlan::kSinkBlocks + first + i, {&view, 1});
    thread.keys.push_back(view.keys);
    thread.values.push_back(view.values);
  }
  thread.limits.assign(as_size(step.plan.rows), static_cast<int>(thread.chosen.size()) * kBlockTokens);
  attend(step, queries_of(step, head), thread.keys, thread.values, thread.limits, state,
         thread.scratch.data());
}

void SparseAttention::State::read_whole(const SparseStep& step, int head, int run, const SoftmaxState& state,
                                        Thread& thread) {
  thread.chosen.resize(as_size(step.plan.run_count(run)));
  std::iota(thread.chosen.begin(), thread.chosen.end(), 0);
  read_full(step, head, step.plan.run_first(run), state, thread);
}

// A run of which nothing is read is as scan() left it.
void SparseAttention::State::read_run(const SparseStep& step, int head, int run, Thread& thread) {
  const Treatment* how = &treatments[candidate_at(step, head, step.plan.run_first(run))];
  const int count = step.plan.run_count(run);
  int* counts = &counted[as_size((head * step.plan.runs + run) * 3)];
  if (std::all_of(how, how + count, [](Treatment t) { return t == Treatment::kEstimated; })) {
    std::fill_n(counts, 3, 0);
    counts[static_cast<size_t>(Treatment::kEstimated)] = count;
    return;
  }
  const SoftmaxState state = state_of(step, head, 1 + run);
  clear_state(state);
  for (const Treatment each : {Treatment::kFull, Treatment::kEightBit, Treatment::kEstimated})
    counts[static_cast<size_t>(each)] = read_blocks(step, head, run, each, each, state, thread);
}

Result<void> SparseAttention::State::read(const SparseStep& step) {
  const auto read_runs = [&](int first, int end) {
    step.pool.run(step.heads * (end - first), [&](int task, int thread) {
      read_run(step, step.first_head + task / (end - first), first + task % (end - first),
               threads[as_size(thread)]);
    });
  };
  return for_runs_held(
      step, [&](int b) { return read_by_any(step, b); }, read_runs);
}

void SparseAttention::State::merge(const SparseStep& step) {
  step.pool.run(step.heads, [&](int task, int) {
    const int head = step.first_head + task;
    const SoftmaxState all = state_of(step, head, 0);
    for (int run = 0; run < step.plan.runs; ++run) merge_state(all, state_of(step, head, 1 + run));
    write_out(step, head);
  });
}

void SparseAttention::State::write_out(const SparseStep& step, int head) {
  const size_t dim = as_size(shape.head_dim);
  const SoftmaxState all = state_of(step, head, 0);
  for (int row = 0; row < step.plan.rows; ++row) {
    const int token = row / group, query_head = head * group + row % group;
    float* to = step.out + as_size(token * heads + query_head) * dim;
    const float factor = 1.0f / all.sum[row];
    for (size_t c = 0; c < dim; ++c) to[c] = all.out[as_size(row) * dim + c] * factor;
  }
}

void SparseAttention::State::read_one(const SparseStep& step, int head, int block, const SoftmaxState& state,
                                      Thread& thread) {
  kv::BlockView view;
  step.job.sequence->view(step.layer, head, block, {&view, 1});
  thread.limits.assign(as_size(step.plan.rows), kBlockTokens);
  attend(step, queries_of(step, head), {&view.keys, 1}, {&view.values, 1}, thread.limits, state,
         thread.scratch.data());
}

void SparseAttention::State::count_dense(const SparsePlan& plan, SparseCounters& counters) const {
  counters.add_dense(static_cast<uint64_t>(plan.blocks) * static_cast<uint64_t>(shape.kv_heads), plan.rows,
                     shape.head_dim);
}

void SparseAttention::State::count(const SparseStep& step, SparseCounters& counters) const {
  uint64_t blocks[3] = {};
  for (int head = step.first_head; head < step.first_head + step.heads; ++head) {
    for (int i = head * step.plan.runs * 3; i < (head + 1) * step.plan.runs * 3; ++i)
      blocks[i % 3] += static_cast<uint64_t>(counted[as_size(i)]);
  }
  count_blocks(step,
               {blocks[size_t(Treatment::kFull)], blocks[size_t(Treatment::kEightBit)],
                blocks[size_t(Treatment::kEstimated)]},
               counters);
  const auto scanned = static_cast<double>(step.plan.candidates) * step.heads;
  counters.macs_sketch += double{kBlockTokens} * shape.head_dim * step.plan.rows * scanned;
}

// Candidates as they were read; multiply-adds of query heads are two a channel and token.
void SparseAttention::State::count_blocks(const SparseStep& step, const BlockCounts& blocks,
                                          SparseCounters& counters) const {
  const SparsePlan& plan = step.plan;
  const auto heads_here = static_cast<uint64_t>(step.heads);
  const uint64_t full = blocks.full + static_cast<uint64_t>(plan.blocks - plan.candidates) * heads_here;
  counters.tokens_estimated += blocks.estimated * kBlockTokens;
  counters.tokens_eight_bit += blocks.eight_bit * kBlockTokens;
  counters.tokens_full += full * kBlockTokens;
  const uint64_t block_bytes = 2 * shape.half_block_bytes();
  counters.bytes_read += static_cast<uint64_t>(plan.candidates) * heads_here *
                             kv::summary_bytes(shape.head_dim) +
                         blocks.eight_bit * kv::fp8_bytes(shape.head_dim) + full * block_bytes;
  counters.bytes_dense += static_cast<uint64_t>(plan.blocks) * heads_here * block_bytes;
  const double block_macs = 2.0 * kBlockTokens * shape.head_dim * plan.rows;
  counters.macs_eight_bit += block_macs * static_cast<double>(blocks.eight_bit);
  counters.macs_full += block_macs * static_cast<double>(full);
}

}  // namespace mneme::attention
