// A compiled grammar: states that read a byte, divide, call a rule or end one, as a pushdown machine. Nothing
// here is deterministic; grammar/automaton.h follows all ways at once.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/error.h"
#include "grammar/expressions.h"

namespace mneme::grammar {

using StateId = uint32_t;

struct Machine {
  enum class Kind : uint8_t {
    kBytes,    // edges[a .. b): goes on by the next byte
    kSplit,    // branches[a .. b): goes on at each of them, reading nothing
    kCall,     // rule a, then state b
    kTail,     // rule a, and with its end this rule ends too: no return to keep
    kCounted,  // counters[a]: a rule again and again
    kEnd,      // of the rule
  };
  struct State {
    Kind kind = Kind::kEnd;
    uint32_t a = 0, b = 0;
  };
  struct Edge {
    uint8_t first = 0, last = 0;
    StateId target = 0;
  };
  struct Counter {
    RuleId rule = 0;  // never matches the empty text
    uint32_t min = 0, max = 0;
    StateId next = 0;
  };
  static constexpr uint32_t kNever = UINT32_MAX;

  std::vector<State> states;
  std::vector<Edge> edges;
  std::vector<StateId> branches;
  std::vector<Counter> counters;
  std::vector<StateId> rule_starts;
  // [state]: how many more rules must be open at once to come from here to the end of this rule; kNever where
  // that end cannot be reached.
  std::vector<uint32_t> frames_needed;
  StateId start = 0;
  // Bytes that no edge tells apart are one class.
  std::array<uint8_t, 256> class_of{};
  std::vector<uint8_t> class_bytes;  // [class], one byte of each
};

// Checks and compiles. Errors: those of check_rules(), a grammar that is too large, one that matches nothing.
Result<Machine> compile(Rules rules, RuleId root);

}  // namespace mneme::grammar
