// attention: queries against a sequence's keys and values, through views of its blocks; it never learns which
// tier they come from.
//
//   dense.h   every token at full (bf16) precision
//
// One pass over the blocks of a KV head serves its whole group of query heads, and of every query token that
// fits in a tile: decode at depth is bound by the memory's speed, so each key and value is read once.
#pragma once

#include "attention/dense.h"
