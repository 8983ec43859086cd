// Drawing from the masks of a grammar that somebody else made up.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/rng.h"
#include "mneme/grammar.h"

namespace mneme::fuzz {

// 256 bytes, an end token, and some longer ones.
inline std::shared_ptr<const grammar::Vocabulary> make_vocabulary() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  std::vector<grammar::TokenSpelling> tokens;
  for (size_t i = 0; i < 256; ++i) tokens.push_back({.bytes = std::string_view(bytes).substr(i, 1)});
  tokens.push_back({grammar::TokenSpelling::Kind::kEnd, ""});
  for (const char* piece : {"{\"", "\":", "\", \"", "ab", "aaaa", "\xE4\xB8", "\xAD", "12", "true", "]}"})
    tokens.push_back({.bytes = piece});
  return std::make_shared<const grammar::Vocabulary>(tokens);
}

// Draws up to 60 tokens evenly. `on_end`: a text that came to its end.
inline void draw(const std::shared_ptr<const grammar::Grammar>& grammar, uint64_t seed,
                 const std::function<void(std::string_view)>& on_end) {
  static const auto kVocabulary = make_vocabulary();
  const grammar::Constraint constraint(grammar, kVocabulary);
  grammar::Guide guide = constraint.guide();
  core::Rng rng(seed);
  std::string text;
  for (int i = 0; i < 60; ++i) {
    const auto bits = guide.allowed();
    std::vector<grammar::TokenId> tokens;
    for (size_t token = 0; token < kVocabulary->size(); ++token) {
      if ((bits[token / 64] >> (token % 64) & 1) != 0) tokens.push_back(static_cast<grammar::TokenId>(token));
    }
    // Only a %token that this vocabulary lacks can be in the way.
    if (tokens.empty()) return;
    const auto token = tokens[rng.next_below(static_cast<uint32_t>(tokens.size()))];
    MNEME_CHECK(guide.accept(token), "token {} after '{}'", token, text);
    if (kVocabulary->is_end(token)) {
      MNEME_CHECK(grammar->matches(text), "'{}'", text);
      on_end(text);
      return;
    }
    text += kVocabulary->spelling(token);
  }
}

}  // namespace mneme::fuzz
