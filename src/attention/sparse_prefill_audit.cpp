// The audit of a sparse prefill pass: some tokens of one tile and KV head with every block in bf16, beside
// what was done instead. Masses are not corrected by it: those of the scan are of other rows.
#include <cmath>

#include "attention/sparse_prefill_step.h"
#include "core/rng.h"

namespace mneme::attention {

namespace {

constexpr int kAuditTokens = 4;

double log_mass(const SoftmaxState& state, int row) {
  return double{state.max[row]} + std::log(double{state.sum[row]});
}

}  // namespace

// States of the chosen blocks and of the others for each run, then of what is always read.
Result<void> SparsePrefill::State::read_audited(const PrefillStep& step, int unit,
                                                std::span<const int> tokens) {
  const PrefillUnit of = step.unit(unit);
  const BlockRuns runs = step.plan.runs();
  const int rows = static_cast<int>(tokens.size()) * group;
  const size_t floats = softmax_state_floats(rows, shape.head_dim), dim = as_size(shape.head_dim);
  audit_states.resize(floats * as_size(2 * runs.runs() + 1));
  const auto state_at = [&](int index) {
    return softmax_state_at(&audit_states[as_size(index) * floats], rows, shape.head_dim);
  };
  const auto place = [&](Thread& thread) {
    std::vector<float>& queries = thread.wide_queries;
    queries.clear();
    for (const int token : tokens) {
      place_queries(step, of.kv_head, token, 1, thread);
      queries.insert(queries.end(), thread.queries.begin(), thread.queries.end());
    }
    std::swap(queries, thread.queries);
  };
  // A token after the other: their limits differ.
  const SoftmaxState fixed = state_at(2 * runs.runs());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const size_t row = i * as_size(group);
    place_queries(step, of.kv_head, tokens[i], 1, threads.front());
    read_fixed(step, {of.kv_head, of.tile, tokens[i], 1, group},
               {fixed.out + row * dim, fixed.max + row, fixed.sum + row, group, shape.head_dim},
               threads.front());
  }
  const auto read_runs = [&](int first, int end) {
    step.pool.run(2 * (end - first), [&](int task, int index) {
      Thread& thread = threads[as_size(index)];
      const int run = first + task / 2, begin = runs.run_first(run);
      const SoftmaxState state = state_at(2 * run + task % 2);
      clear_state(state);
      place(thread);
      const auto wanted = [&](int b) { return chosen[candidate_at(step, unit, b)] == (task % 2 == 0); };
      read_blocks(step, of.kv_head, begin, begin + runs.run_count(run), wanted, state, thread);
    });
  };
  auto read = for_runs_held(
      *step.job.sequence, step.layer, runs, [](int) { return true; }, read_runs);
  if (!read) return read;
  // Into the first of each kind.
  for (int run = 1; run < runs.runs(); ++run) {
    for (int kind = 0; kind < 2; ++kind) merge_state(state_at(kind), state_at(2 * run + kind));
  }
  merge_state(state_at(0), fixed);
  return {};
}

Result<void> SparsePrefill::State::audit(const PrefillStep& step, int unit, PendingAudit& audit) {
  const PrefillUnit of = step.unit(unit);
  const size_t dim = as_size(shape.head_dim);
  core::Rng rng(static_cast<uint64_t>(step.job.first) * 1024 + as_size(step.layer) + 256);
  const int count = std::min(kAuditTokens, of.tokens);
  for (int i = 0; i < count; ++i) {  // one of each part of the tile
    const int begin = of.tokens * i / count, end = of.tokens * (i + 1) / count;
    audit.tokens.push_back(of.token + begin +
                           static_cast<int>(rng.next_below(static_cast<uint32_t>(end - begin))));
  }
  if (auto read = read_audited(step, unit, audit.tokens); !read) return read;

  const int rows = count * group;
  const size_t floats = softmax_state_floats(rows, shape.head_dim);
  const SoftmaxState exact = softmax_state_at(audit_states.data(), rows, shape.head_dim);
  const SoftmaxState missed = softmax_state_at(&audit_states[floats], rows, shape.head_dim);
  audit.difference.assign(as_size(count * heads) * dim, 0.0f);
  AuditReport& report = audit.report;
  double missed_sum = 0;
  for (int row = 0; row < rows; ++row) {
    const int token = audit.tokens[as_size(row / group)], query_head = of.kv_head * group + row % group;
    const double read = log_mass(exact, row);
    const SoftmaxState one{exact.out + as_size(row) * dim, exact.max + row, exact.sum + row, 1,
                           exact.head_dim};
    merge_state(one,
                {missed.out + as_size(row) * dim, missed.max + row, missed.sum + row, 1, exact.head_dim});
    missed_sum -= std::expm1(read - log_mass(exact, row));
    const float* given = step.job.out + as_size(token * heads + query_head) * dim;
    float* to = &audit.difference[as_size(row / group * heads + query_head) * dim];
    for (size_t c = 0; c < dim; ++c) {
      to[c] = given[c] - one.out[c] / one.sum[0];
      report.error_estimated += double{to[c]} * double{to[c]} / count;
    }
  }
  report.missed_mass = missed_sum / rows;
  report.expected_estimated = expected[as_size(unit)];
  return {};
}

}  // namespace mneme::attention
