#include "attention/scorer.h"

namespace mneme::attention {

size_t score_scratch_bytes(int head_dim) { return kernels::sketch_mass_scratch_bytes(head_dim); }

void SketchScorer::score(const ScoreTask& task) const {
  kernels::SketchMassTask masses;
  masses.queries = task.queries;
  masses.query_stride = static_cast<size_t>(task.head_dim);
  masses.rows = task.rows;
  masses.head_dim = task.head_dim;
  masses.blocks = task.blocks.data();
  masses.block_count = static_cast<int>(task.blocks.size());
  masses.max = task.max;
  masses.sum = task.sum;
  masses.stride = task.stride;
  masses.scratch = task.scratch;
  task.ops->sketch_masses(masses);
}

}  // namespace mneme::attention
