#include "model/jinja_operators.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/jinja_format.h"
#include "model/jinja_printf.h"
#include "model/jinja_text.h"

namespace mneme::model::jinja {
namespace {

using core::fail;
using core::pass;

std::string_view symbol_of(Operator op) {
  switch (op) {
    case Operator::add: return "+";
    case Operator::subtract: return "-";
    case Operator::multiply: return "*";
    case Operator::divide: return "/";
    case Operator::floor_divide: return "//";
    case Operator::modulo: return "%";
    case Operator::power: return "**";
    default: return "?";
  }
}

Result<JinjaValue> overflow() { return fail("an integer does not fit 64 bits"); }

Result<JinjaValue> integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return fail("0 cannot be raised to a negative power");
    return JinjaValue(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return overflow();
  }
  return JinjaValue(result);
}

// Division that rounds down, as Python's.
Result<JinjaValue> integer_divide(Operator op, int64_t left, int64_t right) {
  if (right == 0) return fail("division by zero");
  if (right == -1) {  // the machine's division traps on the smallest integer
    int64_t negated = 0;
    if (op == Operator::modulo) return JinjaValue(int64_t{0});
    return __builtin_sub_overflow(int64_t{0}, left, &negated) ? overflow() : JinjaValue(negated);
  }
  int64_t quotient = left / right;
  int64_t remainder = left % right;
  if (remainder != 0 && (remainder < 0) != (right < 0)) {
    --quotient;
    remainder += right;
  }
  return JinjaValue(op == Operator::modulo ? remainder : quotient);
}

Result<JinjaValue> integer_arithmetic(Operator op, int64_t left, int64_t right) {
  int64_t result = 0;
  bool overflowed = false;
  switch (op) {
    case Operator::add: overflowed = __builtin_add_overflow(left, right, &result); break;
    case Operator::subtract: overflowed = __builtin_sub_overflow(left, right, &result); break;
    case Operator::multiply: overflowed = __builtin_mul_overflow(left, right, &result); break;
    case Operator::divide:
      if (right == 0) return fail("division by zero");
      return JinjaValue(static_cast<double>(left) / static_cast<double>(right));
    case Operator::power: return integer_power(left, right);
    default: return integer_divide(op, left, right);
  }
  return overflowed ? overflow() : JinjaValue(result);
}

Result<JinjaValue> float_arithmetic(Operator op, double left, double right) {
  bool divides = op == Operator::divide || op == Operator::floor_divide || op == Operator::modulo;
  if (divides && right == 0) return fail("division by zero");
  switch (op) {
    case Operator::add: return JinjaValue(left + right);
    case Operator::subtract: return JinjaValue(left - right);
    case Operator::multiply: return JinjaValue(left * right);
    case Operator::divide: return JinjaValue(left / right);
    case Operator::floor_divide: return JinjaValue(std::floor(left / right));
    case Operator::power: return JinjaValue(std::pow(left, right));
    default: break;
  }
  double remainder = std::fmod(left, right);
  if (remainder != 0 && (remainder < 0) != (right < 0)) remainder += right;
  return JinjaValue(remainder);
}

Result<JinjaValue> repeat(Runtime& runtime, const JinjaValue& sequence, int64_t times) {
  auto count = static_cast<size_t>(std::max<int64_t>(times, 0));
  size_t size = sequence.is_string() ? sequence.as_string().size() : sequence.as_list()->items.size();
  size_t bytes_each = sequence.is_string() ? 1 : sizeof(JinjaValue);
  if (size != 0 && count > runtime.limits().allocated_bytes_max / size / bytes_each) {
    return fail("repeating a {} {} times takes too much memory", sequence.type_name(), times);
  }
  if (sequence.is_string()) {
    if (auto charged = runtime.charge_bytes(size * count); !charged) return pass(charged);
    std::string text;
    text.reserve(size * count);
    for (size_t i = 0; size != 0 && i < count; ++i) text += sequence.as_string();
    return runtime.make_string(std::move(text));
  }
  if (auto charged = runtime.charge_bytes(size * count * bytes_each); !charged) return pass(charged);
  std::vector<JinjaValue> items;
  const std::vector<JinjaValue>& once = sequence.as_list()->items;
  for (size_t i = 0; size != 0 && i < count; ++i) items.insert(items.end(), once.begin(), once.end());
  return runtime.make_list(std::move(items), sequence.as_list()->tuple);
}

Result<JinjaValue> join_lists(Runtime& runtime, const JinjaList& left, const JinjaList& right) {
  if (auto charged = runtime.charge_steps((left.items.size() + right.items.size()) / 8); !charged)
    return pass(charged);
  std::vector<JinjaValue> items = left.items;
  items.insert(items.end(), right.items.begin(), right.items.end());
  return runtime.make_list(std::move(items), left.tuple);
}

int sign_of(double number) { return number < 0 ? -1 : number > 0 ? 1 : 0; }

Result<int> order_lists(Runtime& runtime, const JinjaList& left, const JinjaList& right) {
  size_t common = std::min(left.items.size(), right.items.size());
  for (size_t i = 0; i < common; ++i) {
    auto same = equals(runtime, left.items[i], right.items[i]);
    if (!same) return pass(same);
    if (!*same) return order(runtime, left.items[i], right.items[i]);
  }
  return left.items.size() == right.items.size() ? 0 : left.items.size() < right.items.size() ? -1 : 1;
}

Result<bool> equal_dicts(Runtime& runtime, const JinjaDict& left, const JinjaDict& right) {
  if (left.size() != right.size() || left.is_namespace || right.is_namespace) return &left == &right;
  for (const auto& [key, value] : left.entries()) {
    const JinjaValue* other = right.find_or_null(key);
    if (other == nullptr) return false;
    auto same = equals(runtime, value, *other);
    if (!same || !*same) return same;
  }
  return true;
}

Result<bool> equal_lists(Runtime& runtime, const JinjaList& left, const JinjaList& right) {
  if (&left == &right) return true;
  if (left.items.size() != right.items.size() || left.tuple != right.tuple) return false;
  for (size_t i = 0; i < left.items.size(); ++i) {
    auto same = equals(runtime, left.items[i], right.items[i]);
    if (!same || !*same) return same;
  }
  return true;
}

}  // namespace

double number_of(const JinjaValue& number) {
  return number.is_float() ? number.as_float() : static_cast<double>(integer_of(number));
}

int64_t integer_of(const JinjaValue& integer) {
  return integer.is_bool() ? int64_t{integer.as_bool() ? 1 : 0} : integer.as_int();
}

Result<JinjaValue> apply_arithmetic(Runtime& runtime, Operator op, const JinjaValue& left,
                                    const JinjaValue& right) {
  if (is_integral(left) && is_integral(right))
    return integer_arithmetic(op, integer_of(left), integer_of(right));
  if (left.is_number() && right.is_number()) return float_arithmetic(op, number_of(left), number_of(right));
  if (op == Operator::add && left.is_string() && right.is_string()) {
    if (auto charged = runtime.charge_bytes(left.as_string().size() + right.as_string().size()); !charged)
      return pass(charged);
    return runtime.make_string(left.as_string() + right.as_string());
  }
  if (op == Operator::add && left.is_list() && right.is_list() &&
      left.as_list()->tuple == right.as_list()->tuple) {
    return join_lists(runtime, *left.as_list(), *right.as_list());
  }
  if (op == Operator::multiply) {
    if ((left.is_string() || left.is_list()) && is_integral(right))
      return repeat(runtime, left, integer_of(right));
    if ((right.is_string() || right.is_list()) && is_integral(left))
      return repeat(runtime, right, integer_of(left));
  }
  if (op == Operator::modulo && left.is_string()) {
    if (right.is_list() && right.as_list()->tuple)
      return format_printf(runtime, left.as_string(), right.as_list()->items);
    return format_printf(runtime, left.as_string(), {right});
  }
  return fail("unsupported operand types for {}: '{}' and '{}'", symbol_of(op), left.type_name(),
              right.type_name());
}

Result<JinjaValue> apply_sign(bool negative, const JinjaValue& operand) {
  if (operand.is_float()) return JinjaValue(negative ? -operand.as_float() : operand.as_float());
  if (!is_integral(operand)) return fail("bad operand type for a sign: '{}'", operand.type_name());
  return negative ? integer_arithmetic(Operator::subtract, 0, integer_of(operand))
                  : JinjaValue(integer_of(operand));
}

Result<bool> equals(Runtime& runtime, const JinjaValue& left, const JinjaValue& right) {
  Runtime::Recursion recursion(runtime);
  if (recursion.depth() > 2 * kJinjaValueDepthMax) return fail("values nested too deep are compared");
  if (auto charged = runtime.charge_steps(1); !charged) return pass(charged);
  if (is_integral(left) && is_integral(right)) return integer_of(left) == integer_of(right);
  if (left.is_number() && right.is_number()) return number_of(left) == number_of(right);
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case JinjaValue::Kind::string: {
      if (auto charged = runtime.charge_scan(left.as_string().size()); !charged) return pass(charged);
      return left.as_string() == right.as_string();
    }
    case JinjaValue::Kind::list: return equal_lists(runtime, *left.as_list(), *right.as_list());
    case JinjaValue::Kind::dict: return equal_dicts(runtime, *left.as_dict(), *right.as_dict());
    case JinjaValue::Kind::object: return left.as_object() == right.as_object();
    default: return true;  // undefined and undefined, none and none
  }
}

Result<int> order(Runtime& runtime, const JinjaValue& left, const JinjaValue& right) {
  Runtime::Recursion recursion(runtime);
  if (recursion.depth() > 2 * kJinjaValueDepthMax) return fail("values nested too deep are compared");
  if (auto charged = runtime.charge_steps(1); !charged) return pass(charged);
  if (is_integral(left) && is_integral(right)) {
    return integer_of(left) < integer_of(right) ? -1 : integer_of(left) > integer_of(right) ? 1 : 0;
  }
  if (left.is_number() && right.is_number()) {
    double a = number_of(left);
    double b = number_of(right);
    if (std::isnan(a) || std::isnan(b))
      return std::isnan(a) ? (std::isnan(b) ? 0 : 1) : -1;  // last, so that sorting is sound
    return a < b ? -1 : a > b ? 1 : 0;
  }
  if (left.is_string() && right.is_string()) {
    if (auto charged = runtime.charge_scan(left.as_string().size()); !charged) return pass(charged);
    return sign_of(left.as_string().compare(right.as_string()));  // of UTF-8 bytes: the order of code points
  }
  if (left.is_list() && right.is_list()) return order_lists(runtime, *left.as_list(), *right.as_list());
  return fail("'{}' and '{}' have no order", left.type_name(), right.type_name());
}

Result<bool> contains(Runtime& runtime, const JinjaValue& container, const JinjaValue& item) {
  if (container.is_undefined()) return false;
  if (container.is_string()) {
    if (!item.is_string()) return fail("'in' a string needs a string, not '{}'", item.type_name());
    if (auto charged = runtime.charge_scan(container.as_string().size()); !charged) return pass(charged);
    return find_bytes(container.as_string(), item.as_string()) != std::string_view::npos;
  }
  if (container.is_dict() && !container.as_dict()->is_namespace) {
    if (!JinjaDict::hashable(item)) return fail("a '{}' cannot be the key of a dict", item.type_name());
    return container.as_dict()->find_or_null(item) != nullptr;
  }
  if (!container.is_list()) return fail("'{}' is not iterable", container.type_name());
  for (const JinjaValue& candidate : container.as_list()->items) {
    auto same = equals(runtime, candidate, item);
    if (!same || *same) return same;
  }
  return false;
}

Result<bool> compare(Runtime& runtime, Operator op, const JinjaValue& left, const JinjaValue& right) {
  if (op == Operator::in || op == Operator::not_in) {
    auto found = contains(runtime, right, left);
    if (!found) return found;
    return *found == (op == Operator::in);
  }
  if (op == Operator::equal || op == Operator::not_equal) {
    auto same = equals(runtime, left, right);
    if (!same) return same;
    return *same == (op == Operator::equal);
  }
  auto ordered = order(runtime, left, right);
  if (!ordered) return pass(ordered);
  bool nan = (left.is_float() && std::isnan(left.as_float())) ||
             (right.is_float() && std::isnan(right.as_float()));
  if (nan) return false;
  switch (op) {
    case Operator::less: return *ordered < 0;
    case Operator::less_equal: return *ordered <= 0;
    case Operator::greater: return *ordered > 0;
    default: return *ordered >= 0;
  }
}

Result<std::vector<JinjaValue>> items_of(Runtime& runtime, const JinjaValue& value) {
  std::vector<JinjaValue> items;
  if (value.is_undefined()) return items;
  if (value.is_list()) {
    items = value.as_list()->items;
  } else if (value.is_dict() && !value.as_dict()->is_namespace) {
    for (const auto& [key, entry] : value.as_dict()->entries()) items.push_back(key);
  } else if (value.is_string()) {
    size_t count = value.as_string().size();
    if (auto charged = runtime.charge_bytes(count * (sizeof(JinjaValue) + sizeof(std::string))); !charged)
      return pass(charged);
    for (std::string_view character : characters_of(value.as_string())) items.emplace_back(character);
  } else {
    return fail("'{}' is not iterable", value.type_name());
  }
  if (auto charged = runtime.charge_steps(items.size() / 8); !charged) return pass(charged);
  if (auto charged = runtime.charge_bytes(items.size() * sizeof(JinjaValue)); !charged) return pass(charged);
  return items;
}

// Merging from the bottom up: std::sort has no way out for a comparison that fails.
Result<std::vector<JinjaValue>> sort_by_keys(Runtime& runtime, const std::vector<JinjaValue>& items,
                                             const std::vector<JinjaValue>& keys, bool descending) {
  std::vector<size_t> places(items.size());
  std::iota(places.begin(), places.end(), size_t{0});
  std::vector<size_t> merged(items.size());
  for (size_t width = 1; width < items.size(); width *= 2) {
    for (size_t begin = 0; begin < items.size(); begin += 2 * width) {
      size_t middle = std::min(begin + width, items.size());
      size_t end = std::min(begin + 2 * width, items.size());
      size_t left = begin;
      size_t right = middle;
      for (size_t out = begin; out < end; ++out) {
        bool take_left = right == end;
        if (left < middle && right < end) {
          auto ordered = order(runtime, keys[places[left]], keys[places[right]]);
          if (!ordered) return pass(ordered);
          take_left = descending ? *ordered >= 0 : *ordered <= 0;
        }
        merged[out] = places[take_left ? left++ : right++];
      }
    }
    places.swap(merged);
  }
  std::vector<JinjaValue> sorted;
  for (size_t place : places) sorted.push_back(items[place]);
  return sorted;
}

}  // namespace mneme::model::jinja
