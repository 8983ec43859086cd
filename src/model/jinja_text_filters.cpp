// Filters that make text or numbers.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "model/jinja_builtins.h"
#include "model/jinja_format.h"
#include "model/jinja_methods.h"
#include "model/jinja_operators.h"
#include "model/jinja_printf.h"
#include "model/jinja_text.h"

namespace mneme::model::jinja {
namespace {

using core::fail;
using core::pass;

bool is_missing(const JinjaValue& value) { return value.is_undefined() || value.is_none(); }

Result<JinjaValue> as_text(Runtime& runtime, const JinjaValue& input) {
  if (input.is_string()) return input;
  auto text = to_text(runtime, input);
  if (!text) return pass(text);
  return runtime.make_string(std::move(*text));
}

Result<JinjaValue> string_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  if (!arguments.empty()) return fail("string takes no arguments");
  return as_text(runtime, input);
}

Result<JinjaValue> safe_filter(Runtime&, const JinjaValue& input, const Arguments&) {
  return input;
}  // nothing is escaped

// A filter that is str's method of (nearly) the same name, on the text of whatever comes in.
constexpr char kTrim[] = "strip";
constexpr char kLower[] = "lower";
constexpr char kUpper[] = "upper";
constexpr char kCapitalize[] = "capitalize";
template <const char* kMethod>
Result<JinjaValue> method_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto text = as_text(runtime, input);
  if (!text) return text;
  return find_string_method_or_null(kMethod)(runtime, *text, arguments);
}

Result<JinjaValue> replace_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("replace", {"old", "new", "count"});
  if (!bound) return pass(bound);
  auto text = as_text(runtime, input);
  if (!text) return text;
  Arguments texts;
  for (size_t i : {size_t{0}, size_t{1}}) {
    auto part = as_text(runtime, (*bound)[i]);
    if (!part) return part;
    texts.positional.push_back(std::move(*part));
  }
  texts.positional.push_back((*bound)[2]);
  return find_string_method_or_null("replace")(runtime, *text, texts);
}

Result<JinjaValue> title_filter(Runtime& runtime, const JinjaValue& input, const Arguments&) {
  auto text = as_text(runtime, input);
  if (!text) return text;
  auto begins_word = [](char32_t before) {
    return is_space(before) || before == '-' || before == '(' || before == '{' || before == '[' ||
           before == '<';
  };
  return runtime.make_string(title(text->as_string(), begins_word));
}

Result<JinjaValue> indent_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("indent", {"width", "first", "blank"});
  if (!bound) return pass(bound);
  const JinjaValue& width = (*bound)[0];
  if (!width.is_undefined() && !width.is_int() && !width.is_string())
    return fail("indent: the width is no integer or string");
  if (width.is_int() && width.as_int() > 1000) return fail("indent: a width above 1000");
  std::string indent =
      width.is_string()
          ? width.as_string()
          : std::string(static_cast<size_t>(width.is_int() ? std::max<int64_t>(width.as_int(), 0) : 4), ' ');
  auto text = as_text(runtime, input);
  if (!text) return text;
  bool first = (*bound)[1].truthy();
  bool blank = (*bound)[2].truthy();
  std::string source = text->as_string() + "\n";  // as in Jinja: a newline at the end counts as a line
  std::string out;
  bool at_first = true;
  for (std::string_view line : split_lines(source, false)) {
    if (auto charged = runtime.charge_bytes(indent.size() + line.size() + 1); !charged) return pass(charged);
    if (!at_first) out += '\n';
    if (at_first ? first : blank || !line.empty()) out += indent;
    out += line;
    at_first = false;
  }
  return runtime.make_string(std::move(out));
}

Result<JinjaValue> escape_filter(Runtime& runtime, const JinjaValue& input, const Arguments&) {
  auto text = as_text(runtime, input);
  if (!text) return text;
  if (auto charged = runtime.charge_bytes(text->as_string().size() * 5); !charged) return pass(charged);
  std::string out;
  for (char c : text->as_string()) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '\'': out += "&#39;"; break;
      case '"': out += "&#34;"; break;
      default: out += c;
    }
  }
  return runtime.make_string(std::move(out));
}

Result<JinjaValue> wordcount_filter(Runtime& runtime, const JinjaValue& input, const Arguments&) {
  auto text = as_text(runtime, input);
  if (!text) return text;
  int64_t words = 0;
  bool in_word = false;
  for (std::string_view rest = text->as_string(); !rest.empty();
       rest.remove_prefix(first_character(rest).bytes.size())) {
    char32_t c = first_character(rest).code_point;
    bool belongs = is_letter(c) || c == '_' || (c >= '0' && c <= '9');
    if (belongs && !in_word) ++words;
    in_word = belongs;
  }
  return JinjaValue(words);
}

Result<JinjaValue> format_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  if (!arguments.keyword.empty()) return fail("format: named arguments are not supported");
  auto text = as_text(runtime, input);
  if (!text) return text;
  return format_printf(runtime, text->as_string(), arguments.positional);
}

// Hugging Face's: tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False).
Result<JinjaValue> tojson_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"});
  if (!bound) return pass(bound);
  JsonStyle style;
  style.ensure_ascii = (*bound)[0].truthy();
  const JinjaValue& indent = (*bound)[1];
  const JinjaValue& separators = (*bound)[2];
  if (!is_missing(indent)) {
    bool in_range = is_integral(indent) && integer_of(indent) <= 100;
    if (!in_range && !indent.is_string()) return fail("tojson: the indent is no string or integer up to 100");
    style.multi_line = true;
    style.item_separator.resize(1);  // no space before the end of a line
    style.indent = indent.is_string()
                       ? indent.as_string()
                       : std::string(static_cast<size_t>(std::max<int64_t>(integer_of(indent), 0)), ' ');
    if (style.indent.size() > 100) return fail("tojson: the indent is longer than 100");
  }
  if (!is_missing(separators)) {
    bool pair = separators.is_list() && separators.as_list()->items.size() == 2;
    if (!pair || !separators.as_list()->items[0].is_string() || !separators.as_list()->items[1].is_string()) {
      return fail("tojson: separators are two strings");
    }
    style.item_separator = separators.as_list()->items[0].as_string();
    style.key_separator = separators.as_list()->items[1].as_string();
  }
  style.sort_keys = (*bound)[3].truthy();
  auto text = to_json(runtime, input, style);
  if (!text) return pass(text);
  return runtime.make_string(std::move(*text));
}

// float(text) of Python for the forms that occur; nothing where the text is no number.
std::optional<double> parse_float(std::string_view text) {
  text = strip(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<int64_t> parse_integer(std::string_view text, int base) {
  text = strip(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  auto prefixed = [&](char letter) {
    return text.size() > 2 && text[0] == '0' && (text[1] | 0x20) == letter;
  };
  if ((base == 16 && prefixed('x')) || (base == 8 && prefixed('o')) || (base == 2 && prefixed('b')))
    text.remove_prefix(2);
  int64_t number = 0;
  auto read = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<JinjaValue> int_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("int", {"default", "base"});
  if (!bound) return pass(bound);
  if (input.is_undefined()) return fail("int: the value is undefined");
  JinjaValue fallback = (*bound)[0].is_undefined() ? JinjaValue(int64_t{0}) : (*bound)[0];
  int64_t base = is_integral((*bound)[1]) ? integer_of((*bound)[1]) : 10;
  if (base < 2 || base > 36) return fail("int: the base is not between 2 and 36");
  if (is_integral(input)) return JinjaValue(integer_of(input));
  std::optional<double> number;
  if (input.is_float()) number = input.as_float();
  if (input.is_string()) {
    if (auto charged = runtime.charge_scan(input.as_string().size()); !charged) return pass(charged);
    if (auto integer = parse_integer(input.as_string(), static_cast<int>(base))) return JinjaValue(*integer);
    number = parse_float(input.as_string());
  }
  if (!number || !(std::fabs(*number) < 9.2e18)) return fallback;
  return JinjaValue(static_cast<int64_t>(*number));
}

Result<JinjaValue> float_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("float", {"default"});
  if (!bound) return pass(bound);
  if (input.is_undefined()) return fail("float: the value is undefined");
  if (input.is_number()) return JinjaValue(number_of(input));
  if (input.is_string()) {
    if (auto charged = runtime.charge_scan(input.as_string().size()); !charged) return pass(charged);
    if (auto number = parse_float(input.as_string())) return JinjaValue(*number);
  }
  return (*bound)[0].is_undefined() ? JinjaValue(0.0) : (*bound)[0];
}

Result<JinjaValue> abs_filter(Runtime&, const JinjaValue& input, const Arguments&) {
  if (!input.is_number()) return fail("abs needs a number, not '{}'", input.type_name());
  if (input.is_float()) return JinjaValue(std::fabs(input.as_float()));
  return apply_sign(integer_of(input) < 0, input);
}

Result<JinjaValue> round_filter(Runtime&, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("round", {"precision", "method"});
  if (!bound) return pass(bound);
  if (!input.is_number()) return fail("round needs a number, not '{}'", input.type_name());
  int64_t precision = is_integral((*bound)[0]) ? integer_of((*bound)[0]) : 0;
  if (precision < -15 || precision > 15) return fail("round: a precision beyond 15 digits");
  std::string method = (*bound)[1].is_string() ? (*bound)[1].as_string() : "common";
  double factor = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return JinjaValue(std::ceil(number_of(input) * factor) / factor);
  if (method == "floor") return JinjaValue(std::floor(number_of(input) * factor) / factor);
  if (method != "common") return fail("round: the method is common, ceil or floor");
  if (is_integral(input) && precision >= 0) return JinjaValue(integer_of(input));
  if (precision < 0) {
    double rounded = std::nearbyint(number_of(input) * factor) / factor;
    return is_integral(input) ? JinjaValue(static_cast<int64_t>(rounded)) : JinjaValue(rounded);
  }
  char digits[400];  // printing rounds the exact value, half to even, as Python's round does
  std::snprintf(digits, sizeof digits, "%.*f", static_cast<int>(precision), input.as_float());
  return JinjaValue(std::strtod(digits, nullptr));
}

constexpr std::pair<std::string_view, FilterFunction> kFilters[] = {
    {"string", string_filter},
    {"safe", safe_filter},
    {"trim", method_filter<kTrim>},
    {"lower", method_filter<kLower>},
    {"upper", method_filter<kUpper>},
    {"capitalize", method_filter<kCapitalize>},
    {"title", title_filter},
    {"replace", replace_filter},
    {"indent", indent_filter},
    {"escape", escape_filter},
    {"e", escape_filter},
    {"forceescape", escape_filter},
    {"wordcount", wordcount_filter},
    {"format", format_filter},
    {"tojson", tojson_filter},
    {"int", int_filter},
    {"float", float_filter},
    {"abs", abs_filter},
    {"round", round_filter},
};

}  // namespace

FilterTable text_filters() { return kFilters; }

}  // namespace mneme::model::jinja
