// Byte-level byte-pair encoding (Sennrich et al. 2016; GPT-2's byte alphabet): the merges of a model file,
// applied to one pre-token at a time.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/arena.h"
#include "core/error.h"
#include "model/bpe_merge.h"
#include "model/gguf.h"
#include "model/tokenizer_vocabulary.h"

namespace mneme::model {

// Immutable, thread safe. Keeps no reference to the file.
class Bpe {
 public:
  // What one caller needs for a series of pieces.
  struct Scratch {
    // Words recur: what each of them became, by hash, the newest in place. Empty until a text is long enough
    // to pay.
    struct Word {
      static constexpr size_t kBytesMax = 15;
      static constexpr size_t kTokensMax = 4;
      std::array<char, kBytesMax> bytes;
      uint8_t size = 0;  // 0: empty
      std::array<TokenId, kTokensMax> tokens;
      uint8_t token_count;
    };
    MergeScratch merge;
    std::string spelled;
    std::vector<Word> words;
  };

  // Reads tokenizer.ggml.merges; every merge joins two tokens of the vocabulary to a third.
  static Result<Bpe> load(const Gguf& file, const Vocabulary& vocabulary);

  // Room for the words of a text of `bytes`.
  static void prepare(Scratch& scratch, size_t bytes);

  // Appends the tokens of one pre-token of at most kPieceBytesMax bytes, any bytes at all. A byte that the
  // vocabulary has no token for (some lack those that UTF-8 never uses) becomes the unknown token, or where
  // there is none U+FFFD's bytes. `whole_words`: a pre-token that is in the vocabulary is taken as it is,
  // whatever the merges would make of it.
  void encode(const Vocabulary& vocabulary, std::string_view piece, bool whole_words, Scratch& scratch,
              std::vector<TokenId>& out) const;

  static constexpr size_t kPieceBytesMax = size_t{1} << 20;

 private:
  struct Merge {
    uint64_t pair;  // left id, right id
    uint32_t rank;
    uint32_t merged_plus_one;  // 0: an empty slot
  };
  class JoinedFinder;
  void read_bytes(const Vocabulary& vocabulary);
  // `texts`: the merges from `rank` on. The error says which merge is wrong, and how.
  Result<void> read_batch(std::span<const std::string_view> texts, uint32_t rank,
                          const Vocabulary& vocabulary, JoinedFinder& joined);
  bool insert(const Merge& merge);  // false: the table is being attacked
  MergeCandidate find(TokenId left, TokenId right) const;
  void merge(const Vocabulary& vocabulary, std::string_view piece, bool whole_words, Scratch& scratch,
             std::vector<TokenId>& out) const;

  std::array<TokenId, 256> byte_tokens_{};  // -1: none
  std::vector<TokenId> missing_byte_;       // what stands for such a byte
  // Open addressing, linear probing, at most two thirds full. Some 8 MiB that are read at random: hence large
  // pages.
  core::Arena merges_memory_;
  std::span<Merge> merges_;
};

}  // namespace mneme::model
