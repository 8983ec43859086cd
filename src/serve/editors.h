// What code editors ask for: the text between what is before and after the cursor.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serve/api.h"
#include "serve/backend.h"

namespace mneme::serve {

// Whether a body of /v1/completions is of Tabby's kind, which names its path's protocol by `segments`.
bool is_tabby_completion(const Json& body);
void answer_tabby_completion(Call call, const std::shared_ptr<Backend>& backend, const Json& body);

// A place in a file, and what else of its repository is worth reading.
struct EditPlace {
  struct Piece {
    std::string file, text;
  };
  std::string prefix, suffix;
  std::string file, repository;  // their names; may be empty
  std::vector<Piece> pieces;     // of other files; the last ones matter most
};

// The prompt in the model's own marks, at most `tokens_max` (pieces are left out first, from the front; then
// what is far from the cursor). Fails for models that were not trained to fill in.
struct EditPrompt {
  std::vector<TokenId> tokens;
  bool cut = false;  // something was left out
};
tl::expected<EditPrompt, Failure> edit_prompt(const Backend& backend, const EditPlace& place,
                                              size_t tokens_max);

// Parts of editors.cpp, each adding its endpoints.
void add_infill(Router& router, Models& models);
void add_tabby(Router& router, Models& models);

}  // namespace mneme::serve
