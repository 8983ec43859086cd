#include "model/jinja_json.h"

#include <charconv>

#include "core/utf8.h"
#include "model/jinja_text.h"

namespace mneme::model {
namespace {

using core::fail;
using core::pass;

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  Result<JinjaValue> read_document() {
    auto value = read_value(1);
    if (!value) return pass(value);
    skip_space();
    if (at_ != text_.size()) return wrong("the end of the text");
    return value;
  }

 private:
  tl::unexpected<Error> wrong(std::string_view expected) const {
    return fail("JSON: expected {} at byte {}", expected, at_);
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }

  Result<JinjaValue> read_value(int depth) {
    if (depth > kJinjaValueDepthMax)
      return fail("JSON: nested deeper than {} at byte {}", kJinjaValueDepthMax, at_);
    skip_space();
    if (peek() == '{') return read_object(depth);
    if (peek() == '[') return read_array(depth);
    if (peek() == '"') {
      auto text = read_string();
      if (!text) return pass(text);
      return JinjaValue(std::move(*text));
    }
    if (take("true")) return JinjaValue(true);
    if (take("false")) return JinjaValue(false);
    if (take("null")) return JinjaValue::none();
    return read_number();
  }

  Result<JinjaValue> read_object(int depth) {
    JinjaDict dict;
    ++at_;
    skip_space();
    if (take("}")) return JinjaValue::dict(std::move(dict));
    while (true) {
      skip_space();
      if (peek() != '"') return wrong("a member's name");
      auto key = read_string();
      if (!key) return pass(key);
      skip_space();
      if (!take(":")) return wrong("':'");
      auto value = read_value(depth + 1);
      if (!value) return pass(value);
      dict.set(*key, std::move(*value));
      skip_space();
      if (take("}")) return JinjaValue::dict(std::move(dict));
      if (!take(",")) return wrong("',' or '}'");
    }
  }

  Result<JinjaValue> read_array(int depth) {
    std::vector<JinjaValue> items;
    ++at_;
    skip_space();
    if (take("]")) return JinjaValue::list(std::move(items));
    while (true) {
      auto value = read_value(depth + 1);
      if (!value) return pass(value);
      items.push_back(std::move(*value));
      skip_space();
      if (take("]")) return JinjaValue::list(std::move(items));
      if (!take(",")) return wrong("',' or ']'");
    }
  }

  Result<std::string> read_string() {
    std::string out;
    ++at_;
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (c == '"') {
        ++at_;
        return out;
      }
      if (static_cast<unsigned char>(c) < 0x20) return wrong("an escaped control character");
      if (c != '\\') {
        out += c;
        ++at_;
      } else if (auto done = read_escape(out); !done) {
        return pass(done);
      }
    }
    return wrong("'\"'");
  }

  Result<void> read_escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    ++at_;
    size_t simple = kNames.find(peek());
    if (at_ < text_.size() && simple != std::string_view::npos) {
      out += kMeanings[simple];
      ++at_;
      return {};
    }
    auto unit = read_unit();
    if (!unit) return pass(unit);
    char32_t code_point = *unit;
    if (code_point >= 0xd800 && code_point < 0xdc00 && text_.substr(at_, 2) == "\\u") {
      size_t before = at_++;
      auto low = read_unit();
      if (!low) return pass(low);
      if (*low >= 0xdc00 && *low < 0xe000) {
        code_point = 0x10000 + ((code_point - 0xd800) << 10) + (*low - 0xdc00);
      } else {
        at_ = before;
      }
    }
    bool lone_surrogate = code_point >= 0xd800 && code_point < 0xe000;
    core::append_utf8(out, lone_surrogate ? 0xfffd : code_point);
    return {};
  }

  Result<char32_t> read_unit() {  // uXXXX
    if (!take("u") || at_ + 4 > text_.size()) return wrong("an escape");
    uint32_t unit = 0;
    auto read = std::from_chars(text_.data() + at_, text_.data() + at_ + 4, unit, 16);
    if (read.ptr != text_.data() + at_ + 4) return wrong("four hexadecimal digits");
    at_ += 4;
    return char32_t{unit};
  }

  size_t digits() {
    size_t begin = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ - begin;
  }

  Result<JinjaValue> read_number() {
    size_t begin = at_;
    take("-");
    bool leading_zero = peek() == '0';
    size_t whole = digits();
    if (whole == 0 || (leading_zero && whole > 1)) return wrong("a value");
    bool is_float = false;
    if (take(".")) {
      is_float = true;
      if (digits() == 0) return wrong("a digit");
    }
    if (peek() == 'e' || peek() == 'E') {
      is_float = true;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (digits() == 0) return wrong("a digit");
    }
    const char* first = text_.data() + begin;
    const char* last = text_.data() + at_;
    int64_t integer = 0;
    if (!is_float && std::from_chars(first, last, integer).ec == std::errc()) return JinjaValue(integer);
    double number = 0;
    if (std::from_chars(first, last, number).ec != std::errc())
      return fail("JSON: number out of range at byte {}", begin);
    return JinjaValue(number);
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Result<JinjaValue> parse_json(std::string_view text) { return JsonReader(text).read_document(); }

}  // namespace mneme::model
