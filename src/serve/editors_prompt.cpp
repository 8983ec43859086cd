#include <algorithm>
#include <span>
#include <utility>

#include "core/error.h"
#include "serve/editors.h"

namespace mneme::serve {

namespace {

using Tokens = std::vector<TokenId>;

// Code is code: special tokens written in it are text.
Tokens encode(const Text& text, const std::string& code) {
  return text.encode(code, {.add_bos_eos = false, .parse_specials = false});
}

void append(Tokens& tokens, const Tokens& more) { tokens.insert(tokens.end(), more.begin(), more.end()); }

// The tail of the prefix and the head of the suffix: three quarters before the cursor, unless one of the two
// leaves room to the other.
bool cut_to(Tokens& prefix, Tokens& suffix, size_t tokens_max) {
  if (prefix.size() + suffix.size() <= tokens_max) return false;
  const size_t before = tokens_max - tokens_max / 4;
  const size_t keep_suffix = std::min(suffix.size(),
                                      tokens_max - std::min(before, std::min(prefix.size(), tokens_max)));
  const size_t keep_prefix = std::min(prefix.size(), tokens_max - keep_suffix);
  prefix.erase(prefix.begin(), prefix.end() - static_cast<ptrdiff_t>(keep_prefix));
  suffix.resize(keep_suffix);
  return true;
}

// The beginning of a text, where the file asks for one.
Tokens beginning(const Text& text) {
  Tokens tokens = text.encode("", {.add_bos_eos = true, .parse_specials = false});
  if (tokens.empty() || text.is_end_of_generation(tokens.front())) return {};
  return {tokens.front()};
}

}  // namespace

tl::expected<EditPrompt, Failure> edit_prompt(const Backend& backend, const EditPlace& place,
                                              size_t tokens_max) {
  const Text& text = backend.text();
  const auto marks = text.fill_in_middle();
  if (!marks)
    return tl::unexpected(
        Failure{.kind = FailureKind::kInvalid,
                .message = fmt::format("The model '{}' was not trained to fill in the middle.",
                                       backend.info().name)});
  EditPrompt prompt;
  prompt.tokens = beginning(text);
  Tokens prefix = encode(text, place.prefix), suffix = encode(text, place.suffix);
  Tokens head;  // the name of the file that is edited
  if (marks->file && !place.pieces.empty()) {
    head.push_back(*marks->file);
    append(head, encode(text, (place.file.empty() ? "file" : place.file) + "\n"));
  }
  const size_t fixed = prompt.tokens.size() + head.size() + 3;
  if (fixed > tokens_max)
    return tl::unexpected(Failure{.kind = FailureKind::kTooLong,
                                  .message = "there is no room for a prompt beside what is to be generated",
                                  .tokens = fixed,
                                  .tokens_max = tokens_max});
  prompt.cut = cut_to(prefix, suffix, tokens_max - fixed);
  size_t left = tokens_max - fixed - prefix.size() - suffix.size();

  std::vector<Tokens> pieces;
  if (marks->file) {
    Tokens repository;
    if (marks->repository && !place.repository.empty()) {
      repository = encode(text, place.repository + "\n");
      repository.insert(repository.begin(), *marks->repository);
      if (repository.size() > left) repository.clear();
      left -= repository.size();
    }
    for (size_t i = place.pieces.size(); i-- > 0;) {
      Tokens piece = encode(text, fmt::format("{}\n{}", place.pieces[i].file, place.pieces[i].text));
      piece.insert(piece.begin(), *marks->file);
      if (piece.size() > left) {
        prompt.cut = true;
        break;
      }
      left -= piece.size();
      pieces.push_back(std::move(piece));
    }
    append(prompt.tokens, repository);
  }
  for (size_t i = pieces.size(); i-- > 0;) append(prompt.tokens, pieces[i]);
  append(prompt.tokens, head);
  prompt.tokens.push_back(marks->prefix);
  append(prompt.tokens, prefix);
  prompt.tokens.push_back(marks->suffix);
  append(prompt.tokens, suffix);
  prompt.tokens.push_back(marks->middle);
  return prompt;
}

}  // namespace mneme::serve
