#include "core/utf8.h"
#include "model/tokenizer.h"

namespace mneme::model {

namespace {

// Moves what is complete at the front of `pending` to `text`; broken bytes become one U+FFFD for each maximal
// subpart. What stays, at most three bytes, is the beginning of a character, unless this is the `end`.
void take_complete(std::string& pending, bool end, std::string& text) {
  size_t at = 0;
  while (at < pending.size()) {
    const std::string_view rest = std::string_view(pending).substr(at);
    const size_t valid = core::utf8_valid_prefix(rest);
    text.append(rest.substr(0, valid));
    at += valid;
    if (valid == rest.size()) break;
    const core::Utf8Char broken = core::decode_utf8(rest.substr(valid));
    if (broken.truncated && !end) break;
    text.append(core::kReplacementCharacter);
    at += broken.length;
  }
  pending.erase(0, at);
}

}  // namespace

Detokenizer::Detokenizer(const Tokenizer& tokenizer, bool show_specials)
    : tokenizer_(&tokenizer), show_specials_(show_specials) {}

std::string Detokenizer::push(TokenId token) {
  std::string_view piece = tokenizer_->piece(token, show_specials_);
  if (!tokenizer_->is_special(token) && !piece.empty()) {
    if (at_start_ && tokenizer_->adds_space_prefix() && piece[0] == ' ') piece.remove_prefix(1);
    at_start_ = false;
  }
  pending_.append(piece);
  std::string text;
  take_complete(pending_, false, text);
  return text;
}

std::string Detokenizer::finish() {
  std::string text;
  take_complete(pending_, true, text);
  at_start_ = true;
  return text;
}

}  // namespace mneme::model
