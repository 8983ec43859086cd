#include "serve/answer_room.h"

#include <algorithm>

#include "core/error.h"

namespace mneme::serve {

uint64_t context_tokens_max(const Backend& backend, uint64_t callers_max) {
  const uint64_t own = backend.limits().context_tokens_max;
  return own == 0 || callers_max == 0 ? std::max(own, callers_max) : std::min(own, callers_max);
}

tl::expected<void, Failure> fit_answer(int& answer_max, uint64_t prompt_tokens, uint64_t tokens_max,
                                       std::string_view param) {
  if (tokens_max == 0) return {};
  if (prompt_tokens >= tokens_max) {
    return tl::unexpected(Failure{
        .kind = FailureKind::kTooLong,
        .message = fmt::format("the prompt has {} tokens, and at most {} of prompt and answer together fit",
                               prompt_tokens, tokens_max),
        .tokens = prompt_tokens,
        .tokens_max = tokens_max,
        .param = std::string(param)});
  }
  const uint64_t room = std::min<uint64_t>(tokens_max - prompt_tokens, INT32_MAX);
  if (answer_max < 0 || static_cast<uint64_t>(answer_max) > room) answer_max = static_cast<int>(room);
  return {};
}

}  // namespace mneme::serve
