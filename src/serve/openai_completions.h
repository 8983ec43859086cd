// POST /v1/completions, read and answered.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serve/openai_request.h"

namespace mneme::serve {

struct CompletionRequest {
  struct Piece {
    std::string bytes;
    size_t offset;  // characters of the prompt's text before it
  };
  struct Prompt {
    std::vector<TokenId> tokens;
    std::string text;           // shown by `echo`
    std::vector<Piece> pieces;  // [tokens] where prompts are scored, else none
  };
  std::vector<Prompt> prompts;
  int choices = 1, best_of = 1;  // of each prompt
  bool echo = false;
  StreamOptions stream;
  FormatRequest format;
  int logprobs = -1;  // -1: none, n: the likeliest n too
  GenerateOptions generate;
  bool scores_prompts() const { return echo && logprobs >= 0; }
};
// What is wrong goes to the errors of `fields`.
CompletionRequest read_completion(const Fields& fields, const Text& text);

// Prompts in any of their forms: a text, a list of texts; tokens, with texts between them or not, or lists of
// such. A list with a number in it is one prompt.
std::vector<CompletionRequest::Prompt> read_prompts(const Fields& fields, std::string_view key,
                                                    const Text& text, size_t count_max);

// Characters of UTF-8.
size_t characters_of(std::string_view text);

// prompts * best_of listeners, those of a prompt after each other.
struct CompletionAnswer {
  std::vector<std::shared_ptr<GenerationListener>> listeners;
  std::function<void()> begin;
};
CompletionAnswer answer_completion(const Call& call, const CompletionRequest& request,
                                   const std::string& model);

}  // namespace mneme::serve
