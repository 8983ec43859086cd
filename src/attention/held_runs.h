// Blocks of a context in runs of fixed length, brought into memory group by group where they are not there.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "core/error.h"
#include "kv/block_source.h"

namespace mneme::attention {

// Blocks [first_block, first_block + blocks) of a context; candidate i is block first_block + i.
struct BlockRuns {
  int first_block = 0, blocks = 0, run_blocks = 1;

  int runs() const { return (blocks + run_blocks - 1) / run_blocks; }
  int run_first(int run) const { return run * run_blocks; }  // a candidate
  int run_count(int run) const { return std::min(run_blocks, blocks - run_first(run)); }
};

// Calls body(first, end) for groups of runs [first, end) that make up all of them, in order, each while the
// candidates among its blocks that are wanted are in memory: at once where the layer is whole() there. An
// error where they cannot be held; nothing is held afterwards either way.
Result<void> for_runs_held(const kv::BlockSource& sequence, int layer, const BlockRuns& runs,
                           const std::function<bool(int candidate)>& is_wanted,
                           const std::function<void(int first, int end)>& body);

}  // namespace mneme::attention
