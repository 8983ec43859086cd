#include "serve/tool_dialect.h"

#include <algorithm>
#include <random>

#include "core/rng.h"

namespace mneme::serve {

namespace {

constexpr std::string_view kLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

bool contains(std::string_view text, std::string_view words) {
  return text.find(words) != std::string_view::npos;
}

// A line break, or the escape of one in a string of the template.
bool breaks_line(std::string_view text, std::string_view after) {
  const size_t at = text.find(after);
  if (at == std::string_view::npos) return false;
  const std::string_view rest = text.substr(at + after.size());
  return rest.starts_with("\\n") || rest.starts_with("\n");
}

bool is_hidden(const Text& text, std::string_view mark) {
  const auto token = special_token(text, mark);
  return token && text.decode({&*token, 1}, false).empty();
}

std::string letters_from(uint64_t seed, size_t count) {
  core::Rng rng(seed);
  std::string letters;
  for (size_t i = 0; i < count; ++i)
    letters += kLetters[rng.next_below(static_cast<uint32_t>(kLetters.size()))];
  return letters;
}

}  // namespace

ToolDialect dialect_of(const Text& text) {
  const std::string_view words = text.chat_template();
  ToolDialect dialect;
  if (!contains(words, "tools")) {
    dialect.template_knows_tools = false;
  } else if (contains(words, "<function=")) {
    dialect.family = ToolFamily::kXml;
  } else if (contains(words, "<tool_call>")) {
    // Of several, the first that a call's own text follows: the words that explain calls say it too.
    const bool ours = contains(words, "<tool_call>{");
    dialect.on_lines = !ours && breaks_line(words, "<tool_call>");
  } else if (contains(words, "[TOOL_CALLS]")) {
    dialect.family = ToolFamily::kMistral;
    dialect.open = "[TOOL_CALLS]", dialect.close = "";
    dialect.short_ids = contains(words, "length 9") || contains(words, "!= 9");
  } else {
    dialect.family = ToolFamily::kBare;
    const bool llama = contains(words, "python_tag") || contains(words, "\"parameters\": ");
    dialect.open = contains(words, "<|python_tag|>") ? "<|python_tag|>" : "", dialect.close = "";
    dialect.arguments_key = llama ? "parameters" : "arguments";
  }
  dialect.thinks = contains(words, kThoughtOpen) || contains(words, kThoughtClose);
  dialect.hides_marks = (!dialect.open.empty() && is_hidden(text, dialect.open)) ||
                        (dialect.thinks && is_hidden(text, kThoughtOpen));
  return dialect;
}

std::optional<TokenId> special_token(const Text& text, std::string_view spelling) {
  const auto tokens = text.encode(spelling, {.add_bos_eos = false});
  const auto vocabulary = text.vocabulary();
  if (tokens.size() != 1 || !vocabulary || vocabulary->spelling(tokens[0]) == spelling) return std::nullopt;
  return tokens[0];
}

std::string new_call_id(const ToolDialect& dialect) {
  std::random_device random;
  const uint64_t seed = uint64_t{random()} << 32 | random();
  return dialect.short_ids ? letters_from(seed, 9) : "call_" + letters_from(seed, 24);
}

std::string fitting_call_id(const ToolDialect& dialect, const std::string& id) {
  const bool plain = std::all_of(id.begin(), id.end(), [](char c) { return contains(kLetters, {&c, 1}); });
  if (!dialect.short_ids || (plain && id.size() == 9)) return id;
  uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return letters_from(hash, 9);
}

}  // namespace mneme::serve
