// The answer to an editor: a text, and what it took.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "serve/editors_request.h"
#include "serve/sse.h"

namespace mneme::serve {

// Starts the generation; `write` makes the body of the answer from its report. Of a stream it gets the pieces
// too, the report being null for all but the last.
struct EditAnswer {
  std::function<Json(std::string_view text, const GenerateReport* report)> write;
  Surface surface = Surface::kOwn;
};
tl::expected<void, Failure> start_edit(const Call& call, const std::shared_ptr<Backend>& backend,
                                       EditRequest request, std::vector<TokenId> prompt, EditAnswer answer);

// How many tokens a prompt may have beside what the request asks for.
size_t prompt_tokens_max(const Call& call, const Backend& backend, const EditRequest& request);

}  // namespace mneme::serve
