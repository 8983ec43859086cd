#include "grammar/sized_regex.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace mneme::grammar {

using core::pass;
using Kind = Expression::Kind;

namespace {

constexpr size_t kStatesOfPatternMax = 2000;
constexpr size_t kPairsMax = 30'000, kStepsMax = 100'000;

// The expression as an automaton over characters. Built from the end, as the machine is.
class CharacterStates {
 public:
  struct State {
    std::optional<CodePoints> reads;  // then goes on at next[0]; otherwise at all of `next`
    std::vector<uint32_t> next;
  };

  explicit CharacterStates(const Rules& rules) : rules_(&rules) { states_.push_back({}); }

  // Nothing: too many states.
  std::optional<uint32_t> build(ExpressionId id, uint32_t next) {
    if (states_.size() > kStatesOfPatternMax) return std::nullopt;
    const Expression& e = (*rules_)[id];
    std::optional<uint32_t> at = next;
    switch (e.kind) {
      case Kind::kCharacters: return add({e.set, {next}});
      case Kind::kSequence:
        for (size_t i = e.children.size(); at && i > 0; --i) at = build(e.children[i - 1], *at);
        return at;
      case Kind::kChoice: {
        std::vector<uint32_t> ways;
        for (const ExpressionId child : e.children) {
          const auto way = build(child, next);
          if (!way) return way;
          ways.push_back(*way);
        }
        return add({std::nullopt, std::move(ways)});
      }
      case Kind::kRepeat: return build_repeat(e, next);
      default: return std::nullopt;  // regular expressions have no others
    }
  }
  // The states that read, and the end (state 0), which are reached without reading.
  std::set<uint32_t> reached(uint32_t from) const {
    std::set<uint32_t> seen, found;
    std::vector<uint32_t> open = {from};
    while (!open.empty()) {
      const uint32_t state = open.back();
      open.pop_back();
      if (!seen.insert(state).second) continue;
      if (state == 0 || states_[state].reads) {
        found.insert(state);
      } else {
        open.insert(open.end(), states_[state].next.begin(), states_[state].next.end());
      }
    }
    return found;
  }
  const State& operator[](uint32_t id) const { return states_[id]; }

 private:
  uint32_t add(State state) {
    states_.push_back(std::move(state));
    return static_cast<uint32_t>(states_.size() - 1);
  }
  std::optional<uint32_t> build_repeat(const Expression& e, uint32_t next) {
    const uint32_t copies = e.max == kUnbounded ? e.min : e.max;
    if (copies > kStatesOfPatternMax) return std::nullopt;
    std::optional<uint32_t> at = next;
    if (e.max == kUnbounded) {
      const uint32_t loop = add({std::nullopt, {next}});
      const auto body = build(e.children[0], loop);
      if (!body) return body;
      states_[loop].next.push_back(*body);
      at = loop;
    }
    const uint32_t optional = e.max == kUnbounded ? 0 : e.max - e.min;
    for (uint32_t i = 0; at && i < optional; ++i) {
      const auto body = build(e.children[0], *at);
      at = body ? std::optional(add({std::nullopt, {next, *body}})) : std::nullopt;
    }
    for (uint32_t i = 0; at && i < e.min; ++i) at = build(e.children[0], *at);
    return at;
  }

  const Rules* rules_;
  std::vector<State> states_;  // [0]: the end
};

}  // namespace

// A rule for each pair of a state and the characters read before it.
Result<std::optional<ExpressionId>> parse_sized_regex(Rules& rules, std::string_view pattern,
                                                      RegexScope scope, Spelling spelling,
                                                      LengthBounds bounds) {
  Rules plain;
  auto parsed = parse_regex(plain, pattern, scope, Spelling::kPlain);
  if (!parsed) return pass(parsed);
  CharacterStates states(plain);
  const auto start = states.build(*parsed, 0);
  if (!start) return std::nullopt;
  using Pair = std::pair<uint32_t, uint32_t>;
  std::map<Pair, RuleId> known;
  std::vector<Pair> open;
  const auto rule_of = [&](uint32_t state, uint32_t count) {
    // Without a maximum, what is beyond the minimum is all the same.
    if (bounds.max == kUnbounded) count = std::min(count, bounds.min);
    const auto [place, added] = known.try_emplace({state, count}, 0);
    if (added) {
      place->second = rules.add_rule("sized");
      open.push_back({state, count});
    }
    return rules.rule(place->second);
  };
  const ExpressionId whole = rule_of(*start, 0);
  std::map<uint32_t, RuleId> spelt;  // of states
  size_t steps = 0;
  while (!open.empty()) {
    const auto [from, count] = open.back();
    open.pop_back();
    if (known.size() > kPairsMax || steps > kStepsMax) {
      rules.define(known[{from, count}], rules.nothing());
      continue;
    }
    std::vector<ExpressionId> ways;
    for (const uint32_t state : states.reached(from)) {
      if (state == 0 && count >= bounds.min) ways.push_back(rules.empty());
      if (state == 0 || count >= bounds.max) continue;
      const auto [character, added] = spelt.try_emplace(state, 0);
      if (added) {
        character->second = rules.add_rule("character");
        rules.define(character->second, spell_characters(rules, *states[state].reads, spelling));
      }
      ways.push_back(
          rules.sequence({rules.rule(character->second), rule_of(states[state].next[0], count + 1)}));
      ++steps;
    }
    rules.define(known[{from, count}], rules.choice(std::move(ways)));
  }
  if (known.size() > kPairsMax || steps > kStepsMax) return std::nullopt;
  return whole;
}

}  // namespace mneme::grammar
