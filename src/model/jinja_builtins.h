// Jinja's filters, tests and global functions by name.
//
// Filters and tests:  https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-filters
// Hugging Face adds:  tojson without escaping, raise_exception(message), strftime_now(format)
#pragma once

#include <span>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "model/jinja_runtime.h"
#include "model/jinja_value.h"

namespace mneme::model::jinja {

using FilterFunction = Result<JinjaValue> (*)(Runtime& runtime, const JinjaValue& input,
                                              const Arguments& arguments);
using TestFunction = Result<bool> (*)(Runtime& runtime, const JinjaValue& input, const Arguments& arguments);
using FilterTable = std::span<const std::pair<std::string_view, FilterFunction>>;

Result<JinjaValue> apply_filter(Runtime& runtime, std::string_view name, const JinjaValue& input,
                                const Arguments& arguments);
Result<bool> apply_test(Runtime& runtime, std::string_view name, const JinjaValue& input,
                        const Arguments& arguments);
// range, namespace, dict, raise_exception, strftime_now, joiner, cycler; undefined for any other name.
JinjaValue find_global(std::string_view name);

// The parts apply_filter() looks through.
FilterTable text_filters();
FilterTable list_filters();
FilterTable selection_filters();

}  // namespace mneme::model::jinja
