// What sparse attention keeps of one context between steps: controllers and counters for each layer.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "attention/controller.h"

namespace mneme::attention {

enum class SparseMode : uint8_t {
  kAdaptive,   // estimated errors, audited, held at the target
  kCertified,  // every key read at 8 bits or more, and a proven bound on the error of each step
};

struct SparseOptions {
  SparseMode mode = SparseMode::kAdaptive;
  // Adaptive: |W_o (o - o_dense)| / |x| of a layer, root mean square over steps (controller.h). Certified:
  // the proven bound on |o - o_dense|, times the layer's gain |W_o o| / (|o| |x|).
  double target_error = 0.005;
  bool decode = true;    // decode steps may be sparse, in this mode
  bool prefill = false;  // passes over long inputs may (sparse_prefill.h), always adaptive
  double prefill_target_error = 0.005;
  // Layers decode densely until audits are fine (controller.h). Prefill passes are few, and each is of many
  // rows.
  bool begins_dense = true;
};

// Sums over the steps of one layer in one context, or over its prefill passes; tokens count once for each KV
// head (and tile of query rows).
struct SparseCounters {
  uint64_t steps = 0;        // that could be sparse: long enough a context, few enough query tokens
  uint64_t steps_dense = 0;  // of them, those that ran dense: nothing known yet, nothing to gain, or an audit
                             // failed
  uint64_t tokens_full = 0, tokens_eight_bit = 0, tokens_estimated = 0;
  uint64_t tokens_unread = 0;  // of prefill: estimated, for rows whose output nothing reads; no steps
  uint64_t bytes_read = 0, bytes_dense = 0;  // keys and values, in all forms; and what dense steps would read
  double macs_sketch = 0, macs_eight_bit = 0, macs_full = 0;  // multiply-adds by what they read
  uint64_t audits = 0;
  double error_sum = 0, error_max = 0;  // of audits: of the whole layer, relative to the residual stream
  double missed_mass_sum = 0;
  double bound_sum = 0, bound_max = 0;  // certified: relative to the residual stream
  uint64_t bounds = 0;

  void add(const SparseCounters& other);
  // A step that read so many blocks of one KV head each densely, for so many query rows each.
  void add_dense(uint64_t blocks, int rows, int head_dim);
};

// A head that was computed twice, waiting for its output product.
struct PendingAudit {
  uint64_t position = 0;  // of the step's first query token
  AuditReport report;
  std::vector<int> tokens;        // of the job's
  std::vector<float> difference;  // o - o_dense of each, [tokens, heads * head_dim]; one KV head's not 0
};

// What an audit found, and where the layer stood then.
struct AuditPoint {
  uint64_t position;
  double error, held;  // of the whole layer; LayerController::held_error() that it was chosen by
  uint64_t tokens_full, tokens_eight_bit, tokens_estimated;  // counters so far
  bool dense;                                                // it was made beside an exact step
};

struct SparseLayer {
  static constexpr size_t kAuditsKept = 4096;  // the latest, at least half as many

  SparseLayer(double target, int kv_heads, const AuditRates& rates, bool begins_dense)
      : controller(target, kv_heads, rates, begins_dense) {}
  LayerController controller;
  SparseCounters counters;
  std::optional<PendingAudit> audit;
  std::vector<AuditPoint> audits;
  int dense_next = 0;   // so many steps or prefill passes are dense without a try: there is nothing to gain
  int dense_after = 0;  // so many were, after the last try of certified steps

  // After a certified step: whether it read less than a dense one. Where it did not, dense ones follow, at
  // first kDenseFirst and twice as many after each further try, up to kDenseMost.
  static constexpr int kDenseFirst = 4, kDenseMost = 64;
  void note_certified(bool gained);

  // `error`: |W_o difference| / |x| of the pending audit, root mean square over its tokens.
  void finish_audit(double error, int kv_heads);
};

class SparseContext {
 public:
  SparseContext(const SparseOptions& options, int layers, int kv_heads)
      : options_(options),
        kv_heads_(kv_heads),
        layers_(static_cast<size_t>(layers),
                SparseLayer(options.target_error, kv_heads, kDecodeAudits, options.begins_dense)),
        prefill_(static_cast<size_t>(layers),
                 SparseLayer(options.prefill_target_error, kv_heads, kPrefillAudits, false)) {}

  const SparseOptions& options() const { return options_; }
  int kv_heads() const { return kv_heads_; }
  int layers() const { return static_cast<int>(layers_.size()); }
  SparseLayer& layer(int index) { return layers_[static_cast<size_t>(index)]; }
  const SparseLayer& layer(int index) const { return layers_[static_cast<size_t>(index)]; }
  // The same of prefill passes, which make other errors than decode steps.
  SparseLayer& prefill(int index) { return prefill_[static_cast<size_t>(index)]; }
  const SparseLayer& prefill(int index) const { return prefill_[static_cast<size_t>(index)]; }

 private:
  SparseOptions options_;
  int kv_heads_;
  std::vector<SparseLayer> layers_, prefill_;
};

}  // namespace mneme::attention
