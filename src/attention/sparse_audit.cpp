// The audit of a sparse step: one KV head with every block in bf16, beside what was done instead.
#include <array>
#include <cmath>

#include "attention/sparse_step.h"

namespace mneme::attention {

namespace {

size_t as_size(int n) { return static_cast<size_t>(n); }

// What was selected as one thing, read as another.
struct Part {
  Treatment which, how;
};
enum PartIndex : size_t { kFullPart, kEightBitExact, kEstimatedExact, kEightBitPart, kEstimatedPart };
constexpr std::array<Part, 5> kParts{{{Treatment::kFull, Treatment::kFull},
                                      {Treatment::kEightBit, Treatment::kFull},
                                      {Treatment::kEstimated, Treatment::kFull},
                                      {Treatment::kEightBit, Treatment::kEightBit},
                                      {Treatment::kEstimated, Treatment::kEstimated}}};

// What a part adds to the normalised output of a row: exp(max - top) / total of it.
double weight_of(const SoftmaxState& part, int row, const SoftmaxState& exact) {
  if (part.sum[row] == 0) return 0;
  return std::exp(double{part.max[row]} - double{exact.max[row]}) / double{exact.sum[row]};
}

// |(a - b) of a row|^2 where each is what its blocks add to the output: their values less `output`, times
// their share. (To first order in the difference of masses.)
double difference2(const SoftmaxState& a, const SoftmaxState& b, int row, const SoftmaxState& exact) {
  const double wa = weight_of(a, row, exact), wb = weight_of(b, row, exact);
  const double mass = wa * double{a.sum[row]} - wb * double{b.sum[row]};
  const size_t dim = as_size(exact.head_dim), at = as_size(row) * dim;
  double squares = 0;
  for (size_t c = at; c < at + dim; ++c) {
    const double output = double{exact.out[c]} / double{exact.sum[row]};
    const double d = wa * double{a.out[c]} - wb * double{b.out[c]} - mass * output;
    squares += d * d;
  }
  return squares;
}

}  // namespace

// States of each part and run, then of the blocks that are always read. Of the other heads, where they are
// wanted, the states are those of a step.
Result<void> SparseAttention::State::read_audited(const SparseStep& step, int head) {
  const int runs = step.plan.runs, part_count = static_cast<int>(kParts.size());
  audit_states.resize((kParts.size() * as_size(runs) + 1) *
                      softmax_state_floats(step.plan.rows, shape.head_dim));
  const SoftmaxState fixed = audit_state(step, kParts.size() * as_size(runs));
  clear_state(fixed);
  read_fixed(step, head, threads.front(), fixed);
  const int others = step.whole ? shape.kv_heads - 1 : 0;
  const auto other = [&](int i) { return i < head ? i : i + 1; };
  for (int i = 0; i < others; ++i) read_fixed(step, other(i), threads.front(), state_of(step, other(i), 0));
  const auto read_parts = [&](int first, int end) {
    step.pool.run((part_count + others) * (end - first), [&](int task, int thread) {
      const auto part = as_size(task / (end - first));
      const int run = first + task % (end - first);
      if (part >= kParts.size()) {
        const int beside = other(static_cast<int>(part - kParts.size()));
        const SoftmaxState state = state_of(step, beside, 1 + run);
        clear_state(state);
        return read_whole(step, beside, run, state, threads[as_size(thread)]);
      }
      const SoftmaxState state = audit_state(step, part * as_size(runs) + as_size(run));
      clear_state(state);
      read_blocks(step, head, run, kParts[part].which, kParts[part].how, state, threads[as_size(thread)]);
    });
  };
  return for_runs_held(
      step, [](int) { return true; }, read_parts);
}

// `exact` of `head`, and what was read of the others.
void SparseAttention::State::write_dense(const SparseStep& step, int head, const SoftmaxState& exact) {
  for (int each = 0; each < shape.kv_heads; ++each) {
    const SoftmaxState all = state_of(step, each, 0);
    if (each == head) clear_state(all), merge_state(all, exact);
    for (int run = 0; each != head && run < step.plan.runs; ++run)
      merge_state(all, state_of(step, each, 1 + run));
    write_out(step, each);
  }
}

Result<void> SparseAttention::State::audit(const SparseStep& step, int head, PendingAudit& audit) {
  const SparsePlan& plan = step.plan;
  const size_t dim = as_size(shape.head_dim);
  if (auto read = read_audited(step, head); !read) return read;
  std::array<SoftmaxState, kParts.size()> parts;
  for (size_t p = 0; p < kParts.size(); ++p) {
    parts[p] = audit_state(step, p * as_size(plan.runs));
    for (int run = 1; run < plan.runs; ++run)
      merge_state(parts[p], audit_state(step, p * as_size(plan.runs) + as_size(run)));
  }
  const SoftmaxState exact = audit_state(step, kParts.size() * as_size(plan.runs));
  for (const PartIndex p : {kFullPart, kEightBitExact, kEstimatedExact}) merge_state(exact, parts[p]);

  AuditReport& report = audit.report;
  audit.tokens = {step.job.count - 1};
  audit.difference.assign(as_size(heads) * dim, 0.0f);
  double bias = 0, missed = 0;
  for (int row = plan.rows - group; row < plan.rows; ++row) {
    const size_t query_head = as_size(head * group + row % group);
    const float* sparse = step.out + (as_size(step.job.count - 1) * as_size(heads) + query_head) * dim;
    for (size_t c = 0; c < dim; ++c)
      audit.difference[query_head * dim + c] = sparse[c] - exact.out[as_size(row) * dim + c] / exact.sum[row];
    report.error_eight_bit += difference2(parts[kEightBitPart], parts[kEightBitExact], row, exact);
    report.error_estimated += difference2(parts[kEstimatedPart], parts[kEstimatedExact], row, exact);
    const double truly = weight_of(parts[kEstimatedExact], row, exact) *
                         double{parts[kEstimatedExact].sum[row]};
    const double guess = weight_of(parts[kEstimatedPart], row, exact) *
                         double{parts[kEstimatedPart].sum[row]};
    missed += truly;
    if (truly > 0 && guess > 0) bias += truly * std::log(guess / truly);
  }
  report.missed_mass = missed / group;
  // What is left of the bias after the present correction.
  constexpr double kMassMin = 1e-4;
  if (report.missed_mass > kMassMin) report.log_bias = step.controller.log_bias() + bias / missed;
  for (int b = 0; b < plan.candidates; ++b) {
    const BlockError& error = errors[candidate_at(step, head, b)];
    const Treatment how = treatments[candidate_at(step, head, b)];
    if (how == Treatment::kEstimated) report.expected_estimated += double{error.estimated};
    if (how == Treatment::kEightBit) report.expected_eight_bit += double{error.eight_bit};
  }
  if (step.whole) write_dense(step, head, exact);
  return {};
}

}  // namespace mneme::attention
