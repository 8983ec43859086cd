#include "tasks/json.h"

#include <cstdint>
#include <map>

#include "tasks/utf8.h"

namespace mneme::tasks {
namespace {

constexpr int kDepthMax = 32;

class Reader {
 public:
  Reader(std::string_view text, bool shape_only) : text_(text), shape_only_(shape_only) {}

  std::optional<std::string> whole() {
    std::string out;
    if (!value(out, 0)) return std::nullopt;
    blanks();
    if (at_ != text_.size()) return std::nullopt;
    return out;
  }

 private:
  bool more() const { return at_ < text_.size(); }
  bool eat(char c) {
    if (!more() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void blanks() {
    while (more() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  bool literal(std::string& out, std::string_view name) {
    if (text_.substr(at_, name.size()) != name) return false;
    at_ += name.size();
    out += name;
    return true;
  }

  bool value(std::string& out, int depth) {
    blanks();
    if (!more() || depth > kDepthMax) return false;
    if (text_[at_] == '{') return object(out, depth);
    if (text_[at_] == '[') return array(out, depth);
    std::string text;
    if (!scalar(text)) return false;
    if (!shape_only_) out += text;
    return true;
  }

  bool scalar(std::string& out) {
    switch (text_[at_]) {
      case 't': return literal(out, "true");
      case 'f': return literal(out, "false");
      case 'n': return literal(out, "null");
      case '"': {
        std::string text;
        if (!string(text)) return false;
        out += quoted_json(text);
        return true;
      }
      default: return number(out);
    }
  }

  bool object(std::string& out, int depth) {
    std::map<std::string, std::string> members;
    ++at_;
    blanks();
    if (!eat('}')) {
      do {
        std::string key, member;
        blanks();
        if (!string(key)) return false;
        blanks();
        if (!eat(':') || !value(member, depth + 1)) return false;
        if (!members.emplace(std::move(key), std::move(member)).second) return false;
        blanks();
      } while (eat(','));
      if (!eat('}')) return false;
    }
    out += '{';
    for (const auto& [key, member] : members) {
      if (out.back() != '{') out += ',';
      out += quoted_json(key) + ':' + member;
    }
    out += '}';
    return true;
  }

  bool array(std::string& out, int depth) {
    ++at_;
    out += '[';
    blanks();
    if (!eat(']')) {
      for (bool first = true; first || eat(','); first = false) {
        if (!first) out += ',';
        if (!value(out, depth + 1)) return false;
        blanks();
      }
      if (!eat(']')) return false;
    }
    out += ']';
    return true;
  }

  size_t digits() {
    const size_t from = at_;
    while (more() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ - from;
  }

  bool number(std::string& out) {
    const size_t from = at_;
    eat('-');
    const size_t first = at_;
    const size_t whole = digits();
    if (whole == 0 || (whole > 1 && text_[first] == '0')) return false;
    size_t end = at_;
    if (eat('.')) {
      if (digits() == 0) return false;
      end = at_;
      while (text_[end - 1] == '0') --end;
      if (text_[end - 1] == '.') --end;
    }
    out += text_.substr(from, end - from);
    const size_t exponent = at_;
    if (eat('e') || eat('E')) {
      if (!eat('+')) eat('-');
      if (digits() == 0) return false;
      out += text_.substr(exponent, at_ - exponent);
    }
    return true;
  }

  bool hex4(uint32_t& code) {
    code = 0;
    for (int i = 0; i < 4; ++i) {
      if (!more()) return false;
      const size_t digit = std::string_view("0123456789abcdefABCDEF").find(text_[at_++]);
      if (digit == std::string_view::npos) return false;
      code = code * 16 + static_cast<uint32_t>(digit < 16 ? digit : digit - 6);
    }
    return true;
  }

  bool escape(std::string& out) {
    if (!more()) return false;
    const char c = text_[at_++];
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    const size_t simple = kNames.find(c);
    if (simple != std::string_view::npos) {
      out += kMeant[simple];
      return true;
    }
    uint32_t code = 0, low = 0;
    if (c != 'u' || !hex4(code)) return false;
    if (code >= 0xDC00 && code < 0xE000) return false;
    if (code >= 0xD800 && code < 0xDC00) {
      if (!eat('\\') || !eat('u') || !hex4(low) || low < 0xDC00 || low >= 0xE000) return false;
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    core::append_utf8(out, code);
    return true;
  }

  bool string(std::string& out) {
    if (!eat('"')) return false;
    while (more()) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        out += c;
      } else if (!escape(out)) {
        return false;
      }
    }
    return false;
  }

  std::string_view text_;
  bool shape_only_;
  size_t at_ = 0;
};

}  // namespace

std::optional<std::string> canonical_json(std::string_view text) {
  if (!valid_utf8(text)) return std::nullopt;
  return Reader(text, false).whole();
}

std::optional<std::string> json_shape(std::string_view text) {
  if (!valid_utf8(text)) return std::nullopt;
  return Reader(text, true).whole();
}

std::string quoted_json(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\', out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20) {
      out += "\\u00", out += kHex[byte >> 4], out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace mneme::tasks
