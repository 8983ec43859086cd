// Splits text into the pre-tokens that byte-level BPE never merges across, by the regular expressions a model
// was trained with.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace mneme::model {

// What else a pre-tokeniser's name (tokenizer.ggml.pre) says about the model.
struct PretokenizerTraits {
  bool whole_words = false;  // a pre-token that is a token is taken before any merge ("ignore_merges")
  bool add_bos = false;      // where the file does not say
};

// Immutable, thread safe.
class Pretokenizer {
 public:
  using Sink = std::function<void(std::string_view)>;

  // gpt-2, llama-bpe, qwen2, deepseek-llm, deepseek-coder, deepseek-v3, default, and other names of these.
  static Result<Pretokenizer> make(std::string_view name);
  ~Pretokenizer();
  Pretokenizer(Pretokenizer&&) noexcept;
  Pretokenizer& operator=(Pretokenizer&&) noexcept;

  const PretokenizerTraits& traits() const { return traits_; }

  // Hands over `text` in consecutive pieces, none empty, none lost; in time linear in the text. Any bytes are
  // fine: runs that are not UTF-8 become pieces of their own. Pieces are cut, between characters where there
  // are any, at `bytes_max` (4 or more).
  void split(std::string_view text, size_t bytes_max, const Sink& sink) const;

 private:
  struct Expression;  // a compiled regular expression
  struct Match;       // the buffers of one split
  Pretokenizer();
  // Applies expressions_[stage] and those after it to valid UTF-8.
  void split_stage(std::string_view text, size_t stage, Match& match, const Sink& sink) const;

  PretokenizerTraits traits_;
  std::vector<std::unique_ptr<Expression>> expressions_;
};

}  // namespace mneme::model
