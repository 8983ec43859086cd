#include "attention/held_runs.h"

namespace mneme::attention {

Result<void> for_runs_held(const kv::BlockSource& sequence, int layer, const BlockRuns& runs,
                           const std::function<bool(int candidate)>& is_wanted,
                           const std::function<void(int first, int end)>& body) {
  if (sequence.whole(layer)) {
    body(0, runs.runs());
    return {};
  }
  const auto held_max = static_cast<size_t>(sequence.hold_some_max());
  std::vector<int> wanted;
  for (int first = 0, end = 0; first < runs.runs(); first = end) {
    wanted.clear();
    // One run at least, and more while they fit.
    for (size_t before = 0; end < runs.runs(); ++end) {
      for (int b = runs.run_first(end); b < runs.run_first(end) + runs.run_count(end); ++b)
        if (is_wanted(b)) wanted.push_back(runs.first_block + b);
      if (end > first && wanted.size() > held_max) {
        wanted.resize(before);
        break;
      }
      before = wanted.size();
    }
    auto held = sequence.hold_some(layer, wanted);
    if (!held) return held;
    body(first, end);
    sequence.release_some(layer, wanted);
  }
  return {};
}

}  // namespace mneme::attention
