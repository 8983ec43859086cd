// Blocks of a sparse step that are not in memory, brought there while they are read.
#include "attention/held_runs.h"
#include "attention/sparse_step.h"

namespace mneme::attention {

Result<void> SparseAttention::State::hold_fixed(const SparseStep& step) {
  fixed_blocks.clear();
  for (int block = 0; block < SparsePlan::kSinkBlocks; ++block) fixed_blocks.push_back(block);
  for (int block = step.plan.recent; block < step.plan.blocks; ++block) fixed_blocks.push_back(block);
  return step.job.sequence->hold_some(step.layer, fixed_blocks);
}

void SparseAttention::State::release_fixed(const SparseStep& step) {
  step.job.sequence->release_some(step.layer, fixed_blocks);
}

bool SparseAttention::State::read_by_any(const SparseStep& step, int b) const {
  for (int head = step.first_head; head < step.first_head + step.heads; ++head) {
    if (treatments[candidate_at(step, head, b)] == Treatment::kFull) return true;
  }
  return false;
}

Result<void> SparseAttention::State::for_runs_held(const SparseStep& step,
                                                   const std::function<bool(int candidate)>& is_wanted,
                                                   const std::function<void(int first, int end)>& body) {
  const BlockRuns runs{SparsePlan::kSinkBlocks, step.plan.candidates, SparsePlan::kRunBlocks};
  return attention::for_runs_held(*step.job.sequence, step.layer, runs, is_wanted, body);
}

}  // namespace mneme::attention
