#include "kv/drawn_block.h"

#include <array>

#include "core/rng.h"

namespace mneme::kv {

namespace {

struct Drawn {
  size_t source, slot;
};
using Draws = std::array<Drawn, kBlockTokens>;

Draws any_tokens(core::Rng& rng, size_t sources) {
  Draws draws;
  for (Drawn& one : draws) {
    one = {rng.next_below(static_cast<uint32_t>(sources)), rng.next_below(kBlockTokens)};
  }
  return draws;
}

}  // namespace

void draw_block(const KvShape& shape, std::span<const uint16_t* const> sources, int block, uint16_t* into) {
  if (sources.size() > 1) sources = sources.subspan(1);
  core::Rng rng(static_cast<uint64_t>(block));
  const Draws keys = any_tokens(rng, sources.size()), values = any_tokens(rng, sources.size());
  const auto dim = static_cast<size_t>(shape.head_dim);
  const size_t half = dim * kBlockTokens;
  for (size_t head = 0; head < static_cast<size_t>(shape.kv_heads); ++head) {
    const size_t key_at = head * 2 * half, value_at = key_at + half;
    for (size_t slot = 0; slot < kBlockTokens; ++slot) {
      // Keys lie as [dim / 2][token][2], values as [token / 2][dim][2].
      const Drawn &key = keys[slot], &value = values[slot];
      for (size_t d = 0; d < dim; ++d) {
        const size_t row = key_at + d / 2 * kBlockTokens * 2 + d % 2;
        into[row + slot * 2] = sources[key.source][row + key.slot * 2];
        into[value_at + slot / 2 * dim * 2 + d * 2 + slot % 2] =
            sources[value.source][value_at + value.slot / 2 * dim * 2 + d * 2 + value.slot % 2];
      }
    }
  }
}

}  // namespace mneme::kv
