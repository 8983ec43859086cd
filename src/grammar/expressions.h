// What a grammar says before it is compiled: expressions over bytes, and rules that name them, in one arena.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "grammar/code_points.h"

namespace mneme::grammar {

using ExpressionId = uint32_t;
using RuleId = uint32_t;
inline constexpr uint32_t kUnbounded = UINT32_MAX;

struct Expression {
  enum class Kind : uint8_t {
    kChoice,      // one of `children`; of none: nothing at all
    kSequence,    // `children` in order; of none: the empty text
    kBytes,       // `words[0]`
    kWords,       // one of `words`, sorted, at least one
    kCharacters,  // one character of `set`
    kRepeat,      // children[0], `min` to `max` times
    kRule,        // `rule`
  };
  Kind kind = Kind::kChoice;
  uint32_t min = 0, max = 0;
  RuleId rule = 0;
  std::vector<ExpressionId> children = {};
  std::vector<std::string> words = {};
  CodePoints set = {};
};

struct Rule {
  static constexpr ExpressionId kUndefined = UINT32_MAX;
  std::string name;
  std::string place;  // "line 3, column 1: ", where a person wrote it
  ExpressionId body = kUndefined;
};

// Expressions may be used more than once; each use is compiled on its own.
class Rules {
 public:
  ExpressionId nothing() { return choice({}); }
  ExpressionId empty() { return sequence({}); }
  ExpressionId bytes(std::string_view text);
  ExpressionId words(std::vector<std::string> words);
  ExpressionId characters(CodePoints set);
  ExpressionId sequence(std::vector<ExpressionId> parts);
  ExpressionId choice(std::vector<ExpressionId> options);
  ExpressionId repeat(ExpressionId body, uint32_t min, uint32_t max);
  ExpressionId optional(ExpressionId body) { return repeat(body, 0, 1); }
  ExpressionId rule(RuleId id);

  RuleId add_rule(std::string name, std::string place = {});
  void define(RuleId id, ExpressionId body) { rules_[id].body = body; }

  const Expression& operator[](ExpressionId id) const { return expressions_[id]; }
  const std::vector<Rule>& rules() const { return rules_; }
  const Rule& rule_of(RuleId id) const { return rules_[id]; }
  size_t size() const { return expressions_.size(); }
  // More was built than kExpressionsMax: what builds large things asks now and then.
  bool too_large() const;

 private:
  ExpressionId add(Expression expression);

  std::vector<Expression> expressions_;
  std::vector<Rule> rules_;
};

// Which rules and expressions match the empty text.
struct Nullability {
  std::vector<bool> expressions, rules;
};
Nullability find_nullable(const Rules& rules);

// Rewrites rules of the form  a ::= a x | y  as  a ::= y (x)*. An error for any other way in which a rule
// begins with itself, naming the rule. Rules without a body are an error too.
Result<void> check_rules(Rules& rules);

}  // namespace mneme::grammar
