#include "model/jinja_evaluator.h"

#include <variant>

#include "model/jinja_builtins.h"
#include "model/jinja_evaluator_guards.h"
#include "model/jinja_format.h"
#include "model/jinja_methods.h"
#include "model/jinja_operators.h"

namespace mneme::model::jinja {
namespace {

using core::fail;
using core::pass;

// What a message calls a value that turned out undefined.
std::string describe(const Expression& expression) {
  if (const auto* name = std::get_if<Name>(&expression.node)) return fmt::format("'{}'", name->name);
  if (const auto* attribute = std::get_if<Attribute>(&expression.node))
    return fmt::format("'{}'", attribute->name);
  return "the value";
}

}  // namespace

Result<JinjaValue> Evaluator::evaluate(const Expression& expression) {
  Nesting nesting(*this);
  Result<JinjaValue> value = nesting.check().and_then(
      [&] { return std::visit([&](const auto& node) { return value_of(node); }, expression.node); });
  if (!value && error_line_ == 0) error_line_ = expression.line;
  return value;
}

Result<JinjaValue> Evaluator::evaluate_or_undefined(const ExpressionPtr& expression) {
  return expression ? evaluate(*expression) : JinjaValue();
}

JinjaValue Evaluator::lookup(std::string_view name) const {
  for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->outer.get()) {
    if (const JinjaValue* found = scope->variables.find_or_null(name)) return *found;
  }
  if (const JinjaValue* found = context_.find_or_null(name)) return *found;
  return find_global(name);
}

Result<JinjaValue> Evaluator::value_of(const ListLiteral& node) {
  std::vector<JinjaValue> items;
  for (const ExpressionPtr& item : node.items) {
    auto value = evaluate(*item);
    if (!value) return value;
    items.push_back(std::move(*value));
  }
  return runtime_.make_list(std::move(items), node.tuple);
}

Result<JinjaValue> Evaluator::value_of(const DictLiteral& node) {
  JinjaDict dict;
  for (const auto& [key_node, value_node] : node.entries) {
    auto key = evaluate(*key_node);
    if (!key) return key;
    if (!JinjaDict::hashable(*key)) return fail("a '{}' cannot be the key of a dict", key->type_name());
    auto value = evaluate(*value_node);
    if (!value) return value;
    dict.set(*key, std::move(*value));
  }
  return runtime_.make_dict(std::move(dict));
}

Result<JinjaValue> Evaluator::value_of(const Concat& node) {
  std::string out;
  for (const ExpressionPtr& piece : node.pieces) {
    auto value = evaluate(*piece);
    if (!value) return value;
    size_t before = out.size();
    if (auto done = append_text(runtime_, out, *value); !done) return pass(done);
    if (auto charged = runtime_.charge_bytes(out.size() - before); !charged) return pass(charged);
  }
  return JinjaValue(std::move(out));
}

Result<JinjaValue> Evaluator::value_of(const Unary& node) {
  auto operand = evaluate(*node.operand);
  if (!operand) return operand;
  if (node.op == Operator::logical_not) return JinjaValue(!operand->truthy());
  return apply_sign(node.op == Operator::negate, *operand);
}

Result<JinjaValue> Evaluator::value_of(const Binary& node) {
  auto left = evaluate(*node.left);
  if (!left) return left;
  if (node.op == Operator::logical_and && !left->truthy()) return left;
  if (node.op == Operator::logical_or && left->truthy()) return left;
  auto right = evaluate(*node.right);
  if (!right || node.op == Operator::logical_and || node.op == Operator::logical_or) return right;
  if (left->is_undefined()) return fail("{} is undefined", describe(*node.left));
  if (right->is_undefined()) return fail("{} is undefined", describe(*node.right));
  return apply_arithmetic(runtime_, node.op, *left, *right);
}

Result<JinjaValue> Evaluator::value_of(const Comparison& node) {
  auto left = evaluate(*node.first);
  for (const auto& [op, right_node] : node.rest) {
    if (!left) return left;
    auto right = evaluate(*right_node);
    if (!right) return right;
    auto holds = compare(runtime_, op, *left, *right);
    if (!holds) return pass(holds);
    if (!*holds) return JinjaValue(false);
    left = std::move(right);
  }
  return JinjaValue(true);
}

Result<JinjaValue> Evaluator::value_of(const Conditional& node) {
  auto condition = evaluate(*node.condition);
  if (!condition) return condition;
  return condition->truthy() ? evaluate(*node.value) : evaluate_or_undefined(node.otherwise);
}

Result<JinjaValue> Evaluator::value_of(const Attribute& node) {
  auto object = evaluate(*node.object);
  if (!object) return object;
  if (object->is_undefined())
    return fail("{} is undefined; it has no '{}'", describe(*node.object), node.name);
  return attribute_of(*object, node.name);
}

Result<JinjaValue> Evaluator::value_of(const Item& node) {
  auto object = evaluate(*node.object);
  if (!object) return object;
  auto index = evaluate(*node.index);
  if (!index) return index;
  if (object->is_undefined()) return fail("{} is undefined", describe(*node.object));
  return item_of(runtime_, *object, *index);
}

Result<JinjaValue> Evaluator::value_of(const Slice& node) {
  auto object = evaluate(*node.object);
  if (!object) return object;
  if (object->is_undefined()) return fail("{} is undefined", describe(*node.object));
  auto start = evaluate_or_undefined(node.start);
  if (!start) return start;
  auto stop = evaluate_or_undefined(node.stop);
  if (!stop) return stop;
  auto step = evaluate_or_undefined(node.step);
  if (!step) return step;
  return slice_of(runtime_, *object, *start, *stop, *step);
}

Result<Arguments> Evaluator::evaluate_arguments(const ArgumentList& list) {
  Arguments arguments;
  for (const ExpressionPtr& node : list.positional) {
    auto value = evaluate(*node);
    if (!value) return pass(value);
    arguments.positional.push_back(std::move(*value));
  }
  for (const auto& [name, node] : list.keyword) {
    auto value = evaluate(*node);
    if (!value) return pass(value);
    arguments.keyword.emplace_back(name, std::move(*value));
  }
  return arguments;
}

Result<JinjaValue> Evaluator::value_of(const Call& node) { return call(node, nullptr); }

Result<JinjaValue> Evaluator::call(const Call& node, const JinjaValue* caller) {
  auto callee = evaluate(*node.callee);
  if (!callee) return callee;
  if (callee->is_undefined()) return fail("{} is undefined and cannot be called", describe(*node.callee));
  if (!callee->is_object() || !callee->as_object()->callable()) {
    return fail("{} is a '{}' and cannot be called", describe(*node.callee), callee->type_name());
  }
  auto arguments = evaluate_arguments(node.arguments);
  if (!arguments) return pass(arguments);
  if (caller != nullptr) arguments->keyword.emplace_back("caller", *caller);
  return callee->as_object()->call(runtime_, *arguments);
}

Result<JinjaValue> Evaluator::value_of(const Filter& node) {
  Result<JinjaValue> input = filter_input_;
  if (node.input) input = evaluate(*node.input);
  if (!input) return input;
  auto arguments = evaluate_arguments(node.arguments);
  if (!arguments) return pass(arguments);
  return apply_filter(runtime_, node.name, *input, *arguments);
}

Result<JinjaValue> Evaluator::value_of(const Test& node) {
  auto input = evaluate(*node.input);
  if (!input) return input;
  auto arguments = evaluate_arguments(node.arguments);
  if (!arguments) return pass(arguments);
  auto passes = apply_test(runtime_, node.name, *input, *arguments);
  if (!passes) return pass(passes);
  return JinjaValue(*passes != node.negated);
}

}  // namespace mneme::model::jinja
