// What sparse attention did in a context, as numbers for people.
#include "engine/session.h"

namespace mneme::engine {

namespace {

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

AttentionShares shares_of(const attention::SparseCounters& c) {
  AttentionShares s;
  s.steps = c.steps;
  s.steps_dense = c.steps_dense;
  const auto tokens = static_cast<double>(c.tokens_full + c.tokens_eight_bit + c.tokens_estimated);
  s.tokens_bf16 = share(static_cast<double>(c.tokens_full), tokens);
  s.tokens_8bit = share(static_cast<double>(c.tokens_eight_bit), tokens);
  s.tokens_estimated = share(static_cast<double>(c.tokens_estimated), tokens);
  const double work = c.macs_full + c.macs_eight_bit + c.macs_sketch;
  s.work_bf16 = share(c.macs_full, work);
  s.work_8bit = share(c.macs_eight_bit, work);
  s.work_2bit = share(c.macs_sketch, work);
  s.audits = c.audits;
  s.error_mean = share(c.error_sum, static_cast<double>(c.audits));
  s.error_max = c.error_max;
  s.missed_mass = share(c.missed_mass_sum, static_cast<double>(c.audits));
  s.bound_mean = share(c.bound_sum, static_cast<double>(c.bounds));
  s.bound_max = c.bound_max;
  return s;
}

}  // namespace

AttentionReport LoadedSession::attention() const {
  AttentionReport report;
  if (!sparse_) return report;
  report.mode = sparse_->options().mode == attention::SparseMode::kCertified ? AttentionMode::kCertified
                                                                             : AttentionMode::kAdaptive;
  report.target_error = sparse_->options().target_error;
  attention::SparseCounters all;
  uint64_t steps_most = 0;
  for (int i = 0; i < sparse_->layers(); ++i) {
    if (sequence_->shape().window(i) > 0) continue;
    const attention::SparseLayer& layer = sparse_->layer(i);
    const attention::SparseCounters& c = layer.counters;
    AttentionReport::Layer& one = report.layers.emplace_back();
    one = {i, shares_of(c), layer.controller.dense()};
    one.shares.bytes_a_step = share(static_cast<double>(c.bytes_read), static_cast<double>(c.steps));
    one.shares.bytes_a_step_exact = share(static_cast<double>(c.bytes_dense), static_cast<double>(c.steps));
    report.all.bytes_a_step += one.shares.bytes_a_step;
    report.all.bytes_a_step_exact += one.shares.bytes_a_step_exact;
    all.add(c);
    steps_most = std::max(steps_most, c.steps);
  }
  const double read = report.all.bytes_a_step, exact = report.all.bytes_a_step_exact;
  report.all = shares_of(all);
  report.all.bytes_a_step = read;
  report.all.bytes_a_step_exact = exact;
  report.all.steps = steps_most;
  report.all.steps_dense = report.layers.empty() ? 0 : all.steps_dense / report.layers.size();
  return report;
}

}  // namespace mneme::engine
