// Some of a corpus, mixed as wanted.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "corpus/documents.h"

namespace mneme::corpus {

struct SampleOptions {
  uint64_t bytes_max = 40'000'000;
  std::array<double, 3> shares = {0.45, 0.15, 0.40};  // English prose, Chinese prose, code
};

// The first documents of each class, in their order, until its share is full: the files are shuffled. Views
// into `documents`.
std::vector<std::string_view> sample(const Documents& documents, const SampleOptions& options);

}  // namespace mneme::corpus
