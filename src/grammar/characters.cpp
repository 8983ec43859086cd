#include "grammar/characters.h"

#include <utility>

#include "core/utf8.h"

namespace mneme::grammar {

namespace {

// Empty: the character stands as it is.
std::string escape_of(char32_t c) {
  switch (c) {
    case U'"': return "\\\"";
    case U'\\': return "\\\\";
    case U'\b': return "\\b";
    case U'\f': return "\\f";
    case U'\n': return "\\n";
    case U'\r': return "\\r";
    case U'\t': return "\\t";
    default: return c < 0x20 ? fmt::format("\\u{:04x}", static_cast<uint32_t>(c)) : std::string();
  }
}

}  // namespace

ExpressionId spell_characters(Rules& rules, CodePoints set, Spelling spelling) {
  if (spelling == Spelling::kPlain) return rules.characters(std::move(set));
  std::vector<std::string> escapes;
  CodePoints escaped;
  for (char32_t c = 0; c < 0x60; ++c) {
    const std::string escape = set.contains(c) ? escape_of(c) : std::string();
    if (escape.empty()) continue;
    escapes.push_back(escape);
    escaped.add(c, c);
  }
  const CodePoints plain = set.without(escaped);
  std::vector<ExpressionId> ways;
  if (!plain.empty()) ways.push_back(rules.characters(plain));
  if (!escapes.empty()) ways.push_back(rules.words(std::move(escapes)));
  return rules.choice(std::move(ways));
}

std::string spelled(std::string_view text, Spelling spelling) {
  if (spelling == Spelling::kPlain) return std::string(text);
  std::string result;
  for (const char byte : text) {
    const auto c = static_cast<unsigned char>(byte);
    const std::string escape = c < 0x60 ? escape_of(c) : std::string();
    if (escape.empty()) {
      result += byte;
    } else {
      result += escape;
    }
  }
  return result;
}

}  // namespace mneme::grammar
