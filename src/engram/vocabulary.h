// Token compression: tokens that differ in case, accents, form or surrounding white space share one id.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mneme::engram {

struct CompressedVocabulary {
  std::vector<uint32_t> token_map;  // [tokens]: compressed ids 0..size-1, in order of first appearance
  uint32_t size = 0;

  uint32_t pad() const { return size; }  // an id that no token has, for what stands before the first token
};

// `tokens` are the bytes of each token. Compared are: NFKC, accents (category Mn) stripped, lower case, runs
// of white space as one space, none at the ends (a token of white space alone is one space). Tokens that are
// not valid UTF-8 alone, and those of which nothing is left, are compared byte for byte, and never with the
// others; empty ones (the caller's way of naming tokens to be left alone) have an id each.
CompressedVocabulary compress_vocabulary(std::span<const std::string> tokens);

}  // namespace mneme::engram
