#include "grammar/regex.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "core/utf8.h"
#include "grammar/limits.h"

namespace mneme::grammar {

using core::fail;
using core::pass;

namespace {

const CodePoints& digits() {
  static const CodePoints kSet = {{'0', '9'}};
  return kSet;
}
const CodePoints& word_characters() {
  static const CodePoints kSet = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  return kSet;
}
// ECMA-262's WhiteSpace and LineTerminator.
const CodePoints& blanks() {
  static const CodePoints kSet = {{9, 13},          {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                                  {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                                  {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
  return kSet;
}
const CodePoints& line_ends() {
  static const CodePoints kSet = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
  return kSet;
}

struct Quantifier {
  uint32_t min = 1, max = 1;
};

class RegexParser {
 public:
  RegexParser(Rules& rules, std::string_view pattern, RegexScope scope, Spelling spelling)
      : rules_(&rules), pattern_(pattern), scope_(scope), spelling_(spelling) {}

  Result<ExpressionId> parse() {
    if (!core::valid_utf8(pattern_)) return fail("the pattern is not UTF-8");
    auto whole = parse_choice(0);
    if (!whole) return whole;
    if (!at_end()) return unexpected("unmatched )");
    return whole;
  }

 private:
  Result<ExpressionId> parse_choice(int depth);
  Result<ExpressionId> parse_alternative(int depth);
  Result<ExpressionId> parse_atom(int depth);
  Result<ExpressionId> parse_group(int depth);
  Result<std::optional<Quantifier>> parse_quantifier();
  std::optional<Quantifier> parse_braces();
  Result<ExpressionId> parse_class();
  Result<CodePoints> parse_class_member();
  Result<CodePoints> parse_escape(bool in_class);
  Result<CodePoints> parse_code_escape(char kind);
  std::optional<char32_t> parse_hex(size_t digits);

  bool at_end() const { return at_ == pattern_.size(); }
  bool next_is(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  bool take(std::string_view text) {
    if (!next_is(text)) return false;
    at_ += text.size();
    return true;
  }
  char32_t take_character() {
    const core::Utf8Char next = core::decode_utf8(pattern_.substr(at_));
    at_ += next.length;
    return next.code_point;
  }
  std::optional<uint32_t> take_number() {
    uint64_t value = 0;
    const size_t begin = at_;
    while (!at_end() && pattern_[at_] >= '0' && pattern_[at_] <= '9')
      value = std::min<uint64_t>(value * 10 + static_cast<uint64_t>(pattern_[at_++] - '0'), kRepeatMax + 1);
    if (at_ == begin) return std::nullopt;
    return static_cast<uint32_t>(value);
  }
  tl::unexpected<Error> unexpected(std::string_view what) const {
    return fail("regular expression, position {}: {}", at_ + 1, what);
  }
  ExpressionId characters(CodePoints set) { return spell_characters(*rules_, std::move(set), spelling_); }
  ExpressionId anything() { return rules_->repeat(characters(CodePoints::all()), 0, kUnbounded); }

  Rules* rules_;
  std::string_view pattern_;
  RegexScope scope_;
  Spelling spelling_;
  size_t at_ = 0;
};

Result<ExpressionId> RegexParser::parse_choice(int depth) {
  if (depth > kNestingMax) return unexpected(fmt::format("more than {} groups in each other", kNestingMax));
  std::vector<ExpressionId> options;
  do {
    auto option = parse_alternative(depth);
    if (!option) return option;
    options.push_back(*option);
  } while (take("|"));
  return rules_->choice(std::move(options));
}

// Anchors may stand where they always hold, or where they are the only way to hold: at the ends of an
// alternative that is not in a group.
Result<ExpressionId> RegexParser::parse_alternative(int depth) {
  std::vector<ExpressionId> parts;
  bool from_start = scope_ == RegexScope::kWhole || depth > 0, to_end = from_start;
  while (depth == 0 && take("^")) from_start = true;
  while (!at_end() && !next_is("|") && !next_is(")")) {
    if (depth == 0 && take("$")) {
      to_end = true;
      while (take("$")) continue;
      if (!at_end() && !next_is("|")) return unexpected("something follows $");
      break;
    }
    auto atom = parse_atom(depth);
    if (!atom) return atom;
    const size_t place = at_;
    auto quantifier = parse_quantifier();
    if (!quantifier) return pass(quantifier);
    if (*quantifier && (*quantifier)->max < (*quantifier)->min) {
      at_ = place;
      return unexpected("a repetition whose maximum is below its minimum");
    }
    parts.push_back(*quantifier ? rules_->repeat(*atom, (*quantifier)->min, (*quantifier)->max) : *atom);
    if (rules_->too_large()) return unexpected("the expression is too large");
  }
  if (!from_start) parts.insert(parts.begin(), anything());
  if (!to_end) parts.push_back(anything());
  return rules_->sequence(std::move(parts));
}

Result<ExpressionId> RegexParser::parse_atom(int depth) {
  if (next_is("(")) return parse_group(depth);
  if (next_is("[")) return parse_class();
  if (next_is("\\")) {
    auto set = parse_escape(false);
    if (!set) return pass(set);
    return characters(std::move(*set));
  }
  if (next_is("^") || next_is("$"))
    return unexpected("^ and $ are supported at the ends of an expression only");
  if (next_is("*") || next_is("+") || next_is("?")) return unexpected("nothing to repeat");
  const size_t before = at_;
  if (next_is("{") && parse_braces()) {
    at_ = before;
    return unexpected("nothing to repeat");
  }
  at_ = before;
  if (take(".")) return characters(line_ends().complement());
  const char32_t c = take_character();
  return characters({{c, c}});
}

Result<ExpressionId> RegexParser::parse_group(int depth) {
  const size_t begin = at_;
  take("(");
  if (next_is("?")) {
    if (next_is("?=") || next_is("?!") || next_is("?<=") || next_is("?<!"))
      return unexpected("looking ahead or behind is not supported");
    if (take("?<") || take("?P<")) {
      const size_t end = pattern_.find('>', at_);
      if (end == std::string_view::npos) return unexpected("a group's name without its end");
      at_ = end + 1;
    } else if (!take("?:")) {
      return unexpected("this kind of group is not supported; (?:...) and (?<name>...) are");
    }
  }
  auto body = parse_choice(depth + 1);
  if (!body) return body;
  if (!take(")")) {
    at_ = begin;
    return unexpected("a group without its end");
  }
  return body;
}

Result<std::optional<Quantifier>> RegexParser::parse_quantifier() {
  std::optional<Quantifier> quantifier;
  if (take("*")) {
    quantifier = {0, kUnbounded};
  } else if (take("+")) {
    quantifier = {1, kUnbounded};
  } else if (take("?")) {
    quantifier = {0, 1};
  } else if (next_is("{")) {
    const size_t before = at_;
    quantifier = parse_braces();
    if (!quantifier) at_ = before;
  }
  if (!quantifier) return quantifier;
  if (quantifier->min > kRepeatMax || (quantifier->max != kUnbounded && quantifier->max > kRepeatMax))
    return unexpected(fmt::format("more than {} repetitions", kRepeatMax));
  take("?");  // as few as possible: the same texts
  if (next_is("+")) return unexpected("possessive repetition is not supported");
  if (next_is("*") || next_is("?")) return unexpected("a repetition of a repetition");
  return quantifier;
}

// {2} {2,} {2,5}; anything else in braces is text.
std::optional<Quantifier> RegexParser::parse_braces() {
  if (!take("{")) return std::nullopt;
  const auto min = take_number();
  if (!min) return std::nullopt;
  uint32_t max = *min;
  if (take(",")) max = take_number().value_or(kUnbounded);
  if (!take("}")) return std::nullopt;
  return Quantifier{*min, max};
}

Result<ExpressionId> RegexParser::parse_class() {
  const size_t begin = at_;
  take("[");
  const bool complement = take("^");
  CodePoints set;
  while (!take("]")) {
    if (at_end()) {
      at_ = begin;
      return unexpected("a character class without its end");
    }
    if (next_is("[:")) return unexpected("classes like [:alpha:] are not supported");
    auto first = parse_class_member();
    if (!first) return pass(first);
    const auto single = [](const CodePoints& x) {
      return x.ranges().size() == 1 && x.ranges()[0].first == x.ranges()[0].last;
    };
    const bool range = next_is("-") && !next_is("-]") && at_ + 1 < pattern_.size();
    if (!range) {
      set.add(*first);
      continue;
    }
    take("-");
    auto last = parse_class_member();
    if (!last) return pass(last);
    if (!single(*first) || !single(*last)) {  // as in [\w-.]: the - is text
      set.add(*first);
      set.add('-', '-');
      set.add(*last);
      continue;
    }
    if (first->ranges()[0].first > last->ranges()[0].first) return unexpected("a range that runs backwards");
    set.add(first->ranges()[0].first, last->ranges()[0].first);
  }
  return characters(complement ? set.complement() : set);
}

Result<CodePoints> RegexParser::parse_class_member() {
  if (next_is("\\")) return parse_escape(true);
  const char32_t c = take_character();
  return CodePoints{{c, c}};
}

Result<CodePoints> RegexParser::parse_escape(bool in_class) {
  take("\\");
  if (at_end()) return unexpected("a \\ at the end");
  const char32_t c = take_character();
  switch (c) {
    case 'd': return digits();
    case 'D': return digits().complement();
    case 'w': return word_characters();
    case 'W': return word_characters().complement();
    case 's': return blanks();
    case 'S': return blanks().complement();
    case 't': return CodePoints{{'\t', '\t'}};
    case 'n': return CodePoints{{'\n', '\n'}};
    case 'r': return CodePoints{{'\r', '\r'}};
    case 'v': return CodePoints{{'\v', '\v'}};
    case 'f': return CodePoints{{'\f', '\f'}};
    case 'b':
      if (in_class) return CodePoints{{'\b', '\b'}};
      [[fallthrough]];
    case 'B': return unexpected("word boundaries (\\b, \\B) are not supported");
    case 'A':
    case 'Z':
    case 'z':
    case 'G': return unexpected("anchors other than ^ and $ are not supported");
    case 'p':
    case 'P': return unexpected("Unicode properties (\\p) are not supported");
    case 'k': return unexpected("back references are not supported");
    case 'c':
    case 'x':
    case 'u': return parse_code_escape(static_cast<char>(c));
    case '0':
      if (!at_end() && pattern_[at_] >= '0' && pattern_[at_] <= '9')
        return unexpected("octal escapes are not supported");
      return CodePoints{{0, 0}};
    default: break;
  }
  if (c >= '1' && c <= '9') return unexpected("back references are not supported");
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  if (letter) return unexpected(fmt::format("\\{} has no meaning", static_cast<char>(c)));
  return CodePoints{{c, c}};
}

// \cX, \xHH, \uHHHH, \u{H...}; two \u of a surrogate pair are one character.
Result<CodePoints> RegexParser::parse_code_escape(char kind) {
  if (kind == 'c') {
    const char letter = at_end() ? '\0' : pattern_[at_];
    if (!((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z')))
      return unexpected("\\c needs a letter");
    ++at_;
    return CodePoints{{static_cast<char32_t>(letter % 32), static_cast<char32_t>(letter % 32)}};
  }
  constexpr char32_t kLast = 0x10FFFF, kNone = kLast + 1;
  char32_t code = kNone;
  if (kind == 'u' && take("{")) {
    const size_t end = pattern_.find('}', at_);
    const bool fits = end != std::string_view::npos && end > at_ && end - at_ <= 6;
    if (fits) code = parse_hex(end - at_).value_or(kNone);
    if (!take("}")) code = kNone;
  } else {
    code = parse_hex(kind == 'x' ? 2 : 4).value_or(kNone);
  }
  if (kind == 'u' && code >= 0xD800 && code < 0xDC00 && take("\\u")) {
    const char32_t low = parse_hex(4).value_or(kNone);
    const bool pair = low >= 0xDC00 && low < 0xE000;
    code = pair ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) : kNone;
  }
  if (code > kLast || (code >= 0xD800 && code < 0xE000))
    return unexpected(fmt::format("\\{} names no character", kind));
  return CodePoints{{code, code}};
}

std::optional<char32_t> RegexParser::parse_hex(size_t digits) {
  if (pattern_.size() - at_ < digits) return std::nullopt;
  char32_t value = 0;
  for (size_t i = 0; i < digits; ++i) {
    const char c = pattern_[at_ + i];
    const bool digit = c >= '0' && c <= '9';
    const char lower = static_cast<char>(c | 32);
    if (!digit && (lower < 'a' || lower > 'f')) return std::nullopt;
    value = value * 16 + static_cast<char32_t>(digit ? c - '0' : lower - 'a' + 10);
  }
  at_ += digits;
  return value;
}

}  // namespace

Result<ExpressionId> parse_regex(Rules& rules, std::string_view pattern, RegexScope scope,
                                 Spelling spelling) {
  if (pattern.size() > kSourceBytesMax) return fail("a regular expression of {} bytes", pattern.size());
  return RegexParser(rules, pattern, scope, spelling).parse();
}

}  // namespace mneme::grammar
