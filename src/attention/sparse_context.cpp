#include "attention/sparse_context.h"

#include <algorithm>
#include <cmath>

#include "kv/block.h"

namespace mneme::attention {

void SparseCounters::add(const SparseCounters& other) {
  steps += other.steps;
  steps_dense += other.steps_dense;
  tokens_full += other.tokens_full;
  tokens_eight_bit += other.tokens_eight_bit;
  tokens_estimated += other.tokens_estimated;
  tokens_unread += other.tokens_unread;
  bytes_read += other.bytes_read;
  bytes_dense += other.bytes_dense;
  macs_sketch += other.macs_sketch;
  macs_eight_bit += other.macs_eight_bit;
  macs_full += other.macs_full;
  audits += other.audits;
  error_sum += other.error_sum;
  error_max = std::max(error_max, other.error_max);
  missed_mass_sum += other.missed_mass_sum;
  bound_sum += other.bound_sum;
  bound_max = std::max(bound_max, other.bound_max);
  bounds += other.bounds;
}

void SparseCounters::add_dense(uint64_t blocks, int rows, int head_dim) {
  const uint64_t numbers = blocks * kv::kBlockTokens * static_cast<uint64_t>(head_dim) * 2;  // keys and
                                                                                             // values
  ++steps_dense;
  tokens_full += blocks * kv::kBlockTokens;
  bytes_read += numbers * sizeof(uint16_t);
  bytes_dense += numbers * sizeof(uint16_t);
  macs_full += static_cast<double>(numbers) * rows;
}

void SparseLayer::note_certified(bool gained) {
  dense_after = gained ? 0 : std::clamp(2 * dense_after, kDenseFirst, kDenseMost);
  dense_next = dense_after;
}

void SparseLayer::finish_audit(double error, int kv_heads) {
  if (!audit) return;
  audit->report.residual_error = error;
  const double layer_error = error * std::sqrt(static_cast<double>(kv_heads));
  if (audits.size() >= kAuditsKept) audits.erase(audits.begin(), audits.begin() + kAuditsKept / 2);
  audits.push_back({audit->position, layer_error, controller.held_error(), counters.tokens_full,
                    counters.tokens_eight_bit, counters.tokens_estimated, controller.dense()});
  controller.learn(audit->report);
  ++counters.audits;
  counters.error_sum += layer_error;
  counters.error_max = std::max(counters.error_max, layer_error);
  counters.missed_mass_sum += audit->report.missed_mass;
  audit.reset();
}

}  // namespace mneme::attention
