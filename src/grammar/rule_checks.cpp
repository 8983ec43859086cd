// What must hold before a grammar can be compiled: every rule has a body, and none begins with itself.
#include <algorithm>
#include <optional>
#include <utility>

#include "grammar/expressions.h"

namespace mneme::grammar {

using core::fail;
using Kind = Expression::Kind;

namespace {

bool is_nullable(const Rules& rules, const Nullability& known, ExpressionId id) {
  const Expression& e = rules[id];
  const auto child = [&](ExpressionId c) { return bool{known.expressions[c]}; };
  switch (e.kind) {
    case Kind::kChoice: return std::any_of(e.children.begin(), e.children.end(), child);
    case Kind::kSequence: return std::all_of(e.children.begin(), e.children.end(), child);
    case Kind::kBytes: return false;
    case Kind::kWords: return e.words.front().empty();
    case Kind::kCharacters: return false;
    case Kind::kRepeat: return e.min == 0 || child(e.children[0]);
    case Kind::kRule: return known.rules[e.rule];
  }
  return false;
}

// What a rule calls before it has read a byte.
class FirstCalls {
 public:
  FirstCalls(const Rules& rules, const Nullability& known)
      : rules_(&rules), known_(&known), seen_(rules.size(), Rule::kUndefined) {}
  std::vector<RuleId> of(RuleId rule) {
    std::vector<RuleId> found;
    collect(rule, rules_->rule_of(rule).body, found);
    return found;
  }

 private:
  void collect(RuleId rule, ExpressionId id, std::vector<RuleId>& found) {
    if (std::exchange(seen_[id], rule) == rule) return;
    const Expression& e = (*rules_)[id];
    if (e.kind == Kind::kRule) found.push_back(e.rule);
    for (const ExpressionId child : e.children) {
      collect(rule, child, found);
      if (e.kind == Kind::kSequence && !known_->expressions[child]) break;
    }
  }

  const Rules* rules_;
  const Nullability* known_;
  std::vector<RuleId> seen_;  // [expression], the rule that it was last seen in
};

// The parts of an alternative that begins with the rule itself, without that beginning.
std::optional<std::vector<ExpressionId>> after_itself(const Rules& rules, RuleId rule, ExpressionId id) {
  const Expression& e = rules[id];
  if (e.kind == Kind::kRule && e.rule == rule) return std::vector<ExpressionId>();
  if (e.kind != Kind::kSequence || e.children.empty()) return std::nullopt;
  const Expression& first = rules[e.children[0]];
  if (first.kind != Kind::kRule || first.rule != rule) return std::nullopt;
  return std::vector<ExpressionId>(e.children.begin() + 1, e.children.end());
}

// a ::= a x | y  becomes  a ::= y (x)*
void unroll_left_recursion(Rules& rules, RuleId rule) {
  const ExpressionId body = rules.rule_of(rule).body;
  const std::vector<ExpressionId> options = rules[body].kind == Kind::kChoice
                                                ? rules[body].children
                                                : std::vector<ExpressionId>{body};
  std::vector<ExpressionId> heads, tails;
  bool recursive = false;
  for (const ExpressionId option : options) {
    auto rest = after_itself(rules, rule, option);
    recursive = recursive || rest.has_value();
    if (!rest) heads.push_back(option);
    if (rest && !rest->empty()) tails.push_back(rules.sequence(std::move(*rest)));
  }
  if (!recursive) return;
  const ExpressionId tail = rules.repeat(rules.choice(std::move(tails)), 0, kUnbounded);
  rules.define(rule, rules.sequence({rules.choice(std::move(heads)), tail}));
}

// A rule on a circle of `first` calls, or none. Depth first, without recursion: chains of rules may be long.
std::optional<RuleId> find_circle(const std::vector<std::vector<RuleId>>& calls) {
  enum : uint8_t { kNew, kOpen, kDone };
  std::vector<uint8_t> mark(calls.size(), kNew);
  std::vector<std::pair<RuleId, size_t>> path;
  for (RuleId start = 0; start < calls.size(); ++start) {
    if (mark[start] != kNew) continue;
    path.push_back({start, 0});
    mark[start] = kOpen;
    while (!path.empty()) {
      auto& [rule, at] = path.back();
      if (at == calls[rule].size()) {
        mark[rule] = kDone;
        path.pop_back();
        continue;
      }
      const RuleId next = calls[rule][at++];
      if (mark[next] == kOpen) return next;
      if (mark[next] == kDone) continue;
      mark[next] = kOpen;
      path.push_back({next, 0});
    }
  }
  return std::nullopt;
}

}  // namespace

Nullability find_nullable(const Rules& rules) {
  Nullability known{std::vector<bool>(rules.size()), std::vector<bool>(rules.rules().size())};
  // Children, and the mentions of a rule, tell those that depend on them.
  std::vector<std::vector<ExpressionId>> parents(rules.size()), mentions(rules.rules().size());
  std::vector<std::vector<RuleId>> bodies(rules.size());
  std::vector<ExpressionId> open;
  for (ExpressionId id = 0; id < rules.size(); ++id) {
    for (const ExpressionId child : rules[id].children) parents[child].push_back(id);
    if (rules[id].kind == Kind::kRule) mentions[rules[id].rule].push_back(id);
    open.push_back(id);
  }
  for (RuleId rule = 0; rule < rules.rules().size(); ++rule) {
    if (rules.rule_of(rule).body != Rule::kUndefined) bodies[rules.rule_of(rule).body].push_back(rule);
  }
  while (!open.empty()) {
    const ExpressionId id = open.back();
    open.pop_back();
    if (known.expressions[id] || !is_nullable(rules, known, id)) continue;
    known.expressions[id] = true;
    open.insert(open.end(), parents[id].begin(), parents[id].end());
    for (const RuleId rule : bodies[id]) {
      known.rules[rule] = true;
      open.insert(open.end(), mentions[rule].begin(), mentions[rule].end());
    }
  }
  return known;
}

Result<void> check_rules(Rules& rules) {
  for (const Rule& rule : rules.rules()) {
    if (rule.body == Rule::kUndefined) return fail("{}rule '{}' is not defined", rule.place, rule.name);
  }
  for (RuleId rule = 0; rule < rules.rules().size(); ++rule) unroll_left_recursion(rules, rule);
  const Nullability known = find_nullable(rules);
  FirstCalls first(rules, known);
  std::vector<std::vector<RuleId>> calls;
  for (RuleId rule = 0; rule < rules.rules().size(); ++rule) calls.push_back(first.of(rule));
  if (const auto rule = find_circle(calls)) {
    const Rule& named = rules.rule_of(*rule);
    return fail("{}rule '{}' begins with itself (left recursion through other rules): write it with * or +",
                named.place, named.name);
  }
  return {};
}

}  // namespace mneme::grammar
