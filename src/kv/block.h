#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mneme::kv {

inline constexpr int kBlockTokens = 64;

// A sequence that forgets (layers with a window, recent rows) can still be truncated by this many tokens: a
// whole pass can be taken back.
inline constexpr int kRewindTokens = 512;

constexpr int blocks_of(int tokens) { return (tokens + kBlockTokens - 1) / kBlockTokens; }

// What every block of one model has in common, and what a sequence keeps of each layer.
struct KvShape {
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;  // even
  // [layers]: how many tokens, itself the last, a token of the layer reads; 0: all before it. Empty: every
  // layer reads all.
  std::vector<int> windows = {};
  // Widths of the rows of f32 that a sequence keeps of its last tokens (recent_rows.h), one ring each.
  std::vector<int> recent_widths = {};
  // How far before its first token a pass may read them: token t reads t - 1 .. t - recent_history.
  int recent_history = 16;

  int window(int layer) const { return windows.empty() ? 0 : windows[static_cast<size_t>(layer)]; }
  // Layers that keep every token.
  int layers_whole() const {
    return windows.empty() ? layers : static_cast<int>(std::count(windows.begin(), windows.end(), 0));
  }
  bool forgets() const { return layers_whole() < layers || !recent_widths.empty(); }
  // The first token that a layer must still hold when a sequence of `token_count` may be truncated by
  // kRewindTokens.
  int first_kept(int layer, int token_count) const {
    return window(layer) == 0 ? 0 : std::max(0, token_count - kRewindTokens - window(layer) + 1);
  }
  // The most blocks that a layer holds of one sequence; 0: no bound.
  int blocks_max(int layer) const {
    return window(layer) == 0 ? 0 : blocks_of(kRewindTokens + window(layer) - 1) + 1;
  }

  // Bytes of the keys (or of the values) of one block.
  size_t half_block_bytes() const {
    return size_t{kBlockTokens} * static_cast<size_t>(head_dim) * sizeof(uint16_t);
  }
  // Bytes of a slab: the keys and values of 64 tokens of one layer, all KV heads. The unit of allocation.
  size_t slab_bytes() const { return 2 * half_block_bytes() * static_cast<size_t>(kv_heads); }
  // Bytes of keys and values of one token over the layers that keep every token: what a context grows by.
  size_t token_bytes() const {
    return size_t{4} * static_cast<size_t>(head_dim) * static_cast<size_t>(kv_heads) *
           static_cast<size_t>(layers_whole());
  }
  // Slabs that a sequence of so many blocks holds at most.
  uint64_t slabs_of(uint64_t blocks) const;
};

// One block as attention sees it: 64 token slots, of which the caller's limits say how many count.
// Valid until the sequence it came from is extended, truncated, cleared or destroyed.
struct BlockView {
  const uint16_t* keys = nullptr;    // bf16 [head_dim / 2, 64, 2]
  const uint16_t* values = nullptr;  // bf16 [32, head_dim, 2]
};

}  // namespace mneme::kv
