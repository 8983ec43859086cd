// Token ids to row numbers of an Engram table (docs/formats/mneme-gguf.md, section Engram).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/error.h"

namespace mneme::engram {

inline constexpr uint32_t kOrderMax = 4;  // the longest n-gram

// Views of what a model's configuration owns, for one Engram layer.
struct HashOptions {
  uint32_t order_max = 0;                 // N: suffix n-grams of 2..N tokens
  uint32_t heads = 0;                     // K of each order
  std::span<const uint32_t> primes;       // [(N-1) * K], order-major: rows of each table
  std::span<const uint64_t> multipliers;  // [N], odd
  std::span<const uint32_t> token_map;    // [vocabulary]: the compressed id of each token
  uint32_t pad = 0;                       // the compressed id that stands before the first token

  size_t rows_per_token() const { return order_max < 2 ? 0 : size_t{order_max - 1} * heads; }
};

// Says what is wrong with options that come from a file. Primality is not checked: a table of any size above
// zero has rows to name.
Result<void> validate(const HashOptions& options);

// Rows of an Engram layer: the sum of the primes.
uint64_t row_count(const HashOptions& options);

// Rows in the concatenated table, each below row_count(). `previous` are the tokens that stand before
// `tokens`: the last N-1 of them are read; if there are fewer, the sequence starts with them. Options must be
// valid and tokens in the vocabulary (checked: a bug otherwise).
void row_indices(const HashOptions& options, std::span<const int32_t> previous,
                 std::span<const int32_t> tokens,
                 std::span<uint64_t> out);  // [tokens, (N-1) * K]

// For new models. Primes: the `count` largest that are at most `rows_max`, descending, so that all tables
// together never exceed the size asked for. Fails where there are not so many.
Result<std::vector<uint32_t>> distinct_primes(uint32_t rows_max, size_t count);

// Odd multipliers, [layers, order_max]: the same for the same seed on every machine.
std::vector<uint64_t> odd_multipliers(uint64_t seed, size_t layers, uint32_t order_max);

}  // namespace mneme::engram
