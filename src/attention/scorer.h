// Who says where the mass is. Selection asks a Scorer for the mass of every block and nothing else, so that
// another estimate (a trained indexer, the selection of a neighbouring layer) can take the sketch's place.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/ops.h"
#include "kv/block_source.h"

namespace mneme::attention {

// Blocks [first_block, first_block + blocks.size()) of one KV head, all whole and sealed.
struct ScoreTask {
  const kernels::Ops* ops = nullptr;
  int layer = 0, kv_head = 0, first_block = 0;
  const float* queries = nullptr;  // [rows, head_dim], rotated and scaled
  int rows = 0, head_dim = 0;
  std::span<const kernels::SealedSummary> blocks;
  // Written: an estimate of the largest logit in each block, and of the sum of exp(logit - max): how many
  // tokens of the block share its mass, if equally.
  float* max = nullptr;  // [rows, blocks], `stride` floats apart
  float* sum = nullptr;  // the same
  size_t stride = 0;
  void* scratch = nullptr;  // scratch_bytes(), 64-byte aligned
};

class Scorer {
 public:
  virtual ~Scorer() = default;
  // From any thread. The result depends on the task alone.
  virtual void score(const ScoreTask& task) const = 0;
};

// From two bits of every key and channel (kernels/sealed.h): for any model.
class SketchScorer final : public Scorer {
 public:
  void score(const ScoreTask& task) const override;
};

size_t score_scratch_bytes(int head_dim);

}  // namespace mneme::attention
