#include "corpus/shares.h"

#include <algorithm>

#include "core/error.h"

namespace mneme::corpus {

uint64_t common_cap(std::vector<uint64_t> sizes, uint64_t total) {
  std::sort(sizes.begin(), sizes.end());
  for (size_t i = 0; i < sizes.size(); i++) {
    const uint64_t others = sizes.size() - i;
    if (sizes[i] > total / others) return total / others;
    total -= sizes[i];
  }
  return sizes.empty() ? 0 : sizes.back();
}

std::vector<uint64_t> divide(uint64_t total, const std::vector<uint64_t>& available,
                             const std::vector<double>& shares) {
  MNEME_CHECK(available.size() == shares.size(), "{} {}", available.size(), shares.size());
  std::vector<uint64_t> given(available.size(), 0);
  std::vector<bool> full(available.size(), false);
  while (true) {
    double share_sum = 0;
    uint64_t left = total;
    for (size_t i = 0; i < shares.size(); i++) {
      if (full[i])
        left -= std::min(left, given[i]);
      else
        share_sum += shares[i];
    }
    bool changed = false;
    for (size_t i = 0; i < shares.size(); i++) {
      if (full[i] || share_sum <= 0) continue;
      given[i] = static_cast<uint64_t>(static_cast<double>(left) * shares[i] / share_sum);
      if (given[i] < available[i]) continue;
      given[i] = available[i];
      full[i] = changed = true;
    }
    if (!changed) return given;
  }
}

}  // namespace mneme::corpus
