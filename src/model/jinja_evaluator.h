// Runs a parsed template: statements append to an output, expressions give values.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "model/jinja_ast.h"
#include "model/jinja_runtime.h"
#include "model/jinja_value.h"

namespace mneme::model::jinja {

// The variables of one block; the innermost that has a name wins. A macro keeps the scope it was defined in.
struct Scope {
  std::shared_ptr<Scope> outer;  // null: the template itself, whose names come before the context's
  JinjaDict variables;
  bool kept = false;             // the runtime clears it at the end: a macro in it refers back to it
};

class Evaluator {
 public:
  // Both outlive the evaluator; so does the template's AST.
  Evaluator(Runtime& runtime, const JinjaDict& context)
      : runtime_(runtime), context_(context), scope_(std::make_shared<Scope>()) {}

  Result<std::string> render(const Body& body);
  // The line of the innermost node that failed.
  int error_line() const { return error_line_; }

 private:
  friend class MacroObject;
  enum class Flow : uint8_t { normal, broken, continued };  // how a body ended

  class ScopeGuard;
  class Nesting;

  Result<Flow> run(const Body& body, std::string& out);
  Result<Flow> run(const Statement& statement, std::string& out);
  Result<Flow> run_node(const Text& node, std::string& out);
  Result<Flow> run_node(const Output& node, std::string& out);
  Result<Flow> run_node(const If& node, std::string& out);
  Result<Flow> run_node(const For& node, std::string& out);
  Result<Flow> run_node(const Set& node, std::string& out);
  Result<Flow> run_node(const SetBlock& node, std::string& out);
  Result<Flow> run_node(const Macro& node, std::string& out);
  Result<Flow> run_node(const CallBlock& node, std::string& out);
  Result<Flow> run_node(const FilterBlock& node, std::string& out);
  Result<Flow> run_node(const With& node, std::string& out);
  Result<Flow> run_node(const Do& node, std::string& out);
  Result<Flow> run_node(const Break& node, std::string& out);
  Result<Flow> run_node(const Continue& node, std::string& out);
  Result<std::vector<JinjaValue>> loop_items(const For& node);
  Result<bool> run_iterations(const For& node, std::vector<JinjaValue> items, std::string& out);
  Result<JinjaValue> captured(const Body& body, const ExpressionPtr& filter);
  Result<void> assign(const Target& target, const JinjaValue& value);
  Result<void> check_output(const std::string& out);

  Result<JinjaValue> evaluate(const Expression& expression);
  Result<JinjaValue> evaluate_or_undefined(const ExpressionPtr& expression);  // undefined where the pointer
                                                                              // is null
  Result<JinjaValue> value_of(const Constant& node) { return node.value; }
  Result<JinjaValue> value_of(const Name& node) { return lookup(node.name); }
  Result<JinjaValue> value_of(const ListLiteral& node);
  Result<JinjaValue> value_of(const DictLiteral& node);
  Result<JinjaValue> value_of(const Concat& node);
  Result<JinjaValue> value_of(const Unary& node);
  Result<JinjaValue> value_of(const Binary& node);
  Result<JinjaValue> value_of(const Comparison& node);
  Result<JinjaValue> value_of(const Conditional& node);
  Result<JinjaValue> value_of(const Attribute& node);
  Result<JinjaValue> value_of(const Item& node);
  Result<JinjaValue> value_of(const Slice& node);
  Result<JinjaValue> value_of(const Call& node);
  Result<JinjaValue> value_of(const Filter& node);
  Result<JinjaValue> value_of(const Test& node);
  Result<JinjaValue> call(const Call& node, const JinjaValue* caller);
  Result<Arguments> evaluate_arguments(const ArgumentList& list);
  JinjaValue lookup(std::string_view name) const;

  JinjaValue make_macro(const Function& function);
  Result<JinjaValue> call_macro(const Function& function, const std::shared_ptr<Scope>& scope,
                                const Arguments& arguments);
  Result<void> bind_parameters(const Function& function, const Arguments& arguments);
  Result<void> bind_rest(const Function& function, const Arguments& arguments);

  Runtime& runtime_;
  const JinjaDict& context_;
  std::shared_ptr<Scope> scope_;
  JinjaValue filter_input_;  // of the innermost {% filter %} or {% set %}...{% endset %}
  int depth_ = 0;
  int loop_depth_ = 0;
  int error_line_ = 0;
};

}  // namespace mneme::model::jinja
