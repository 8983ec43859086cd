// The parsed template. Built once, then only read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "model/jinja_value.h"

namespace mneme::model::jinja {

struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<Expression>;
using Body = std::vector<Statement>;

struct ArgumentList {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> keyword;
};

struct Constant { JinjaValue value; };
struct Name { std::string name; };
struct ListLiteral { std::vector<ExpressionPtr> items; bool tuple = false; };
struct DictLiteral { std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries; };
struct Concat { std::vector<ExpressionPtr> pieces; };  // a ~ b ~ c

enum class Operator : uint8_t {
  add, subtract, multiply, divide, floor_divide, modulo, power,
  equal, not_equal, less, less_equal, greater, greater_equal, in, not_in,
  negate, plus, logical_not, logical_and, logical_or,
};
struct Unary { Operator op; ExpressionPtr operand; };
struct Binary { Operator op; ExpressionPtr left, right; };  // arithmetic, and, or
struct Comparison {
  ExpressionPtr first;
  std::vector<std::pair<Operator, ExpressionPtr>> rest;
};                                                                  // a < b < c
struct Conditional { ExpressionPtr value, condition, otherwise; };  // otherwise may be null: undefined
struct Attribute { ExpressionPtr object; std::string name; };
struct Item { ExpressionPtr object, index; };
struct Slice { ExpressionPtr object, start, stop, step; };  // all but object may be null
struct Call { ExpressionPtr callee; ArgumentList arguments; };
struct Filter {
  ExpressionPtr input;
  std::string name;
  ArgumentList arguments;
};  // input null: the text of a block
struct Test { ExpressionPtr input; std::string name; ArgumentList arguments; bool negated = false; };

struct Expression {
  using Node = std::variant<Constant, Name, ListLiteral, DictLiteral, Concat, Unary, Binary, Comparison,
                            Conditional, Attribute, Item, Slice, Call, Filter, Test>;
  Node node;
  int line = 0;
  int height = 1;  // nodes on the longest way down; bounded by the parser
};

// Where a value goes: a name, an attribute of a namespace, or several targets for a sequence.
struct Target {
  std::string name;
  std::string attribute;      // of namespace `name`
  std::vector<Target> items;  // used where not empty
};

struct Text { std::string text; };
struct Output { ExpressionPtr expression; };
struct If {
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body otherwise;
};
struct For {
  Target target;
  ExpressionPtr iterable;
  ExpressionPtr condition;  // may be null
  Body body;
  Body otherwise;
};
struct Set { Target target; ExpressionPtr value; };
struct SetBlock {
  Target target;
  ExpressionPtr filter;
  Body body;
};                 // filter may be null, its innermost input is null
struct Function {  // what a macro and a call block have in common
  std::string name;
  std::vector<std::pair<std::string, ExpressionPtr>> parameters;     // default may be null
  Body body;
  bool takes_more_positional = false;  // its body names `varargs`
  bool takes_more_keyword = false;     // its body names `kwargs`
  bool takes_caller = false;           // its body names `caller`
};
struct Macro { Function function; };
struct CallBlock { Function caller; ExpressionPtr call; };
struct FilterBlock { ExpressionPtr filter; Body body; };
struct With {
  std::vector<std::pair<Target, ExpressionPtr>> values;
  Body body;
};  // also {% generation %}, with no values
struct Do { ExpressionPtr expression; };
struct Break {};
struct Continue {};

struct Statement {
  using Node = std::variant<Text, Output, If, For, Set, SetBlock, Macro, CallBlock, FilterBlock, With, Do,
                            Break, Continue>;
  Node node;
  int line = 0;
};

}  // namespace mneme::model::jinja
