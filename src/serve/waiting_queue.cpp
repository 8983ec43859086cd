#include "serve/waiting_queue.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

namespace mneme::serve {

double Submission::deadline_s() const {
  return request.time_limit_s > 0 ? submitted_s + request.time_limit_s
                                  : std::numeric_limits<double>::infinity();
}

void WaitingQueue::push(Submission submission) {
  tokens_ += submission.request.prompt.size();
  submissions_.push_back(std::move(submission));
}

void WaitingQueue::push_front(Submission submission) {
  tokens_ += submission.request.prompt.size();
  submissions_.push_front(std::move(submission));
}

Submission WaitingQueue::remove(std::list<Submission>::iterator at) {
  Submission taken = std::move(*at);
  tokens_ -= taken.request.prompt.size();
  submissions_.erase(at);
  return taken;
}

std::optional<Submission> WaitingQueue::take(
    double now_s, const std::function<bool(const Submission&)>& may_start,
    const std::function<size_t(const std::string& owner)>& running_of) {
  constexpr double kBetterAfterS = 60;
  const auto rank = [&](const Submission& one) {
    const double age = std::floor((now_s - one.submitted_s) / kBetterAfterS);
    return std::max(0.0, static_cast<double>(one.request.from.priority) - age);
  };
  auto best = submissions_.end();
  std::tuple<double, size_t> best_key;
  for (auto at = submissions_.begin(); at != submissions_.end(); ++at) {
    if (!may_start(*at)) continue;
    const std::tuple<double, size_t> key(rank(*at), running_of(at->request.from.owner));
    if (best != submissions_.end() && !(key < best_key)) continue;
    best = at;
    best_key = key;
  }
  if (best == submissions_.end()) return std::nullopt;
  return remove(best);
}

std::optional<Submission> WaitingQueue::take_out(GenerationId id) {
  for (auto at = submissions_.begin(); at != submissions_.end(); ++at)
    if (at->id == id) return remove(at);
  return std::nullopt;
}

bool WaitingQueue::has(GenerationId id) const {
  return std::any_of(submissions_.begin(), submissions_.end(),
                     [&](const Submission& one) { return one.id == id; });
}

std::list<Submission> WaitingQueue::take_overdue(double now_s) {
  std::list<Submission> overdue;
  for (auto at = submissions_.begin(); at != submissions_.end();) {
    const auto next = std::next(at);
    if (at->deadline_s() <= now_s) overdue.push_back(remove(at));
    at = next;
  }
  return overdue;
}

void WaitingQueue::tell_waiting() const {
  for (const Submission& one : submissions_) one.listener->on_prefill(0, one.request.prompt.size());
}

std::list<Submission> WaitingQueue::take_all() {
  tokens_ = 0;
  return std::exchange(submissions_, {});
}

double WaitingQueue::next_deadline_s() const {
  double next = std::numeric_limits<double>::infinity();
  for (const Submission& one : submissions_) next = std::min(next, one.deadline_s());
  return next;
}

}  // namespace mneme::serve
