#include "grammar/text_parser.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "core/utf8.h"
#include "grammar/limits.h"
#include "grammar/regex.h"
#include "grammar/schema.h"
#include "grammar/trie.h"

namespace mneme::grammar {

using core::fail;
using core::pass;

namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

class TextParser {
 public:
  explicit TextParser(std::string_view text) : text_(text) {}
  Result<ParsedText> parse();

 private:
  Result<void> parse_rule();
  Result<ExpressionId> parse_choice(int depth);
  Result<ExpressionId> parse_sequence(int depth);
  Result<ExpressionId> parse_repeated(int depth);
  Result<ExpressionId> parse_atom(int depth);
  Result<std::string> parse_literal();
  Result<ExpressionId> parse_class();
  Result<char32_t> parse_character(char end);
  Result<ExpressionId> parse_extension();
  Result<ExpressionId> parse_schema(size_t begin, const SchemaOptions& options);
  Result<void> parse_braces(uint32_t& min, uint32_t& max);

  bool at_end() const { return at_ == text_.size(); }
  char now() const { return at_end() ? '\0' : text_[at_]; }
  bool take(std::string_view expected) {
    if (!text_.substr(at_).starts_with(expected)) return false;
    at_ += expected.size();
    return true;
  }
  void skip_blanks() {
    while (!at_end()) {
      if (now() == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (now() == ' ' || now() == '\t' || now() == '\n' || now() == '\r') {
        ++at_;
      } else {
        break;
      }
    }
  }
  std::string_view take_name() {
    const size_t begin = at_;
    while (is_name_character(now())) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  // A name and "::=" stand here: the next rule.
  bool at_rule() {
    const size_t before = at_;
    const bool named = !take_name().empty();
    skip_blanks();
    const bool is_rule = named && text_.substr(at_).starts_with("::=");
    at_ = before;
    return is_rule;
  }
  // Places are asked for in rising order, nearly: each is counted from the one before.
  std::string place(size_t at) {
    if (at < counted_) counted_ = line_start_ = 0, line_ = 1;
    for (; counted_ < at; ++counted_) {
      if (text_[counted_] == '\n') ++line_, line_start_ = counted_ + 1;
    }
    const std::string_view before = text_.substr(line_start_, at - line_start_);
    const auto column = std::count_if(before.begin(), before.end(),
                                      [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; });
    return fmt::format("line {}, column {}: ", line_, column + 1);
  }
  tl::unexpected<Error> wrong(std::string_view what) { return wrong_at(at_, what); }
  tl::unexpected<Error> wrong_at(size_t at, std::string_view what) { return fail("{}{}", place(at), what); }
  RuleId rule_named(std::string_view name, size_t at) {
    const auto [found, added] = names_.try_emplace(std::string(name), 0);
    if (added) found->second = rules_.add_rule(std::string(name), place(at));
    return found->second;
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t counted_ = 0, line_start_ = 0, line_ = 1;
  Rules rules_;
  std::map<std::string, RuleId, std::less<>> names_;
  std::vector<std::string> warnings_;
};

Result<ParsedText> TextParser::parse() {
  if (text_.size() > kSourceBytesMax)
    return fail("a grammar of {} bytes, at most {}", text_.size(), kSourceBytesMax);
  const size_t valid = core::utf8_valid_prefix(text_);
  if (valid < text_.size()) return wrong_at(valid, "the grammar is not UTF-8");
  for (skip_blanks(); !at_end(); skip_blanks()) {
    auto rule = parse_rule();
    if (!rule) return pass(rule);
  }
  const auto root = names_.find("root");
  if (root == names_.end() || rules_.rule_of(root->second).body == Rule::kUndefined)
    return fail("the grammar has no rule 'root'");
  return ParsedText{std::move(rules_), root->second, std::move(warnings_)};
}

Result<void> TextParser::parse_rule() {
  if (!at_rule()) return wrong("a rule is expected: name ::= ...");
  const size_t begin = at_;
  const std::string_view name = take_name();
  const RuleId rule = rule_named(name, begin);
  if (rules_.rule_of(rule).body != Rule::kUndefined)
    return wrong_at(begin, fmt::format("rule '{}' is defined twice", name));
  skip_blanks();
  take("::=");
  auto body = parse_choice(0);
  if (!body) return pass(body);
  if (!at_end() && !at_rule()) return wrong(fmt::format("'{}' is not expected here", now()));
  rules_.define(rule, *body);
  return {};
}

Result<ExpressionId> TextParser::parse_choice(int depth) {
  if (depth > kNestingMax) return wrong(fmt::format("more than {} groups in each other", kNestingMax));
  std::vector<ExpressionId> options;
  do {
    auto option = parse_sequence(depth);
    if (!option) return option;
    options.push_back(*option);
  } while (take("|"));
  return rules_.choice(std::move(options));
}

Result<ExpressionId> TextParser::parse_sequence(int depth) {
  std::vector<ExpressionId> parts;
  for (skip_blanks(); !at_end() && now() != '|' && now() != ')' && !at_rule(); skip_blanks()) {
    auto part = parse_repeated(depth);
    if (!part) return part;
    parts.push_back(*part);
    if (rules_.too_large()) return wrong("the grammar is too large");
  }
  return rules_.sequence(std::move(parts));
}

Result<ExpressionId> TextParser::parse_repeated(int depth) {
  auto body = parse_atom(depth);
  if (!body) return body;
  for (int repeats = 0;; ++repeats) {
    const size_t before = at_;
    skip_blanks();
    uint32_t min = 0, max = kUnbounded;
    const size_t begin = at_;
    if (take("*")) {
    } else if (take("+")) {
      min = 1;
    } else if (take("?")) {
      max = 1;
    } else if (now() == '{') {
      auto read = parse_braces(min, max);
      if (!read) return pass(read);
    } else {
      at_ = before;
      return body;
    }
    if (repeats == 8) return wrong_at(begin, "repetitions of repetitions of repetitions");
    body = rules_.repeat(*body, min, max);
  }
}

Result<void> TextParser::parse_braces(uint32_t& min, uint32_t& max) {
  const size_t begin = at_;
  const auto number = [&]() -> std::optional<uint64_t> {
    skip_blanks();
    const size_t first = at_;
    uint64_t value = 0;
    for (; now() >= '0' && now() <= '9'; ++at_)
      value = std::min<uint64_t>(value * 10 + static_cast<uint64_t>(now() - '0'), uint64_t{kRepeatMax} + 1);
    skip_blanks();
    if (at_ == first) return std::nullopt;
    return value;
  };
  take("{");
  const auto low = number();
  auto high = low;
  const bool comma = take(",");
  if (comma) high = number();
  if (!take("}") || (!low && !high))
    return wrong_at(begin, "a repetition is written {2}, {2,}, {,5} or {2,5}");
  if (low.value_or(0) > kRepeatMax || high.value_or(0) > kRepeatMax)
    return wrong_at(begin, fmt::format("more than {} repetitions", kRepeatMax));
  min = static_cast<uint32_t>(low.value_or(0));
  max = high ? static_cast<uint32_t>(*high) : kUnbounded;
  if (max < min) return wrong_at(begin, "a repetition whose maximum is below its minimum");
  return {};
}

Result<ExpressionId> TextParser::parse_atom(int depth) {
  const size_t begin = at_;
  if (take("(")) {
    auto body = parse_choice(depth + 1);
    if (!body) return body;
    if (!take(")")) return wrong_at(begin, "a group without its )");
    return body;
  }
  if (now() == '"') {
    auto literal = parse_literal();
    if (!literal) return pass(literal);
    return rules_.bytes(*literal);
  }
  if (now() == '[') return parse_class();
  if (now() == '%') return parse_extension();
  if (take(".")) return rules_.characters(CodePoints::all());
  const std::string_view name = take_name();
  if (name.empty()) return wrong(fmt::format("'{}' is not expected here", now()));
  return rules_.rule(rule_named(name, begin));
}

Result<std::string> TextParser::parse_literal() {
  const size_t begin = at_;
  take("\"");
  std::string literal;
  while (!take("\"")) {
    if (at_end() || now() == '\n') return wrong_at(begin, "a literal without its end");
    auto character = parse_character('"');
    if (!character) return pass(character);
    core::append_utf8(literal, *character);
  }
  return literal;
}

Result<ExpressionId> TextParser::parse_class() {
  const size_t begin = at_;
  take("[");
  const bool complement = take("^");
  CodePoints set;
  while (!take("]")) {
    if (at_end() || now() == '\n') return wrong_at(begin, "a character class without its ]");
    auto first = parse_character(']');
    if (!first) return pass(first);
    char32_t last = *first;
    if (now() == '-' && !text_.substr(at_).starts_with("-]")) {
      take("-");
      if (at_end()) return wrong_at(begin, "a character class without its ]");
      auto end = parse_character(']');
      if (!end) return pass(end);
      last = *end;
      if (last < *first) return wrong("a range that runs backwards");
    }
    set.add(*first, last);
  }
  return rules_.characters(complement ? set.complement() : set);
}

Result<char32_t> TextParser::parse_character(char end) {
  if (now() != '\\') {
    const core::Utf8Char next = core::decode_utf8(text_.substr(at_));
    at_ += next.length;
    return next.code_point;
  }
  const size_t begin = at_++;
  const char kind = now();
  if (!at_end()) ++at_;
  switch (kind) {
    case 'n': return U'\n';
    case 'r': return U'\r';
    case 't': return U'\t';
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
    case '^': return static_cast<char32_t>(kind);
    default: break;
  }
  const size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
  char32_t code = 0;
  for (size_t i = 0; i < digits; ++i, ++at_) {
    const char c = now();
    const bool digit = c >= '0' && c <= '9';
    const char lower = static_cast<char>(c | 32);
    if (!digit && (lower < 'a' || lower > 'f')) return wrong_at(begin, "an escape with too few digits");
    code = code * 16 + static_cast<char32_t>(digit ? c - '0' : lower - 'a' + 10);
  }
  if (digits == 0) return wrong_at(begin, fmt::format("unknown escape before {}", end));
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
    return wrong_at(begin, "the escape names no character");
  return code;
}

// %json, %json_spaced, %regex and %token.
Result<ExpressionId> TextParser::parse_extension() {
  const size_t begin = at_;
  take("%");
  const std::string_view name = take_name();
  skip_blanks();
  if (name == "json") return parse_schema(begin, {});
  if (name == "json_spaced") return parse_schema(begin, {.spaces = JsonSpaces::kRequired});
  if (name != "regex" && name != "token")
    return wrong_at(begin,
                    fmt::format("%{} is unknown; %json, %json_spaced, %regex and %token are known", name));
  if (now() != '"') return wrong("a literal in \"...\" is expected");
  const size_t literal_begin = at_;
  auto literal = parse_literal();
  if (!literal) return pass(literal);
  if (name == "token") return rules_.bytes(kSpecialMark + *literal + kSpecialMark);
  auto parsed = parse_regex(rules_, *literal, RegexScope::kWhole, Spelling::kPlain);
  if (!parsed) return wrong_at(literal_begin, parsed.error().message);
  return parsed;
}

// The schema ends with the brace that closes it.
Result<ExpressionId> TextParser::parse_schema(size_t begin, const SchemaOptions& options) {
  const size_t first = at_;
  if (now() != '{') return wrong("a schema in {...} is expected");
  int open = 0;
  bool in_string = false;
  do {
    if (at_end()) return wrong_at(begin, "a schema without its end");
    const char c = text_[at_++];
    if (in_string && c == '\\' && !at_end()) ++at_;
    if (c == '"') in_string = !in_string;
    if (!in_string) open += c == '{' ? 1 : c == '}' ? -1 : 0;
  } while (open > 0);
  SchemaCompiler compiler(rules_, options);
  auto body = compiler.compile(text_.substr(first, at_ - first));
  if (!body) return wrong_at(begin, body.error().message);
  for (const std::string& warning : compiler.warnings()) warnings_.push_back(place(begin) + warning);
  return body;
}

}  // namespace

Result<ParsedText> parse_text(std::string_view text) { return TextParser(text).parse(); }

}  // namespace mneme::grammar
