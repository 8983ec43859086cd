// The token list of a model file: spelling, bytes, type and score of every id, and the way back from a
// spelling to its id.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "model/gguf.h"

namespace mneme::model {

using TokenId = int32_t;

// tokenizer.ggml.token_type; numbers as in the file.
enum class TokenType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

// How a spelling stands for bytes.
enum class Spelling {
  kByteLevel,      // every byte has a printable character of its own (GPT-2): "Ġthe" is " the"
  kSentencePiece,  // U+2581 is a space, "<0x0A>" (type byte) is one byte
};

// Immutable, thread safe; owns its strings.
class Vocabulary {
 public:
  // Reads tokenizer.ggml.tokens and tokenizer.ggml.token_type (absent: all normal).
  static Result<Vocabulary> load(const Gguf& file, Spelling spelling);

  int size() const { return static_cast<int>(types_.size()); }
  bool contains(int64_t id) const { return id >= 0 && id < size(); }
  // The spelling in the file, and the bytes it stands for. `id` is in range.
  std::string_view text(TokenId id) const { return slice(texts_, text_begin_, id); }
  std::string_view piece(TokenId id) const { return slice(pieces_, piece_begin_, id); }
  TokenType type(TokenId id) const { return types_[static_cast<size_t>(id)]; }

  // Two tokens are spelled alike.
  bool has_twins() const { return has_twins_; }

  // The lowest id that is spelled so.
  std::optional<TokenId> find(std::string_view text) const;
  // The same for many at once, -1 for none: several times faster each, because the memory they need is asked
  // for ahead. `ids` is as long as `texts`.
  void find_all(std::span<const std::string_view> texts, std::span<TokenId> ids) const;

 private:
  static std::string_view slice(const std::string& bytes, const std::vector<uint32_t>& begin, TokenId id) {
    const size_t i = static_cast<size_t>(id);
    return {bytes.data() + begin[i], begin[i + 1] - begin[i]};
  }
  Result<void> read_tokens(const Gguf& file);
  Result<void> read_types(const Gguf& file);
  void spell_out(Spelling spelling);
  Result<void> build_index(const std::string& path);
  TokenId find_hashed(std::string_view text, uint64_t hash) const;

  std::string texts_;  // all spellings, one after the other
  std::string pieces_;
  std::vector<uint32_t> text_begin_;  // [size + 1] offsets into texts_
  std::vector<uint32_t> piece_begin_;
  std::vector<TokenType> types_;
  bool has_twins_ = false;
  // Open addressing, linear probing, at most half full. A slot is the hash's upper half and id + 1; 0 is
  // empty.
  std::vector<uint64_t> index_;
};

// The byte-level alphabet: printable Latin-1 characters stand for themselves, the 68 other bytes for U+0100
// and up.
char32_t byte_to_letter(uint8_t byte);
// Appends the spelling of `bytes`.
void append_byte_level(std::string_view bytes, std::string& spelled);

// An array of numbers in the file as values of the machine; `array` holds elements of T's size.
template <class T>
T element_at(const MetaArray& array, size_t i) {
  T value;
  std::memcpy(&value, array.raw.data() + i * sizeof(T), sizeof(T));
  return value;
}

}  // namespace mneme::model
