#include "grammar/machine.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <queue>
#include <span>
#include <utility>

#include "grammar/limits.h"

namespace mneme::grammar {

using core::fail;
using core::pass;
using Kind = Machine::Kind;

namespace {

// Builds from the end: what an expression leads to is there before the expression.
class MachineBuilder {
 public:
  MachineBuilder(Rules rules, RuleId root)
      : rules_(std::move(rules)), root_(root), known_(find_nullable(rules_)) {}

  Result<Machine> build();

 private:
  size_t size_of(ExpressionId id);
  bool is_counted(const Expression& e);
  StateId add(Kind kind, uint32_t a = 0, uint32_t b = 0);
  StateId add_split(std::span<const StateId> branches);
  StateId add_bytes(std::span<const Machine::Edge> edges);
  StateId build(ExpressionId id, StateId next);
  StateId build_call(RuleId rule, StateId next);
  StateId build_bytes(std::string_view bytes, StateId next);
  StateId build_words(std::span<const std::string> words, size_t depth, StateId next);
  StateId build_characters(const CodePoints& set, StateId next);
  StateId build_repeat(const Expression& e, StateId next);
  StateId build_copies(const Expression& e, StateId next);
  void add_rule_bodies();
  void find_classes();

  Rules rules_;
  RuleId root_;
  Nullability known_;
  std::vector<size_t> sizes_;                     // [expression], 0: not known yet
  std::map<ExpressionId, RuleId> counted_rules_;  // bodies of repetitions that became rules
  std::vector<ExpressionId> bodies_;              // [rule], those too
  Machine machine_;
};

constexpr size_t kHuge = std::numeric_limits<size_t>::max() / 4;

size_t times(size_t a, size_t b) { return a != 0 && b > kHuge / a ? kHuge : a * b; }

// Nearly the states it becomes; kHuge where that is beyond all limits.
size_t MachineBuilder::size_of(ExpressionId id) {
  if (sizes_[id] != 0) return sizes_[id];
  const Expression& e = rules_[id];
  size_t size = 1;
  for (const ExpressionId child : e.children) size = std::min(kHuge, size + size_of(child));
  if (e.kind == Expression::Kind::kBytes || e.kind == Expression::Kind::kWords) {
    for (const std::string& word : e.words) size += word.size();
  }
  if (e.kind == Expression::Kind::kCharacters)
    size += e.set.ranges().back().last < 0x80 ? 0 : 6 + e.set.ranges().size();
  if (e.kind == Expression::Kind::kRepeat) {
    const size_t body = size_of(e.children[0]);
    const uint32_t copies = e.max == kUnbounded ? e.min + 1 : e.max;
    size = is_counted(e) ? body + 1 : times(body + 1, copies);
    const bool slow = known_.expressions[e.children[0]] && copies > 1 && size > kNullableCopiesMax;
    if (slow) size = kHuge;
  }
  return sizes_[id] = size;
}

// What may be empty could be counted in many ways without reading anything, so it never is.
bool MachineBuilder::is_counted(const Expression& e) {
  const uint32_t copies = e.max == kUnbounded ? e.min : e.max;
  return copies > 1 && !known_.expressions[e.children[0]] &&
         times(size_of(e.children[0]), copies) > kCopiesMax;
}

StateId MachineBuilder::add(Kind kind, uint32_t a, uint32_t b) {
  machine_.states.push_back({kind, a, b});
  return static_cast<StateId>(machine_.states.size() - 1);
}

StateId MachineBuilder::add_split(std::span<const StateId> branches) {
  if (branches.size() == 1) return branches[0];
  const auto first = static_cast<uint32_t>(machine_.branches.size());
  machine_.branches.insert(machine_.branches.end(), branches.begin(), branches.end());
  return add(Kind::kSplit, first, static_cast<uint32_t>(machine_.branches.size()));
}

StateId MachineBuilder::add_bytes(std::span<const Machine::Edge> edges) {
  const auto first = static_cast<uint32_t>(machine_.edges.size());
  machine_.edges.insert(machine_.edges.end(), edges.begin(), edges.end());
  return add(Kind::kBytes, first, static_cast<uint32_t>(machine_.edges.size()));
}

StateId MachineBuilder::build(ExpressionId id, StateId next) {
  const Expression& e = rules_[id];
  switch (e.kind) {
    case Expression::Kind::kChoice: {
      std::vector<StateId> branches;
      for (const ExpressionId child : e.children) branches.push_back(build(child, next));
      return add_split(branches);
    }
    case Expression::Kind::kSequence:
      for (size_t i = e.children.size(); i > 0; --i) next = build(e.children[i - 1], next);
      return next;
    case Expression::Kind::kBytes: return build_bytes(e.words[0], next);
    case Expression::Kind::kWords: return build_words(e.words, 0, next);
    case Expression::Kind::kCharacters: return build_characters(e.set, next);
    case Expression::Kind::kRepeat: return build_repeat(e, next);
    case Expression::Kind::kRule: return build_call(e.rule, next);
  }
  return next;
}

StateId MachineBuilder::build_call(RuleId rule, StateId next) {
  if (machine_.states[next].kind == Kind::kEnd) return add(Kind::kTail, rule);
  return add(Kind::kCall, rule, next);
}

StateId MachineBuilder::build_bytes(std::string_view bytes, StateId next) {
  for (size_t i = bytes.size(); i > 0; --i) {
    const auto byte = static_cast<uint8_t>(bytes[i - 1]);
    next = add_bytes(std::array{Machine::Edge{byte, byte, next}});
  }
  return next;
}

// A tree by leading bytes, so that ten thousand words are one way and not ten thousand. All words share their
// first `depth` bytes.
StateId MachineBuilder::build_words(std::span<const std::string> words, size_t depth, StateId next) {
  if (words.size() == 1) return build_bytes(std::string_view(words[0]).substr(depth), next);
  const bool ends = words.front().size() == depth;
  if (ends) words = words.subspan(1);
  size_t shared = depth;  // what all go on with: read in a chain, so that long words do not nest
  while (!ends && shared < words.front().size() && shared < words.back().size() &&
         words.front()[shared] == words.back()[shared])
    ++shared;
  if (shared > depth && words.front().size() >= shared) {
    const StateId rest = build_words(words, shared, next);
    return build_bytes(std::string_view(words.front()).substr(depth, shared - depth), rest);
  }
  std::vector<Machine::Edge> edges;
  while (!words.empty()) {
    const char byte = words.front()[depth];
    const auto end = std::find_if(words.begin(), words.end(),
                                  [&](const auto& w) { return w[depth] != byte; });
    const auto count = static_cast<size_t>(end - words.begin());
    const StateId target = build_words(words.first(count), depth + 1, next);
    edges.push_back({static_cast<uint8_t>(byte), static_cast<uint8_t>(byte), target});
    words = words.subspan(count);
  }
  const StateId reads = add_bytes(edges);
  return ends ? add_split(std::array{next, reads}) : reads;
}

// States are shared by the ranges that are still to be read.
StateId MachineBuilder::build_characters(const CodePoints& set, StateId next) {
  std::map<ByteRanges, StateId> rests;
  std::vector<Machine::Edge> first;
  for (const ByteRanges& spelling : utf8_spellings(set)) {
    StateId target = next;
    for (size_t i = spelling.size(); i > 1; --i) {
      const ByteRanges rest(spelling.begin() + static_cast<std::ptrdiff_t>(i) - 1, spelling.end());
      const auto [place, added] = rests.try_emplace(rest, 0);
      if (added) place->second = add_bytes(std::array{Machine::Edge{rest[0].first, rest[0].last, target}});
      target = place->second;
    }
    first.push_back({spelling[0].first, spelling[0].last, target});
  }
  return add_bytes(first);
}

StateId MachineBuilder::build_repeat(const Expression& e, StateId next) {
  if (!is_counted(e)) return build_copies(e, next);
  const ExpressionId body = e.children[0];
  const auto [place, added] = counted_rules_.try_emplace(body, static_cast<RuleId>(bodies_.size()));
  if (added) bodies_.push_back(body);
  machine_.counters.push_back({place->second, e.min, e.max, next});
  return add(Kind::kCounted, static_cast<uint32_t>(machine_.counters.size() - 1));
}

// x{2,4} is x x (x (x)?)?, and x{2,} is x x (x)*.
StateId MachineBuilder::build_copies(const Expression& e, StateId next) {
  const ExpressionId body = e.children[0];
  const uint32_t min = known_.expressions[body] ? 0 : e.min;
  StateId at = next;
  if (e.max == kUnbounded) {
    const auto first = static_cast<uint32_t>(machine_.branches.size());
    machine_.branches.insert(machine_.branches.end(), {0, next});
    at = add(Kind::kSplit, first, first + 2);
    const StateId start = build(body, at);
    machine_.branches[first] = start;
  } else {
    for (uint32_t i = min; i < e.max; ++i) at = add_split(std::array{build(body, at), next});
  }
  for (uint32_t i = 0; i < min; ++i) at = build(body, at);
  return at;
}

// Counted repetitions add rules while this runs.
void MachineBuilder::add_rule_bodies() {
  for (RuleId rule = 0; rule < bodies_.size(); ++rule) {
    const StateId start = build(bodies_[rule], add(Kind::kEnd));
    machine_.rule_starts.push_back(start);
  }
}

void MachineBuilder::find_classes() {
  std::array<bool, 257> begins{};
  for (const Machine::Edge& edge : machine_.edges) begins[edge.first] = begins[edge.last + size_t{1}] = true;
  begins[0] = true;
  for (size_t byte = 0; byte < 256; ++byte) {
    if (begins[byte]) machine_.class_bytes.push_back(static_cast<uint8_t>(byte));
    machine_.class_of[byte] = static_cast<uint8_t>(machine_.class_bytes.size() - 1);
  }
}

// Knuth's generalisation of Dijkstra's algorithm: the smallest values first, each final when it is taken.
class FrameCount {
 public:
  explicit FrameCount(Machine& machine) : machine_(&machine), waiting_(machine.states.size()) {}

  void run() {
    const auto& states = machine_->states;
    machine_->frames_needed.assign(states.size(), Machine::kNever);
    std::vector<std::vector<RuleId>> rules_at(states.size());
    for (RuleId rule = 0; rule < machine_->rule_starts.size(); ++rule)
      rules_at[machine_->rule_starts[rule]].push_back(rule);
    calls_.resize(machine_->rule_starts.size());
    for (StateId id = 0; id < states.size(); ++id) wait(id);
    while (!queue_.empty()) {
      const auto [value, id] = queue_.top();
      queue_.pop();
      if (machine_->frames_needed[id] != Machine::kNever) continue;
      machine_->frames_needed[id] = value;
      for (const StateId other : waiting_[id]) offer(other);
      for (const RuleId rule : rules_at[id]) {
        for (const StateId other : calls_[rule]) offer(other);
      }
    }
  }

 private:
  using Entry = std::pair<uint32_t, StateId>;

  void wait(StateId id) {
    const Machine::State& state = machine_->states[id];
    switch (state.kind) {
      case Kind::kBytes:
        for (uint32_t i = state.a; i < state.b; ++i) waiting_[machine_->edges[i].target].push_back(id);
        break;
      case Kind::kSplit:
        for (uint32_t i = state.a; i < state.b; ++i) waiting_[machine_->branches[i]].push_back(id);
        break;
      case Kind::kCall:
        calls_[state.a].push_back(id);
        waiting_[state.b].push_back(id);
        break;
      case Kind::kTail: calls_[state.a].push_back(id); break;
      case Kind::kCounted:
        if (machine_->counters[state.a].min > 0) calls_[machine_->counters[state.a].rule].push_back(id);
        waiting_[machine_->counters[state.a].next].push_back(id);
        break;
      case Kind::kEnd: queue_.push({0, id}); break;
    }
  }
  // After one of those that it waits for is known.
  void offer(StateId id) {
    if (machine_->frames_needed[id] == Machine::kNever) {
      const uint32_t value = value_of(machine_->states[id]);
      if (value != Machine::kNever) queue_.push({value, id});
    }
  }
  uint32_t value_of(const Machine::State& state) const {
    const auto of = [&](StateId id) { return machine_->frames_needed[id]; };
    const auto of_rule = [&](RuleId rule) { return of(machine_->rule_starts[rule]); };
    const auto both = [](uint32_t inside, uint32_t after) {
      return inside == Machine::kNever || after == Machine::kNever ? Machine::kNever
                                                                   : std::max(inside + 1, after);
    };
    uint32_t least = Machine::kNever;
    switch (state.kind) {
      case Kind::kBytes:
        for (uint32_t i = state.a; i < state.b; ++i) least = std::min(least, of(machine_->edges[i].target));
        return least;
      case Kind::kSplit:
        for (uint32_t i = state.a; i < state.b; ++i) least = std::min(least, of(machine_->branches[i]));
        return least;
      case Kind::kCall: return both(of_rule(state.a), of(state.b));
      case Kind::kTail: return of_rule(state.a);
      case Kind::kCounted: {
        const Machine::Counter& counter = machine_->counters[state.a];
        return counter.min == 0 ? of(counter.next) : both(of_rule(counter.rule), of(counter.next));
      }
      case Kind::kEnd: return 0;
    }
    return least;
  }

  Machine* machine_;
  std::vector<std::vector<StateId>> waiting_;  // [state]: whose value depends on it
  std::vector<std::vector<StateId>> calls_;    // [rule]
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_;
};

Result<Machine> MachineBuilder::build() {
  sizes_.assign(rules_.size(), 0);
  size_t size = 0;
  for (const Rule& rule : rules_.rules()) {
    size = std::min(kHuge, size + size_of(rule.body));
    bodies_.push_back(rule.body);
  }
  if (size > kStatesMax) {
    const std::string how_many = size == kHuge ? "too many" : fmt::format("about {}", size);
    return fail("the grammar is too large: {} states, at most {}; shorten what is repeated", how_many,
                kStatesMax);
  }
  add_rule_bodies();
  machine_.start = machine_.rule_starts[root_];
  find_classes();
  FrameCount(machine_).run();
  const uint32_t needed = machine_.frames_needed[machine_.start];
  if (needed == Machine::kNever) return fail("the grammar matches nothing: no text comes to its end");
  if (needed > kDepthMax)
    return fail("the grammar matches nothing within {} open rules: it needs {}", kDepthMax, needed);
  return std::move(machine_);
}

}  // namespace

Result<Machine> compile(Rules rules, RuleId root) {
  if (rules.too_large()) return fail("the grammar is too large: more than {} expressions", kExpressionsMax);
  auto checked = check_rules(rules);
  if (!checked) return pass(checked);
  return MachineBuilder(std::move(rules), root).build();
}

}  // namespace mneme::grammar
