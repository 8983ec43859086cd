// How much of a context a prompt leaves for its answer.
#pragma once

#include <cstdint>
#include <string_view>

#include "serve/backend.h"

namespace mneme::serve {

// Tokens of prompt and answer together that the model and the caller's limit allow; 0: there is no limit.
uint64_t context_tokens_max(const Backend& backend, uint64_t callers_max);

// Cuts `answer_max` (below 0: as much as there is) to what fits behind the prompt. Where nothing does, a
// failure that names the request's field `param`.
tl::expected<void, Failure> fit_answer(int& answer_max, uint64_t prompt_tokens, uint64_t tokens_max,
                                       std::string_view param);

}  // namespace mneme::serve
