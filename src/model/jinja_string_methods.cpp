#include <algorithm>

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

Result<std::string> text_argument(std::string_view method, const JinjaValue& value) {
  if (!value.is_string()) return fail("{} needs a string, not '{}'", method, value.type_name());
  return value.as_string();
}

Result<int64_t> integer_argument(std::string_view method, const JinjaValue& value, int64_t fallback) {
  if (is_missing(value)) return fallback;
  if (!is_integral(value)) return fail("{} needs an integer, not '{}'", method, value.type_name());
  return integer_of(value);
}

Result<JinjaValue> make_texts(Runtime& runtime, const std::vector<std::string_view>& texts) {
  std::vector<JinjaValue> items;
  for (std::string_view text : texts) {
    auto item = runtime.make_string(std::string(text));
    if (!item) return item;
    items.push_back(std::move(*item));
  }
  return runtime.make_list(std::move(items));
}

using Strip = std::string_view (*)(std::string_view, std::string_view);
template <Strip kStrip>
Result<JinjaValue> strip_method(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("strip", {"chars"});
  if (!bound) return pass(bound);
  std::string set;
  if (const JinjaValue& given = (*bound)[0]; !is_missing(given)) {
    auto text = text_argument("strip", given);
    if (!text) return pass(text);
    set = std::move(*text);
    if (set.empty()) return self;
    // Every character may be sought through the whole set.
    if (auto charged = runtime.charge_scan(self.as_string().size() * set.size()); !charged)
      return pass(charged);
  }
  return runtime.make_string(std::string(kStrip(self.as_string(), set)));
}

using Case = std::string (*)(std::string_view);
template <Case kCase>
Result<JinjaValue> case_method(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  if (!arguments.empty()) return fail("a change of case takes no arguments");
  return runtime.make_string(kCase(self.as_string()));
}

// Python's: a word begins after anything that is no letter.
std::string python_title(std::string_view text) {
  return title(text, [](char32_t before) { return !is_letter(before); });
}

using Split = std::vector<std::string_view> (*)(std::string_view, std::string_view, int64_t);
template <Split kSplit>
Result<JinjaValue> split_method(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("split", {"sep", "maxsplit"});
  if (!bound) return pass(bound);
  std::string separator;
  if (const JinjaValue& given = (*bound)[0]; !is_missing(given)) {
    auto text = text_argument("split", given);
    if (!text) return pass(text);
    if (text->empty()) return fail("split: the separator is empty");
    separator = std::move(*text);
  }
  auto splits_max = integer_argument("split", (*bound)[1], -1);
  if (!splits_max) return pass(splits_max);
  // From the right a separator is sought byte by byte.
  size_t scanned = self.as_string().size() *
                   (kSplit == &split_from_right ? std::max<size_t>(separator.size(), 1) : 1);
  if (auto charged = runtime.charge_scan(scanned); !charged) return pass(charged);
  if (auto charged = runtime.charge_bytes(self.as_string().size() * sizeof(std::string_view)); !charged)
    return pass(charged);
  return make_texts(runtime, kSplit(self.as_string(), separator, *splits_max));
}

Result<JinjaValue> splitlines_method(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("splitlines", {"keepends"});
  if (!bound) return pass(bound);
  if (auto charged = runtime.charge_bytes(self.as_string().size() * sizeof(std::string_view)); !charged)
    return pass(charged);
  return make_texts(runtime, split_lines(self.as_string(), (*bound)[0].truthy()));
}

template <bool kAtStart>
Result<JinjaValue> affix_method(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  std::string_view name = kAtStart ? "startswith" : "endswith";
  auto bound = arguments.bind(name, {"affix"});
  if (!bound) return pass(bound);
  std::vector<JinjaValue> choices{(*bound)[0]};
  if (choices[0].is_list() && choices[0].as_list()->tuple)
    choices = std::vector<JinjaValue>(choices[0].as_list()->items);
  if (auto charged = runtime.charge_steps(choices.size()); !charged) return pass(charged);
  for (const JinjaValue& choice : choices) {
    auto affix = text_argument(name, choice);
    if (!affix) return pass(affix);
    if (kAtStart ? self.as_string().starts_with(*affix) : self.as_string().ends_with(*affix))
      return JinjaValue(true);
  }
  return JinjaValue(false);
}

Result<JinjaValue> replace_method(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("replace", {"old", "new", "count"});
  if (!bound) return pass(bound);
  auto before = text_argument("replace", (*bound)[0]);
  if (!before) return pass(before);
  auto after = text_argument("replace", (*bound)[1]);
  if (!after) return pass(after);
  auto limit = integer_argument("replace", (*bound)[2], -1);
  if (!limit) return pass(limit);
  const std::string& text = self.as_string();
  if (auto charged = runtime.charge_scan(text.size()); !charged) return pass(charged);

  size_t places = before->empty() ? static_cast<size_t>(character_count(text)) + 1 : count_of(text, *before);
  if (*limit >= 0) places = std::min(places, static_cast<size_t>(*limit));
  size_t most = runtime.limits().allocated_bytes_max;
  if (!after->empty() && places > most / after->size())
    return fail("replace: the result takes too much memory");
  if (auto charged = runtime.charge_bytes(text.size() + places * after->size()); !charged)
    return pass(charged);
  std::string out;
  size_t at = 0;
  for (; places > 0; --places) {
    if (before->empty()) {  // before every character and at the end
      out += *after;
      if (at < text.size()) {
        std::string_view character = first_character(std::string_view(text).substr(at)).bytes;
        out += character;
        at += character.size();
      }
    } else {
      size_t found = find_bytes(text, *before, at);
      out.append(text, at, found - at);
      out += *after;
      at = found + before->size();
    }
  }
  out.append(text, at);
  return runtime.make_string(std::move(out));
}

Result<JinjaValue> join_method(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("join", {"iterable"});
  if (!bound) return pass(bound);
  auto items = items_of(runtime, (*bound)[0]);
  if (!items) return pass(items);
  std::string out;
  for (const JinjaValue& item : *items) {
    auto text = text_argument("join", item);
    if (!text) return pass(text);
    if (&item != items->data()) out += self.as_string();
    out += *text;
    if (auto charged = runtime.charge_bytes(text->size() + self.as_string().size()); !charged)
      return pass(charged);
  }
  return runtime.make_string(std::move(out));
}

enum class Find { find, rfind, index, rindex };
template <Find kFind>
Result<JinjaValue> find_method(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("find", {"sub"});
  if (!bound) return pass(bound);
  auto needle = text_argument("find", (*bound)[0]);
  if (!needle) return pass(needle);
  const std::string& text = self.as_string();
  constexpr bool kFromRight = kFind == Find::rfind || kFind == Find::rindex;
  size_t scanned = text.size() * (kFromRight ? std::max<size_t>(needle->size(), 1) : 1);
  if (auto charged = runtime.charge_scan(scanned); !charged) return pass(charged);
  size_t found = kFromRight ? text.rfind(*needle) : find_bytes(text, *needle);
  if (found != std::string::npos) return JinjaValue(character_count(std::string_view(text).substr(0, found)));
  if (kFind == Find::index || kFind == Find::rindex) return fail("index: the text is not found");
  return JinjaValue(int64_t{-1});
}

Result<JinjaValue> count_method(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("count", {"sub"});
  if (!bound) return pass(bound);
  auto needle = text_argument("count", (*bound)[0]);
  if (!needle) return pass(needle);
  if (auto charged = runtime.charge_scan(self.as_string().size()); !charged) return pass(charged);
  if (needle->empty()) return JinjaValue(character_count(self.as_string()) + 1);
  return JinjaValue(static_cast<int64_t>(count_of(self.as_string(), *needle)));
}

template <bool kAtStart>
Result<JinjaValue> remove_affix_method(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  auto bound = arguments.bind("removeprefix", {"affix"});
  if (!bound) return pass(bound);
  auto affix = text_argument("removeprefix", (*bound)[0]);
  if (!affix) return pass(affix);
  const std::string& text = self.as_string();
  if (!(kAtStart ? text.starts_with(*affix) : text.ends_with(*affix))) return self;
  return runtime.make_string(text.substr(kAtStart ? affix->size() : 0, text.size() - affix->size()));
}

template <bool (*kAccepts)(char32_t)>
Result<JinjaValue> every_method(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  if (!arguments.empty()) return fail("a question about characters takes no arguments");
  std::string_view text = self.as_string();
  if (auto charged = runtime.charge_scan(text.size()); !charged) return pass(charged);
  bool all = !text.empty();
  for (; all && !text.empty(); text.remove_prefix(first_character(text).bytes.size())) {
    all = kAccepts(first_character(text).code_point);
  }
  return JinjaValue(all);
}

bool is_ascii_digit(char32_t c) { return c >= '0' && c <= '9'; }
bool is_letter_or_digit(char32_t c) { return is_letter(c) || is_ascii_digit(c); }

template <bool kUpper>
Result<JinjaValue> is_case_method(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  if (!arguments.empty()) return fail("a question about case takes no arguments");
  const std::string& text = self.as_string();
  if (auto charged = runtime.charge_scan(text.size()); !charged) return pass(charged);
  bool has_case = to_upper(text) != to_lower(text);
  return JinjaValue(has_case && text == (kUpper ? to_upper(text) : to_lower(text)));
}

Result<JinjaValue> format_method(Runtime& runtime, const JinjaValue& self, const Arguments& arguments) {
  return format_braces(runtime, self.as_string(), arguments);
}

constexpr std::pair<std::string_view, Method> kMethods[] = {
    {"strip", strip_method<strip>},
    {"lstrip", strip_method<strip_left>},
    {"rstrip", strip_method<strip_right>},
    {"split", split_method<split>},
    {"rsplit", split_method<split_from_right>},
    {"splitlines", splitlines_method},
    {"startswith", affix_method<true>},
    {"endswith", affix_method<false>},
    {"upper", case_method<to_upper>},
    {"lower", case_method<to_lower>},
    {"title", case_method<python_title>},
    {"capitalize", case_method<capitalize>},
    {"replace", replace_method},
    {"join", join_method},
    {"find", find_method<Find::find>},
    {"rfind", find_method<Find::rfind>},
    {"index", find_method<Find::index>},
    {"rindex", find_method<Find::rindex>},
    {"count", count_method},
    {"format", format_method},
    {"removeprefix", remove_affix_method<true>},
    {"removesuffix", remove_affix_method<false>},
    {"isspace", every_method<is_space>},
    {"isdigit", every_method<is_ascii_digit>},
    {"isalpha", every_method<is_letter>},
    {"isalnum", every_method<is_letter_or_digit>},
    {"isupper", is_case_method<true>},
    {"islower", is_case_method<false>},
};

}  // namespace

Method find_string_method_or_null(std::string_view name) {
  for (const auto& [known, method] : kMethods) {
    if (known == name) return method;
  }
  return nullptr;
}

}  // namespace mneme::model::jinja
