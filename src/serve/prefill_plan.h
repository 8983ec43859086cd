// Which prompts get how many rows of the next pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "serve/backend.h"
#include "serve/step_cost.h"

namespace mneme::serve {

struct PromptInWork {
  size_t depth = 0;      // tokens evaluated
  size_t remaining = 0;  // at least one
  Priority priority = Priority::kNormal;
  uint64_t served = 0;  // the number of the pass that last had rows of it
};

struct PrefillBudget {
  double seconds = 0;  // that all rows together may add to the pass
  size_t rows_max = 0;
};

// [prompts]: rows of each. Three quarters of the time go to the shortest remaining prompt of the best
// priority (then the next shortest), so that a question beside a book is answered as if the book were not
// there, give or take a third; the mean time to a first token is least that way. The last quarter, and what
// is left over, goes to whom a pass served longest ago, so that with n prompts each gets at least a 4n-th of
// the time however many short ones keep coming. (Ageing instead would in the end put the book in front of
// all.) Somebody always gets a few rows, even with no time at all.
std::vector<size_t> plan_prefill(std::span<const PromptInWork> prompts, const StepCost& cost,
                                 const PrefillBudget& budget);

}  // namespace mneme::serve
