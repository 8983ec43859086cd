// How much of what is there is taken, so that no package is most of the corpus.
#pragma once

#include <cstdint>
#include <vector>

namespace mneme::corpus {

// The greatest cap with sum(min(size, cap)) <= total: every package gives all it has up to the same amount.
// The largest size where all of them fit.
uint64_t common_cap(std::vector<uint64_t> sizes, uint64_t total);

// How many of `total` bytes each class gets that has `available` and asks for `share` (they add up to 1):
// what one cannot fill goes to the others, by their shares.
std::vector<uint64_t> divide(uint64_t total, const std::vector<uint64_t>& available,
                             const std::vector<double>& shares);

}  // namespace mneme::corpus
