#include "grammar/expressions.h"

#include <algorithm>
#include <utility>

#include "grammar/limits.h"

namespace mneme::grammar {

using Kind = Expression::Kind;

bool Rules::too_large() const { return expressions_.size() > kExpressionsMax; }

ExpressionId Rules::add(Expression expression) {
  expressions_.push_back(std::move(expression));
  return static_cast<ExpressionId>(expressions_.size() - 1);
}

ExpressionId Rules::bytes(std::string_view text) {
  if (text.empty()) return empty();
  return add({.kind = Kind::kBytes, .words = {std::string(text)}});
}

ExpressionId Rules::words(std::vector<std::string> words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  if (words.empty()) return nothing();
  if (words.size() == 1) return bytes(words[0]);
  return add({.kind = Kind::kWords, .words = std::move(words)});
}

ExpressionId Rules::characters(CodePoints set) {
  if (set.empty()) return nothing();
  return add({.kind = Kind::kCharacters, .set = std::move(set)});
}

ExpressionId Rules::sequence(std::vector<ExpressionId> parts) {
  if (parts.size() == 1) return parts[0];
  return add({.kind = Kind::kSequence, .children = std::move(parts)});
}

ExpressionId Rules::choice(std::vector<ExpressionId> options) {
  if (options.size() == 1) return options[0];
  return add({.kind = Kind::kChoice, .children = std::move(options)});
}

ExpressionId Rules::repeat(ExpressionId body, uint32_t min, uint32_t max) {
  if (max == 0) return empty();
  if (min == 1 && max == 1) return body;
  return add({.kind = Kind::kRepeat, .min = min, .max = max, .children = {body}});
}

ExpressionId Rules::rule(RuleId id) { return add({.kind = Kind::kRule, .rule = id}); }

RuleId Rules::add_rule(std::string name, std::string place) {
  rules_.push_back({std::move(name), std::move(place)});
  return static_cast<RuleId>(rules_.size() - 1);
}

}  // namespace mneme::grammar
