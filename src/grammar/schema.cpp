#include "grammar/schema.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "grammar/limits.h"
#include "grammar/schema_merge.h"

namespace mneme::grammar {

using core::fail;
using core::pass;

namespace {

constexpr int kMembersMax = 20'000;  // of one JSON object: finding one is linear
constexpr int kMergesMax = 64;       // schemas joined in one place

// Keywords that a schema is held to, some of them in part.
bool is_known(const std::string& keyword) {
  static const std::set<std::string_view> kNames = {"$ref",
                                                    "additionalItems",
                                                    "additionalProperties",
                                                    "allOf",
                                                    "anyOf",
                                                    "const",
                                                    "enum",
                                                    "exclusiveMaximum",
                                                    "exclusiveMinimum",
                                                    "format",
                                                    "items",
                                                    "maxItems",
                                                    "maxLength",
                                                    "maxProperties",
                                                    "maximum",
                                                    "minItems",
                                                    "minLength",
                                                    "minProperties",
                                                    "minimum",
                                                    "multipleOf",
                                                    "nullable",
                                                    "oneOf",
                                                    "pattern",
                                                    "patternProperties",
                                                    "prefixItems",
                                                    "properties",
                                                    "propertyNames",
                                                    "required",
                                                    "type"};
  return kNames.contains(keyword);
}

// Parses without recursion or exceptions; nothing where it is no JSON, or goes beyond the limits.
std::optional<Json> parse_json(std::string_view text) {
  std::vector<int> members;
  bool too_large = false;
  const auto watch = [&](int depth, Json::parse_event_t event, Json&) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) members.push_back(0);
    if (event == Event::object_end || event == Event::array_end) members.pop_back();
    if (event == Event::key && ++members.back() > kMembersMax) too_large = true;
    if (depth > kNestingMax) too_large = true;
    return !too_large;
  };
  Json json = Json::parse(text, watch, false);
  if (too_large || json.is_discarded()) return std::nullopt;
  return json;
}

std::string unescaped_pointer_step(std::string_view step) {
  std::string text;
  for (size_t i = 0; i < step.size(); ++i) {
    const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f'); };
    if (step.substr(i).starts_with("~0") || step.substr(i).starts_with("~1")) {
      text += step[++i] == '0' ? '~' : '/';
    } else if (step[i] == '%' && i + 2 < step.size() && is_hex(step[i + 1]) && is_hex(step[i + 2])) {
      text += static_cast<char>(std::stoi(std::string(step.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      text += step[i];
    }
  }
  return text;
}

// Types, or "const" of a property that both require: what a value cannot have both of.
bool are_disjoint(const Json& a, const Json& b) {
  const auto has = [](const Json& x, const char* key) { return x.is_object() && x.contains(key); };
  if (!a.is_object() || !b.is_object()) return a == false || b == false;
  if (has(a, "type") && has(b, "type") && a["type"].is_string() && b["type"].is_string()) {
    const std::string x = a["type"], y = b["type"];
    const bool numbers = (x == "integer" && y == "number") || (x == "number" && y == "integer");
    if (x != y && !numbers) return true;
  }
  if (has(a, "const") && has(b, "const")) return a["const"] != b["const"];
  if (!has(a, "properties") || !has(b, "properties") || !has(a, "required") || !has(b, "required"))
    return false;
  for (const auto& [name, schema] : a["properties"].items()) {
    const auto other = b["properties"].find(name);
    const auto requires_it = [&, key = name](const Json& x) {
      return std::find(x["required"].begin(), x["required"].end(), key) != x["required"].end();
    };
    if (other == b["properties"].end() || !requires_it(a) || !requires_it(b)) continue;
    if (has(schema, "const") && has(*other, "const") && schema["const"] != (*other)["const"]) return true;
  }
  return false;
}

}  // namespace

tl::unexpected<Error> SchemaCompiler::wrong(const Place& place, std::string_view what) const {
  return fail("JSON schema, {}: {}", place.pointer, what);
}

Result<void> SchemaCompiler::not_held_to(const Place& place, std::string_view what) {
  if (options_.strict) return wrong(place, fmt::format("{}, which strict mode does not allow", what));
  constexpr size_t kWarningsMax = 100;
  if (warnings_.size() < kWarningsMax)
    warnings_.push_back(fmt::format("JSON schema, {}: {}: ignored", place.pointer, what));
  return {};
}

Result<ExpressionId> SchemaCompiler::compile(std::string_view schema) {
  if (schema.size() > kSourceBytesMax)
    return fail("a JSON schema of {} bytes, at most {}", schema.size(), kSourceBytesMax);
  auto parsed = parse_json(schema);
  if (!parsed)
    return fail("the schema is not JSON, nested deeper than {}, or has more than {} properties in one object",
                kNestingMax, kMembersMax);
  root_ = std::move(*parsed);
  const Place place{"#", 0};
  if (options_.strict) {
    const bool object = root_.is_object() && root_.contains("type") && root_["type"] == "object";
    if (!object || root_.contains("anyOf"))
      return wrong(place, "strict mode needs {\"type\": \"object\", ...} without \"anyOf\" at the root");
  }
  auto whole = value(root_, place);
  if (!whole) return whole;
  // What is referred to is compiled here, not where it is referred to: chains of references may be long.
  while (!pending_.empty()) {
    const Reference next = std::move(pending_.front());
    pending_.pop_front();
    auto body = value(*next.schema, {next.pointer, 0});
    if (!body) return body;
    rules_->define(next.rule, *body);
  }
  return whole;
}

Result<ExpressionId> SchemaCompiler::value(const Json& schema, const Place& place) {
  if (place.depth > kNestingMax) return wrong(place, fmt::format("nested deeper than {}", kNestingMax));
  if (rules_->too_large()) return wrong(place, "the schema is too large");
  if (schema == true) return values_.any();
  if (schema == false) return rules_->nothing();
  if (!schema.is_object()) return wrong(place, "a schema must be an object or a boolean");
  const auto says_more = [&](const char* but) {
    return std::any_of(schema.items().begin(), schema.items().end(),
                       [&](const auto& item) { return item.key() != but && !is_annotation(item.key()); });
  };
  if (schema.contains("$ref") && schema["$ref"].is_string() && !says_more("$ref"))
    return reference(schema["$ref"], place);
  if (schema.contains("$ref") || schema.contains("allOf")) {
    auto flat = flattened(schema, place);
    if (!flat) return pass(flat);
    // Kept by what it says: schemas that join themselves come back to the same.
    const auto [entry, added] = joined_.try_emplace(flat->dump());
    if (!added) return rules_->rule(entry->second);
    const RuleId rule = entry->second = rules_->add_rule(place.pointer);
    auto body = value(*flat, {place.pointer, place.depth + 1});
    if (!body) return body;
    rules_->define(rule, *body);
    return rules_->rule(rule);
  }
  auto known = check_keywords(schema, place);
  if (!known) return pass(known);
  if (schema.contains("anyOf")) return variants(schema, "anyOf", place);
  if (schema.contains("oneOf")) return variants(schema, "oneOf", place);
  if (schema.contains("const") || schema.contains("enum")) return listed(schema, place);
  return of_types(schema, place);
}

Result<void> SchemaCompiler::check_keywords(const Json& schema, const Place& place) {
  for (const auto& [keyword, said] : schema.items()) {
    if (is_known(keyword) || is_annotation(keyword)) continue;
    if (keyword == "uniqueItems" && said == false) continue;
    if (keyword == "unevaluatedProperties" && said == false) continue;  // nothing is invented
    auto held = not_held_to(place, fmt::format("\"{}\" is not supported", keyword));
    if (!held) return held;
  }
  return {};
}

Result<ExpressionId> SchemaCompiler::reference(const std::string& target, const Place& place) {
  auto found = resolve(target, place);
  if (!found) return pass(found);
  const auto [entry, added] = references_.try_emplace(target);
  if (added) {
    entry->second = rules_->add_rule(target);
    pending_.push_back({target, *found, entry->second});
  }
  return rules_->rule(entry->second);
}

Result<const Json*> SchemaCompiler::resolve(const std::string& target, const Place& place) const {
  const std::string unknown = fmt::format("\"$ref\": \"{}\" is not found; #/... within the schema is",
                                          target);
  if (target != "#" && !target.starts_with("#/")) return wrong(place, unknown);
  const Json* at = &root_;
  std::string_view rest = std::string_view(target).substr(1);
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const size_t end = std::min(rest.find('/'), rest.size());
    const std::string step = unescaped_pointer_step(rest.substr(0, end));
    rest.remove_prefix(end);
    if (at->is_object() && at->contains(step)) {
      at = &(*at)[step];
      continue;
    }
    const bool index = at->is_array() && !step.empty() && step.size() < 6 &&
                       std::all_of(step.begin(), step.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!index || static_cast<size_t>(std::stoi(step)) >= at->size()) return wrong(place, unknown);
    at = &(*at)[static_cast<size_t>(std::stoi(step))];
  }
  return at;
}

Result<Json> SchemaCompiler::flattened(const Json& schema, const Place& place) {
  Json whole = true;
  std::vector<Json> open = {schema};
  std::set<std::string> seen;
  for (int merges = 0; !open.empty(); ++merges) {
    if (merges > kMergesMax)
      return wrong(place, "\"$ref\" and \"allOf\" lead back to themselves, or to too many schemas");
    Json one = std::move(open.back());
    open.pop_back();
    if (!seen.insert(one.dump()).second) continue;
    if (one.is_object() && one.contains("allOf")) {
      const Json parts = one["allOf"];
      if (!parts.is_array()) return wrong(place, "\"allOf\" must be a list");
      one.erase("allOf");
      for (size_t i = parts.size(); i > 0; --i) open.push_back(parts[i - 1]);
    }
    if (one.is_object() && one.contains("$ref")) {
      if (!one["$ref"].is_string()) return wrong(place, "\"$ref\" must be a string");
      auto target = resolve(one["$ref"], place);
      if (!target) return pass(target);
      one.erase("$ref");
      open.push_back(**target);
    }
    auto merged = merge_schemas(whole, one);
    if (!merged) return wrong(place, merged.error().message);
    whole = std::move(*merged);
  }
  return whole;
}

Result<ExpressionId> SchemaCompiler::variants(const Json& schema, const char* keyword, const Place& place) {
  const Json& list = schema[keyword];
  if (!list.is_array() || list.empty()) return wrong(place, fmt::format("\"{}\" must be a list", keyword));
  Json base = schema;
  base.erase(keyword);
  const bool bare = std::all_of(base.items().begin(), base.items().end(),
                                [](const auto& item) { return is_annotation(item.key()); });
  const bool one_of = std::string_view(keyword) == "oneOf";
  for (size_t i = 0; one_of && i < list.size(); ++i) {
    const auto other = std::find_if(list.begin() + static_cast<std::ptrdiff_t>(i) + 1, list.end(),
                                    [&](const Json& x) { return !are_disjoint(list[i], x); });
    if (other == list.end()) continue;
    auto held = not_held_to(place, "\"oneOf\" whose variants may hold together is taken for \"anyOf\"");
    if (!held) return pass(held);
    break;
  }
  std::vector<ExpressionId> ways;
  for (size_t i = 0; i < list.size(); ++i) {
    const Place where = place.at(fmt::format("{}/{}", keyword, i));
    auto both = bare ? Result<Json>(list[i]) : merge_schemas(base, list[i]);
    if (!both) return wrong(where, both.error().message);
    auto way = value(*both, where);
    if (!way) return way;
    ways.push_back(*way);
  }
  return values_.shared(rules_->choice(std::move(ways)), "variants");
}

}  // namespace mneme::grammar
