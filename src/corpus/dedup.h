// What was there already: documents, paragraphs, licence headers, and the lines every page of a manual has.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "corpus/documents.h"

namespace mneme::corpus {

// Remembers the paragraphs (between blank lines) of all it is shown, by a 64-bit hash of their letters and
// digits: case, space and marks do not tell two apart. Not thread safe.
class Deduplicator {
 public:
  // The text as it should be kept: without a comment about copyright at its head that was seen before, and in
  // prose without paragraphs that were seen before. Empty where most of it (60 %) was.
  std::string keep_new(std::string_view text, Kind kind);

 private:
  std::unordered_set<uint64_t> paragraphs_;
  std::unordered_set<uint64_t> headers_;
};

// Drops, from texts of one package, lines that stand in more than a fifth of them (of 20 texts or more):
// menus, "next chapter", footers. Code lines are left alone: only prose is to be handed in.
void drop_common_lines(std::vector<std::string>& texts);

}  // namespace mneme::corpus
