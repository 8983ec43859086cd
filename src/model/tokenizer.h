// Text <-> token ids, as the model file says: byte-level BPE ("gpt2") with its pre-tokeniser, or
// SentencePiece ("llama").
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "model/gguf.h"

namespace mneme::model {

using TokenId = int32_t;

// Immutable and thread safe once loaded. Owns its strings: it outlives the Gguf it was made from.
class Tokenizer {
 public:
  // Reads tokenizer.ggml.*; an unknown model or pre-tokeniser, ids out of range or malformed merges: an error
  // naming the key.
  static Result<Tokenizer> load(const Gguf& file);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  struct EncodeOptions {
    bool add_bos_eos = true;     // add BOS/EOS where the file's flags ask for it
    bool parse_specials = true;  // recognise special tokens written in the text
  };
  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const;

  // The bytes of one token (may be part of a UTF-8 character; empty for control tokens unless
  // `show_specials`).
  std::string_view piece(TokenId token, bool show_specials = false) const;
  // The token's own spelling in the vocabulary.
  std::string_view token_text(TokenId token) const;
  std::optional<TokenId> find_token(std::string_view text) const;

  int vocab_size() const;
  bool is_special(TokenId token) const;            // control or user-defined
  bool is_text(TokenId token) const;               // neither special nor unknown nor unused
  bool is_end_of_generation(TokenId token) const;  // EOS, EOT, <|im_end|>, ... as the file and the known
                                                   // names say
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  bool adds_space_prefix() const;       // encode puts a space before text (SentencePiece)
  std::string_view model_name() const;  // "gpt2", "llama"
  std::string_view pre_name() const;    // of the pre-tokeniser; "" for SentencePiece

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Turns a stream of tokens into text that is always whole UTF-8 characters: bytes of an unfinished character
// are held back until it is complete, and bytes that can never become one are replaced by U+FFFD.
// SentencePiece's leading space is dropped where the tokenizer adds one.
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer, bool show_specials = false);
  std::string push(TokenId token);  // text that became complete
  std::string finish();             // what is left: U+FFFD for a broken tail

 private:
  const Tokenizer* tokenizer_;
  bool show_specials_;
  bool at_start_ = true;
  std::string pending_;
};

}  // namespace mneme::model
