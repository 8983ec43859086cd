// Byte-pair merging: from single symbols, join the neighbours with the best priority (the leftmost of equals)
// until none can be joined. Shared by byte-level BPE (priority = rank of the merge) and SentencePiece
// (priority = score of the result).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

namespace mneme::model {

// A stretch of the text that is being merged. `id` is the caller's: the token, or -1.
struct MergeSymbol {
  uint32_t begin = 0;   // bytes
  uint32_t length = 0;  // bytes; 0: swallowed by its left neighbour
  int32_t id = -1;
};

// What two neighbours would become. Lower priorities go first.
struct MergeCandidate {
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
  uint32_t priority = kNone;
  int32_t id = -1;
};

// Buffers that live across calls, so that short pieces allocate nothing.
struct MergeScratch {
  struct Queued {
    uint64_t order;   // priority, then position
    uint32_t length;  // of the result, bytes: tells a stale entry
    int32_t id;
    bool operator>(const Queued& other) const { return order > other.order; }
  };
  std::vector<MergeSymbol> symbols;
  std::vector<MergeCandidate> candidates;  // [symbol]: of the symbol with its right neighbour
  std::vector<uint32_t> previous;          // [symbol]
  std::vector<uint32_t> next;              // [symbol]
  std::vector<Queued> queue;
};

// n^2 steps of a few nanoseconds: the fastest there is for a word.
template <class Lookup>
void merge_short(MergeScratch& scratch, const Lookup& lookup) {
  std::vector<MergeSymbol>& symbols = scratch.symbols;
  std::vector<MergeCandidate>& candidates = scratch.candidates;
  size_t count = symbols.size();
  candidates.resize(count);
  for (size_t i = 0; i + 1 < count; i++) candidates[i] = lookup(symbols[i], symbols[i + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; i++) {
      if (candidates[i].priority < candidates[best].priority) best = i;
    }
    if (candidates[best].priority == MergeCandidate::kNone) break;
    symbols[best].length += symbols[best + 1].length;
    symbols[best].id = candidates[best].id;
    count--;
    for (size_t i = best + 1; i < count; i++) {
      symbols[i] = symbols[i + 1];
      candidates[i] = candidates[i + 1];
    }
    if (best > 0) candidates[best - 1] = lookup(symbols[best - 1], symbols[best]);
    if (best + 1 < count) candidates[best] = lookup(symbols[best], symbols[best + 1]);
  }
  symbols.resize(count);
}

// The same in n log n steps, for pieces of any length: a linked list and a queue whose stale entries are
// skipped.
template <class Lookup>
void merge_long(MergeScratch& scratch, const Lookup& lookup) {
  std::vector<MergeSymbol>& symbols = scratch.symbols;
  std::vector<uint32_t>& previous = scratch.previous;
  std::vector<uint32_t>& next = scratch.next;
  const auto count = static_cast<uint32_t>(symbols.size());
  previous.resize(count);
  next.resize(count);
  for (uint32_t i = 0; i < count; i++) {
    previous[i] = i - 1;  // of the first one: never read
    next[i] = i + 1;
  }
  std::vector<MergeScratch::Queued>& queue = scratch.queue;  // a heap, the smallest in front
  queue.clear();
  const auto offer = [&](uint32_t left, uint32_t right) {
    const MergeCandidate candidate = lookup(symbols[left], symbols[right]);
    if (candidate.priority == MergeCandidate::kNone) return;
    const uint32_t length = symbols[left].length + symbols[right].length;
    queue.push_back({uint64_t{candidate.priority} << 32 | left, length, candidate.id});
  };
  const auto offer_and_sift = [&](uint32_t left, uint32_t right) {
    const size_t before = queue.size();
    offer(left, right);
    if (queue.size() > before) std::push_heap(queue.begin(), queue.end(), std::greater<>());
  };
  for (uint32_t i = 0; i + 1 < count; i++) offer(i, i + 1);
  std::make_heap(queue.begin(), queue.end(), std::greater<>());
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), std::greater<>());
    const MergeScratch::Queued best = queue.back();
    queue.pop_back();
    const auto left = static_cast<uint32_t>(best.order);
    const uint32_t right = next[left];
    // Symbols only grow, so the entry still holds exactly if both are there and together as long as they
    // were.
    if (symbols[left].length == 0 || right == count) continue;
    if (symbols[left].length + symbols[right].length != best.length) continue;
    symbols[left].length = best.length;
    symbols[left].id = best.id;
    symbols[right].length = 0;
    next[left] = next[right];
    if (next[left] < count) previous[next[left]] = left;
    if (left > 0) offer_and_sift(previous[left], left);
    if (next[left] < count) offer_and_sift(left, next[left]);
  }
  std::erase_if(symbols, [](const MergeSymbol& symbol) { return symbol.length == 0; });
}

// Merges scratch.symbols (each at least one byte, in order, fewer than 2^32 bytes together) in place.
// `lookup` maps (const MergeSymbol& left, const MergeSymbol& right) to a MergeCandidate and depends on
// nothing else.
template <class Lookup>
void merge_symbols(MergeScratch& scratch, const Lookup& lookup) {
  constexpr size_t kShort = 48;  // where the two cost the same on natural text
  if (scratch.symbols.size() <= kShort) {
    merge_short(scratch, lookup);
  } else {
    merge_long(scratch, lookup);
  }
}

}  // namespace mneme::model
