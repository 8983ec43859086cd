#include "attention/sparse_decode.h"

#include <algorithm>
#include <cmath>

#include "attention/sparse_step.h"
#include "core/error.h"

namespace mneme::attention {

using kernels::kAttendRowsMax;
using kv::kBlockTokens;

SparsePlan::SparsePlan(const DenseJob& job, int layer, int group)
    : blocks(kv::blocks_of(job.first + job.count)),
      recent(std::max(kSinkBlocks, std::min(job.first / kBlockTokens - kRecentBlocks,
                                            job.sequence->sealed_blocks(layer)))),
      candidates(recent - kSinkBlocks),
      runs((candidates + kRunBlocks - 1) / kRunBlocks),
      rows(job.count * group),
      tokens_fixed(job.first + 1 - candidates * kBlockTokens) {}

Result<bool> SparseAttention::run(const kernels::Ops& ops, core::ThreadPool& pool, int layer,
                                  const DenseJob& job, SparseContext& context) {
  State& s = *state_;
  const SparsePlan plan(job, layer, s.group);
  if (job.count > kSparseTokensMax || job.window > 0 || plan.rows > kAttendRowsMax) return false;
  if (plan.candidates < SparsePlan::kCandidatesMin) return false;
  const bool copies = job.sequence->copies_sealed(layer);  // all of them: all of the context is in memory
  const bool certified = context.options().mode == SparseMode::kCertified;
  if (certified && !copies) return false;

  SparseLayer& own = context.layer(layer);
  ++own.counters.steps;
  const double allowed = own.controller.allowed_error();
  if (certified) {
    if (allowed == 0 || own.dense_next > 0) {
      own.dense_next = std::max(own.dense_next - 1, 0);
      s.count_dense(plan, own.counters);
      return false;
    }
    const uint64_t read = own.counters.bytes_read, dense = own.counters.bytes_dense;
    const double target = context.options().target_error;
    const SparseStep step{ops, pool, layer, job, own.controller, plan, 0, s.shape.kv_heads, job.out, target};
    s.lay_out(step);
    s.certify(step, allowed, own.counters);
    own.note_certified(own.counters.bytes_read - read < own.counters.bytes_dense - dense);
    return true;
  }
  const auto audited = own.controller.draw_audit(static_cast<uint64_t>(job.first), layer, copies);
  const bool dense = allowed == 0 || own.controller.dense();
  if (dense) s.count_dense(plan, own.counters);
  if (dense && (!audited || allowed == 0)) return false;
  // A layer that runs dense tries one head. Where that brings everything into memory, it is dense there too.
  SparseStep step{ops, pool, layer, job, own.controller, plan, 0, s.shape.kv_heads, job.out, 0};
  if (!copies) step.full_cost = SparsePlan::kFarCost;
  if (dense) step.first_head = *audited, step.heads = 1, step.whole = !copies;

  s.lay_out(step);
  auto fixed = s.hold_fixed(step);
  if (!fixed) return core::pass(fixed);
  s.scan(step);
  s.select(step, allowed * step.heads / s.shape.kv_heads);
  auto read = s.read(step);
  if (read) {
    s.merge(step);
    if (!dense) s.count(step, own.counters);
    if (audited) {
      own.audit.emplace().position = static_cast<uint64_t>(job.first);
      read = s.audit(step, *audited, *own.audit);
    }
  }
  s.release_fixed(step);
  if (read && !copies) job.sequence->make_copies(layer);
  if (read) return !dense || step.whole;
  own.audit.reset();
  return core::pass(read);
}

SparseAttention::SparseAttention(const kv::KvShape& shape, int heads, int threads)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.shape = shape;
  s.heads = heads;
  s.group = heads / shape.kv_heads;
  s.default_scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
  const size_t scratch = std::max({kernels::attend_scratch_bytes(shape.head_dim),
                                   kernels::attend_sealed_scratch_bytes(shape.head_dim),
                                   score_scratch_bytes(shape.head_dim)});
  s.threads.resize(static_cast<size_t>(threads));
  for (State::Thread& t : s.threads) t.scratch.resize(scratch);
}

SparseAttention::~SparseAttention() = default;
SparseAttention::SparseAttention(SparseAttention&&) noexcept = default;

}  // namespace mneme::attention
