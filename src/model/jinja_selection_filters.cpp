// Filters that apply filters and tests to each item: map, select, reject, selectattr, rejectattr; and
// Jinja's tests.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "model/jinja_builtins.h"
#include "model/jinja_format.h"
#include "model/jinja_methods.h"
#include "model/jinja_operators.h"
#include "model/jinja_text.h"

namespace mneme::model::jinja {
namespace {

using core::fail;
using core::pass;

// The arguments behind the first `count`, which belong to the inner filter or test.
Arguments inner_arguments(const Arguments& arguments, size_t count) {
  Arguments inner;
  auto begin = arguments.positional.begin() +
               static_cast<std::ptrdiff_t>(std::min(count, arguments.positional.size()));
  inner.positional.assign(begin, arguments.positional.end());
  inner.keyword = arguments.keyword;
  return inner;
}

// Unlike other filters, these take whatever is false, none above all, as an empty list.
Result<std::vector<JinjaValue>> items_or_nothing(Runtime& runtime, const JinjaValue& input) {
  if (!input.truthy()) return std::vector<JinjaValue>();
  return items_of(runtime, input);
}

Result<std::string> name_argument(std::string_view filter, const JinjaValue& value) {
  if (!value.is_string()) return fail("{} needs a name, not '{}'", filter, value.type_name());
  return value.as_string();
}

Result<JinjaValue> map_attribute(Runtime& runtime, const std::vector<JinjaValue>& items,
                                 const Arguments& arguments) {
  auto bound = arguments.bind("map", {"attribute", "default"});
  if (!bound) return pass(bound);
  std::vector<JinjaValue> mapped;
  for (const JinjaValue& item : items) {
    auto value = path_of(runtime, item, (*bound)[0], (*bound)[1]);
    if (!value) return value;
    mapped.push_back(std::move(*value));
  }
  return runtime.make_list(std::move(mapped));
}

Result<JinjaValue> map_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto items = items_or_nothing(runtime, input);
  if (!items) return pass(items);
  if (arguments.positional.empty()) {
    if (arguments.find_keyword_or_null("attribute") == nullptr)
      return fail("map needs a filter or attribute=");
    return map_attribute(runtime, *items, arguments);
  }
  auto name = name_argument("map", arguments.positional[0]);
  if (!name) return pass(name);
  Arguments inner = inner_arguments(arguments, 1);
  std::vector<JinjaValue> mapped;
  for (const JinjaValue& item : *items) {
    auto value = apply_filter(runtime, *name, item, inner);
    if (!value) return value;
    mapped.push_back(std::move(*value));
  }
  return runtime.make_list(std::move(mapped));
}

// select(test, args...) and selectattr(attribute, test, args...); without a test: what is true.
template <bool kByAttribute, bool kWanted>
Result<JinjaValue> select_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  constexpr size_t kTestAt = kByAttribute ? 1 : 0;
  if (arguments.positional.size() < kTestAt) return fail("selectattr needs the name of an attribute");
  auto items = items_or_nothing(runtime, input);
  if (!items) return pass(items);
  std::string test;
  if (arguments.positional.size() > kTestAt) {
    auto name = name_argument("select", arguments.positional[kTestAt]);
    if (!name) return pass(name);
    test = std::move(*name);
  }
  Arguments inner = inner_arguments(arguments, kTestAt + 1);
  std::vector<JinjaValue> chosen;
  for (const JinjaValue& item : *items) {
    Result<JinjaValue> subject = item;
    if (kByAttribute) subject = path_of(runtime, item, arguments.positional[0]);
    if (!subject) return subject;
    Result<bool> passes = subject->truthy();
    if (!test.empty()) passes = apply_test(runtime, test, *subject, inner);
    if (!passes) return pass(passes);
    if (*passes == kWanted) chosen.push_back(item);
  }
  return runtime.make_list(std::move(chosen));
}

constexpr std::pair<std::string_view, FilterFunction> kFilters[] = {
    {"map", map_filter},
    {"select", select_filter<false, true>},
    {"reject", select_filter<false, false>},
    {"selectattr", select_filter<true, true>},
    {"rejectattr", select_filter<true, false>},
};

using Question = bool (*)(const JinjaValue&);
bool is_defined(const JinjaValue& value) { return !value.is_undefined(); }
bool is_undefined(const JinjaValue& value) { return value.is_undefined(); }
bool is_none(const JinjaValue& value) { return value.is_none(); }
bool is_string(const JinjaValue& value) { return value.is_string(); }
bool is_number(const JinjaValue& value) { return value.is_number(); }
bool is_integer(const JinjaValue& value) { return value.is_int(); }
bool is_float(const JinjaValue& value) { return value.is_float(); }
bool is_boolean(const JinjaValue& value) { return value.is_bool(); }
bool is_true(const JinjaValue& value) { return value.is_bool() && value.as_bool(); }
bool is_false(const JinjaValue& value) { return value.is_bool() && !value.as_bool(); }
bool is_mapping(const JinjaValue& value) { return value.is_dict() && !value.as_dict()->is_namespace; }
bool is_iterable(const JinjaValue& value) {  // undefined too: it iterates over nothing
  return value.is_undefined() || value.is_string() || value.is_list() || is_mapping(value);
}
bool is_callable(const JinjaValue& value) { return value.is_object() && value.as_object()->callable(); }

template <Question kQuestion>
Result<bool> kind_test(Runtime&, const JinjaValue& input, const Arguments& arguments) {
  if (!arguments.empty()) return fail("this test takes no arguments");
  return kQuestion(input);
}

template <Operator kOperator>
Result<bool> comparison_test(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("a comparison", {"other"});
  if (!bound) return pass(bound);
  return compare(runtime, kOperator, input, (*bound)[0]);
}

template <int kRemainder>
Result<bool> parity_test(Runtime&, const JinjaValue& input, const Arguments&) {
  if (input.is_float()) return std::abs(std::fmod(input.as_float(), 2.0)) == kRemainder;
  if (!is_integral(input)) return fail("even and odd need a number, not '{}'", input.type_name());
  return std::abs(integer_of(input) % 2) == kRemainder;
}

Result<bool> divisibleby_test(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("divisibleby", {"num"});
  if (!bound) return pass(bound);
  if (!input.is_number()) return fail("divisibleby needs a number, not '{}'", input.type_name());
  auto remainder = apply_arithmetic(runtime, Operator::modulo, input, (*bound)[0]);
  if (!remainder) return pass(remainder);
  return !remainder->truthy();
}

template <bool kUpper>
Result<bool> case_test(Runtime& runtime, const JinjaValue& input, const Arguments&) {
  auto text = to_text(runtime, input);
  if (!text) return pass(text);
  auto answer = find_string_method_or_null(kUpper ? "isupper" : "islower")(runtime,
                                                                           JinjaValue(std::move(*text)), {});
  if (!answer) return pass(answer);
  return answer->truthy();
}

Result<bool> sameas_test(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("sameas", {"other"});
  if (!bound) return pass(bound);
  const JinjaValue& other = (*bound)[0];
  if (input.kind() != other.kind()) return false;
  if (input.is_list()) return input.as_list() == other.as_list();
  if (input.is_dict()) return input.as_dict() == other.as_dict();
  return equals(runtime, input, other);
}

Result<bool> filter_exists_test(Runtime&, const JinjaValue& input, const Arguments&) {
  for (FilterTable table : {text_filters(), list_filters(), selection_filters()}) {
    for (const auto& [name, function] : table) {
      if (input.is_string() && input.as_string() == name) return true;
    }
  }
  return false;
}

constexpr std::pair<std::string_view, TestFunction> kTests[] = {
    {"defined", kind_test<is_defined>},     {"undefined", kind_test<is_undefined>},
    {"none", kind_test<is_none>},           {"string", kind_test<is_string>},
    {"number", kind_test<is_number>},       {"integer", kind_test<is_integer>},
    {"float", kind_test<is_float>},         {"boolean", kind_test<is_boolean>},
    {"true", kind_test<is_true>},           {"false", kind_test<is_false>},
    {"mapping", kind_test<is_mapping>},     {"sequence", kind_test<is_iterable>},
    {"iterable", kind_test<is_iterable>},   {"callable", kind_test<is_callable>},
    {"equalto", comparison_test<Operator::equal>},
    {"eq", comparison_test<Operator::equal>},
    {"==", comparison_test<Operator::equal>},
    {"ne", comparison_test<Operator::not_equal>},
    {"!=", comparison_test<Operator::not_equal>},
    {"lt", comparison_test<Operator::less>},
    {"lessthan", comparison_test<Operator::less>},
    {"<", comparison_test<Operator::less>},
    {"le", comparison_test<Operator::less_equal>},
    {"<=", comparison_test<Operator::less_equal>},
    {"gt", comparison_test<Operator::greater>},
    {"greaterthan", comparison_test<Operator::greater>},
    {">", comparison_test<Operator::greater>},
    {"ge", comparison_test<Operator::greater_equal>},
    {">=", comparison_test<Operator::greater_equal>},
    {"in", comparison_test<Operator::in>},
    {"even", parity_test<0>},               {"odd", parity_test<1>},
    {"divisibleby", divisibleby_test},      {"sameas", sameas_test},
    {"lower", case_test<false>},            {"upper", case_test<true>},
    {"filter", filter_exists_test},
};

}  // namespace

FilterTable selection_filters() { return kFilters; }

Result<JinjaValue> apply_filter(Runtime& runtime, std::string_view name, const JinjaValue& input,
                                const Arguments& arguments) {
  if (auto charged = runtime.charge_steps(1); !charged) return pass(charged);
  Runtime::Recursion recursion(runtime);
  if (recursion.depth() > kJinjaValueDepthMax) return fail("filters are nested too deep");
  for (FilterTable table : {text_filters(), list_filters(), selection_filters()}) {
    for (const auto& [known, filter] : table) {
      if (known == name) return filter(runtime, input, arguments);
    }
  }
  return fail("there is no filter named '{}'", name);
}

Result<bool> apply_test(Runtime& runtime, std::string_view name, const JinjaValue& input,
                        const Arguments& arguments) {
  if (auto charged = runtime.charge_steps(1); !charged) return pass(charged);
  for (const auto& [known, test] : kTests) {
    if (known == name) return test(runtime, input, arguments);
  }
  return fail("there is no test named '{}'", name);
}

}  // namespace mneme::model::jinja
