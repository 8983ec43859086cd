// A byte-level vocabulary as it was trained: bytes, merges, special tokens (docs/formats/corpus.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "model/gguf_writer.h"
#include "model/tokenizer.h"

namespace mneme::corpus {

using model::TokenId;

// Two tokens, by id, that become one.
struct Merge {
  TokenId left = 0;
  TokenId right = 0;
  bool operator==(const Merge&) const = default;
};

// The pre-tokeniser every vocabulary here is made for (model/pretokenizer.h).
inline constexpr std::string_view kPretokenizer = "qwen2";
inline constexpr int kByteCount = 256;
// Named special tokens, in the order of their ids; reserved ones follow them.
inline constexpr std::string_view kSpecials[] = {
    "<|endoftext|>",   "<|im_start|>",     "<|im_end|>",  "<|fim_prefix|>",
    "<|fim_suffix|>",  "<|fim_middle|>",   "<tool_call>", "</tool_call>",
    "<tool_response>", "</tool_response>", "<think>",     "</think>",
};

// Immutable; ids are bytes (a byte's id is its value), then what merges make, then special tokens.
class Vocabulary {
 public:
  // `merges` make new tokens in their order; one whose result is spelled like a token that is there makes
  // that one. As many as fit before `size` minus the special tokens are taken; what is left is reserved
  // tokens. Every id a merge names comes before it: anything else is an error.
  static Result<Vocabulary> make(std::span<const Merge> merges, int size);
  // How many new tokens a vocabulary of `size` has room for: none below 512, else all but bytes, the named
  // special tokens and 20 reserved ones.
  static int learned_max(int size);

  // A vocabulary's file, or a model file that was made with one (add_to): model files of other tokenisers are
  // an error.
  static Result<Vocabulary> read(const std::string& path);
  Result<void> write(const std::string& path) const;
  // The file's text.
  static Result<Vocabulary> parse(std::string_view text, std::string_view path);
  std::string to_text() const;

  int size() const { return static_cast<int>(bytes_.size()); }
  int specials_begin() const { return specials_begin_; }
  bool is_special(TokenId id) const { return id >= specials_begin_; }
  // What a token stands for; the spelling of a special one.
  std::string_view bytes(TokenId id) const { return bytes_[static_cast<size_t>(id)]; }
  std::span<const Merge> merges() const { return merges_; }
  // The id of a special token by its spelling: special("<|im_end|>").
  std::optional<TokenId> special(std::string_view text) const;

  // tokenizer.ggml.* with a ChatML template: what model::Tokenizer and other runtimes read.
  void add_to(model::GgufWriter& writer) const;
  // The runtime's tokenizer for this vocabulary. Goes through a file in the temporary folder.
  Result<model::Tokenizer> tokenizer() const;

 private:
  std::vector<std::string> bytes_;
  std::vector<Merge> merges_;
  int specials_begin_ = 0;
};

// How messages become a prompt: ChatML, tools as the <tool_call> convention has them.
std::string_view chat_template();

}  // namespace mneme::corpus
