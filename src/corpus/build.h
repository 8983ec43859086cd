// From unpacked packages to the files of a corpus.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/error.h"

namespace mneme::corpus {

struct BuildOptions {
  std::string packages_path;  // as tools/corpus.sh writes it: role, form, name, version, sha256, folder
  std::string out_folder;     // gets train.docs, heldout.docs, manifest.tsv
  uint64_t train_bytes = 150'000'000;                        // at most
  std::array<double, 3> shares = {0.45, 0.15, 0.40};         // English prose, Chinese prose, code
  std::function<void(std::string_view line)> progress = {};  // a line for each package; may be empty
};

struct BuildReport {
  // [train, heldout][English prose, Chinese prose, code]
  std::array<std::array<uint64_t, 3>, 2> bytes{};
  std::array<std::array<uint64_t, 3>, 2> documents{};
  uint64_t packages_kept = 0;
  uint64_t packages_rejected = 0;  // all of it: manifest.tsv says why
};

// Deterministic for the same packages. Fails where the list or the output is not usable; a package that gives
// nothing is a line in manifest.tsv.
Result<BuildReport> build_corpus(const BuildOptions& options);

}  // namespace mneme::corpus
