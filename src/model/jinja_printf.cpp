#include "model/jinja_printf.h"

#include <charconv>
#include <cstdio>

#include "model/jinja_format.h"
#include "model/jinja_operators.h"
#include "model/jinja_text.h"

namespace mneme::model::jinja {
namespace {

using core::fail;
using core::pass;

constexpr int kWidthMax = 1000;

struct Conversion {
  bool left = false, plus = false, space = false, zero = false, alternate = false;
  int width = 0;
  int precision = -1;
  char type = '\0';
};

// `text` begins behind the '%'; what belongs to the conversion is taken from it.
Result<Conversion> read_conversion(std::string_view& text) {
  Conversion conversion;
  auto number = [&](int fallback) {
    int value = fallback;
    auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    text.remove_prefix(static_cast<size_t>(read.ptr - text.data()));
    return read.ec == std::errc::result_out_of_range ? kWidthMax + 1 : value;
  };
  for (; !text.empty(); text.remove_prefix(1)) {
    if (text[0] == '-') conversion.left = true;
    else if (text[0] == '+') conversion.plus = true;
    else if (text[0] == ' ') conversion.space = true;
    else if (text[0] == '0') conversion.zero = true;
    else if (text[0] == '#') conversion.alternate = true;
    else break;
  }
  if (!text.empty() && text[0] >= '0' && text[0] <= '9') conversion.width = number(0);
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    conversion.precision = !text.empty() && text[0] >= '0' && text[0] <= '9' ? number(0) : 0;
  }
  if (conversion.width > kWidthMax || conversion.precision > kWidthMax)
    return fail("a width in a format is above {}", kWidthMax);
  if (text.empty()) return fail("the format ends within a conversion");
  conversion.type = text[0];
  text.remove_prefix(1);
  return conversion;
}

std::string padded(std::string text, const Conversion& conversion) {
  int64_t missing = conversion.width - character_count(text);
  if (missing <= 0) return text;
  std::string padding(static_cast<size_t>(missing), ' ');
  return conversion.left ? text + padding : padding + text;
}

Result<std::string> convert_number(const Conversion& conversion, const JinjaValue& value) {
  if (!value.is_number()) return fail("%{} needs a number, not '{}'", conversion.type, value.type_name());
  std::string pattern = "%";
  if (conversion.left) pattern += '-';
  if (conversion.plus) pattern += '+';
  if (conversion.space) pattern += ' ';
  if (conversion.zero) pattern += '0';
  if (conversion.alternate) pattern += '#';
  if (conversion.width > 0) pattern += fmt::format("{}", conversion.width);
  if (conversion.precision >= 0) pattern += fmt::format(".{}", conversion.precision);
  char buffer[2 * kWidthMax + 512];  // a double has up to 309 digits before the point
  int written = 0;
  bool integral = std::string_view("dixXo").find(conversion.type) != std::string_view::npos;
  if (integral) {
    double number = number_of(value);
    bool fits = is_integral(value) || (number > -9.2e18 && number < 9.2e18);
    if (!fits) return fail("%{}: the number is out of range", conversion.type);
    auto integer = static_cast<long long>(is_integral(value) ? integer_of(value)
                                                             : static_cast<int64_t>(number));
    if (integer < 0 && conversion.type != 'd' && conversion.type != 'i')
      return fail("%{} of a negative number", conversion.type);
    written = std::snprintf(buffer, sizeof buffer, (pattern + "ll" + conversion.type).c_str(), integer);
  } else {
    written = std::snprintf(buffer, sizeof buffer, (pattern + conversion.type).c_str(), number_of(value));
  }
  return std::string(buffer, std::min(sizeof buffer - 1, static_cast<size_t>(std::max(written, 0))));
}

Result<std::string> convert(Runtime& runtime, const Conversion& conversion, const JinjaValue& value) {
  if (std::string_view("dixXoeEfFgG").find(conversion.type) != std::string_view::npos)
    return convert_number(conversion, value);
  if (conversion.type != 's' && conversion.type != 'r' && conversion.type != 'c') {
    return fail("unsupported conversion '%{}' in a format", conversion.type);
  }
  std::string text;
  auto done = conversion.type == 'r' ? append_repr(runtime, text, value) : append_text(runtime, text, value);
  if (!done) return pass(done);
  if (conversion.precision >= 0) text.resize(byte_position(text, conversion.precision));
  return padded(std::move(text), conversion);
}

Result<JinjaValue> replacement(std::string_view field, const Arguments& values, size_t& next_index) {
  size_t index = 0;
  auto read = std::from_chars(field.data(), field.data() + field.size(), index);
  bool numbered = !field.empty() && read.ec == std::errc() && read.ptr == field.data() + field.size();
  if (field.empty() || numbered) {
    if (field.empty()) index = next_index++;
    if (index >= values.positional.size()) return fail("format: there is no argument {}", index);
    return values.positional[index];
  }
  const JinjaValue* named = values.find_keyword_or_null(field);
  if (named == nullptr)
    return fail("format: there is no argument '{}' (only {{}}, {{0}} and {{name}} are supported)", field);
  return *named;
}

}  // namespace

Result<JinjaValue> format_printf(Runtime& runtime, std::string_view pattern,
                                 const std::vector<JinjaValue>& values) {
  std::string out;
  size_t next_value = 0;
  while (true) {
    size_t percent = pattern.find('%');
    out += pattern.substr(0, percent);
    if (percent == std::string_view::npos) break;
    pattern.remove_prefix(percent + 1);
    auto conversion = read_conversion(pattern);
    if (!conversion) return pass(conversion);
    if (conversion->type == '%') {
      out += '%';
      continue;
    }
    if (next_value == values.size()) return fail("not enough arguments for the format");
    auto text = convert(runtime, *conversion, values[next_value++]);
    if (!text) return pass(text);
    if (auto charged = runtime.charge_bytes(text->size() + 1); !charged) return pass(charged);
    out += *text;
  }
  if (next_value != values.size()) return fail("not all arguments of the format are used");
  return runtime.make_string(std::move(out));
}

Result<JinjaValue> format_braces(Runtime& runtime, std::string_view pattern, const Arguments& values) {
  std::string out;
  size_t next_index = 0;
  while (!pattern.empty()) {
    size_t brace = std::min(pattern.find_first_of("{}"), pattern.size());
    out += pattern.substr(0, brace);
    pattern.remove_prefix(brace);
    if (pattern.empty()) break;
    if (pattern.size() > 1 && pattern[1] == pattern[0]) {
      out += pattern[0];
      pattern.remove_prefix(2);
      continue;
    }
    size_t end = pattern.find('}');
    if (pattern[0] == '}' || end == std::string_view::npos) return fail("format: single '{}'", pattern[0]);
    auto value = replacement(pattern.substr(1, end - 1), values, next_index);
    if (!value) return pass(value);
    size_t before = out.size();
    if (auto done = append_text(runtime, out, *value); !done) return pass(done);
    if (auto charged = runtime.charge_bytes(out.size() - before + 1); !charged) return pass(charged);
    pattern.remove_prefix(end + 1);
  }
  return runtime.make_string(std::move(out));
}

}  // namespace mneme::model::jinja
