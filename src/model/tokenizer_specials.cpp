#include "model/tokenizer_specials.h"

#include <algorithm>

namespace mneme::model {

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) {
  for (TokenId id = 0; id < vocabulary.size(); id++) {
    const TokenType type = vocabulary.type(id);
    const bool user_defined = type == TokenType::kUserDefined;
    if (!user_defined && type != TokenType::kControl && type != TokenType::kUnknown) continue;
    const std::string_view text = vocabulary.piece(id);
    if (!text.empty()) sorted_.push_back({text, id, user_defined});
  }
  std::stable_sort(sorted_.begin(), sorted_.end(),
                   [](const Special& a, const Special& b) { return a.text < b.text; });
  const auto twins = std::unique(sorted_.begin(), sorted_.end(),
                                 [](const Special& a, const Special& b) { return a.text == b.text; });
  sorted_.erase(twins, sorted_.end());
  for (const Special& special : sorted_) {
    const auto byte = static_cast<uint8_t>(special.text[0]);
    first_byte_[byte + 1]++;
    begins_[byte] = true;
    if (special.user_defined) begins_user_defined_[byte] = true;
  }
  for (size_t byte = 0; byte < 256; byte++) first_byte_[byte + 1] += first_byte_[byte];
}

std::optional<SpecialTokens::Found> SpecialTokens::find(std::string_view text, size_t from, bool all) const {
  const std::array<bool, 256>& begins = all ? begins_ : begins_user_defined_;
  for (size_t at = from; at < text.size(); at++) {
    if (!begins[static_cast<uint8_t>(text[at])]) continue;
    if (const auto found = longest_at(text, at, all)) return found;
  }
  return std::nullopt;
}

std::optional<SpecialTokens::Found> SpecialTokens::longest_at(std::string_view text, size_t at,
                                                              bool all) const {
  const auto byte = static_cast<uint8_t>(text[at]);
  const auto position = [&](uint32_t i) { return sorted_.begin() + static_cast<std::ptrdiff_t>(i); };
  auto low = position(first_byte_[byte]);
  auto high = position(first_byte_[byte + 1]);
  std::optional<Found> longest;
  // All of [low, high) begin with the `depth` bytes at `at`; one of exactly that length sorts first.
  for (size_t depth = 1; low != high; depth++) {
    if (low->text.size() == depth) {
      if (all || low->user_defined) longest = Found{at, depth, low->id};
      ++low;
    }
    if (at + depth == text.size()) break;
    const auto next = static_cast<uint8_t>(text[at + depth]);
    const auto before = [&](const Special& special, uint8_t wanted) {
      return static_cast<uint8_t>(special.text[depth]) < wanted;
    };
    const auto after = [&](uint8_t wanted, const Special& special) {
      return wanted < static_cast<uint8_t>(special.text[depth]);
    };
    low = std::lower_bound(low, high, next, before);
    high = std::upper_bound(low, high, next, after);
  }
  return longest;
}

}  // namespace mneme::model
