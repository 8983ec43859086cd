// SentencePiece's BPE (Kudo and Richardson 2018): neighbours are joined where the vocabulary has the result,
// the highest score first; characters that the vocabulary lacks are spelled as byte tokens.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "model/bpe_merge.h"
#include "model/gguf.h"
#include "model/tokenizer_vocabulary.h"

namespace mneme::model {

// Immutable, thread safe. Keeps no reference to the file.
class SentencePiece {
 public:
  struct Scratch {
    MergeScratch merge;
    std::string escaped;
  };

  // Reads tokenizer.ggml.scores.
  static Result<SentencePiece> load(const Gguf& file, const Vocabulary& vocabulary);

  // Appends the tokens of `text`, any bytes at all, with a space in front if asked. Time and memory are those
  // of the longest stretch that tokens could span, not of the text: stretches are at most kStretchBytesMax.
  // A byte that the vocabulary has no token for becomes the unknown token, or nothing where there is none.
  void encode(const Vocabulary& vocabulary, std::string_view text, bool space_prefix, Scratch& scratch,
              std::vector<TokenId>& out) const;

  static constexpr size_t kStretchBytesMax = size_t{1} << 20;

 private:
  static constexpr size_t kNeighboursBits = 20;
  static size_t neighbours_bit(char32_t left, char32_t right);
  void note_neighbours(std::string_view text);
  bool may_be_neighbours(char32_t left, char32_t right) const;
  void merge(const Vocabulary& vocabulary, Scratch& scratch, std::vector<TokenId>& out) const;

  std::vector<uint32_t> priority_;  // [token] MergeCandidate's: low for a high score; kNone: never joined to
  std::array<TokenId, 256> byte_tokens_{};  // -1: none
  TokenId unknown_ = -1;
  // A Bloom filter of the character pairs that occur inside tokens. Where a text's pair is not among them no
  // token can reach across, so the text may be divided there without changing any result: mostly before each
  // word.
  std::vector<uint64_t> neighbours_;
};

}  // namespace mneme::model
