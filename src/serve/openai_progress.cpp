#include "serve/openai_progress.h"

#include "core/clock.h"

namespace mneme::serve {

void Progress::begin(size_t prompt_tokens, size_t found) {
  prompt_ = prompt_tokens, found_ = found;
  begin_s_ = core::now_s();
}

void Progress::token() {
  done_ = prompt_ - found_;
  if (generated_++ == 0) first_s_ = core::now_s();
}

TokenUsage Progress::usage() const {
  TokenUsage usage{.prompt = found_ + done_, .found = found_, .generated = generated_};
  if (done_ > 0) usage.prefill_s = (generated_ > 0 ? first_s_ : core::now_s()) - begin_s_;
  if (generated_ > 0) usage.decode_s = core::now_s() - first_s_;
  return usage;
}

Json Progress::prompt_json() const {
  return {{"total", prompt_},
          {"cache", found_},
          {"processed", found_ + done_},
          {"time_ms", usage().prefill_s * 1000}};
}

}  // namespace mneme::serve
