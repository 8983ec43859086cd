// attention: queries against a sequence's keys and values, through views of its blocks; it never learns which
// tier they come from.
//
//   dense.h           every token at full (bf16) precision
//   sparse_decode.h   decode steps of long contexts: each block in bf16, in 8 bits, or as an estimate
//   sparse_prefill.h  passes over long inputs: each block in bf16, or as an estimate
//   sparse_context.h  what both keep of a context from step to step: controllers, counters
//   scorer.h          who says where the mass is; sketch_scorer is one
//
// One pass over the blocks of a KV head serves its whole group of query heads, and of every query token that
// fits in a tile: decode at depth is bound by the memory's speed, so each key and value is read once.
#pragma once

#include "attention/dense.h"
#include "attention/sparse_context.h"
#include "attention/sparse_decode.h"
#include "attention/sparse_prefill.h"
