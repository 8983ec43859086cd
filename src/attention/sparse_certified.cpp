// Certified steps: every key in 8 bits or more, and a bound on the error that is proven for each step.
//
// Of a row, let pi^ be the softmax as computed, where blocks read in 8 bits have logits within b of the true
// ones (Ops::key_error_bounds) and values within eta |v|, and o^ the output. With the true values it were
// o~ = sum pi^ v, |o^ - o~| <= sum_B pi^(B) eta v_max(B) over the blocks B read in 8 bits. The true softmax
// is pi = pi^ s / Z with s in [exp(-b), exp(b)] and Z = sum pi^ s >= Z' = sum pi^ exp(-b), and since sum pi^
// (v - o~) = 0
//   |o - o~| = |sum pi^ (s - 1) (v - o~)| / Z <= sum_B pi^(B) (exp(b) - 1) (v_max(B) + |o~|) / Z'
// Blocks are read again in bf16, those that add most to the bound first, until it is small enough. What the
// arithmetic of kernels rounds beside is the same as that of exact attention, and is not in the bound.
#include <algorithm>
#include <cmath>

#include "attention/sparse_step.h"
#include "kv/sealed_block.h"

namespace mneme::attention {

using kv::kBlockTokens;

namespace {

size_t as_size(int n) { return static_cast<size_t>(n); }

// Of |v|, what codes of values (kernels/sealed.h) can take. int8: half a step in each channel, a step being
// max|v| / 127 rounded up to bf16. E4M3: half a unit of 3 bits of mantissa, and of numbers below 2^-6 2^f
// half of 2^-9 2^f, where some channel is above 224 2^f.
double value_error_share(int head_dim, kernels::CopyFormat format) {
  if (format == kernels::CopyFormat::kInt8) return std::sqrt(head_dim) / 254 * (1 + 0x1p-6);
  const double subnormal = 0x1p-10 / 224;
  return std::sqrt(0x1p-8 + subnormal * subnormal * head_dim);
}

// Masses are sums of f32 of weights that kernels may round to bf16 (2^-8).
constexpr double kSlack = 1 + 0x1p-6;
constexpr int kRounds = 4;

}  // namespace

// What each block read in 8 bits adds to the bound of a KV head, and the sum: the root of squares over rows.
double SparseAttention::State::bound_head(const SparseStep& step, int head) {
  const SparsePlan& plan = step.plan;
  const size_t dim = as_size(shape.head_dim), at = candidate_at(step, head, 0);
  const double eta = value_error_share(shape.head_dim, copies[at].format());
  const SoftmaxState all = state_of(step, head, 0);
  std::fill_n(&share2[at], plan.candidates, 0.0f);
  double head_bound2 = 0;
  for (int row = 0; row < plan.rows; ++row) {
    const auto mass_of = [&](int b) {
      const SoftmaxState block = block_state(step, head, b);
      return std::exp(double{block.max[row]} - double{all.max[row]}) * double{block.sum[row]} /
             double{all.sum[row]};
    };
    double rounding = 0, least = 1, least_eight_bit = 0, output2 = 0;  // least: Z', of which what is in bf16
                                                                       // has all its mass
    for (int b = 0; b < plan.candidates; ++b) {
      if (escalated[at + as_size(b)]) continue;
      const double mass = mass_of(b);
      least -= mass;
      least_eight_bit += mass * std::exp(-double{bounds[mass_at(step, head, row, b)]});
      rounding += mass * eta * double{summaries[at + as_size(b)].statistics->value_norm_max};
    }
    for (size_t c = 0; c < dim; ++c)
      output2 += std::pow(double{all.out[as_size(row) * dim + c]} / double{all.sum[row]}, 2);
    least = std::max(least, 0.0) + least_eight_bit;
    const double output = std::sqrt(output2) + rounding;
    double bound = 0;
    for (int b = 0; b < plan.candidates; ++b) {
      if (escalated[at + as_size(b)]) continue;
      const double largest = double{summaries[at + as_size(b)].statistics->value_norm_max};
      const double adds = mass_of(b) * (std::expm1(double{bounds[mass_at(step, head, row, b)]}) *
                                            (largest + output) / least +
                                        eta * largest);
      bound += adds;
      share2[at + as_size(b)] += static_cast<float>(adds * adds);
    }
    head_bound2 += bound * bound;
  }
  return kSlack * std::sqrt(head_bound2);
}

// Every candidate on its own, in 8 bits, beside what is always read.
void SparseAttention::State::scan_certified(const SparseStep& step) {
  const SparsePlan& plan = step.plan;
  const size_t all = as_size(shape.kv_heads) * as_size(plan.candidates);
  const auto room = [](auto& of, size_t count) {
    if (of.size() < count) of.resize(count);
  };
  room(bounds, all * as_size(plan.rows));
  room(block_states, all * softmax_state_floats(plan.rows, shape.head_dim));
  escalated.assign(all, 0);
  step.pool.run(step.heads * (plan.runs + 1), [&](int task, int index) {
    Thread& thread = threads[as_size(index)];
    const int head = task / (plan.runs + 1), run = task % (plan.runs + 1) - 1;
    if (run < 0) return read_fixed(step, head, thread, fixed_state(step, head));
    const int first = plan.run_first(run), count = plan.run_count(run);
    gather(step, head, run, thread);
    const size_t at = candidate_at(step, head, first);
    step.ops.key_error_bounds({queries_of(step, head), as_size(shape.head_dim), plan.rows, shape.head_dim,
                               &summaries[at], &copies[at], count, &bounds[mass_at(step, head, 0, first)],
                               as_size(plan.candidates)});
    for (int b = first; b < first + count; ++b) {
      const SoftmaxState state = block_state(step, head, b);
      clear_state(state);
      step.ops.attend_sealed({queries_of(step, head), as_size(shape.head_dim), plan.rows, shape.head_dim,
                              &summaries[candidate_at(step, head, b)], &copies[candidate_at(step, head, b)],
                              1, state.out, state.max, state.sum, thread.scratch.data()});
    }
  });
}

// Reads blocks in bf16 until what the others add to the bound is `allowed`.
void SparseAttention::State::escalate(const SparseStep& step, int head, double allowed, Thread& thread) {
  const SparsePlan& plan = step.plan;
  const size_t at = candidate_at(step, head, 0);
  StepHistogram& histogram = histograms[as_size(head)];
  histogram.clear();
  for (int b = 0; b < plan.candidates; ++b) histogram.add({std::sqrt(share2[at + as_size(b)]), 0});
  const Threshold beyond = histogram.threshold(allowed);
  thread.limits.assign(as_size(plan.rows), kBlockTokens);
  for (int b = 0; b < plan.candidates; ++b) {
    if (escalated[at + as_size(b)] ||
        beyond.treat({std::sqrt(share2[at + as_size(b)]), 0}) == Treatment::kEstimated)
      continue;
    escalated[at + as_size(b)] = 1;
    const SoftmaxState state = block_state(step, head, b);
    clear_state(state);
    read_one(step, head, SparsePlan::kSinkBlocks + b, state, thread);
  }
}

void SparseAttention::State::merge_certified(const SparseStep& step, int head) {
  const SoftmaxState all = state_of(step, head, 0), fixed = fixed_state(step, head);
  clear_state(all);
  merge_state(all, fixed);
  for (int b = 0; b < step.plan.candidates; ++b) merge_state(all, block_state(step, head, b));
}

void SparseAttention::State::certify(const SparseStep& step, double allowed_error, SparseCounters& counters) {
  const int heads_here = step.heads;
  const double allowed = std::sqrt(allowed_error);
  std::vector<double>& head_bounds = certified_bounds;
  head_bounds.assign(as_size(heads_here), 0);
  scan_certified(step);
  double bound = 0;
  for (int round = 0;; ++round) {
    step.pool.run(heads_here, [&](int head, int) {
      merge_certified(step, head);
      head_bounds[as_size(head)] = bound_head(step, head);
    });
    double squares = 0;
    for (const double b : head_bounds) squares += b * b;
    bound = std::sqrt(squares);
    if (bound <= allowed) break;
    // Each head keeps its share; masses move when blocks are read again, so later rounds ask for less, the
    // last one for none.
    const double share = round + 1 < kRounds ? allowed / bound * std::pow(0.7, round) : -1;
    step.pool.run(heads_here, [&](int head, int thread) {
      escalate(step, head, head_bounds[as_size(head)] * share, threads[as_size(thread)]);
    });
  }
  step.pool.run(heads_here, [&](int head, int) { write_out(step, head); });
  count_certified(step, counters);
  // In units of the residual stream, as the target is.
  const double relative = bound / allowed * step.target;
  ++counters.bounds;
  counters.bound_sum += relative;
  counters.bound_max = std::max(counters.bound_max, relative);
}

void SparseAttention::State::count_certified(const SparseStep& step, SparseCounters& counters) const {
  const size_t all = as_size(step.heads) * as_size(step.plan.candidates);
  const auto again = static_cast<uint64_t>(
      std::count(escalated.begin(), escalated.begin() + static_cast<std::ptrdiff_t>(all), 1));
  count_blocks(step, {.full = again, .eight_bit = all - again}, counters);
  // Those were read in 8 bits before.
  counters.bytes_read += again * kv::fp8_bytes(shape.head_dim);
  counters.macs_eight_bit += 2.0 * kBlockTokens * shape.head_dim * step.plan.rows *
                             static_cast<double>(again);
}

}  // namespace mneme::attention
