// Scalars, lists of values, and arrays.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "grammar/formats.h"
#include "grammar/limits.h"
#include "grammar/schema.h"

namespace mneme::grammar {

using core::pass;

namespace {

bool has_type(const Json& value, const std::string& type) {
  if (type == "string") return value.is_string();
  if (type == "number") return value.is_number();
  if (type == "integer") {  // 1.0 too
    const bool whole = value.is_number_float() && std::floor(value.get<double>()) == value.get<double>();
    return value.is_number_integer() || whole;
  }
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  return type == "object" ? value.is_object() : type == "array" && value.is_array();
}

// What a schema that names no type is about; empty: about nothing, so it is any value.
std::string type_meant(const Json& schema) {
  const auto has_one_of = [&](std::initializer_list<const char*> keywords) {
    return std::any_of(keywords.begin(), keywords.end(), [&](const char* k) { return schema.contains(k); });
  };
  if (has_one_of({"properties", "required", "additionalProperties", "patternProperties", "propertyNames",
                  "minProperties", "maxProperties"}))
    return "object";
  if (has_one_of({"items", "prefixItems", "minItems", "maxItems"})) return "array";
  if (has_one_of({"pattern", "format", "minLength", "maxLength"})) return "string";
  if (has_one_of({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}))
    return "number";
  return {};
}

Result<std::vector<std::string>> types_of(const Json& schema) {
  std::vector<std::string> types;
  if (!schema.contains("type")) return types;
  const Json& said = schema["type"];
  for (const Json& type : said.is_array() ? said : Json::array({said})) {
    static const char* const kTypes[] = {"string", "number", "integer", "boolean", "null", "object", "array"};
    const bool known = type.is_string() && std::any_of(std::begin(kTypes), std::end(kTypes),
                                                       [&](const char* name) { return type == name; });
    if (!known) return core::fail("{} is no type", type.dump());
    types.push_back(type);
  }
  if (types.empty()) return core::fail("\"type\" is an empty list");
  if (schema.contains("nullable") && schema["nullable"] == true) types.push_back("null");
  return types;
}

// What else a schema with "enum" or "const" says of strings and numbers, as a grammar; null for nothing.
Result<std::shared_ptr<const Grammar>> rest_of_listed(const Json& schema) {
  Json rest = Json::object();
  for (const char* keyword : {"minLength", "maxLength", "pattern", "format", "minimum", "maximum",
                              "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}) {
    if (schema.contains(keyword)) rest[keyword] = schema[keyword];
  }
  if (rest.empty()) return nullptr;
  rest["type"] = {"string", "number", "boolean", "null"};
  const bool whole = schema.contains("type") && schema["type"] == "integer";
  if (whole) rest["type"][1] = "integer";
  return Grammar::from_schema(rest.dump(), {});
}

}  // namespace

// "const" and "enum".
Result<ExpressionId> SchemaCompiler::listed(const Json& schema, const Place& place) {
  const Json values = schema.contains("const") ? Json::array({schema["const"]}) : schema["enum"];
  if (!values.is_array()) return wrong(place, "\"enum\" must be a list");
  auto types = types_of(schema);
  if (!types) return wrong(place, types.error().message);
  auto rest = rest_of_listed(schema);
  if (!rest) return wrong(place, rest.error().message);
  std::vector<std::string> words;
  std::vector<ExpressionId> ways;
  for (const Json& one : values) {
    const auto fits = [&](const std::string& type) { return has_type(one, type); };
    if (!types->empty() && std::none_of(types->begin(), types->end(), fits)) continue;
    if (one.is_structured()) {
      ways.push_back(values_.literal(one));
    } else if (!*rest || (*rest)->matches(one.dump())) {
      words.push_back(one.dump());
    }
  }
  if (!words.empty()) ways.push_back(rules_->words(std::move(words)));
  return rules_->choice(std::move(ways));
}

Result<ExpressionId> SchemaCompiler::of_types(const Json& schema, const Place& place) {
  auto types = types_of(schema);
  if (!types) return wrong(place, types.error().message);
  if (types->empty()) {
    const std::string meant = type_meant(schema);
    if (meant.empty()) return values_.any();
    types->push_back(meant);
    if (schema.contains("nullable") && schema["nullable"] == true) types->push_back("null");
  }
  std::vector<ExpressionId> ways;
  for (const std::string& type : *types) {
    auto way = of_type(type, schema, place);
    if (!way) return way;
    ways.push_back(*way);
  }
  return rules_->choice(std::move(ways));
}

Result<ExpressionId> SchemaCompiler::of_type(const std::string& type, const Json& schema,
                                             const Place& place) {
  if (type == "string") return string(schema, place);
  if (type == "number") return number(schema, place, false);
  if (type == "integer") return number(schema, place, true);
  if (type == "boolean") return values_.boolean();
  if (type == "null") return values_.null();
  return type == "object" ? object(schema, place) : array(schema, place);
}

Result<std::optional<uint32_t>> SchemaCompiler::count(const Json& schema, const char* keyword,
                                                      const Place& place) {
  const auto found = schema.find(keyword);
  if (found == schema.end()) return std::nullopt;
  const bool counts = found->is_number() && found->get<double>() >= 0 &&
                      std::floor(found->get<double>()) == found->get<double>();
  if (!counts) return wrong(place, fmt::format("\"{}\" must be a whole number from 0", keyword));
  if (found->get<double>() > kRepeatMax)
    return std::string_view(keyword).starts_with("max")
               ? Result<std::optional<uint32_t>>(std::nullopt)
               : wrong(place, fmt::format("\"{}\" is above {}", keyword, kRepeatMax));
  return static_cast<uint32_t>(found->get<double>());
}

Result<ExpressionId> SchemaCompiler::string(const Json& schema, const Place& place) {
  auto min = count(schema, "minLength", place);
  if (!min) return pass(min);
  auto max = count(schema, "maxLength", place);
  if (!max) return pass(max);
  const LengthBounds length{min->value_or(0), max->value_or(kUnbounded)};
  if (length.max < length.min) return rules_->nothing();
  const bool sized = length.min > 0 || length.max != kUnbounded;
  auto inside = pattern_text(schema, place, length);
  if (!inside) return pass(inside);
  if (!*inside && !sized) return values_.string();
  if (!*inside) *inside = rules_->repeat(values_.string_character(), length.min, length.max);
  return values_.shared(rules_->sequence({rules_->bytes("\""), **inside, rules_->bytes("\"")}), "text");
}

// By "pattern", or where that is missing or not supported by "format"; nothing without either.
Result<std::optional<ExpressionId>> SchemaCompiler::pattern_text(const Json& schema, const Place& place,
                                                                 LengthBounds length) {
  const auto pattern = schema.find("pattern");
  const auto format = schema.find("format");
  if (pattern != schema.end() && !pattern->is_string()) return wrong(place, "\"pattern\" must be a string");
  if (format != schema.end() && !format->is_string()) return wrong(place, "\"format\" must be a string");
  const auto known = format == schema.end() ? std::nullopt
                                            : format_pattern(format->get_ref<const std::string&>());
  if (pattern != schema.end()) {
    const std::string& text = pattern->get_ref<const std::string&>();
    auto inside = parse_with_length(text, RegexScope::kPart, length, place);
    if (inside) return inside;
    // A format that says the same (as of e-mail addresses, whose usual patterns look ahead) will do.
    const std::string what = fmt::format("\"pattern\": {}", inside.error().message);
    auto held = known ? Result<void>() : not_held_to(place, what);
    if (!held) return pass(held);
    if (known)
      warnings_.push_back(fmt::format("JSON schema, {}: {}: held to \"format\"", place.pointer, what));
  }
  if (known) return parse_with_length(*known, RegexScope::kWhole, length, place);
  if (format != schema.end() && pattern == schema.end()) {
    auto held = not_held_to(place, fmt::format("\"format\": {} is not supported", format->dump()));
    if (!held) return pass(held);
  }
  return std::nullopt;
}

Result<std::optional<ExpressionId>> SchemaCompiler::parse_with_length(std::string_view pattern,
                                                                      RegexScope scope, LengthBounds length,
                                                                      const Place& place) {
  const auto parse = [&]() -> Result<std::optional<ExpressionId>> {
    auto inside = parse_regex(*rules_, pattern, scope, Spelling::kJsonString);
    if (!inside) return pass(inside);
    return *inside;
  };
  if (length.min == 0 && length.max == kUnbounded) return parse();
  auto both = parse_sized_regex(*rules_, pattern, scope, Spelling::kJsonString, length);
  if (!both || *both) return both;
  auto held = not_held_to(place, "\"minLength\" and \"maxLength\" beside so large a pattern");
  if (!held) return pass(held);
  return parse();
}

Result<std::optional<Decimal>> SchemaCompiler::bound(const Json& schema, const char* keyword,
                                                     const Place& place) {
  const auto found = schema.find(keyword);
  if (found == schema.end() || found->is_boolean())
    return std::nullopt;  // draft 4's "exclusiveMinimum": true
  if (!found->is_number()) return wrong(place, fmt::format("\"{}\" must be a number", keyword));
  auto value = Decimal::parse(found->dump());
  if (!value) return wrong(place, fmt::format("\"{}\" has too many digits", keyword));
  return value;
}

Result<NumberBounds> SchemaCompiler::bounds(const Json& schema, const Place& place) {
  NumberBounds bounds;
  const auto read = [&](const char* keyword, const char* open_keyword, std::optional<Decimal>& ends,
                        bool& open, bool is_min) -> Result<void> {
    auto closed_end = bound(schema, keyword, place);
    if (!closed_end) return pass(closed_end);
    auto open_end = bound(schema, open_keyword, place);
    if (!open_end) return pass(open_end);
    ends = *closed_end;
    open = schema.contains(open_keyword) && schema[open_keyword] == true;
    if (!*open_end) return {};
    const bool tighter = !ends || !(is_min ? **open_end < *ends : *ends < **open_end);
    if (tighter) ends = *open_end, open = true;
    return {};
  };
  auto low = read("minimum", "exclusiveMinimum", bounds.min, bounds.above_min, true);
  if (!low) return pass(low);
  auto high = read("maximum", "exclusiveMaximum", bounds.max, bounds.below_max, false);
  if (!high) return pass(high);
  return bounds;
}

Result<ExpressionId> SchemaCompiler::number(const Json& schema, const Place& place, bool whole) {
  auto ends = bounds(schema, place);
  if (!ends) return pass(ends);
  const bool unbounded = !ends->min && !ends->max;
  const auto step = schema.find("multipleOf");
  if (step != schema.end() && !(whole && *step == 1)) {
    auto some = whole ? multiples(*ends, *step, place) : Result<std::optional<ExpressionId>>(std::nullopt);
    if (!some) return pass(some);
    if (*some) return **some;
    auto held = not_held_to(place,
                            "this \"multipleOf\" is not supported (of integers: up to 100 without "
                            "bounds, or where the bounds leave 10,000 values)");
    if (!held) return pass(held);
  }
  if (unbounded) return whole ? values_.integer() : values_.number();
  return values_.shared(whole ? integer_between(*rules_, *ends) : number_between(*rules_, *ends), "bounded");
}

// Integers that are a multiple of a whole number; nothing where that is too much.
Result<std::optional<ExpressionId>> SchemaCompiler::multiples(const NumberBounds& bounds, const Json& step,
                                                              const Place& place) {
  constexpr double kStepMax = 100, kValuesMax = 10'000, kExact = 1e15;
  if (!step.is_number() || step.get<double>() <= 0) return wrong(place, "\"multipleOf\" must be above 0");
  const double size = step.get<double>();
  if (std::floor(size) != size || size > kExact) return std::nullopt;
  const auto by = static_cast<int64_t>(size);
  if (!bounds.min && !bounds.max && size <= kStepMax) return multiples_of(by);
  if (!bounds.min || !bounds.max) return std::nullopt;
  const auto number = [](const Decimal& d) {
    const std::string digits = (d.negative ? "-0" : "0") + d.whole + "." + d.fraction + "0";
    return std::strtod(digits.c_str(), nullptr);
  };
  const double low = number(*bounds.min), high = number(*bounds.max);
  if (std::abs(low) > kExact || std::abs(high) > kExact || (high - low) / size > kValuesMax)
    return std::nullopt;
  std::vector<std::string> words;
  for (auto x = static_cast<int64_t>(std::ceil(low / size)) * by; static_cast<double>(x) <= high; x += by) {
    const auto d = static_cast<double>(x);
    if ((d > low || !bounds.above_min) && (d < high || !bounds.below_max)) words.push_back(std::to_string(x));
  }
  return rules_->words(std::move(words));
}

// Up to 15 digits: a rule for each number of digits left and each remainder of those before.
ExpressionId SchemaCompiler::multiples_of(int64_t by) {
  constexpr int kDigits = 15;
  std::vector<ExpressionId> after(static_cast<size_t>(by), rules_->nothing());  // [remainder]
  after[0] = rules_->empty();
  const auto digits = [&](int64_t remainder, char first) {
    std::vector<ExpressionId> ways;
    for (char c = first; c <= '9'; ++c) {
      const auto next = static_cast<size_t>((remainder * 10 + (c - '0')) % by);
      ways.push_back(rules_->sequence({rules_->bytes(std::string(1, c)), after[next]}));
    }
    return ways;
  };
  for (int left = 1; left < kDigits; ++left) {
    std::vector<ExpressionId> longer;
    for (int64_t remainder = 0; remainder < by; ++remainder) {
      auto ways = digits(remainder, '0');
      if (remainder == 0) ways.push_back(rules_->empty());
      longer.push_back(values_.shared(rules_->choice(std::move(ways)), "remainder"));
    }
    after = std::move(longer);
  }
  const ExpressionId some = rules_->choice(digits(0, '1'));
  return rules_->choice({rules_->bytes("0"), rules_->sequence({rules_->optional(rules_->bytes("-")), some})});
}

Result<ExpressionId> SchemaCompiler::array(const Json& schema, const Place& place) {
  auto min = count(schema, "minItems", place);
  if (!min) return pass(min);
  auto max = count(schema, "maxItems", place);
  if (!max) return pass(max);
  // A list of "items" is draft 7's "prefixItems", with "additionalItems" for the rest.
  const bool old_list = schema.contains("items") && schema["items"].is_array();
  const char* first_keyword = old_list ? "items" : "prefixItems";
  const char* rest_keyword = old_list ? "additionalItems" : "items";
  std::vector<ExpressionId> first;
  const bool has_first = schema.contains(first_keyword);
  if (has_first && !schema[first_keyword].is_array()) return wrong(place, "\"prefixItems\" must be a list");
  for (size_t i = 0; has_first && i < schema[first_keyword].size(); ++i) {
    auto item = value(schema[first_keyword][i], place.at(fmt::format("{}/{}", first_keyword, i)));
    if (!item) return item;
    first.push_back(values_.shared(*item, "item"));
  }
  std::optional<ExpressionId> rest;
  const auto after = schema.find(rest_keyword);
  if (after != schema.end() && *after != false) {
    auto item = value(*after, place.at(rest_keyword));
    if (!item) return item;
    rest = values_.shared(*item, "item");
  } else if (after == schema.end() && !has_first) {
    rest = values_.any();
  }
  return array_text(first, rest, min->value_or(0), max->value_or(kUnbounded));
}

// The items after the first of each kind come with their comma: from the end, so that what follows is there.
ExpressionId SchemaCompiler::array_text(std::span<const ExpressionId> first, std::optional<ExpressionId> rest,
                                        uint32_t min, uint32_t max) {
  Rules& r = *rules_;
  const auto count = static_cast<uint32_t>(first.size());
  const uint32_t longest = rest ? max : std::min(max, count);
  if (longest < min) return r.nothing();
  const auto less = [](uint32_t a, uint32_t b) { return a == kUnbounded ? a : a > b ? a - b : 0; };
  const ExpressionId open = r.bytes("["), close = r.bytes("]");
  if (longest == 0) return r.bytes("[]");
  const uint32_t begun = std::max<uint32_t>(count, 1);  // items that are not part of the repetition
  ExpressionId tail = r.empty();
  if (rest && longest > begun) {
    tail = r.repeat(r.sequence({values_.comma(), *rest}), less(min, begun), less(longest, begun));
  }
  for (uint32_t i = std::min(count, longest); i > 1; --i) {
    const ExpressionId with = r.sequence({values_.comma(), first[i - 1], tail});
    tail = min >= i ? with : r.optional(with);
  }
  const ExpressionId items = r.sequence({count > 0 ? first[0] : *rest, tail});
  return r.sequence({open, min > 0 ? items : r.optional(items), close});
}

}  // namespace mneme::grammar
