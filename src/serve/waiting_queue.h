#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "serve/backend.h"

namespace mneme::serve {

struct Submission {
  GenerationId id = 0;
  GenerationRequest request;
  std::shared_ptr<GenerationListener> listener;
  double submitted_s = 0;

  double deadline_s() const;  // infinity: none
};

// Generations that have not begun. Better priorities come first (a minute of waiting makes one better by
// one); then owners that have fewest running, so that one who asks for a hundred things at once delays others
// by one; then whoever came first.
class WaitingQueue {
 public:
  void push(Submission submission);
  void push_front(Submission submission);  // again: it could not begin after all
  // Takes out the next of those that may start.
  std::optional<Submission> take(double now_s, const std::function<bool(const Submission&)>& may_start,
                                 const std::function<size_t(const std::string& owner)>& running_of);
  std::optional<Submission> take_out(GenerationId id);
  std::list<Submission> take_overdue(double now_s);
  std::list<Submission> take_all();

  void tell_waiting() const;  // each that it waits
  bool has(GenerationId id) const;
  size_t size() const { return submissions_.size(); }
  size_t tokens() const { return tokens_; }  // of all prompts
  double next_deadline_s() const;

 private:
  Submission remove(std::list<Submission>::iterator at);

  std::list<Submission> submissions_;  // as they came
  size_t tokens_ = 0;
};

}  // namespace mneme::serve
