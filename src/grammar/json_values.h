// The values of JSON as expressions, each of them one rule, made when it is first asked for.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "grammar/expressions.h"
#include "mneme/grammar.h"

namespace mneme::grammar {

using Json = nlohmann::ordered_json;

class JsonValues {
 public:
  JsonValues(Rules& rules, JsonSpaces spaces) : rules_(&rules), spaces_(spaces) {}

  ExpressionId comma();
  ExpressionId colon();
  ExpressionId string_character();  // of any string, escaped or not; a surrogate pair is one
  ExpressionId string();            // any
  ExpressionId number();
  ExpressionId integer();
  ExpressionId boolean();
  ExpressionId null() { return rules_->bytes("null"); }
  ExpressionId object();  // any
  ExpressionId array();   // any
  ExpressionId any();
  ExpressionId literal(const Json& value);
  // A string that is none of these, spelt without needless escapes.
  ExpressionId string_but(std::span<const std::string> names);
  ExpressionId member(const std::string& name, ExpressionId value);  // "name": value
  // `body` as a rule, unless it is small: for what is mentioned more than once.
  ExpressionId shared(ExpressionId body, const char* name);

 private:
  using Word = std::u32string;
  ExpressionId quoted(ExpressionId inside);
  ExpressionId rest_but(std::span<const Word> words, size_t depth);
  ExpressionId cached(std::optional<RuleId>& rule, const char* name, ExpressionId (JsonValues::*make)());
  ExpressionId make_string();
  ExpressionId make_number();
  ExpressionId make_integer();
  ExpressionId make_any();
  ExpressionId make_object();
  ExpressionId make_array();

  ExpressionId spaced(const std::string& sign);

  Rules* rules_;
  JsonSpaces spaces_;
  std::optional<ExpressionId> character_, plain_characters_;
  std::optional<RuleId> string_, number_, integer_, any_, object_, array_;
};

}  // namespace mneme::grammar
