// Used by the two files of Evaluator alone.
#pragma once

#include <memory>
#include <utility>

#include "model/jinja_evaluator.h"

namespace mneme::model::jinja {

// Counts one node under evaluation: a step, and a level of the machine's stack.
class Evaluator::Nesting {
 public:
  explicit Nesting(Evaluator& evaluator) : evaluator_(evaluator) { ++evaluator_.depth_; }
  ~Nesting() { --evaluator_.depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  Result<void> check() const {
    int depth_max = evaluator_.runtime_.limits().depth_max;
    if (evaluator_.depth_ > depth_max) return core::fail("the template is nested deeper than {}", depth_max);
    return evaluator_.runtime_.charge_steps(1);
  }

 private:
  Evaluator& evaluator_;
};

// A new innermost scope until the end of the block.
class Evaluator::ScopeGuard {
 public:
  ScopeGuard(Evaluator& evaluator, std::shared_ptr<Scope> outer) : evaluator_(evaluator) {
    auto scope = std::make_shared<Scope>();
    scope->outer = std::move(outer);
    previous_ = std::exchange(evaluator_.scope_, std::move(scope));
  }
  explicit ScopeGuard(Evaluator& evaluator) : ScopeGuard(evaluator, evaluator.scope_) {}
  ~ScopeGuard() { evaluator_.scope_ = std::move(previous_); }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

 private:
  Evaluator& evaluator_;
  std::shared_ptr<Scope> previous_;
};

}  // namespace mneme::model::jinja
