// Blocks of a sparse step that are not in memory, brought there while they are read.
#include <algorithm>

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
    if (treatment_of(step, candidate_at(step, head, b)) == Treatment::kFull) return true;
  }
  return false;
}

Result<void> SparseAttention::State::for_runs_held(const SparseStep& step,
                                                   const std::function<bool(int candidate)>& is_wanted,
                                                   const std::function<void(int first, int end)>& body) {
  const SparsePlan& plan = step.plan;
  if (step.job.sequence->whole(step.layer)) {
    body(0, plan.runs);
    return {};
  }
  const auto held_max = static_cast<size_t>(step.job.sequence->hold_some_max());
  for (int first = 0, end = 0; first < plan.runs; first = end) {
    wanted.clear();
    // One run at least, and more while they fit.
    for (size_t before = 0; end < plan.runs; ++end) {
      for (int b = plan.run_first(end); b < plan.run_first(end) + plan.run_count(end); ++b)
        if (is_wanted(b)) wanted.push_back(SparsePlan::kSinkBlocks + b);
      if (end > first && wanted.size() > held_max) {
        wanted.resize(before);
        break;
      }
      before = wanted.size();
    }
    auto held = step.job.sequence->hold_some(step.layer, wanted);
    if (!held) return held;
    body(first, end);
    step.job.sequence->release_some(step.layer, wanted);
  }
  return {};
}

}  // namespace mneme::attention
