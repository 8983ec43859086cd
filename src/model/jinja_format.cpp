#include "model/jinja_format.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "model/jinja_text.h"

namespace mneme::model::jinja {
namespace {

using core::fail;
using core::pass;

// Changed lists may hold themselves, so the depth seen while writing is bounded here and not by
// JinjaValue::depth().
constexpr int kWriteDepthMax = 2 * kJinjaValueDepthMax;

void append_quoted(std::string& out, std::string_view text) {
  bool single = text.find('\'') != std::string_view::npos;
  char quote = single && text.find('"') == std::string_view::npos ? '"' : '\'';
  out += quote;
  while (!text.empty()) {
    Character character = first_character(text);
    char32_t c = character.code_point;
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\\' || c == static_cast<unsigned char>(quote)) {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else if ((c >= 0x2000 && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) || c == 0x205f || c == 0x3000 ||
               c == 0xfeff) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      out += character.bytes;
    }
    text.remove_prefix(character.bytes.size());
  }
  out += quote;
}

void append_json_string(std::string& out, std::string_view text, bool ensure_ascii) {
  out += '"';
  while (!text.empty()) {
    Character character = first_character(text);
    char32_t c = character.code_point;
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        if (c < 0x20 || (ensure_ascii && c >= 0x7f && c < 0x10000)) {
          out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
        } else if (ensure_ascii && c >= 0x10000) {
          uint32_t offset = static_cast<uint32_t>(c) - 0x10000;
          out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (offset >> 10), 0xdc00 + (offset & 0x3ff));
        } else {
          out += character.bytes;
        }
    }
    text.remove_prefix(character.bytes.size());
  }
  out += '"';
}

Result<void> charge(Runtime& runtime, const std::string& out) {
  if (out.size() > runtime.limits().allocated_bytes_max)
    return fail("the printed form of a value is too long");
  return runtime.charge_steps(1);
}

Result<void> append_repr_at(Runtime& runtime, std::string& out, const JinjaValue& value, int depth);

Result<void> append_list_repr(Runtime& runtime, std::string& out, const JinjaList& list, int depth) {
  out += list.tuple ? '(' : '[';
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out += ", ";
    if (auto done = append_repr_at(runtime, out, list.items[i], depth + 1); !done) return pass(done);
  }
  if (list.tuple && list.items.size() == 1) out += ',';
  out += list.tuple ? ')' : ']';
  return {};
}

Result<void> append_dict_repr(Runtime& runtime, std::string& out, const JinjaDict& dict, int depth) {
  out += dict.is_namespace ? "<Namespace {" : "{";
  for (size_t i = 0; i < dict.size(); ++i) {
    const auto& [key, item] = dict.entries()[i];
    if (i > 0) out += ", ";
    if (auto done = append_repr_at(runtime, out, key, depth + 1); !done) return pass(done);
    out += ": ";
    if (auto done = append_repr_at(runtime, out, item, depth + 1); !done) return pass(done);
  }
  out += dict.is_namespace ? "}>" : "}";
  return {};
}

Result<void> append_repr_at(Runtime& runtime, std::string& out, const JinjaValue& value, int depth) {
  if (depth > kWriteDepthMax) return fail("a value is nested too deep to be printed");
  if (auto charged = charge(runtime, out); !charged) return pass(charged);
  switch (value.kind()) {
    case JinjaValue::Kind::undefined: out += "Undefined"; break;
    case JinjaValue::Kind::none: out += "None"; break;
    case JinjaValue::Kind::boolean: out += value.as_bool() ? "True" : "False"; break;
    case JinjaValue::Kind::integer: out += fmt::format("{}", value.as_int()); break;
    case JinjaValue::Kind::floating: out += format_float(value.as_float()); break;
    case JinjaValue::Kind::string:
      if (auto charged = runtime.charge_scan(value.as_string().size()); !charged) return pass(charged);
      append_quoted(out, value.as_string());
      break;
    case JinjaValue::Kind::list: return append_list_repr(runtime, out, *value.as_list(), depth);
    case JinjaValue::Kind::dict: return append_dict_repr(runtime, out, *value.as_dict(), depth);
    case JinjaValue::Kind::object: out += fmt::format("<{}>", value.type_name()); break;
  }
  return {};
}

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  Result<void> write(const JinjaValue& value, int depth) {
    if (depth > kWriteDepthMax) return fail("tojson: a value is nested too deep");
    if (auto charged = charge(runtime_, out_); !charged) return pass(charged);
    switch (value.kind()) {
      case JinjaValue::Kind::undefined: return fail("tojson: the value is undefined");
      case JinjaValue::Kind::object: return fail("tojson: a {} has no JSON form", value.type_name());
      case JinjaValue::Kind::string:
        if (auto charged = runtime_.charge_scan(value.as_string().size()); !charged) return pass(charged);
        append_json_string(out_, value.as_string(), style_.ensure_ascii);
        return {};
      case JinjaValue::Kind::list: return write_list(*value.as_list(), depth);
      case JinjaValue::Kind::dict:
        if (value.as_dict()->is_namespace) return fail("tojson: a namespace has no JSON form");
        return write_dict(*value.as_dict(), depth);
      default: out_ += scalar(value);
    }
    return {};
  }

  std::string take() { return std::move(out_); }

 private:
  static std::string scalar(const JinjaValue& value) {
    if (value.is_none()) return "null";
    if (value.is_bool()) return value.as_bool() ? "true" : "false";
    if (value.is_int()) return fmt::format("{}", value.as_int());
    double number = value.as_float();
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
    return format_float(number);
  }

  void new_line(int depth) {
    if (!style_.multi_line) return;
    out_ += '\n';
    for (int i = 0; i < depth; ++i) out_ += style_.indent;
  }

  Result<void> write_list(const JinjaList& list, int depth) {
    if (list.items.empty()) {
      out_ += "[]";
      return {};
    }
    out_ += '[';
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      new_line(depth + 1);
      if (auto done = write(list.items[i], depth + 1); !done) return pass(done);
    }
    new_line(depth);
    out_ += ']';
    return {};
  }

  Result<void> write_dict(const JinjaDict& dict, int depth) {
    if (dict.size() == 0) {
      out_ += "{}";
      return {};
    }
    std::vector<std::pair<std::string, const JinjaValue*>> entries;
    for (const auto& [key, item] : dict.entries()) {
      entries.emplace_back(key.is_string() ? key.as_string() : scalar(key), &item);
    }
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    out_ += '{';
    bool first = true;
    for (const auto& [key, item] : entries) {
      if (!first) out_ += style_.item_separator;
      first = false;
      new_line(depth + 1);
      append_json_string(out_, key, style_.ensure_ascii);
      out_ += style_.key_separator;
      if (auto done = write(*item, depth + 1); !done) return pass(done);
    }
    new_line(depth);
    out_ += '}';
    return {};
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

Result<void> append_text(Runtime& runtime, std::string& out, const JinjaValue& value) {
  if (value.is_undefined()) return {};
  if (!value.is_string()) return append_repr(runtime, out, value);
  if (auto charged = runtime.charge_scan(value.as_string().size()); !charged) return pass(charged);
  out += value.as_string();
  return {};
}

Result<std::string> to_text(Runtime& runtime, const JinjaValue& value) {
  std::string out;
  if (auto done = append_text(runtime, out, value); !done) return pass(done);
  return out;
}

Result<void> append_repr(Runtime& runtime, std::string& out, const JinjaValue& value) {
  return append_repr_at(runtime, out, value, 0);
}

// The shortest digits that read back as the same number; an exponent below 1e-4 and from 1e16 on, as
// Python's repr.
std::string format_float(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char buffer[64];
  auto written = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<size_t>(written.ptr - buffer));
  size_t exponent_at = text.find('e');
  int exponent = 0;
  const char* exponent_begin = text.data() + exponent_at + (text[exponent_at + 1] == '+' ? 2 : 1);
  std::from_chars(exponent_begin, written.ptr, exponent);
  if (exponent < -4 || exponent >= 16) return std::string(text);

  std::string digits;
  for (char c : text.substr(0, exponent_at)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  std::string out = text[0] == '-' ? "-" : "";
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

Result<std::string> to_json(Runtime& runtime, const JinjaValue& value, const JsonStyle& style) {
  JsonWriter writer(runtime, style);
  if (auto done = writer.write(value, 0); !done) return pass(done);
  return writer.take();
}

}  // namespace mneme::model::jinja
