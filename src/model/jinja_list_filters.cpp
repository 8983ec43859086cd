// Filters on lists and dicts.
#include <algorithm>

#include "model/jinja_builtins.h"
#include "model/jinja_format.h"
#include "model/jinja_methods.h"
#include "model/jinja_operators.h"
#include "model/jinja_text.h"

namespace mneme::model::jinja {
namespace {

using core::fail;
using core::pass;

Result<JinjaValue> default_filter(Runtime&, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("default", {"default_value", "boolean"});
  if (!bound) return pass(bound);
  bool missing = input.is_undefined() || ((*bound)[1].truthy() && !input.truthy());
  if (!missing) return input;
  bool has_value = !arguments.positional.empty() ||
                   arguments.find_keyword_or_null("default_value") != nullptr;
  return has_value ? (*bound)[0] : JinjaValue("");
}

Result<JinjaValue> length_filter(Runtime& runtime, const JinjaValue& input, const Arguments&) {
  if (input.is_undefined()) return JinjaValue(int64_t{0});
  if (input.is_list()) return JinjaValue(static_cast<int64_t>(input.as_list()->items.size()));
  if (input.is_dict() && !input.as_dict()->is_namespace)
    return JinjaValue(static_cast<int64_t>(input.as_dict()->size()));
  if (!input.is_string()) return fail("a '{}' has no length", input.type_name());
  if (auto charged = runtime.charge_scan(input.as_string().size()); !charged) return pass(charged);
  return JinjaValue(character_count(input.as_string()));
}

Result<JinjaValue> first_filter(Runtime& runtime, const JinjaValue& input, const Arguments&) {
  if (input.is_string() || input.is_list()) return item_of(runtime, input, JinjaValue(int64_t{0}));
  auto items = items_of(runtime, input);
  if (!items) return pass(items);
  return items->empty() ? JinjaValue() : items->front();
}

Result<JinjaValue> last_filter(Runtime& runtime, const JinjaValue& input, const Arguments&) {
  if (input.is_string() || input.is_list()) return item_of(runtime, input, JinjaValue(int64_t{-1}));
  auto items = items_of(runtime, input);
  if (!items) return pass(items);
  return items->empty() ? JinjaValue() : items->back();
}

Result<JinjaValue> list_filter(Runtime& runtime, const JinjaValue& input, const Arguments&) {
  auto items = items_of(runtime, input);
  if (!items) return pass(items);
  return runtime.make_list(std::move(*items));
}

Result<JinjaValue> items_filter(Runtime& runtime, const JinjaValue& input, const Arguments&) {
  if (input.is_undefined()) return runtime.make_list({});
  if (!input.is_dict() || input.as_dict()->is_namespace)
    return fail("items needs a dict, not '{}'", input.type_name());
  return find_container_method_or_null(input, "items")(runtime, input, {});
}

Result<JinjaValue> join_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("join", {"d", "attribute"});
  if (!bound) return pass(bound);
  auto items = items_of(runtime, input);
  if (!items) return pass(items);
  auto separator = to_text(runtime, (*bound)[0]);
  if (!separator) return pass(separator);
  const JinjaValue& attribute = (*bound)[1];
  std::string out;
  for (size_t i = 0; i < items->size(); ++i) {
    Result<JinjaValue> item = (*items)[i];
    if (!attribute.is_undefined() && !attribute.is_none()) item = path_of(runtime, *item, attribute);
    if (!item) return item;
    size_t before = out.size();
    if (i > 0) out += *separator;
    if (auto done = append_text(runtime, out, *item); !done) return pass(done);
    if (auto charged = runtime.charge_bytes(out.size() - before); !charged) return pass(charged);
  }
  return runtime.make_string(std::move(out));
}

Result<JinjaValue> reverse_filter(Runtime& runtime, const JinjaValue& input, const Arguments&) {
  if (input.is_string()) return slice_of(runtime, input, {}, {}, JinjaValue(int64_t{-1}));
  auto items = items_of(runtime, input);
  if (!items) return pass(items);
  std::reverse(items->begin(), items->end());
  return runtime.make_list(std::move(*items));
}

// What sort, min, max and unique compare: the attribute, in lower case unless case counts.
Result<JinjaValue> sort_key(Runtime& runtime, const JinjaValue& item, const JinjaValue& attribute,
                            bool case_sensitive) {
  auto lowered = [&](JinjaValue value) -> Result<JinjaValue> {
    if (case_sensitive || !value.is_string()) return value;
    return runtime.make_string(to_lower(value.as_string()));
  };
  if (attribute.is_undefined() || attribute.is_none()) return lowered(item);
  if (!attribute.is_string() || attribute.as_string().find(',') == std::string::npos) {
    auto value = path_of(runtime, item, attribute);
    if (!value) return value;
    return lowered(*value);
  }
  std::vector<JinjaValue> parts;
  for (std::string_view name : split(attribute.as_string(), ",", -1)) {
    auto value = path_of(runtime, item, JinjaValue(name));
    if (value) value = lowered(*value);
    if (!value) return value;
    parts.push_back(std::move(*value));
  }
  return runtime.make_list(std::move(parts));
}

Result<std::vector<JinjaValue>> sort_keys(Runtime& runtime, const std::vector<JinjaValue>& items,
                                          const JinjaValue& attribute, bool case_sensitive) {
  std::vector<JinjaValue> keys;
  for (const JinjaValue& item : items) {
    auto key = sort_key(runtime, item, attribute, case_sensitive);
    if (!key) return pass(key);
    keys.push_back(std::move(*key));
  }
  return keys;
}

Result<JinjaValue> sort_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("sort", {"reverse", "case_sensitive", "attribute"});
  if (!bound) return pass(bound);
  auto items = items_of(runtime, input);
  if (!items) return pass(items);
  auto keys = sort_keys(runtime, *items, (*bound)[2], (*bound)[1].truthy());
  if (!keys) return pass(keys);
  auto sorted = sort_by_keys(runtime, *items, *keys, (*bound)[0].truthy());
  if (!sorted) return pass(sorted);
  return runtime.make_list(std::move(*sorted));
}

Result<JinjaValue> dictsort_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("dictsort", {"case_sensitive", "by", "reverse"});
  if (!bound) return pass(bound);
  auto pairs = items_filter(runtime, input, {});
  if (!pairs) return pairs;
  const JinjaValue& by = (*bound)[1];
  bool by_value = by.is_string() && by.as_string() == "value";
  if (!by.is_undefined() && !by_value && !(by.is_string() && by.as_string() == "key")) {
    return fail("dictsort: sorts by 'key' or 'value'");
  }
  const std::vector<JinjaValue>& items = pairs->as_list()->items;
  auto keys = sort_keys(runtime, items, JinjaValue(int64_t{by_value ? 1 : 0}), (*bound)[0].truthy());
  if (!keys) return pass(keys);
  auto sorted = sort_by_keys(runtime, items, *keys, (*bound)[2].truthy());
  if (!sorted) return pass(sorted);
  return runtime.make_list(std::move(*sorted));
}

template <bool kMax>
Result<JinjaValue> extreme_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind(kMax ? "max" : "min", {"case_sensitive", "attribute"});
  if (!bound) return pass(bound);
  auto items = items_of(runtime, input);
  if (!items) return pass(items);
  auto keys = sort_keys(runtime, *items, (*bound)[1], (*bound)[0].truthy());
  if (!keys) return pass(keys);
  if (items->empty()) return JinjaValue();
  size_t best = 0;
  for (size_t i = 1; i < items->size(); ++i) {
    auto ordered = order(runtime, (*keys)[i], (*keys)[best]);
    if (!ordered) return pass(ordered);
    if (kMax ? *ordered > 0 : *ordered < 0) best = i;
  }
  return (*items)[best];
}

Result<JinjaValue> unique_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("unique", {"case_sensitive", "attribute"});
  if (!bound) return pass(bound);
  auto items = items_of(runtime, input);
  if (!items) return pass(items);
  auto keys = sort_keys(runtime, *items, (*bound)[1], (*bound)[0].truthy());
  if (!keys) return pass(keys);
  JinjaDict seen;
  std::vector<JinjaValue> unique;
  for (size_t i = 0; i < items->size(); ++i) {
    if (!JinjaDict::hashable((*keys)[i]))
      return fail("unique: a '{}' is not hashable", (*keys)[i].type_name());
    if (seen.find_or_null((*keys)[i]) != nullptr) continue;
    seen.set((*keys)[i], JinjaValue(true));
    unique.push_back((*items)[i]);
  }
  return runtime.make_list(std::move(unique));
}

Result<JinjaValue> sum_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("sum", {"attribute", "start"});
  if (!bound) return pass(bound);
  auto items = items_of(runtime, input);
  if (!items) return pass(items);
  Result<JinjaValue> total = (*bound)[1].is_undefined() ? JinjaValue(int64_t{0}) : (*bound)[1];
  for (const JinjaValue& item : *items) {
    Result<JinjaValue> value = item;
    if (!(*bound)[0].is_undefined()) value = path_of(runtime, item, (*bound)[0]);
    if (!value) return value;
    total = apply_arithmetic(runtime, Operator::add, *total, *value);
    if (!total) return total;
  }
  return total;
}

Result<int64_t> positive(std::string_view filter, const JinjaValue& value) {
  if (!value.is_int() || value.as_int() < 1) return fail("{} needs a positive integer", filter);
  return value.as_int();
}

Result<JinjaValue> batch_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("batch", {"linecount", "fill_with"});
  if (!bound) return pass(bound);
  auto size = positive("batch", (*bound)[0]);
  if (!size) return pass(size);
  auto items = items_of(runtime, input);
  if (!items) return pass(items);
  if (*size > runtime.limits().range_items_max)
    return fail("batch: more than {} items", runtime.limits().range_items_max);
  std::vector<JinjaValue> batches;
  for (size_t begin = 0; begin < items->size(); begin += static_cast<size_t>(*size)) {
    size_t end = std::min(begin + static_cast<size_t>(*size), items->size());
    std::vector<JinjaValue> batch(items->begin() + static_cast<std::ptrdiff_t>(begin),
                                  items->begin() + static_cast<std::ptrdiff_t>(end));
    bool fills = !(*bound)[1].is_undefined() && !(*bound)[1].is_none();
    if (fills) batch.resize(static_cast<size_t>(*size), (*bound)[1]);
    auto made = runtime.make_list(std::move(batch));
    if (!made) return made;
    batches.push_back(std::move(*made));
  }
  return runtime.make_list(std::move(batches));
}

// Into `slices` columns, the first ones one longer where it does not divide.
Result<JinjaValue> slice_filter(Runtime& runtime, const JinjaValue& input, const Arguments& arguments) {
  auto bound = arguments.bind("slice", {"slices", "fill_with"});
  if (!bound) return pass(bound);
  auto slices = positive("slice", (*bound)[0]);
  if (!slices) return pass(slices);
  if (*slices > runtime.limits().range_items_max)
    return fail("slice: more than {} slices", runtime.limits().range_items_max);
  auto items = items_of(runtime, input);
  if (!items) return pass(items);
  auto count = static_cast<size_t>(*slices);
  size_t longer = items->size() % count;
  bool fills = !(*bound)[1].is_undefined() && !(*bound)[1].is_none();
  std::vector<JinjaValue> columns;
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    size_t size = items->size() / count + (i < longer ? 1 : 0);
    std::vector<JinjaValue> column(items->begin() + static_cast<std::ptrdiff_t>(at),
                                   items->begin() + static_cast<std::ptrdiff_t>(at + size));
    if (fills && i >= longer && longer != 0) column.push_back((*bound)[1]);
    at += size;
    auto made = runtime.make_list(std::move(column));
    if (!made) return made;
    columns.push_back(std::move(*made));
  }
  return runtime.make_list(std::move(columns));
}

constexpr std::pair<std::string_view, FilterFunction> kFilters[] = {
    {"default", default_filter}, {"d", default_filter},
    {"length", length_filter},   {"count", length_filter},
    {"first", first_filter},     {"last", last_filter},
    {"list", list_filter},       {"items", items_filter},
    {"join", join_filter},       {"reverse", reverse_filter},
    {"sort", sort_filter},       {"dictsort", dictsort_filter},
    {"min", extreme_filter<false>}, {"max", extreme_filter<true>},
    {"unique", unique_filter},   {"sum", sum_filter},
    {"batch", batch_filter},     {"slice", slice_filter},
};

}  // namespace

FilterTable list_filters() { return kFilters; }

}  // namespace mneme::model::jinja
