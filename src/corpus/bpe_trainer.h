// Learns byte-pair merges (Sennrich et al. 2016, algorithm 1) over bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "corpus/vocabulary.h"
#include "model/pretokenizer.h"

namespace mneme::corpus {

// How often each pre-token occurs.
class WordCounts {
 public:
  static Result<WordCounts> make();
  // Adds the pre-tokens of a text. Those of more than 256 bytes (rules of a table, data) teach nothing and
  // are left out.
  void add(std::string_view text);
  void add_word(std::string_view word, uint64_t count) { counts_[std::string(word)] += count; }

  const std::unordered_map<std::string, uint64_t>& counts() const { return counts_; }

 private:
  explicit WordCounts(model::Pretokenizer pretokenizer) : pretokenizer_(std::move(pretokenizer)) {}
  model::Pretokenizer pretokenizer_;
  std::unordered_map<std::string, uint64_t> counts_;
};

struct BpeOptions {
  int learned = 0;                                 // how many new tokens
  size_t token_bytes_max = 16;                     // longer ones are not made
  uint64_t count_min = 2;                          // a pair that is rarer is not merged
  std::function<void(int learned)> progress = {};  // now and then; may be empty
};

// The merges, best first: each time the pair that occurs most often, and of equals the one with the lower
// left, then right id. Bytes are ids 0 to 255; each merge's result is the next id, unless a token of that
// spelling is there. Fewer tokens than asked for where pairs run out. The result depends on the counts only.
std::vector<Merge> train_bpe(const WordCounts& words, const BpeOptions& options);

}  // namespace mneme::corpus
