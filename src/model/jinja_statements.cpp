#include <algorithm>
#include <variant>

#include "model/jinja_builtins.h"
#include "model/jinja_evaluator.h"
#include "model/jinja_evaluator_guards.h"
#include "model/jinja_format.h"
#include "model/jinja_operators.h"

namespace mneme::model::jinja {

using core::fail;
using core::pass;

// Called while its evaluator renders; it never leaves the render.
class MacroObject : public JinjaObject {
 public:
  MacroObject(Evaluator& evaluator, const Function& function, std::shared_ptr<Scope> scope)
      : evaluator_(evaluator), function_(function), scope_(std::move(scope)) {}
  std::string_view type_name() const override { return "Macro"; }
  bool callable() const override { return true; }
  JinjaValue attribute(std::string_view name) const override {
    return name == "name" ? JinjaValue(function_.name) : JinjaValue();
  }
  Result<JinjaValue> call(Runtime&, const Arguments& arguments) override {
    return evaluator_.call_macro(function_, scope_, arguments);
  }

 private:
  Evaluator& evaluator_;
  const Function& function_;
  std::shared_ptr<Scope> scope_;
};

namespace {

// The variable `loop`. Its evaluator moves it on.
class LoopObject : public JinjaObject {
 public:
  struct State {
    std::vector<JinjaValue> items;
    size_t index = 0;
    int depth = 0;  // of the loops, from 0
    int value_depth = 0;
  };
  explicit LoopObject(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::string_view type_name() const override { return "LoopContext"; }
  int depth() const override { return state_->value_depth + 1; }
  JinjaValue attribute(std::string_view name) const override {
    const State& state = *state_;
    auto number = [](size_t value) { return JinjaValue(static_cast<int64_t>(value)); };
    if (name == "index0") return number(state.index);
    if (name == "index") return number(state.index + 1);
    if (name == "first") return JinjaValue(state.index == 0);
    if (name == "last") return JinjaValue(state.index + 1 == state.items.size());
    if (name == "length") return number(state.items.size());
    if (name == "revindex0") return number(state.items.size() - state.index - 1);
    if (name == "revindex") return number(state.items.size() - state.index);
    if (name == "previtem") return state.index > 0 ? state.items[state.index - 1] : JinjaValue();
    if (name == "nextitem")
      return state.index + 1 < state.items.size() ? state.items[state.index + 1] : JinjaValue();
    if (name == "depth0") return number(static_cast<size_t>(state.depth));
    if (name == "depth") return number(static_cast<size_t>(state.depth) + 1);
    if (name == "cycle") return JinjaValue(std::shared_ptr<JinjaObject>(std::make_shared<Cycle>(state_)));
    return {};
  }

 private:
  class Cycle : public JinjaObject {
   public:
    explicit Cycle(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::string_view type_name() const override { return "method"; }
    int depth() const override { return state_->value_depth + 2; }
    bool callable() const override { return true; }
    Result<JinjaValue> call(Runtime&, const Arguments& arguments) override {
      if (arguments.positional.empty()) return fail("loop.cycle needs at least one item");
      return arguments.positional[state_->index % arguments.positional.size()];
    }

   private:
    std::shared_ptr<State> state_;
  };
  std::shared_ptr<State> state_;
};

}  // namespace

Result<std::string> Evaluator::render(const Body& body) {
  std::string out;
  if (auto flow = run(body, out); !flow) return pass(flow);
  return out;
}

Result<Evaluator::Flow> Evaluator::run(const Body& body, std::string& out) {
  for (const Statement& statement : body) {
    auto flow = run(statement, out);
    if (!flow || *flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Result<Evaluator::Flow> Evaluator::run(const Statement& statement, std::string& out) {
  Nesting nesting(*this);
  Result<Flow> flow = nesting.check().and_then(
      [&] { return std::visit([&](const auto& node) { return run_node(node, out); }, statement.node); });
  if (!flow && error_line_ == 0) error_line_ = statement.line;
  return flow;
}

Result<void> Evaluator::check_output(const std::string& out) {
  size_t bytes_max = runtime_.limits().output_bytes_max;
  if (out.size() > bytes_max) return fail("the template prints more than {} bytes", bytes_max);
  return {};
}

Result<Evaluator::Flow> Evaluator::run_node(const Text& node, std::string& out) {
  out += node.text;
  return check_output(out).map([] { return Flow::normal; });
}

Result<Evaluator::Flow> Evaluator::run_node(const Output& node, std::string& out) {
  auto value = evaluate(*node.expression);
  if (!value) return pass(value);
  if (auto done = append_text(runtime_, out, *value); !done) return pass(done);
  return check_output(out).map([] { return Flow::normal; });
}

Result<Evaluator::Flow> Evaluator::run_node(const If& node, std::string& out) {
  for (const auto& [condition, body] : node.branches) {
    auto value = evaluate(*condition);
    if (!value) return pass(value);
    if (value->truthy()) return run(body, out);
  }
  return run(node.otherwise, out);
}

// All items first, and of these the ones the loop's own `if` lets through: `loop` counts only those.
Result<std::vector<JinjaValue>> Evaluator::loop_items(const For& node) {
  auto iterable = evaluate(*node.iterable);
  if (!iterable) return pass(iterable);
  auto items = items_of(runtime_, *iterable);
  if (!items || !node.condition) return items;
  std::vector<JinjaValue> chosen;
  for (const JinjaValue& item : *items) {
    ScopeGuard scope(*this);
    if (auto assigned = assign(node.target, item); !assigned) return pass(assigned);
    auto condition = evaluate(*node.condition);
    if (!condition) return pass(condition);
    if (condition->truthy()) chosen.push_back(item);
  }
  return chosen;
}

Result<Evaluator::Flow> Evaluator::run_node(const For& node, std::string& out) {
  auto items = loop_items(node);
  if (!items) return pass(items);
  auto completed = run_iterations(node, std::move(*items), out);
  if (!completed) return pass(completed);
  if (*completed) return Flow::normal;
  ScopeGuard scope(*this);
  return run(node.otherwise, out);
}

// Whether any iteration came to its end: if none did, not even for a continue, Jinja runs the loop's else.
Result<bool> Evaluator::run_iterations(const For& node, std::vector<JinjaValue> items, std::string& out) {
  auto state = std::make_shared<LoopObject::State>();
  state->items = std::move(items);
  state->depth = loop_depth_;
  for (const JinjaValue& item : state->items) state->value_depth = std::max(state->value_depth, item.depth());
  JinjaValue loop(std::shared_ptr<JinjaObject>(std::make_shared<LoopObject>(state)));
  ++loop_depth_;
  bool completed = false;
  Result<Flow> flow = Flow::normal;
  for (; flow && *flow != Flow::broken && state->index < state->items.size(); ++state->index) {
    ScopeGuard scope(*this);
    scope_->variables.set("loop", loop);
    if (auto assigned = assign(node.target, state->items[state->index]); !assigned) return pass(assigned);
    flow = runtime_.charge_steps(1).and_then([&] { return run(node.body, out); });
    completed |= flow && *flow == Flow::normal;
  }
  --loop_depth_;
  if (!flow) return pass(flow);
  return completed;
}

Result<void> Evaluator::assign(const Target& target, const JinjaValue& value) {
  if (!target.items.empty()) {
    auto items = items_of(runtime_, value);
    if (!items) return pass(items);
    if (items->size() != target.items.size()) {
      return fail("{} values cannot be assigned to {} names", items->size(), target.items.size());
    }
    for (size_t i = 0; i < items->size(); ++i) {
      if (auto assigned = assign(target.items[i], (*items)[i]); !assigned) return assigned;
    }
    return {};
  }
  if (target.attribute.empty()) {
    scope_->variables.set(target.name, value);
    return {};
  }
  JinjaValue object = lookup(target.name);
  if (!object.is_dict() || !object.as_dict()->is_namespace)
    return fail("'{}' is not a namespace", target.name);
  if (value.depth() >= kJinjaValueDepthMax)
    return fail("a namespace is nested deeper than {}", kJinjaValueDepthMax);
  object.as_dict()->set(target.attribute, value);
  return {};
}

Result<Evaluator::Flow> Evaluator::run_node(const Set& node, std::string&) {
  auto value = evaluate(*node.value);
  if (!value) return pass(value);
  return assign(node.target, *value).map([] { return Flow::normal; });
}

// What the body prints, through the filters, if any.
Result<JinjaValue> Evaluator::captured(const Body& body, const ExpressionPtr& filter) {
  std::string text;
  {
    ScopeGuard scope(*this);
    if (auto flow = run(body, text); !flow) return pass(flow);
  }
  auto value = runtime_.make_string(std::move(text));
  if (!value || !filter) return value;
  JinjaValue previous = std::exchange(filter_input_, *value);
  value = evaluate(*filter);
  filter_input_ = std::move(previous);
  return value;
}

Result<Evaluator::Flow> Evaluator::run_node(const SetBlock& node, std::string&) {
  auto value = captured(node.body, node.filter);
  if (!value) return pass(value);
  return assign(node.target, *value).map([] { return Flow::normal; });
}

Result<Evaluator::Flow> Evaluator::run_node(const FilterBlock& node, std::string& out) {
  auto value = captured(node.body, node.filter);
  if (!value) return pass(value);
  if (auto done = append_text(runtime_, out, *value); !done) return pass(done);
  return check_output(out).map([] { return Flow::normal; });
}

JinjaValue Evaluator::make_macro(const Function& function) {
  if (!scope_->kept) {
    scope_->kept = true;
    runtime_.keep_changed(scope_, [](void* scope) { static_cast<Scope*>(scope)->variables.clear(); });
  }
  return JinjaValue(std::shared_ptr<JinjaObject>(std::make_shared<MacroObject>(*this, function, scope_)));
}

Result<Evaluator::Flow> Evaluator::run_node(const Macro& node, std::string&) {
  scope_->variables.set(node.function.name, make_macro(node.function));
  return Flow::normal;
}

Result<Evaluator::Flow> Evaluator::run_node(const CallBlock& node, std::string& out) {
  JinjaValue caller = make_macro(node.caller);
  auto value = call(std::get<Call>(node.call->node), &caller);
  if (!value) return pass(value);
  if (auto done = append_text(runtime_, out, *value); !done) return pass(done);
  return check_output(out).map([] { return Flow::normal; });
}

Result<Evaluator::Flow> Evaluator::run_node(const With& node, std::string& out) {
  std::vector<JinjaValue> values;  // all of them in the outer scope
  for (const auto& [target, expression] : node.values) {
    auto value = evaluate(*expression);
    if (!value) return pass(value);
    values.push_back(std::move(*value));
  }
  ScopeGuard scope(*this);
  for (size_t i = 0; i < values.size(); ++i) {
    if (auto assigned = assign(node.values[i].first, values[i]); !assigned) return pass(assigned);
  }
  return run(node.body, out);
}

Result<Evaluator::Flow> Evaluator::run_node(const Do& node, std::string&) {
  return evaluate(*node.expression).map([](const JinjaValue&) { return Flow::normal; });
}

Result<Evaluator::Flow> Evaluator::run_node(const Break&, std::string&) { return Flow::broken; }
Result<Evaluator::Flow> Evaluator::run_node(const Continue&, std::string&) { return Flow::continued; }

Result<JinjaValue> Evaluator::call_macro(const Function& function, const std::shared_ptr<Scope>& scope,
                                         const Arguments& arguments) {
  Nesting nesting(*this);
  if (auto checked = nesting.check(); !checked) return pass(checked);
  ScopeGuard guard(*this, scope);
  if (auto bound = bind_parameters(function, arguments); !bound) return pass(bound);
  std::string out;
  int outer_loops = std::exchange(loop_depth_, 0);
  auto flow = run(function.body, out);
  loop_depth_ = outer_loops;
  if (!flow) return pass(flow);
  return runtime_.make_string(std::move(out));
}

// Positional, then named, then default, then undefined; defaults see the parameters before them.
Result<void> Evaluator::bind_parameters(const Function& function, const Arguments& arguments) {
  for (size_t i = 0; i < function.parameters.size(); ++i) {
    const auto& [name, default_value] = function.parameters[i];
    const JinjaValue* named = arguments.find_keyword_or_null(name);
    if (i < arguments.positional.size()) {
      if (named != nullptr) return fail("macro '{}' got '{}' twice", function.name, name);
      scope_->variables.set(name, arguments.positional[i]);
    } else if (named != nullptr) {
      scope_->variables.set(name, *named);
    } else {
      auto value = evaluate_or_undefined(default_value);
      if (!value) return pass(value);
      scope_->variables.set(name, std::move(*value));
    }
  }
  return bind_rest(function, arguments);
}

// What no parameter took: varargs, kwargs and caller, for a macro whose body names them.
Result<void> Evaluator::bind_rest(const Function& function, const Arguments& arguments) {
  std::vector<JinjaValue> more;
  size_t taken = std::min(function.parameters.size(), arguments.positional.size());
  more.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(taken), arguments.positional.end());
  if (!more.empty() && !function.takes_more_positional) {
    return fail("macro '{}' takes at most {} arguments", function.name, function.parameters.size());
  }
  if (function.takes_more_positional) {
    auto tuple = runtime_.make_tuple(std::move(more));
    if (!tuple) return pass(tuple);
    scope_->variables.set("varargs", std::move(*tuple));
  }
  JinjaDict rest;
  auto is_parameter = [&](const std::string& name) {
    return std::any_of(function.parameters.begin(), function.parameters.end(),
                       [&](const auto& parameter) { return parameter.first == name; });
  };
  for (const auto& [name, value] : arguments.keyword) {
    if (is_parameter(name)) continue;
    if (name == "caller" && function.takes_caller) {
      scope_->variables.set(name, value);
    } else if (function.takes_more_keyword) {
      rest.set(name, value);
    } else {
      return fail("macro '{}' has no argument named '{}'", function.name, name);
    }
  }
  if (!function.takes_more_keyword) return {};
  auto dict = runtime_.make_dict(std::move(rest));
  if (!dict) return pass(dict);
  scope_->variables.set("kwargs", std::move(*dict));
  return {};
}

}  // namespace mneme::model::jinja
