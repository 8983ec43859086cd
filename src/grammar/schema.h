// JSON schemas as expressions of a grammar: the values that a schema accepts, as JSON texts without needless
// blanks, their properties in the schema's order.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/json_values.h"
#include "grammar/numbers.h"
#include "grammar/sized_regex.h"
#include "mneme/grammar.h"

namespace mneme::grammar {

class SchemaCompiler {
 public:
  SchemaCompiler(Rules& rules, const SchemaOptions& options)
      : rules_(&rules), options_(options), values_(rules, options.spaces) {}

  // May be called once. Errors name the place as a JSON pointer.
  Result<ExpressionId> compile(std::string_view schema);
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  struct Place {
    std::string pointer;  // "#/properties/name"
    int depth = 0;
    Place at(std::string_view step) const { return {pointer + "/" + std::string(step), depth + 1}; }
  };
  struct Member {
    std::string name;
    ExpressionId pair = 0;  // "name": value
    bool required = false;
  };
  // What may stand beside the named properties of an object, and how many.
  struct Extra {
    bool allowed = false;
    ExpressionId pair = 0;
    uint32_t min = 0, max = kUnbounded;
  };

  Result<ExpressionId> value(const Json& schema, const Place& place);
  Result<ExpressionId> reference(const std::string& target, const Place& place);
  Result<ExpressionId> variants(const Json& schema, const char* keyword, const Place& place);
  Result<ExpressionId> listed(const Json& schema, const Place& place);
  Result<ExpressionId> of_types(const Json& schema, const Place& place);
  Result<ExpressionId> of_type(const std::string& type, const Json& schema, const Place& place);
  // Without $ref and allOf.
  Result<Json> flattened(const Json& schema, const Place& place);
  Result<const Json*> resolve(const std::string& target, const Place& place) const;
  Result<void> check_keywords(const Json& schema, const Place& place);
  // In strict mode an error, else a warning.
  Result<void> not_held_to(const Place& place, std::string_view what);
  tl::unexpected<Error> wrong(const Place& place, std::string_view what) const;

  // schema_values.cpp
  Result<ExpressionId> string(const Json& schema, const Place& place);
  Result<std::optional<ExpressionId>> pattern_text(const Json& schema, const Place& place,
                                                   LengthBounds length);
  Result<std::optional<ExpressionId>> parse_with_length(std::string_view pattern, RegexScope scope,
                                                        LengthBounds length, const Place& place);
  Result<ExpressionId> number(const Json& schema, const Place& place, bool whole);
  Result<std::optional<Decimal>> bound(const Json& schema, const char* keyword, const Place& place);
  Result<NumberBounds> bounds(const Json& schema, const Place& place);
  Result<std::optional<ExpressionId>> multiples(const NumberBounds& bounds, const Json& step,
                                                const Place& place);
  ExpressionId multiples_of(int64_t by);
  Result<std::optional<uint32_t>> count(const Json& schema, const char* keyword, const Place& place);
  Result<ExpressionId> array(const Json& schema, const Place& place);
  ExpressionId array_text(std::span<const ExpressionId> first, std::optional<ExpressionId> rest, uint32_t min,
                          uint32_t max);

  // schema_object.cpp
  Result<ExpressionId> object(const Json& schema, const Place& place);
  Result<std::vector<Member>> members(const Json& schema, const Place& place);
  Result<Extra> extra(const Json& schema, std::span<const Member> members, const Place& place);
  Result<ExpressionId> pattern_members(const Json& patterns, const Place& place);
  Result<void> check_strict_object(const Json& schema, const Place& place) const;
  ExpressionId object_text(std::span<const Member> members, const Extra& extra);

  Rules* rules_;
  SchemaOptions options_;
  JsonValues values_;
  Json root_;
  std::vector<std::string> warnings_;
  struct Reference {
    std::string pointer;
    const Json* schema = nullptr;  // in root_
    RuleId rule = 0;
  };
  std::map<std::string, RuleId> references_;  // by JSON pointer
  std::deque<Reference> pending_;             // referred to, not compiled yet
  std::map<std::string, RuleId> joined_;      // by the text of what $ref and allOf came to
};

}  // namespace mneme::grammar
