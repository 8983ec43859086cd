// Objects: properties in the schema's order, then others where they are allowed.
#include <algorithm>
#include <utility>

#include "grammar/regex.h"
#include "grammar/schema.h"

namespace mneme::grammar {

using core::pass;

Result<ExpressionId> SchemaCompiler::object(const Json& schema, const Place& place) {
  if (options_.strict) {
    auto checked = check_strict_object(schema, place);
    if (!checked) return pass(checked);
  }
  auto named = members(schema, place);
  if (!named) return pass(named);
  auto others = extra(schema, *named, place);
  if (!others) return pass(others);
  const auto required = static_cast<size_t>(
      std::count_if(named->begin(), named->end(), [](const Member& m) { return m.required; }));
  auto least = count(schema, "minProperties", place);
  if (!least) return pass(least);
  auto most = count(schema, "maxProperties", place);
  if (!most) return pass(most);
  if (named->empty()) {
    others->min = least->value_or(0);
    others->max = most->value_or(kUnbounded);
    if (others->max < others->min || (others->min > 0 && !others->allowed)) return rules_->nothing();
  } else if (least->value_or(0) > required || (*most && **most < named->size())) {
    auto held = not_held_to(place,
                            "\"minProperties\"/\"maxProperties\" beside \"properties\" is not supported");
    if (!held) return pass(held);
  }
  return values_.shared(object_text(*named, *others), "object");
}

Result<void> SchemaCompiler::check_strict_object(const Json& schema, const Place& place) const {
  const auto extra = schema.find("additionalProperties");
  if (extra == schema.end() || *extra != false)
    return wrong(place, "strict mode needs \"additionalProperties\": false of every object");
  if (!schema.contains("properties") || !schema["properties"].is_object()) return {};
  for (const auto& [name, property] : schema["properties"].items()) {
    const auto required = schema.find("required");
    const bool named = required != schema.end() && required->is_array() &&
                       std::find(required->begin(), required->end(), name) != required->end();
    if (!named) return wrong(place, fmt::format("strict mode needs \"{}\" in \"required\"", name));
  }
  return {};
}

Result<std::vector<SchemaCompiler::Member>> SchemaCompiler::members(const Json& schema, const Place& place) {
  std::vector<Member> members;
  const Json none = Json::object();
  const Json& properties = schema.contains("properties") ? schema["properties"] : none;
  if (!properties.is_object()) return wrong(place, "\"properties\" must be an object");
  const Json required = schema.contains("required") ? schema["required"] : Json::array();
  const bool draft3 = required.is_boolean();
  if (!draft3 && (!required.is_array() || !std::all_of(required.begin(), required.end(),
                                                       [](const Json& name) { return name.is_string(); })))
    return wrong(place, "\"required\" must be a list of names");
  const auto is_required = [&](const std::string& name) {
    return !draft3 && std::find(required.begin(), required.end(), name) != required.end();
  };
  for (const auto& [name, property] : properties.items()) {
    if (property == false && !is_required(name)) continue;
    auto body = value(property, place.at("properties").at(name));
    if (!body) return pass(body);
    members.push_back({name, values_.member(name, values_.shared(*body, "value")), is_required(name)});
  }
  for (const Json& name : draft3 ? Json::array() : required) {
    const std::string& text = name.get_ref<const std::string&>();
    const auto same = [&](const Member& m) { return m.name == text; };
    if (properties.contains(text) || std::any_of(members.begin(), members.end(), same)) continue;
    const bool described = schema.contains("additionalProperties");
    if (described && schema["additionalProperties"] == false)
      return wrong(place, fmt::format("\"{}\" is required, but not allowed", text));
    auto body = described ? value(schema["additionalProperties"], place.at("additionalProperties"))
                          : Result<ExpressionId>(values_.any());
    if (!body) return pass(body);
    members.push_back({text, values_.member(text, values_.shared(*body, "value")), true});
  }
  return members;
}

Result<SchemaCompiler::Extra> SchemaCompiler::extra(const Json& schema, std::span<const Member> members,
                                                    const Place& place) {
  const auto said = schema.find("additionalProperties");
  const auto patterns = schema.find("patternProperties");
  const auto names = schema.find("propertyNames");
  const bool has_patterns = patterns != schema.end() && patterns->is_object() && !patterns->empty();
  if (has_patterns && members.empty()) {
    const bool closed = said != schema.end() && *said == false;
    if (!closed) {
      auto held = not_held_to(place,
                              "properties beside \"patternProperties\" are not generated; what says so is");
      if (!held) return pass(held);
    }
    auto pairs = pattern_members(*patterns, place.at("patternProperties"));
    if (!pairs) return pass(pairs);
    return Extra{true, *pairs};
  }
  if (has_patterns) {
    auto held = not_held_to(place, "\"patternProperties\" beside \"properties\" is not supported");
    if (!held) return pass(held);
  }
  // Where nothing is said, an object that names its properties has no others.
  const bool open = said == schema.end() ? members.empty() && !schema.contains("properties") : *said != false;
  if (!open) return Extra{};
  auto body = said == schema.end() ? Result<ExpressionId>(values_.any())
                                   : value(*said, place.at("additionalProperties"));
  if (!body) return pass(body);
  ExpressionId key = values_.string();
  if (names != schema.end() && members.empty()) {
    Json text = *names;
    if (text.is_object()) text["type"] = "string";
    auto named = value(text, place.at("propertyNames"));
    if (!named) return pass(named);
    key = *named;
  } else if (names != schema.end()) {
    auto held = not_held_to(place, "\"propertyNames\" beside \"properties\" is not supported");
    if (!held) return pass(held);
  }
  if (!members.empty()) {
    constexpr size_t kNameMax = 500;
    std::vector<std::string> taken;
    for (const Member& member : members) taken.push_back(member.name);
    if (schema.contains("properties")) {  // those that are forbidden too
      for (const auto& item : schema["properties"].items()) taken.push_back(item.key());
    }
    for (const std::string& name : taken) {
      if (name.size() > kNameMax)
        return wrong(place, fmt::format("a property's name has {} bytes, at most {} where others are allowed",
                                        name.size(), kNameMax));
    }
    key = values_.shared(values_.string_but(taken), "other name");
  }
  return Extra{true, rules_->sequence({key, values_.colon(), values_.shared(*body, "value")})};
}

Result<ExpressionId> SchemaCompiler::pattern_members(const Json& patterns, const Place& place) {
  std::vector<ExpressionId> ways;
  for (const auto& [pattern, schema] : patterns.items()) {
    auto name = parse_regex(*rules_, pattern, RegexScope::kPart, Spelling::kJsonString);
    if (!name) return wrong(place, name.error().message);
    auto body = value(schema, place.at(pattern));
    if (!body) return body;
    ways.push_back(rules_->sequence(
        {rules_->bytes("\""), *name, rules_->bytes("\""), values_.colon(), values_.shared(*body, "value")}));
  }
  if (ways.size() > 1) {
    auto held = not_held_to(place,
                            "names that match more than one pattern are held to one of them; the rest is");
    if (!held) return pass(held);
  }
  return rules_->choice(std::move(ways));
}

// Which property comes first decides whether there is a comma before the next: what may follow a property is
// a rule of its own, so that each property is written down twice at most.
ExpressionId SchemaCompiler::object_text(std::span<const Member> members, const Extra& extra) {
  Rules& r = *rules_;
  const ExpressionId open = r.bytes("{"), close = r.bytes("}");
  const auto after_comma = [&](ExpressionId pair) { return r.sequence({values_.comma(), pair}); };
  const auto less = [](uint32_t a) { return a == kUnbounded ? a : a - std::min(a, 1u); };
  ExpressionId rest = r.empty();
  if (extra.allowed) rest = r.repeat(after_comma(extra.pair), less(extra.min), less(extra.max));
  std::vector<ExpressionId> firsts;  // ways to begin, the last property's first
  bool may_be_empty = extra.min == 0;
  if (extra.allowed && extra.max > 0) firsts.push_back(r.sequence({extra.pair, rest}));
  for (size_t i = members.size(); i > 0; --i) {
    const Member& member = members[i - 1];
    rest = values_.shared(rest, "rest");
    if (member.required) {
      firsts.clear();
      may_be_empty = false;
    }
    firsts.push_back(r.sequence({member.pair, rest}));
    const ExpressionId next = after_comma(member.pair);
    rest = r.sequence({member.required ? next : r.optional(next), rest});
  }
  const ExpressionId inside = r.choice(std::move(firsts));
  return r.sequence({open, may_be_empty ? r.optional(inside) : inside, close});
}

}  // namespace mneme::grammar
