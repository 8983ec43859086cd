// Blocks for measuring speed at depth, without reading a text so long: the keys and values of tokens that
// were evaluated, drawn anew for each block, keys and values apart. Copies of whole blocks would be no
// context: what is wrong in an estimate of one is as wrong in all of them, and adds up where the errors of a
// text's blocks do not.
#pragma once

#include <span>

#include "kv/kv.h"

namespace mneme::kv {

// The first of several is not drawn from: what softmax leaves over goes to a context's first token, once.

// Writes the slab at `into` from those at `sources`, the context's first blocks (of one layer, all heads,
// keys() of the first one; full), the same for the same `block`. Which tokens are drawn is the same in every
// layer and head.
void draw_block(const KvShape& shape, std::span<const uint16_t* const> sources, int block, uint16_t* into);

}  // namespace mneme::kv
