#include "attention/sparse_prefill.h"

#include <algorithm>
#include <cmath>

#include "attention/sparse_prefill_step.h"
#include "core/rng.h"
#include "tensor/e4m3.h"

namespace mneme::attention {

using kv::kBlockTokens;

namespace {

// A pass that reads more of its candidates than this costs more than a dense one: so many dense ones follow.
constexpr double kShareHopeless = 0.9;
constexpr int kPassesDense = 3;

int end_tokens(const PrefillPlace& place) {
  return place.unread ? kPrefillUnreadEndTokens : kPrefillEndTokens;
}

}  // namespace

PrefillPlan::PrefillPlan(const DenseJob& job, int layer, int group, const PrefillPlace& place)
    : tokens(job.first < kPrefillDenseTokens || job.window > 0
                 ? 0
                 : std::min(job.count, job.count + place.tokens_after - end_tokens(place))),
      blocks(kv::blocks_of(job.first + tokens)),
      recent(std::max(kSinkBlocks, std::min(job.first / kBlockTokens - kRecentBlocks,
                                            job.sequence->sealed_blocks(layer)))),
      candidates(recent - kSinkBlocks),
      tiles(std::max(1, (tokens * group + kTileRows - 1) / kTileRows)),
      rows_max((tokens + tiles - 1) / tiles * group) {}

Result<int> SparsePrefill::run(const kernels::Ops& ops, core::ThreadPool& pool, int layer,
                               const DenseJob& job, const PrefillPlace& place, SparseContext& context) {
  State& s = *state_;
  const PrefillPlan plan(job, layer, s.group, place);
  if (!plan.is_sparse()) return 0;
  SparseLayer& own = context.prefill(layer);
  PrefillStep step{ops, pool,       layer,       job, own.controller, plan, s.group, 0, s.shape.kv_heads,
                   0,   plan.tiles, place.unread};
  if (place.unread) return s.run_unread(step, own.counters);

  ++own.counters.steps;
  if (own.dense_next > 0) {
    --own.dense_next;
    s.count_dense(plan, own.counters);
    return 0;
  }
  const double allowed = own.controller.allowed_error();
  const auto position = static_cast<uint64_t>(job.first);
  const auto audited = own.controller.draw_audit(position, layer, job.sequence->copies_sealed(layer));
  const int audited_tile = static_cast<int>(
      core::Rng(position * 1024 + as_size(layer) + 512).next_below(static_cast<uint32_t>(plan.tiles)));
  const bool dense = allowed == 0 || own.controller.dense();
  if (dense) s.count_dense(plan, own.counters);
  if (dense && (!audited || allowed == 0)) return 0;
  // A layer that runs dense tries one head of one tile.
  if (dense) step.first_head = *audited, step.heads = 1, step.first_tile = audited_tile, step.tiles = 1;

  s.lay_out(step);
  if (auto fixed = s.hold_fixed(step); !fixed) return core::pass(fixed);
  s.scan(step);
  s.select(step, allowed * step.heads / s.shape.kv_heads);
  auto read = s.read(step);
  if (read) {
    s.finish(step);
    if (!dense && s.count(step, own.counters) > kShareHopeless) own.dense_next = kPassesDense;
    const int unit = dense ? 0 : audited.value_or(0) * plan.tiles + audited_tile;
    if (audited) {
      own.audit.emplace().position = position;
      read = s.audit(step, unit, *own.audit);
    }
  }
  job.sequence->release_some(layer, s.fixed_blocks);
  if (read) return dense ? 0 : plan.tokens;
  own.audit.reset();
  return core::pass(read);
}

Result<int> SparsePrefill::State::run_unread(const PrefillStep& step, SparseCounters& counters) {
  lay_out(step);
  if (auto fixed = hold_fixed(step); !fixed) return core::pass(fixed);
  scan(step);
  choose_none(step);
  finish(step);
  const auto units = static_cast<uint64_t>(step.units()),
             blocks = static_cast<uint64_t>(step.plan.candidates);
  counters.tokens_unread += units * blocks * kBlockTokens;
  step.job.sequence->release_some(step.layer, fixed_blocks);
  return step.plan.tokens;
}

void SparsePrefill::State::lay_out(const PrefillStep& step) {
  const auto room = [](auto& of, size_t count) {
    if (of.size() < count) of.resize(count);
  };
  const size_t units = as_size(step.units()), candidates = as_size(step.plan.candidates);
  room(states, units * softmax_state_floats(step.plan.rows_max, shape.head_dim));
  room(errors, units * candidates);
  room(corrections, units * as_size(group) * candidates);
  room(chosen, units * candidates);
  room(chosen_by_any, candidates);
  room(histograms, units);
  room(expected, units);
}

Result<void> SparsePrefill::State::hold_fixed(const PrefillStep& step) {
  fixed_blocks.clear();
  for (int block = 0; block < PrefillPlan::kSinkBlocks; ++block) fixed_blocks.push_back(block);
  for (int block = step.plan.recent; block < step.plan.blocks; ++block) fixed_blocks.push_back(block);
  return step.job.sequence->hold_some(step.layer, fixed_blocks);
}

SparsePrefill::SparsePrefill(const kv::KvShape& shape, int heads, int threads)
    : state_(std::make_unique<State>()) {
  constexpr int kSamples = 8, kSamplesOfHead = 2;
  State& s = *state_;
  s.shape = shape;
  s.heads = heads;
  s.group = heads / shape.kv_heads;
  s.samples = s.group * std::max(kSamplesOfHead, kSamples / s.group);
  s.default_scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
  for (int code = 0; code < 256; ++code)
    s.e4m3[as_size(code)] = tensor::to_f32(tensor::E4M3{static_cast<uint8_t>(code)});
  const size_t scratch = std::max(kernels::attend_scratch_bytes(s.wide_dim()),
                                  score_scratch_bytes(shape.head_dim));
  s.threads.resize(as_size(threads));
  for (State::Thread& t : s.threads) t.scratch.resize(scratch);
}

SparsePrefill::~SparsePrefill() = default;
SparsePrefill::SparsePrefill(SparsePrefill&&) noexcept = default;

}  // namespace mneme::attention
