// Finds the tokens that are written in a text as themselves: control tokens like <|im_end|>, and user-defined
// ones.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "model/tokenizer_vocabulary.h"

namespace mneme::model {

// Immutable, thread safe. Holds views into the strings of the Vocabulary it was made from, which must outlive
// it; moving the Vocabulary may invalidate them.
class SpecialTokens {
 public:
  struct Found {
    size_t begin = 0;
    size_t length = 0;
    TokenId id = -1;
  };

  SpecialTokens() = default;
  // Control, unknown and user-defined tokens. The others of the vocabulary are only ever made by encoding.
  explicit SpecialTokens(const Vocabulary& vocabulary);

  // The first special token at or after `from`, the longest where several begin; user-defined ones only,
  // unless `all`.
  std::optional<Found> find(std::string_view text, size_t from, bool all) const;

 private:
  struct Special {
    std::string_view text;
    TokenId id;
    bool user_defined;
  };
  std::optional<Found> longest_at(std::string_view text, size_t at, bool all) const;

  std::vector<Special> sorted_;             // by text, no two alike
  std::array<uint32_t, 257> first_byte_{};  // of the texts that begin with byte b: [first_byte_[b],
                                            // first_byte_[b + 1])
  std::array<bool, 256> begins_{};          // some special token begins with this byte
  std::array<bool, 256> begins_user_defined_{};
};

}  // namespace mneme::model
