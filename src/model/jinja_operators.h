// Python's operators on template values.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "model/jinja_ast.h"
#include "model/jinja_runtime.h"
#include "model/jinja_value.h"

namespace mneme::model::jinja {

// + - * / // % ** ; an overflow of 64 bits is an error.
Result<JinjaValue> apply_arithmetic(Runtime& runtime, Operator op, const JinjaValue& left,
                                    const JinjaValue& right);
Result<JinjaValue> apply_sign(bool negative, const JinjaValue& operand);

// == != < <= > >= in, not in.
Result<bool> compare(Runtime& runtime, Operator op, const JinjaValue& left, const JinjaValue& right);
Result<bool> equals(Runtime& runtime, const JinjaValue& left, const JinjaValue& right);
// Below, equal or above zero. Numbers with numbers, text with text, lists with lists; else an error.
Result<int> order(Runtime& runtime, const JinjaValue& left, const JinjaValue& right);
Result<bool> contains(Runtime& runtime, const JinjaValue& container, const JinjaValue& item);

// What `for` visits: items, keys, characters; nothing for undefined. Fails for what cannot be iterated.
Result<std::vector<JinjaValue>> items_of(Runtime& runtime, const JinjaValue& value);

// Stable. `keys` are compared, `items` (same size) come back in their order.
Result<std::vector<JinjaValue>> sort_by_keys(Runtime& runtime, const std::vector<JinjaValue>& items,
                                             const std::vector<JinjaValue>& keys, bool descending);

double number_of(const JinjaValue& number);          // of a number or boolean
int64_t integer_of(const JinjaValue& integer);       // of an integer or boolean
inline bool is_integral(const JinjaValue& value) { return value.is_int() || value.is_bool(); }

}  // namespace mneme::model::jinja
