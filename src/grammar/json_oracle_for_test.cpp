#include "grammar/json_oracle_for_test.h"

#include <algorithm>
#include <cmath>
#include <regex>
#include <vector>

namespace mneme::grammar {

namespace {

using Json = OracleJson;

size_t characters(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

bool is_type(const Json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "null") return value.is_null();
  return value.type_name() == type;
}

const Json& target(const Json& root, const Json& schema) {
  return root.at(nlohmann::json_pointer<std::string>(schema["$ref"].get<std::string>().substr(1)));
}

std::string why_object(const Json& root, const Json& schema, const Json& value) {
  for (const Json& name : schema.value("required", Json::array())) {
    if (!value.contains(name.get<std::string>())) return "without " + name.dump();
  }
  const Json properties = schema.value("properties", Json::object());
  for (const auto& [name, one] : value.items()) {
    const Json extra = schema.contains("additionalProperties") ? schema["additionalProperties"] : Json(true);
    const std::string why = why_invalid(root, properties.contains(name) ? properties[name] : extra, one);
    if (!why.empty()) return name + "/" + why;
  }
  return {};
}

std::string why_array(const Json& root, const Json& schema, const Json& value) {
  if (value.size() < schema.value("minItems", size_t{0})) return "too few items";
  if (value.size() > schema.value("maxItems", size_t{1} << 30)) return "too many items";
  const Json first = schema.value("prefixItems", Json::array());
  for (size_t i = 0; i < value.size(); ++i) {
    const Json rest = schema.contains("items") ? schema["items"] : Json(true);
    const std::string why = why_invalid(root, i < first.size() ? first[i] : rest, value[i]);
    if (!why.empty()) return std::to_string(i) + "/" + why;
  }
  return {};
}

std::string why_scalar(const Json& schema, const Json& value) {
  if (value.is_string()) {
    const std::string text = value;
    if (characters(text) < schema.value("minLength", size_t{0})) return "too short";
    if (characters(text) > schema.value("maxLength", size_t{1} << 30)) return "too long";
    if (schema.contains("pattern") &&
        !std::regex_search(text, std::regex(schema["pattern"].get<std::string>())))
      return "pattern: " + text;
    if (schema.value("format", "") == "date" &&
        !std::regex_match(text, std::regex("[0-9]{4}-(0[1-9]|1[0-2])-([0-2][0-9]|3[01])")))
      return "date: " + text;
  }
  if (value.is_number()) {
    const double x = value;
    if (schema.contains("minimum") && x < schema["minimum"].get<double>())
      return "too small: " + value.dump();
    if (schema.contains("maximum") && x > schema["maximum"].get<double>())
      return "too large: " + value.dump();
    if (schema.contains("exclusiveMinimum") && x <= schema["exclusiveMinimum"].get<double>())
      return "too small";
    if (schema.contains("exclusiveMaximum") && x >= schema["exclusiveMaximum"].get<double>())
      return "too large";
    if (schema.contains("multipleOf") && std::fmod(x, schema["multipleOf"].get<double>()) != 0)
      return "no multiple: " + value.dump();
  }
  return {};
}

struct Pattern {
  const char* pattern;
  const char* texts[3];
};
const Pattern kPatterns[] = {{"^[a-z]{2,5}$", {"ab", "hello", "xyz"}},
                             {"^\\d{3}-\\d{4}$", {"555-1234", "000-0000", "123-4567"}},
                             {"^(foo|ba[rz])+$", {"foo", "barbaz", "foobarfoo"}},
                             {"[0-9]", {"a1", "7", "x\"5\n"}},
                             {"^\\\"q\\\\?\\\"$", {"\"q\"", "\"q\\\"", "\"q\""}}};

std::string random_name(core::Rng& rng) {
  static const char* const kNames[] = {"id", "name",     "city",  "a",    "ab", "abc",
                                       "b",  "quote\"d", "naïve", "日期", "x y"};
  return kNames[rng.next_below(11)];
}

std::string random_string(core::Rng& rng, size_t min, size_t max) {
  static const char* const kPieces[] = {"a",  "b",    "Z", " ",  "\"", "\\", "/", "\n",
                                        "\t", "\x01", "é", "中", "😀",  "{",  "}", "0"};
  std::string text;
  for (size_t i = min + rng.next_below(static_cast<uint32_t>(max - min + 1)); i > 0; --i)
    text += kPieces[rng.next_below(16)];
  return text;
}

Json random_scalar(core::Rng& rng) {
  switch (rng.next_below(5)) {
    case 0: return random_string(rng, 0, 6);
    case 1: return static_cast<int64_t>(rng.next_u32()) - (int64_t{1} << 31);
    case 2: return static_cast<double>(rng.next_below(2000)) / 8 - 100;
    case 3: return rng.next_below(2) == 0;
    default: return nullptr;
  }
}

Json schema_of(core::Rng& rng, int depth);

Json string_schema(core::Rng& rng) {
  Json schema = {{"type", "string"}};
  switch (rng.next_below(5)) {
    case 0: schema["pattern"] = kPatterns[rng.next_below(5)].pattern; break;
    case 1: schema["format"] = "date"; break;
    case 2: schema["minLength"] = rng.next_below(4), schema["maxLength"] = 4 + rng.next_below(60); break;
    default: break;
  }
  return schema;
}

Json number_schema(core::Rng& rng) {
  const bool whole = rng.next_below(2) == 0;
  Json schema = {{"type", whole ? "integer" : "number"}};
  const int64_t low = static_cast<int64_t>(rng.next_below(3000)) - 1500;
  if (rng.next_below(3) == 0) schema["minimum"] = low;
  if (rng.next_below(3) == 0) schema["maximum"] = low + 1 + rng.next_below(2000);
  if (rng.next_below(4) == 0) schema["exclusiveMaximum"] = static_cast<double>(low) + 40.5;
  if (!whole && rng.next_below(4) == 0) schema["exclusiveMinimum"] = static_cast<double>(low) - 0.25;
  if (whole && schema.size() == 1 && rng.next_below(3) == 0) schema["multipleOf"] = 1 + rng.next_below(12);
  return schema;
}

Json object_schema(core::Rng& rng, int depth) {
  Json schema = {{"type", "object"}, {"properties", Json::object()}, {"required", Json::array()}};
  for (uint32_t i = rng.next_below(5); i > 0; --i) {
    const std::string name = random_name(rng);
    if (schema["properties"].contains(name)) continue;
    schema["properties"][name] = schema_of(rng, depth + 1);
    if (rng.next_below(2) == 0) schema["required"].push_back(name);
  }
  if (rng.next_below(3) == 0) schema["additionalProperties"] = false;
  if (rng.next_below(4) == 0) schema["additionalProperties"] = schema_of(rng, depth + 1);
  return schema;
}

Json array_schema(core::Rng& rng, int depth) {
  Json schema = {{"type", "array"}, {"items", schema_of(rng, depth + 1)}};
  if (rng.next_below(3) == 0) schema["prefixItems"] = {schema_of(rng, depth + 1), schema_of(rng, depth + 1)};
  if (rng.next_below(2) == 0) schema["minItems"] = rng.next_below(4);
  if (rng.next_below(2) == 0) schema["maxItems"] = 3 + rng.next_below(4);
  return schema;
}

Json schema_of(core::Rng& rng, int depth) {
  switch (rng.next_below(depth < 3 ? 10 : 5)) {
    case 0: return string_schema(rng);
    case 1: return number_schema(rng);
    case 2: {
      Json values = Json::array();
      for (uint32_t i = 1 + rng.next_below(5); i > 0; --i) values.push_back(random_scalar(rng));
      if (rng.next_below(4) == 0) values.push_back({{"k", {1, 2}}});
      return {{"enum", values}};
    }
    case 3: return {{"const", random_scalar(rng)}};
    case 4: return {{"type", {"boolean", "null"}}, {"description", "either"}};
    case 5: return {{"anyOf", {schema_of(rng, depth + 1), schema_of(rng, depth + 1)}}};
    case 6: return {{"$ref", "#/$defs/node"}};
    case 7: return array_schema(rng, depth);
    case 8: {
      Json more = {
          {"type", "object"}, {"properties", {{"zz", schema_of(rng, depth + 1)}}}, {"required", {"zz"}}};
      Json first = object_schema(rng, depth);
      first.erase("additionalProperties");
      return {{"allOf", {first, more}}};
    }
    default: return object_schema(rng, depth);
  }
}

Json random_number(core::Rng& rng, const Json& schema) {
  const bool whole = schema["type"] == "integer";
  double low = schema.value("minimum", schema.value("exclusiveMinimum", -1e4));
  double high = schema.value("maximum", 1e4);
  high = std::min(high, schema.value("exclusiveMaximum", 1e4));
  if (schema.contains("multipleOf"))
    return schema["multipleOf"].get<int>() * (static_cast<int>(rng.next_below(500)) - 250);
  if (whole) {
    const auto first = static_cast<int64_t>(std::ceil(low)), last = static_cast<int64_t>(std::floor(high));
    return last < first
               ? Json()
               : Json(first + static_cast<int64_t>(rng.next_below(static_cast<uint32_t>(last - first + 1))));
  }
  // Eighths, which decimals spell exactly.
  return std::floor((low + (high - low) * double{rng.next_unit()}) * 8) / 8;
}

Json random_object(core::Rng& rng, const Json& root, const Json& schema, int depth) {
  Json value = Json::object();
  const Json required = schema.value("required", Json::array());
  for (const auto& [name, property] : schema["properties"].items()) {
    const bool must = std::find(required.begin(), required.end(), name) != required.end();
    if (must || (depth < 6 && rng.next_below(2) == 0))
      value[name] = random_value(rng, root, property, depth + 1);
  }
  const bool open = schema.contains("additionalProperties") && schema["additionalProperties"] != false;
  for (uint32_t i = open && depth < 6 ? rng.next_below(3) : 0; i > 0; --i) {
    const std::string name = "extra" + random_string(rng, 0, 4);
    value[name] = random_value(rng, root, schema["additionalProperties"], depth + 1);
  }
  return value;
}

}  // namespace

std::string why_invalid(const Json& root, const Json& schema, const Json& value) {
  if (schema.is_boolean()) return schema == true ? "" : "not allowed";
  if (schema.contains("$ref")) return why_invalid(root, target(root, schema), value);
  if (schema.contains("type")) {
    const Json types = schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
    if (std::none_of(types.begin(), types.end(), [&](const Json& type) { return is_type(value, type); }))
      return "no " + types.dump() + ": " + value.dump();
  }
  if (schema.contains("const") && value != schema["const"]) return "not " + schema["const"].dump();
  if (schema.contains("enum") &&
      std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
    return "not in " + schema["enum"].dump() + ": " + value.dump();
  for (const Json& part : schema.value("allOf", Json::array())) {
    if (const std::string why = why_invalid(root, part, value); !why.empty()) return why;
  }
  if (schema.contains("anyOf") &&
      std::none_of(schema["anyOf"].begin(), schema["anyOf"].end(),
                   [&](const Json& one) { return why_invalid(root, one, value).empty(); }))
    return "none of the variants: " + value.dump();
  if (value.is_object()) return why_object(root, schema, value);
  if (value.is_array()) return why_array(root, schema, value);
  return why_scalar(schema, value);
}

Json random_schema(core::Rng& rng) {
  Json schema = schema_of(rng, 0);
  const Json node = {{"type", "object"},
                     {"properties",
                      {{"value", schema_of(rng, 4)},
                       {"next", {{"anyOf", {Json{{"$ref", "#/$defs/node"}}, Json{{"type", "null"}}}}}},
                       {"list", {{"type", "array"}, {"items", {{"$ref", "#/$defs/node"}}}}}}},
                     {"required", {"value", "next"}},
                     {"additionalProperties", false}};
  schema["$defs"] = {{"node", node}};
  return schema;
}

Json random_value(core::Rng& rng, const Json& root, const Json& schema, int depth) {
  if (schema.contains("$ref")) return random_value(rng, root, target(root, schema), depth + 1);
  if (schema.contains("const")) return schema["const"];
  if (schema.contains("enum"))
    return schema["enum"][rng.next_below(static_cast<uint32_t>(schema["enum"].size()))];
  if (schema.contains("anyOf")) {
    const auto count = static_cast<uint32_t>(schema["anyOf"].size());
    return random_value(rng, root, schema["anyOf"][depth > 6 ? count - 1 : rng.next_below(count)], depth + 1);
  }
  if (schema.contains("allOf")) {
    Json value = Json::object();
    for (const Json& part : schema["allOf"]) value.update(random_value(rng, root, part, depth + 1));
    return value;
  }
  const Json type = schema["type"].is_array() ? schema["type"][rng.next_below(2)] : schema["type"];
  if (type == "null") return nullptr;
  if (type == "boolean") return rng.next_below(2) == 0;
  if (type == "integer" || type == "number") return random_number(rng, schema);
  if (type == "object") return random_object(rng, root, schema, depth);
  if (type == "array") {
    Json value = Json::array();
    const size_t min = schema.value("minItems", size_t{0});
    const size_t count =
        depth > 6 ? min : std::min<size_t>(min + rng.next_below(3), schema.value("maxItems", size_t{99}));
    const Json first = schema.value("prefixItems", Json::array());
    for (size_t i = 0; i < count; ++i)
      value.push_back(random_value(rng, root, i < first.size() ? first[i] : schema["items"], depth + 1));
    return value;
  }
  if (schema.contains("pattern")) {
    for (const Pattern& known : kPatterns) {
      if (schema["pattern"] == known.pattern) return known.texts[rng.next_below(3)];
    }
  }
  if (schema.contains("format")) return rng.next_below(2) == 0 ? "2024-02-29" : "1999-12-31";
  return random_string(rng, schema.value("minLength", size_t{0}), schema.value("maxLength", size_t{12}));
}

std::string random_text(core::Rng& rng, const Json& value) {
  if (!value.is_structured()) return value.dump();
  const auto space = [&] { return rng.next_below(2) == 0 ? " " : ""; };
  std::string text(1, value.is_object() ? '{' : '[');
  for (auto it = value.begin(); it != value.end(); ++it) {
    if (it != value.begin()) text += std::string(",") + space();
    if (value.is_object()) text += Json(it.key()).dump() + ":" + space();
    text += random_text(rng, *it);
  }
  return text + (value.is_object() ? '}' : ']');
}

}  // namespace mneme::grammar
