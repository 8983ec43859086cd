#include "grammar/json_values.h"

#include <algorithm>
#include <utility>

#include "core/utf8.h"
#include "grammar/characters.h"
#include "grammar/numbers.h"

namespace mneme::grammar {

ExpressionId JsonValues::comma() { return spaced(","); }

ExpressionId JsonValues::colon() { return spaced(":"); }

ExpressionId JsonValues::spaced(const std::string& sign) {
  if (spaces_ == JsonSpaces::kAllowed) return rules_->words({sign, sign + " "});
  return rules_->bytes(spaces_ == JsonSpaces::kRequired ? sign + " " : sign);
}

ExpressionId JsonValues::string_character() {
  if (character_) return *character_;
  Rules& r = *rules_;
  const auto hex = [&](uint32_t count) {
    return r.repeat(r.characters({{'0', '9'}, {'A', 'F'}, {'a', 'f'}}), count, count);
  };
  const CodePoints d = {{'D', 'D'}, {'d', 'd'}};
  // Four hexadecimal digits that are no surrogate, or a pair of surrogates: half a pair is no character.
  const ExpressionId code = r.choice(
      {r.sequence({r.characters({{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}}), hex(3)}),
       r.sequence({r.characters(d), r.characters({{'0', '7'}}), hex(2)})});
  const ExpressionId pair = r.sequence({r.characters(d), r.characters({{'8', '9'}, {'A', 'B'}, {'a', 'b'}}),
                                        hex(2), r.bytes("\\u"), r.characters(d),
                                        r.characters({{'C', 'F'}, {'c', 'f'}}), hex(2)});
  const ExpressionId escape = r.choice({r.words({"\"", "\\", "/", "b", "f", "n", "r", "t"}),
                                        r.sequence({r.bytes("u"), r.choice({code, pair})})});
  const CodePoints plain = CodePoints{{0x20, 0x10FFFF}}.without({{'"', '"'}, {'\\', '\\'}});
  character_ = r.choice({r.characters(plain), r.sequence({r.bytes("\\"), escape})});
  return *character_;
}

ExpressionId JsonValues::quoted(ExpressionId inside) {
  return rules_->sequence({rules_->bytes("\""), inside, rules_->bytes("\"")});
}

ExpressionId JsonValues::cached(std::optional<RuleId>& rule, const char* name,
                                ExpressionId (JsonValues::*make)()) {
  if (!rule) {
    rule = rules_->add_rule(name);
    const RuleId id = *rule;
    rules_->define(id, (this->*make)());
  }
  return rules_->rule(*rule);
}

ExpressionId JsonValues::string() { return cached(string_, "string", &JsonValues::make_string); }
ExpressionId JsonValues::number() { return cached(number_, "number", &JsonValues::make_number); }
ExpressionId JsonValues::integer() { return cached(integer_, "integer", &JsonValues::make_integer); }
ExpressionId JsonValues::any() { return cached(any_, "any", &JsonValues::make_any); }
ExpressionId JsonValues::object() { return cached(object_, "object", &JsonValues::make_object); }
ExpressionId JsonValues::array() { return cached(array_, "array", &JsonValues::make_array); }

ExpressionId JsonValues::boolean() { return rules_->words({"false", "true"}); }

ExpressionId JsonValues::make_string() { return quoted(rules_->repeat(string_character(), 0, kUnbounded)); }

ExpressionId JsonValues::make_number() { return number_between(*rules_, {}); }

ExpressionId JsonValues::make_integer() { return integer_between(*rules_, {}); }

ExpressionId JsonValues::make_any() {
  return rules_->choice({string(), number(), boolean(), null(), object(), array()});
}

ExpressionId JsonValues::make_object() {
  Rules& r = *rules_;
  const ExpressionId one = r.sequence({string(), colon(), any()});
  const ExpressionId more = r.repeat(r.sequence({comma(), one}), 0, kUnbounded);
  return r.sequence({r.bytes("{"), r.optional(r.sequence({one, more})), r.bytes("}")});
}

ExpressionId JsonValues::make_array() {
  Rules& r = *rules_;
  const ExpressionId more = r.repeat(r.sequence({comma(), any()}), 0, kUnbounded);
  return r.sequence({r.bytes("["), r.optional(r.sequence({any(), more})), r.bytes("]")});
}

ExpressionId JsonValues::literal(const Json& value) {
  Rules& r = *rules_;
  if (!value.is_structured()) return r.bytes(value.dump());
  const bool object = value.is_object();
  std::vector<ExpressionId> parts = {r.bytes(object ? "{" : "[")};
  for (auto it = value.begin(); it != value.end(); ++it) {
    if (parts.size() > 1) parts.push_back(comma());
    parts.push_back(object ? member(it.key(), literal(*it)) : literal(*it));
  }
  parts.push_back(r.bytes(object ? "}" : "]"));
  return r.sequence(std::move(parts));
}

ExpressionId JsonValues::member(const std::string& name, ExpressionId value) {
  const std::string key = '"' + spelled(name, Spelling::kJsonString) + '"';
  return rules_->sequence({rules_->bytes(key), colon(), value});
}

ExpressionId JsonValues::string_but(std::span<const std::string> names) {
  std::vector<Word> words;
  for (const std::string& name : names) {
    Word word;
    for (std::string_view rest = name; !rest.empty();) {
      const core::Utf8Char next = core::decode_utf8(rest);
      word += next.code_point;
      rest.remove_prefix(next.length);
    }
    words.push_back(std::move(word));
  }
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return quoted(rest_but(words, 0));
}

// Anything that is not the rest, from `depth` on, of one of the words; they share what is before.
ExpressionId JsonValues::rest_but(std::span<const Word> words, size_t depth) {
  Rules& r = *rules_;
  if (!plain_characters_)
    plain_characters_ = r.repeat(spell_characters(r, CodePoints::all(), Spelling::kJsonString), 0,
                                 kUnbounded);
  if (words.empty()) return *plain_characters_;
  std::vector<ExpressionId> ways;
  if (words.front().size() > depth) {
    ways.push_back(r.empty());
  } else {
    words = words.subspan(1);
  }
  CodePoints others = CodePoints::all();
  while (!words.empty()) {
    const char32_t c = words.front()[depth];
    const auto end = std::find_if(words.begin(), words.end(), [&](const Word& w) { return w[depth] != c; });
    const auto same = words.first(static_cast<size_t>(end - words.begin()));
    const ExpressionId one = spell_characters(r, {{c, c}}, Spelling::kJsonString);
    ways.push_back(r.sequence({one, rest_but(same, depth + 1)}));
    others = others.without({{c, c}});
    words = words.subspan(same.size());
  }
  ways.push_back(r.sequence({spell_characters(r, others, Spelling::kJsonString), *plain_characters_}));
  return r.choice(std::move(ways));
}

ExpressionId JsonValues::shared(ExpressionId body, const char* name) {
  const Expression::Kind kind = (*rules_)[body].kind;
  if (kind == Expression::Kind::kRule || kind == Expression::Kind::kBytes) return body;
  const RuleId rule = rules_->add_rule(name);
  rules_->define(rule, body);
  return rules_->rule(rule);
}

}  // namespace mneme::grammar
