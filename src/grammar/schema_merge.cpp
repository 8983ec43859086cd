#include "grammar/schema_merge.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace mneme::grammar {

using core::fail;
using core::pass;

namespace {

constexpr size_t kVariantsMax = 256;

// What one value of a keyword and another make together; nothing: no value satisfies both.
using Merged = Result<std::optional<Json>>;

bool contains(const Json& list, const Json& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

Merged merge_types(const Json& a, const Json& b) {
  const auto list = [](const Json& x) { return x.is_array() ? x : Json::array({x}); };
  const Json first = list(a), second = list(b);
  Json both = Json::array();
  for (const Json& type : first) {
    // Every integer is a number.
    if (contains(second, type) || (type == "integer" && contains(second, "number"))) both.push_back(type);
    if (type == "number" && contains(second, "integer") && !contains(second, type)) both.push_back("integer");
  }
  if (both.empty()) return std::nullopt;
  return both.size() == 1 ? both[0] : both;
}

Merged merge_enums(const Json& a, const Json& b) {
  Json both = Json::array();
  for (const Json& value : a) {
    if (contains(b, value)) both.push_back(value);
  }
  if (both.empty()) return std::nullopt;
  return both;
}

Json both_of(const Json& a, const Json& b) {
  if (a == true || a == b) return b;
  if (b == true) return a;
  if (a == false || b == false) return false;
  return {{"allOf", Json::array({a, b})}};
}

Merged merge_variants(const Json& a, const Json& b) {
  if (a.size() * b.size() > kVariantsMax) return fail("more than {} variants", kVariantsMax);
  Json all = Json::array();
  for (const Json& x : a) {
    for (const Json& y : b) all.push_back(both_of(x, y));
  }
  return all;
}

Merged merge_required(const Json& a, const Json& b) {
  Json all = a;
  for (const Json& name : b) {
    if (!contains(all, name)) all.push_back(name);
  }
  return all;
}

Merged merge_keyword(const std::string& keyword, const Json& a, const Json& b) {
  constexpr std::array<std::string_view, 6> kLeast = {"minimum",  "exclusiveMinimum", "minLength",
                                                      "minItems", "minProperties",    "minContains"};
  constexpr std::array<std::string_view, 6> kMost = {"maximum",  "exclusiveMaximum", "maxLength",
                                                     "maxItems", "maxProperties",    "maxContains"};
  const auto is_one_of = [&](const auto& names) {
    return std::find(names.begin(), names.end(), keyword) != names.end();
  };
  if (a == b || is_annotation(keyword)) return a;
  if (keyword == "type") return merge_types(a, b);
  if (is_one_of(kLeast) && a.is_number() && b.is_number()) return a < b ? b : a;
  if (is_one_of(kMost) && a.is_number() && b.is_number()) return a < b ? a : b;
  const bool lists = a.is_array() && b.is_array();
  if (keyword == "enum" && lists) return merge_enums(a, b);
  if (keyword == "const") return std::nullopt;
  if (keyword == "required" && lists) return merge_required(a, b);
  if ((keyword == "anyOf" || keyword == "oneOf") && lists) return merge_variants(a, b);
  if (keyword == "allOf" && lists) {
    Json all = a;
    all.insert(all.end(), b.begin(), b.end());
    return all;
  }
  if (keyword == "nullable") return Json(a == true && b == true);
  if (keyword == "uniqueItems") return Json(a == true || b == true);
  const bool schema = keyword == "items" || keyword == "additionalProperties" || keyword == "propertyNames" ||
                      keyword == "additionalItems" || keyword == "unevaluatedProperties";
  if (schema && !a.is_array() && !b.is_array()) return both_of(a, b);
  return fail("two different values of \"{}\" cannot be joined", keyword);
}

bool is_closed(const Json& schema) {
  const auto extra = schema.find("additionalProperties");
  return extra != schema.end() && *extra == false;
}

// Each side's properties, where the other does not forbid them.
Json merge_properties(const Json& a, const Json& b) {
  const auto properties = [](const Json& x) {
    const auto found = x.find("properties");
    return found != x.end() && found->is_object() ? *found : Json::object();
  };
  const Json first = properties(a), second = properties(b);
  Json all = Json::object();
  for (const auto& [name, schema] : first.items()) {
    const auto other = second.find(name);
    if (other != second.end()) {
      all[name] = both_of(schema, *other);
    } else if (!is_closed(b)) {
      all[name] = schema;
    }
  }
  for (const auto& [name, schema] : second.items()) {
    if (!first.contains(name) && !is_closed(a)) all[name] = schema;
  }
  return all;
}

}  // namespace

bool is_annotation(const std::string& keyword) {
  static constexpr std::array<std::string_view, 20> kNames = {
      "title",     "description", "default",   "examples",     "example",
      "$schema",   "$id",         "$comment",  "deprecated",   "readOnly",
      "writeOnly", "$defs",       "xml",       "definitions",  "$anchor",
      "id",        "$vocabulary", "enumNames", "externalDocs", "markdownDescription"};
  return keyword.starts_with("x-") || std::find(kNames.begin(), kNames.end(), keyword) != kNames.end();
}

Result<Json> merge_schemas(const Json& a, const Json& b) {
  if (a == true) return b;
  if (b == true) return a;
  if (a == false || b == false) return Json(false);
  if (!a.is_object() || !b.is_object()) return fail("a schema must be an object or a boolean");
  Json merged = a;
  for (const auto& [keyword, value] : b.items()) {
    if (keyword == "properties") continue;
    const auto before = merged.find(keyword);
    if (before == merged.end()) {
      merged[keyword] = value;
      continue;
    }
    auto both = merge_keyword(keyword, *before, value);
    if (!both) return pass(both);
    if (!*both) return Json(false);
    *before = std::move(**both);
  }
  if (a.contains("properties") || b.contains("properties")) merged["properties"] = merge_properties(a, b);
  // One value and a list of values.
  if (merged.contains("const") && merged.contains("enum") && merged["enum"].is_array()) {
    if (!contains(merged["enum"], merged["const"])) return Json(false);
    merged.erase("enum");
  }
  return merged;
}

}  // namespace mneme::grammar
