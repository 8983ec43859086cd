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
  room(mass_max, candidates * as_size(plan.rows));
  room(mass, candidates * as_size(plan.rows));
  room(top, all_heads * as_size(plan.rows));
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
    values[at] = {block.summary.statistics->value_norm_rms, block.value_spread};
    ++at;
  }
}

// Beside it, what is always read.
void SparseAttention::State::scan(const SparseStep& step) {
  const SparsePlan& plan = step.plan;
  step.pool.run(step.heads * (plan.runs + 1), [&](int task, int index) {
    Thread& thread = threads[as_size(index)];
    const int head = step.first_head + task / (plan.runs + 1), run = task % (plan.runs + 1) - 1;
    if (run < 0) return read_fixed(step, head, thread, state_of(step, head, 0));
    const int first = plan.run_first(run), count = plan.run_count(run);
    gather(step, head, run, thread);
    const size_t at = candidate_at(step, head, first);
    const size_t masses = mass_at(step, head, 0, first);
    scorer->score({&step.ops, step.layer, head, SparsePlan::kSinkBlocks + first, queries_of(step, head),
                   plan.rows, shape.head_dim, std::span(&summaries[at], as_size(count)), &mass_max[masses],
                   &mass[masses], as_size(plan.candidates), thread.scratch.data()});
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

// A row's masses relative to its largest; returns one over their sum, what is always read included.
float SparseAttention::State::weigh_row(const SparseStep& step, int head, int row, Thread& thread) {
  const size_t candidates = as_size(step.plan.candidates);
  const SoftmaxState fixed = state_of(step, head, 0);
  const float unbias = std::exp(-static_cast<float>(step.controller.log_bias()));
  const float* max = &mass_max[mass_at(step, head, row, 0)];
  float* weight = &mass[mass_at(step, head, row, 0)];
  const float highest = std::max(*std::max_element(max, max + candidates), fixed.max[row]);
  top[as_size(head * step.plan.rows + row)] = highest;
  float total = fixed.sum[row] * std::exp(fixed.max[row] - highest);
  for (size_t b = 0; b < candidates; ++b) {
    thread.per_token[b] = 1 / std::max(weight[b], 1.0f);
    weight[b] *= unbias * std::exp(max[b] - highest);
    total += weight[b];
  }
  return 1 / total;
}

// p^2 / n of every candidate: over the heads of the group a sum, over query tokens the largest.
void SparseAttention::State::share_out(const SparseStep& step, int head, Thread& thread) {
  const size_t candidates = as_size(step.plan.candidates), at = candidate_at(step, head, 0);
  std::fill_n(&share2[at], candidates, 0.0f);
  thread.per_token.resize(candidates);
  for (int token = 0; token < step.job.count; ++token) {
    thread.share2.assign(candidates, 0.0f);
    for (int row = token * group; row < (token + 1) * group; ++row) {
      const float inverse = weigh_row(step, head, row, thread);
      const float* weight = &mass[mass_at(step, head, row, 0)];
      for (size_t b = 0; b < candidates; ++b) {
        const float share = weight[b] * inverse;
        thread.share2[b] += share * share * thread.per_token[b];
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
