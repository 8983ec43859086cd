// engram: n-gram embedding tables (arXiv 2601.07372; docs/formats/mneme-gguf.md, section Engram): which rows
// a token's suffix n-grams name, and those rows as f32, from memory or from disk.
//
//   hash.h        token ids -> row numbers; primes and multipliers for new models
//   table.h       the rows of one Engram layer in a file: loaded, or left on disk
//   fetch.h       a chunk's rows on their way from the table while other layers compute
//   vocabulary.h  token compression for new models (ICU; the runtime reads its result from the model file)
//
// Row numbers depend on token ids alone. So a pass names all its rows first, begins a Fetch for each Engram
// layer, computes the layers before it, and waits for the values only where they are added:
//
//   row_indices(hash, previous, tokens, rows);     // once for each Engram layer: multipliers differ
//   fetch->begin(rows);
//   ...                                            // the layers before
//   fetch->wait(values);                           // [tokens, (N-1) K w]
//
// The gate and the convolution are part of the forward pass (model).
//
// Includes: tensor, core; ICU, which no other room names.
#pragma once

#include "engram/fetch.h"
#include "engram/hash.h"
#include "engram/table.h"
#include "engram/vocabulary.h"
