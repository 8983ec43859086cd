// What stands behind "value.name" and "value[index]": Python's methods, entries, items and slices.
#pragma once

#include <optional>
#include <string_view>

#include "core/error.h"
#include "model/jinja_runtime.h"
#include "model/jinja_value.h"

namespace mneme::model::jinja {

using Method = Result<JinjaValue> (*)(Runtime& runtime, const JinjaValue& self, const Arguments& arguments);
Method find_string_method_or_null(std::string_view name);
Method find_container_method_or_null(const JinjaValue& self, std::string_view name);

// value.name: a method before an entry, as Jinja has it. Undefined where there is neither.
JinjaValue attribute_of(const JinjaValue& value, std::string_view name);
// value[index]: an entry or item before a method. Undefined where there is none; an error only for an index
// of a wrong type.
Result<JinjaValue> item_of(Runtime& runtime, const JinjaValue& value, const JinjaValue& index);
// value[start:stop:step]; each part may be none or undefined. Undefined where the value cannot be sliced.
Result<JinjaValue> slice_of(Runtime& runtime, const JinjaValue& value, const JinjaValue& start,
                            const JinjaValue& stop, const JinjaValue& step);

// The attribute path of map, selectattr, sort, ...: "a.b.0", or an integer. `fallback`, where defined,
// stands for each part
// that is missing; else only the last part may be.
Result<JinjaValue> path_of(Runtime& runtime, const JinjaValue& value, const JinjaValue& path,
                           const JinjaValue& fallback = {});

}  // namespace mneme::model::jinja
