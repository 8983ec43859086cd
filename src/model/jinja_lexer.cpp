#include "model/jinja_lexer.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "core/utf8.h"
#include "model/jinja_text.h"

namespace mneme::model::jinja {
namespace {

using core::fail;
using core::pass;

constexpr size_t kTokensMax = size_t{1} << 20;

// Every line end as '\n', and without the last one.
std::string normalize_newlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      text += '\n';
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) {
      if (tokens_.size() > kTokensMax) return fail("line {}: the template is too long", line_);
      if (auto done = next_piece(); !done) return pass(done);
    }
    push(Token::Kind::end, {});
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  bool looking_at(std::string_view word) const { return rest().starts_with(word); }
  void push(Token::Kind kind, std::string_view text) {
    tokens_.push_back({kind, line_, std::string(text), 0, 0});
  }
  void advance(size_t bytes) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(at_ + bytes), '\n'));
    at_ += bytes;
  }
  void skip_space() { advance(rest().size() - strip_left(rest()).size()); }

  // Text up to the next tag, and that tag.
  Result<void> next_piece() {
    size_t tag = at_;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        push_data(rest());
        at_ = source_.size();
        return {};
      }
      if (source_[tag + 1] == '{' || source_[tag + 1] == '%' || source_[tag + 1] == '#') break;
      ++tag;
    }
    char kind = source_[tag + 1];
    char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    bool has_sign = sign == '-' || sign == '+';
    push_data(text_before_tag(rest().substr(0, tag - at_), has_sign ? sign : '\0', kind != '{'));
    advance(tag - at_ + (has_sign ? 3 : 2));
    if (kind == '#') return skip_comment();
    if (kind == '{') return read_tag(Token::Kind::output_begin, Token::Kind::output_end, "}}");
    if (auto content = raw_begin_length(); content > 0) return read_raw(content);
    return read_tag(Token::Kind::block_begin, Token::Kind::block_end, "%}");
  }

  void push_data(std::string_view text) {
    if (!text.empty()) push(Token::Kind::data, text);
  }

  // What a tag leaves of the text before it: "-" takes all white space; a block tag that begins its line
  // takes the indentation.
  std::string_view text_before_tag(std::string_view text, char sign, bool is_block) const {
    if (sign == '-') return strip_right(text);
    if (sign == '+' || !is_block) return text;
    size_t line_begin = text.rfind('\n') + 1;  // npos + 1 == 0
    bool begins_line = line_begin > 0 || at_line_start_;
    return begins_line && strip(text.substr(line_begin)).empty() ? text.substr(0, line_begin) : text;
  }

  // Consumes "%}" with its sign, and the white space it takes after it. `trims`: a newline goes with it.
  bool take_tag_end(std::string_view mark, bool trims) {
    size_t begin = at_;
    if (looking_at(mark)) {
      advance(mark.size());
      if (trims && looking_at("\n")) advance(1);
    } else if (looking_at("-") && rest().substr(1).starts_with(mark)) {
      advance(1 + mark.size());
      skip_space();
    } else if (trims && looking_at("+") && rest().substr(1).starts_with(mark)) {
      advance(1 + mark.size());
    } else {
      return false;
    }
    at_line_start_ = at_ > begin && source_[at_ - 1] == '\n';
    return true;
  }

  Result<void> skip_comment() {
    int opened = line_;
    size_t end = source_.find("#}", at_);
    if (end == std::string::npos) return fail("line {}: the comment has no end '#}}'", opened);
    bool has_sign = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+');
    advance(end - at_ - (has_sign ? 1 : 0));
    take_tag_end("#}", true);
    return {};
  }

  // After "{%": the length of "raw" with its space and sign up to before the "%}" mark; 0 where this is no
  // raw tag.
  size_t raw_begin_length() const {
    std::string_view text = strip_left(rest());
    if (!text.starts_with("raw")) return 0;
    text = strip_left(text.substr(3));
    if (!text.starts_with("%}") && !text.starts_with("-%}")) return 0;
    return rest().size() - text.size();
  }

  Result<void> read_raw(size_t content_begin) {
    int opened = line_;
    advance(content_begin);
    take_tag_end("%}", false);
    for (size_t tag = source_.find("{%", at_); tag != std::string::npos; tag = source_.find("{%", tag + 2)) {
      std::string_view after = std::string_view(source_).substr(tag + 2);
      char sign = after.empty() ? '\0' : after[0];
      if (sign == '-' || sign == '+') after.remove_prefix(1);
      after = strip_left(after);
      if (!after.starts_with("endraw")) continue;
      after = strip_left(after.substr(6));
      if (!after.starts_with("%}") && !after.starts_with("-%}") && !after.starts_with("+%}")) continue;
      push_data(text_before_tag(rest().substr(0, tag - at_), sign, true));
      advance(rest().size() - after.size());
      take_tag_end("%}", true);
      return {};
    }
    return fail("line {}: '{{% raw %}}' has no '{{% endraw %}}'", opened);
  }

  Result<void> read_tag(Token::Kind begin, Token::Kind end, std::string_view mark) {
    int opened = line_;
    push(begin, {});
    std::string brackets;  // the closing ones that are still to come
    while (true) {
      skip_space();
      if (at_ == source_.size()) return fail("line {}: the tag has no end '{}'", opened, mark);
      if (brackets.empty()) {
        int line = line_;
        if (take_tag_end(mark, end == Token::Kind::block_end)) {
          tokens_.push_back({end, line, {}, 0, 0});
          return {};
        }
      }
      if (tokens_.size() > kTokensMax) return fail("line {}: the template is too long", line_);
      if (auto done = read_token(brackets); !done) return pass(done);
    }
  }

  Result<void> read_token(std::string& brackets) {
    char c = source_[at_];
    if (is_digit(c)) return read_number();
    if (begins_name(c)) {
      size_t length = 1;
      while (length < rest().size() && (begins_name(rest()[length]) || is_digit(rest()[length]))) ++length;
      push(Token::Kind::name, rest().substr(0, length));
      at_ += length;
      return {};
    }
    if (c == '"' || c == '\'') return read_string(c);
    return read_symbol(brackets);
  }

  Result<void> read_symbol(std::string& brackets) {
    static constexpr std::string_view kTwo[] = {"//", "**", "==", "!=", ">=", "<="};
    for (std::string_view symbol : kTwo) {
      if (!looking_at(symbol)) continue;
      push(Token::Kind::symbol, symbol);
      at_ += 2;
      return {};
    }
    char c = source_[at_];
    if (std::string_view("+-*/%~<>=()[]{}.,:|;").find(c) == std::string_view::npos || c == '\0') {
      return fail("line {}: unexpected character '{}'", line_, first_character(rest()).bytes);
    }
    if (c == '(') brackets += ')';
    if (c == '[') brackets += ']';
    if (c == '{') brackets += '}';
    if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty()) return fail("line {}: unexpected '{}'", line_, c);
      if (brackets.back() != c)
        return fail("line {}: unexpected '{}', expected '{}'", line_, c, brackets.back());
      brackets.pop_back();
    }
    push(Token::Kind::symbol, rest().substr(0, 1));
    ++at_;
    return {};
  }

  size_t digits_from(size_t offset) const {
    size_t length = 0;
    while (offset + length < rest().size() &&
           (is_digit(rest()[offset + length]) || rest()[offset + length] == '_'))
      ++length;
    return length;
  }

  Result<void> read_number() {
    bool after_dot = !tokens_.empty() && tokens_.back().kind == Token::Kind::symbol &&
                     tokens_.back().text == ".";
    int base = 10;
    if (looking_at("0x") || looking_at("0X")) base = 16;
    if (looking_at("0o") || looking_at("0O")) base = 8;
    if (looking_at("0b") || looking_at("0B")) base = 2;
    size_t length = digits_from(0);
    bool is_float = false;
    if (base != 10) {
      length = 2;
      while (length < rest().size() &&
             (std::isxdigit(static_cast<unsigned char>(rest()[length])) || rest()[length] == '_')) {
        ++length;
      }
    } else if (!after_dot) {
      if (rest().substr(length).starts_with('.') && digits_from(length + 1) > 0) {
        is_float = true;
        length += 1 + digits_from(length + 1);
      }
      size_t exponent = length;
      if (exponent < rest().size() && (rest()[exponent] == 'e' || rest()[exponent] == 'E')) {
        ++exponent;
        if (exponent < rest().size() && (rest()[exponent] == '+' || rest()[exponent] == '-')) ++exponent;
        if (digits_from(exponent) > 0) {
          is_float = true;
          length = exponent + digits_from(exponent);
        }
      }
    }
    return push_number(rest().substr(0, length), base, is_float);
  }

  Result<void> push_number(std::string_view written, int base, bool is_float) {
    std::string text(written);
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    const char* first = text.data() + (base == 10 ? 0 : 2);
    const char* last = text.data() + text.size();
    Token token{is_float ? Token::Kind::floating : Token::Kind::integer, line_, std::string(written), 0, 0};
    auto read = is_float ? std::from_chars(first, last, token.floating)
                         : std::from_chars(first, last, token.integer, base);
    if (read.ec != std::errc() || read.ptr != last)
      return fail("line {}: the number {} is out of range", line_, written);
    tokens_.push_back(std::move(token));
    at_ += written.size();
    return {};
  }

  Result<void> read_string(char quote) {
    Token token{Token::Kind::string, line_, {}, 0, 0};
    size_t i = at_ + 1;
    while (i < source_.size() && source_[i] != quote) {
      if (source_[i] == '\\' && i + 1 < source_.size()) {
        i = append_escape(token.text, i + 1);
      } else {
        token.text += source_[i++];
      }
    }
    if (i >= source_.size()) return fail("line {}: the string has no end", token.line);
    advance(i + 1 - at_);
    tokens_.push_back(std::move(token));
    return {};
  }

  // Python's escapes; `i` stands behind the backslash. Returns the position after the escape. An unknown
  // one stays as written.
  size_t append_escape(std::string& out, size_t i) const {
    constexpr std::string_view kNames = "\\'\"abfnrtv";
    constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
    char c = source_[i];
    if (c == '\n') return i + 1;
    if (size_t simple = kNames.find(c); simple != std::string_view::npos) {
      out += kMeanings[simple];
      return i + 1;
    }
    size_t length = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    int base = 16;
    size_t begin = i + 1;
    if (c >= '0' && c <= '7') {
      base = 8;
      begin = i;
      while (length < 3 && begin + length < source_.size() && source_[begin + length] >= '0' &&
             source_[begin + length] <= '7') {
        ++length;
      }
    }
    uint32_t code_point = 0;
    if (length > 0 && begin + length <= source_.size()) {
      const char* last = source_.data() + begin + length;
      auto read = std::from_chars(source_.data() + begin, last, code_point, base);
      bool valid = code_point <= 0x10ffff && !(code_point >= 0xd800 && code_point < 0xe000);
      if (read.ec == std::errc() && read.ptr == last && valid) {
        core::append_utf8(out, code_point);
        return begin + length;
      }
    }
    out += '\\';
    return i;
  }

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool at_line_start_ = true;  // the last tag ended with a newline it took, or nothing came yet
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> tokenize_template(std::string_view source) { return Lexer(source).run(); }

}  // namespace mneme::model::jinja
