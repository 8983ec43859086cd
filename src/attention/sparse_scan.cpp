// Scan and selection of a sparse step.
#include <algorithm>
#include <cmath>
#include <limits>

#include "attention/sparse_step.h"

namespace mneme::attention {

using kv::kBlockTokens;

namespace {

size_t as_size(int n) { return static_cast<size_t>(n); }

}  // namespace

void SparseAttention::State::lay_out(const SparseStep& step) {
  const SparsePlan& plan = step.plan;
  const size_t all_heads = as_size(shape.kv_heads), dim = as_size(shape.head_dim);
  const size_t candidates = all_heads * as_size(plan.candidates);
  const auto room = [](auto& of, size_t count) {
    if (of.size() < count) of.resize(count);
  };
  room(summaries, candidates);
  room(copies, candidates);
  room(values, candidates);
  room(share2, candidates);
  room(errors, candidates);
  room(treatments, candidates);
  room(mass, candidates * as_size(plan.rows));
  room(mass2, candidates * as_size(plan.rows));
  room(top, all_heads * as_size(plan.runs * plan.rows));
  room(total, all_heads * as_size(plan.runs * plan.rows));
  room(queries, all_heads * as_size(plan.rows) * dim);
  room(histograms, all_heads);
  room(states, all_heads * as_size(plan.runs + 1) * softmax_state_floats(plan.rows, shape.head_dim));
  room(counted, all_heads * as_size(plan.runs) * 3);
  const float scale = step.job.scale == 0.0f ? default_scale : step.job.scale;
  float* to = queries.data();
  for (int head = 0; head < shape.kv_heads; ++head) {
    for (int row = 0; row < plan.rows; ++row) {
      const int token = row / group, query_head = head * group + row % group;
      const float* q = step.job.queries + as_size(token * heads + query_head) * dim;
      for (size_t c = 0; c < dim; ++c) *to++ = q[c] * scale;
    }
  }
}

// Where the sealed forms of a run are.
void SparseAttention::State::gather(const SparseStep& step, int head, int run, Thread& thread) {
  const int first = step.plan.run_first(run);
  thread.sealed.resize(as_size(step.plan.run_count(run)));
  step.job.sequence->sealed(step.layer, head, SparsePlan::kSinkBlocks + first, thread.sealed);
  size_t at = candidate_at(step, head, first);
  for (const kv::SealedBlock& block : thread.sealed) {
    summaries[at] = block.summary;
    copies[at] = block.fp8;
    values[at++].spread = block.value_spread;
  }
}

// Masses of a run's blocks, and the state of the run where all of them are read as their means: while their
// summaries are near.
void SparseAttention::State::estimate_run(const SparseStep& step, int head, int run, Thread& thread) {
  const SparsePlan& plan = step.plan;
  const int first = plan.run_first(run), count = plan.run_count(run);
  const size_t at = candidate_at(step, head, first), masses = mass_at(step, head, 0, first);
  const auto stride = as_size(plan.candidates);
  scorer->score({&step.ops, step.layer, head, SparsePlan::kSinkBlocks + first, queries_of(step, head),
                 plan.rows, shape.head_dim, std::span(&summaries[at], as_size(count)), &mass2[masses],
                 &mass[masses], stride, thread.scratch.data()});
  for (size_t b = at; b < at + as_size(count); ++b) values[b].norm = summaries[b].statistics->value_norm_rms;
  step.ops.relative_masses({plan.rows, count, &mass2[masses], &mass[masses], stride,
                            &top[top_at(step, head, run)], &total[top_at(step, head, run)]});
  const SoftmaxState state = state_of(step, head, 1 + run);
  clear_state(state);
  add_estimates(step, head, run, nullptr, count, state, thread);
}

// Beside it, what is always read.
void SparseAttention::State::scan(const SparseStep& step) {
  const SparsePlan& plan = step.plan;
  step.pool.run(step.heads * (plan.runs + 1), [&](int task, int index) {
    Thread& thread = threads[as_size(index)];
    const int head = step.first_head + task / (plan.runs + 1), run = task % (plan.runs + 1) - 1;
    if (run < 0) return read_fixed(step, head, thread, state_of(step, head, 0));
    gather(step, head, run, thread);
    estimate_run(step, head, run, thread);
  });
}

// Where there is no 8-bit copy, 8 bits are no better than the estimate, so that they are never chosen.
void SparseAttention::State::expect_errors(const SparseStep& step, int head) {
  const auto rho = static_cast<float>(step.controller.estimate_share());
  const auto kappa = static_cast<float>(step.controller.eight_bit_share());
  const size_t from = candidate_at(step, head, 0), end = from + as_size(step.plan.candidates);
  for (size_t at = from; at < end; ++at) {
    const float spread = rho * values[at].spread, norm = kappa * values[at].norm;
    const float estimated = share2[at] * spread * spread;
    errors[at] = {estimated, has_copy(at) ? share2[at] * norm * norm : estimated, step.full_cost};
  }
}

// What a row's softmax sums to relative to exp(highest), which is its largest logit; what is always read
// included.
float SparseAttention::State::mass_of_row(const SparseStep& step, int head, int row, float& highest) {
  const SoftmaxState fixed = state_of(step, head, 0);
  highest = fixed.max[row];
  for (int run = 0; run < step.plan.runs; ++run)
    highest = std::max(highest, top[top_at(step, head, run) + as_size(row)]);
  float estimated = 0;
  for (int run = 0; run < step.plan.runs; ++run) {
    const size_t at = top_at(step, head, run) + as_size(row);
    estimated += total[at] * std::exp(top[at] - highest);
  }
  const float unbias = std::exp(-static_cast<float>(step.controller.log_bias()));
  return fixed.sum[row] * std::exp(fixed.max[row] - highest) + unbias * estimated;
}

// p^2 / n of every candidate: over the heads of the group a sum, over query tokens the largest.
void SparseAttention::State::share_out(const SparseStep& step, int head, Thread& thread) {
  const size_t candidates = as_size(step.plan.candidates), at = candidate_at(step, head, 0);
  const float unbias = std::exp(-static_cast<float>(step.controller.log_bias()));
  std::fill_n(&share2[at], candidates, 0.0f);
  for (int token = 0; token < step.job.count; ++token) {
    thread.share2.assign(candidates, 0.0f);
    for (int row = token * group; row < (token + 1) * group; ++row) {
      float highest;
      const float inverse = unbias / mass_of_row(step, head, row, highest);
      for (int run = 0; run < step.plan.runs; ++run) {
        const float share = inverse * std::exp(top[top_at(step, head, run) + as_size(row)] - highest);
        const int first = step.plan.run_first(run);
        const float* from = &mass2[mass_at(step, head, row, first)];
        float* to = &thread.share2[as_size(first)];
        for (int b = 0; b < step.plan.run_count(run); ++b) to[b] += share * share * from[b];
      }
    }
    for (size_t b = 0; b < candidates; ++b) share2[at + b] = std::max(share2[at + b], thread.share2[b]);
  }
}

void SparseAttention::State::select(const SparseStep& step, double allowed_error) {
  step.pool.run(step.heads, [&](int task, int thread) {
    const int head = step.first_head + task;
    share_out(step, head, threads[as_size(thread)]);
    expect_errors(step, head);
    StepHistogram& histogram = histograms[as_size(head)];
    histogram.clear();
    for (int b = 0; b < step.plan.candidates; ++b) histogram.add(errors[candidate_at(step, head, b)]);
  });
  StepHistogram& all = histograms[as_size(step.first_head)];
  for (int i = 1; i < step.heads; ++i) all.add(histograms[as_size(step.first_head + i)]);
  const Threshold threshold = all.threshold(allowed_error);
  const size_t from = candidate_at(step, step.first_head, 0);
  const size_t end = candidate_at(step, step.first_head + step.heads, 0);
  for (size_t at = from; at < end; ++at) treatments[at] = threshold.treat(errors[at]);
}

}  // namespace mneme::attention
