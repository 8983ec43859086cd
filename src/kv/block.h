#pragma once

#include <cstddef>
#include <cstdint>

namespace mneme::kv {

inline constexpr int kBlockTokens = 64;

// What every block of one model has in common.
struct KvShape {
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;  // even

  // Bytes of the keys (or of the values) of one block.
  size_t half_block_bytes() const {
    return size_t{kBlockTokens} * static_cast<size_t>(head_dim) * sizeof(uint16_t);
  }
  // Bytes of a slab: the keys and values of 64 tokens of one layer, all KV heads. The unit of allocation.
  size_t slab_bytes() const { return 2 * half_block_bytes() * static_cast<size_t>(kv_heads); }
  // Bytes of keys and values of one token over all layers.
  size_t token_bytes() const {
    return size_t{4} * static_cast<size_t>(head_dim) * static_cast<size_t>(kv_heads) *
           static_cast<size_t>(layers);
  }
};

// One block as attention sees it: 64 token slots, of which the caller's limits say how many count.
// Valid until the sequence it came from is truncated, cleared or destroyed.
struct BlockView {
  const uint16_t* keys = nullptr;    // bf16 [head_dim / 2, 64, 2]
  const uint16_t* values = nullptr;  // bf16 [32, head_dim, 2]
};

}  // namespace mneme::kv
