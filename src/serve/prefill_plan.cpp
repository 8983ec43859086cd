#include "serve/prefill_plan.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace mneme::serve {

namespace {

constexpr double kShortestShare = 0.75;
constexpr size_t kRowsMin = 16;  // of whom comes first: a pass that reads all weights for less is a waste

// What is left to hand out.
struct Left {
  double seconds;
  size_t rows;
};

void hand_out(std::span<const size_t> order, std::span<const PromptInWork> prompts, const StepCost& cost,
              Left& left, std::vector<size_t>& rows) {
  bool first = true;
  for (const size_t i : order) {
    const size_t wanted = std::min(prompts[i].remaining - rows[i], left.rows);
    if (wanted == 0) continue;
    const double each = cost.row_seconds(static_cast<double>(prompts[i].depth + rows[i]));
    const double fitting = each > 0 ? std::max(0.0, left.seconds) / each : static_cast<double>(wanted);
    size_t count = fitting < static_cast<double>(wanted) ? static_cast<size_t>(fitting) : wanted;
    if (first) count = std::max(count, std::min(wanted, kRowsMin));
    first = false;
    rows[i] += count;
    left.rows -= count;
    left.seconds -= each * static_cast<double>(count);
    if (count < wanted) return;
  }
}

}  // namespace

std::vector<size_t> plan_prefill(std::span<const PromptInWork> prompts, const StepCost& cost,
                                 const PrefillBudget& budget) {
  std::vector<size_t> rows(prompts.size(), 0), order(prompts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto sort_by = [&](auto key) {
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return key(prompts[a]) < key(prompts[b]); });
  };
  const bool several = prompts.size() > 1;
  const double share = several ? kShortestShare : 1.0;
  const size_t rows_kept = several ? std::min(budget.rows_max / 4, budget.rows_max) : 0;
  sort_by([](const PromptInWork& p) { return std::tuple(p.priority, p.remaining); });
  Left left{budget.seconds * share, budget.rows_max - rows_kept};
  hand_out(order, prompts, cost, left, rows);
  if (!several) return rows;

  sort_by([](const PromptInWork& p) { return p.served; });
  left.seconds = std::max(0.0, left.seconds) + budget.seconds * (1 - share);
  left.rows += rows_kept;
  hand_out(order, prompts, cost, left, rows);
  return rows;
}

}  // namespace mneme::serve
