// An answer on its way through the server: it adds the headers that every answer has, and tells once, at its
// end, how it went.
#pragma once

#include <functional>
#include <memory>

#include "serve/http.h"
#include "serve/log.h"

namespace mneme::serve {

using AnswerEnd = std::function<void(const RequestRecord& record)>;

struct WatchedAnswer {
  std::shared_ptr<Answer> answer;
  std::function<void(std::string_view model, uint64_t prompt_tokens, uint64_t generated_tokens)> account;
  std::function<void(std::string_view owner, std::string_view pattern)> assign;
  std::function<void(Headers)> add_headers;         // before the answer begins
  std::function<void(std::shared_ptr<void>)> hold;  // let go of at the end
};
// `record` has what is known of the request; `account` is for Call::account.
WatchedAnswer watch_answer(std::shared_ptr<Answer> inner, RequestRecord record, Headers headers,
                           AnswerEnd end);

}  // namespace mneme::serve
