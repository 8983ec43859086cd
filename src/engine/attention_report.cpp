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
  s.bytes_a_step = share(static_cast<double>(c.bytes_read), static_cast<double>(c.steps));
  s.bytes_a_step_exact = share(static_cast<double>(c.bytes_dense), static_cast<double>(c.steps));
  return s;
}

// A step goes through all layers.
struct LayerSum {
  double bytes = 0, bytes_exact = 0;
  uint64_t steps_most = 0, layers = 0;

  void add(const AttentionShares& layer) {
    bytes += layer.bytes_a_step;
    bytes_exact += layer.bytes_a_step_exact;
    steps_most = std::max(steps_most, layer.steps);
    ++layers;
  }
};

AttentionShares shares_of_all(const attention::SparseCounters& all, const LayerSum& sum) {
  AttentionShares shares = shares_of(all);
  shares.bytes_a_step = sum.bytes;
  shares.bytes_a_step_exact = sum.bytes_exact;
  shares.steps = sum.steps_most;
  shares.steps_dense = sum.layers == 0 ? 0 : all.steps_dense / sum.layers;
  return shares;
}

std::vector<AttentionReport::Audit> audits_of(const std::vector<attention::AuditPoint>& points) {
  std::vector<AttentionReport::Audit> audits;
  attention::AuditPoint before{};
  for (const attention::AuditPoint& point : points) {
    const auto full = static_cast<double>(point.tokens_full - before.tokens_full);
    const auto eight_bit = static_cast<double>(point.tokens_eight_bit - before.tokens_eight_bit);
    const auto estimated = static_cast<double>(point.tokens_estimated - before.tokens_estimated);
    const double all = full + eight_bit + estimated;
    audits.push_back({point.position, point.error, point.held, share(full, all), share(eight_bit, all),
                      share(estimated, all), point.dense});
    before = point;
  }
  return audits;
}

}  // namespace

AttentionReport LoadedSession::attention() const {
  AttentionReport report;
  if (!sparse_) return report;
  const attention::SparseOptions& options = sparse_->options();
  if (options.decode) {
    report.mode = options.mode == attention::SparseMode::kCertified ? AttentionMode::kCertified
                                                                    : AttentionMode::kAdaptive;
    report.target_error = options.target_error;
  }
  report.prefill_sparse = options.prefill;
  if (options.prefill) report.prefill_target_error = options.prefill_target_error;
  attention::SparseCounters all, prefill;
  LayerSum bytes, prefill_bytes;
  for (int i = 0; i < sparse_->layers(); ++i) {
    if (sequence_->shape().window(i) > 0) continue;
    const attention::SparseLayer& layer = sparse_->layer(i);
    const attention::SparseCounters& c = layer.counters;
    AttentionReport::Layer& one = report.layers.emplace_back();
    const attention::SparseLayer& passes = sparse_->prefill(i);
    one = {i, shares_of(c), layer.controller.dense(), shares_of(passes.counters), passes.controller.dense(),
           audits_of(layer.audits)};
    all.add(c);
    prefill.add(passes.counters);
    bytes.add(one.shares), prefill_bytes.add(one.prefill);
  }
  report.all = shares_of_all(all, bytes);
  report.prefill = shares_of_all(prefill, prefill_bytes);
  return report;
}

}  // namespace mneme::engine
