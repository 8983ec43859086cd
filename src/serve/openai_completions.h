// POST /v1/completions, read and answered.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serve/openai_request.h"

namespace mneme::serve {

struct CompletionRequest {
  struct Prompt {
    std::vector<TokenId> tokens;
    std::string text;  // shown by `echo`
  };
  std::vector<Prompt> prompts;
  int choices = 1, best_of = 1;  // of each prompt
  bool echo = false;
  StreamOptions stream;
  FormatRequest format;
  int logprobs = -1;  // -1: none, n: the likeliest n too
  GenerateOptions generate;
};
// What is wrong goes to the errors of `fields`.
CompletionRequest read_completion(const Fields& fields, const Text& text);

// Prompts in any of their forms: a text, a list of texts; tokens, with texts between them or not, or lists of
// such. A list with a number in it is one prompt.
std::vector<CompletionRequest::Prompt> read_prompts(const Fields& fields, std::string_view key,
                                                    const Text& text, size_t count_max);

// prompts * best_of listeners, those of a prompt after each other.
struct CompletionAnswer {
  std::vector<std::shared_ptr<GenerationListener>> listeners;
  std::function<void()> begin;
};
CompletionAnswer answer_completion(const Call& call, const CompletionRequest& request,
                                   const std::string& model);

}  // namespace mneme::serve
