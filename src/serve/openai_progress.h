// How far an answer has come, for streams that tell it: tokens read and generated, and the time they took.
#pragma once

#include "serve/openai_request.h"

namespace mneme::serve {

class Progress {
 public:
  void begin(size_t prompt_tokens, size_t found);
  void read(size_t done) { done_ = done; }  // tokens of the prompt, beside those found
  void token();
  // Until now.
  TokenUsage usage() const;
  // {"total", "cache", "processed", "time_ms"}: of the prompt.
  Json prompt_json() const;

 private:
  size_t prompt_ = 0, found_ = 0, done_ = 0, generated_ = 0;
  double begin_s_ = 0, first_s_ = 0;
};

}  // namespace mneme::serve
