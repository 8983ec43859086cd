// Vocabularies for tests, and generation that draws from a mask alone.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/rng.h"
#include "mneme/grammar.h"

namespace mneme::grammar {

// 256 bytes, then an end token, a special token "<tool>", and `pieces`.
inline std::shared_ptr<const Vocabulary> bytes_and(const std::vector<std::string>& pieces) {
  static const std::string kBytes = [] {
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
    return bytes;
  }();
  std::vector<TokenSpelling> tokens;
  for (size_t i = 0; i < 256; ++i) tokens.push_back({.bytes = std::string_view(kBytes).substr(i, 1)});
  tokens.push_back({TokenSpelling::Kind::kEnd, "</s>"});
  tokens.push_back({TokenSpelling::Kind::kSpecial, "<tool>"});
  for (const std::string& piece : pieces) tokens.push_back({.bytes = piece});
  return std::make_shared<const Vocabulary>(tokens);
}
inline constexpr TokenId kEndForTest = 256, kSpecialForTest = 257;

inline std::vector<TokenId> tokens_of(std::span<const uint64_t> bits) {
  std::vector<TokenId> tokens;
  for (size_t i = 0; i < bits.size() * 64; ++i) {
    if ((bits[i / 64] >> (i % 64) & 1) != 0) tokens.push_back(static_cast<TokenId>(i));
  }
  return tokens;
}

// Draws evenly among what is allowed until an end token; after `patience` tokens, closes what is open where
// it may. Nothing: 20 times as many were not enough, or nothing was allowed.
inline std::optional<std::string> draw_text(core::Rng& rng, const Constraint& constraint,
                                            size_t patience = 300) {
  Guide guide = constraint.guide();
  std::string text;
  for (size_t i = 0; i < 20 * patience; ++i) {
    const auto tokens = tokens_of(guide.allowed());
    if (tokens.empty()) return std::nullopt;
    TokenId token = tokens[rng.next_below(static_cast<uint32_t>(tokens.size()))];
    if (i > patience) {
      for (const TokenId closing : {kEndForTest, TokenId{'"'}, TokenId{'}'}, TokenId{']'}, TokenId{'n'}}) {
        if (std::find(tokens.begin(), tokens.end(), closing) == tokens.end()) continue;
        token = closing;
        break;
      }
    }
    if (!guide.accept(token)) return std::nullopt;
    if (token == kEndForTest) return text;
    text += constraint.vocabulary().spelling(token);
  }
  return std::nullopt;
}

}  // namespace mneme::grammar
