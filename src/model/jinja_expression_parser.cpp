#include <algorithm>
#include <optional>

#include "model/jinja_parser.h"

namespace mneme::model::jinja {
namespace {

using core::fail;
using core::pass;

constexpr int kNestingMax = 100;
// Chains like a + b + c make tall trees without nesting in the text; evaluating and freeing them recurses.
constexpr int kHeightMax = 200;

int height_of(const ExpressionPtr& expression) { return expression ? expression->height : 0; }
int height_of(const std::vector<ExpressionPtr>& expressions) {
  int height = 0;
  for (const ExpressionPtr& expression : expressions) height = std::max(height, height_of(expression));
  return height;
}
int height_of(const ArgumentList& arguments) {
  int height = height_of(arguments.positional);
  for (const auto& [name, value] : arguments.keyword) height = std::max(height, height_of(value));
  return height;
}

Result<ExpressionPtr> make(int line, Expression::Node node, int height_below) {
  if (height_below >= kHeightMax) return fail("line {}: the expression is too long or nested too deep", line);
  auto expression = std::make_unique<Expression>();
  expression->node = std::move(node);
  expression->line = line;
  expression->height = height_below + 1;
  return expression;
}

Result<ExpressionPtr> make_binary(int line, Operator op, ExpressionPtr left, ExpressionPtr right) {
  int height = std::max(height_of(left), height_of(right));
  return make(line, Binary{op, std::move(left), std::move(right)}, height);
}

using OperatorTable = std::initializer_list<std::pair<std::string_view, Operator>>;
std::optional<Operator> take_operator(TokenStream& stream, OperatorTable table) {
  for (const auto& [symbol, op] : table) {
    if (stream.take_symbol(symbol)) return op;
  }
  return std::nullopt;
}

}  // namespace

Result<void> ExpressionParser::Nesting::check() const {
  if (parser_.depth_ > kNestingMax)
    return fail("line {}: nested deeper than {}", parser_.stream_.line(), kNestingMax);
  return {};
}

Result<ExpressionPtr> ExpressionParser::parse(bool with_conditional) {
  Nesting nesting(*this);
  if (auto checked = nesting.check(); !checked) return pass(checked);
  int line = stream_.line();
  auto value = parse_logic(Operator::logical_or);
  if (!value) return value;
  while (with_conditional && stream_.take_name("if")) {
    auto condition = parse_logic(Operator::logical_or);
    if (!condition) return condition;
    Result<ExpressionPtr> otherwise = nullptr;
    if (stream_.take_name("else")) otherwise = parse();
    if (!otherwise) return otherwise;
    int height = std::max({height_of(*value), height_of(*condition), height_of(*otherwise)});
    value = make(line, Conditional{std::move(*value), std::move(*condition), std::move(*otherwise)}, height);
    if (!value) return value;
  }
  return value;
}

bool ExpressionParser::at_tuple_end() const {
  return stream_.is(Token::Kind::output_end) || stream_.is(Token::Kind::block_end) ||
         stream_.is_symbol(")") || stream_.is_name("in");
}

Result<ExpressionPtr> ExpressionParser::parse_tuple(bool with_conditional) {
  int line = stream_.line();
  auto first = parse(with_conditional);
  if (!first || !stream_.is_symbol(",")) return first;
  ListLiteral tuple;
  tuple.tuple = true;
  tuple.items.push_back(std::move(*first));
  while (stream_.take_symbol(",") && !at_tuple_end()) {
    auto item = parse(with_conditional);
    if (!item) return item;
    tuple.items.push_back(std::move(*item));
  }
  int height = height_of(tuple.items);
  return make(line, std::move(tuple), height);
}

Result<ExpressionPtr> ExpressionParser::parse_logic(Operator op) {
  bool is_or = op == Operator::logical_or;
  int line = stream_.line();
  auto left = is_or ? parse_logic(Operator::logical_and) : parse_not();
  while (left && stream_.take_name(is_or ? "or" : "and")) {
    auto right = is_or ? parse_logic(Operator::logical_and) : parse_not();
    if (!right) return right;
    left = make_binary(line, op, std::move(*left), std::move(*right));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::parse_not() {
  int line = stream_.line();
  if (!stream_.take_name("not")) return parse_comparison();
  Nesting nesting(*this);
  if (auto checked = nesting.check(); !checked) return pass(checked);
  auto operand = parse_not();
  if (!operand) return operand;
  int height = height_of(*operand);
  return make(line, Unary{Operator::logical_not, std::move(*operand)}, height);
}

Result<ExpressionPtr> ExpressionParser::parse_comparison() {
  int line = stream_.line();
  auto first = parse_sum();
  if (!first) return first;
  Comparison comparison;
  int height = height_of(*first);
  while (true) {
    auto op = take_operator(stream_, {{"==", Operator::equal},
                                      {"!=", Operator::not_equal},
                                      {"<=", Operator::less_equal},
                                      {">=", Operator::greater_equal},
                                      {"<", Operator::less},
                                      {">", Operator::greater}});
    if (!op && stream_.take_name("in")) op = Operator::in;
    if (!op && stream_.is_name("not") && stream_.peek(1).kind == Token::Kind::name &&
        stream_.peek(1).text == "in") {
      stream_.next();
      stream_.next();
      op = Operator::not_in;
    }
    if (!op) break;
    auto right = parse_sum();
    if (!right) return right;
    height = std::max(height, height_of(*right));
    comparison.rest.emplace_back(*op, std::move(*right));
  }
  if (comparison.rest.empty()) return first;
  comparison.first = std::move(*first);
  return make(line, std::move(comparison), height);
}

Result<ExpressionPtr> ExpressionParser::parse_sum() {
  int line = stream_.line();
  auto left = parse_concat();
  while (left) {
    auto op = take_operator(stream_, {{"+", Operator::add}, {"-", Operator::subtract}});
    if (!op) break;
    auto right = parse_concat();
    if (!right) return right;
    left = make_binary(line, *op, std::move(*left), std::move(*right));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::parse_concat() {
  int line = stream_.line();
  auto first = parse_product();
  if (!first || !stream_.is_symbol("~")) return first;
  Concat concat;
  concat.pieces.push_back(std::move(*first));
  while (stream_.take_symbol("~")) {
    auto piece = parse_product();
    if (!piece) return piece;
    concat.pieces.push_back(std::move(*piece));
  }
  int height = height_of(concat.pieces);
  return make(line, std::move(concat), height);
}

Result<ExpressionPtr> ExpressionParser::parse_product() {
  int line = stream_.line();
  auto left = parse_power();
  while (left) {
    auto op = take_operator(stream_, {{"*", Operator::multiply},
                                      {"//", Operator::floor_divide},
                                      {"/", Operator::divide},
                                      {"%", Operator::modulo}});
    if (!op) break;
    auto right = parse_power();
    if (!right) return right;
    left = make_binary(line, *op, std::move(*left), std::move(*right));
  }
  return left;
}

// Groups to the left, unlike Python's, as Jinja does.
Result<ExpressionPtr> ExpressionParser::parse_power() {
  int line = stream_.line();
  auto left = parse_unary(true);
  while (left && stream_.take_symbol("**")) {
    auto right = parse_unary(true);
    if (!right) return right;
    left = make_binary(line, Operator::power, std::move(*left), std::move(*right));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::parse_unary(bool with_filters) {
  int line = stream_.line();
  auto op = take_operator(stream_, {{"-", Operator::negate}, {"+", Operator::plus}});
  Result<ExpressionPtr> value = nullptr;
  if (op) {
    Nesting nesting(*this);
    if (auto checked = nesting.check(); !checked) return pass(checked);
    auto operand = parse_unary(false);
    if (!operand) return operand;
    int height = height_of(*operand);
    value = make(line, Unary{*op, std::move(*operand)}, height);
  } else {
    value = parse_primary();
  }
  if (!value) return value;
  return parse_postfix(std::move(*value), with_filters);
}

Result<ExpressionPtr> ExpressionParser::parse_primary() {
  int line = stream_.line();
  switch (stream_.peek().kind) {
    case Token::Kind::name: return parse_name();
    case Token::Kind::integer: return make(line, Constant{JinjaValue(stream_.next().integer)}, 0);
    case Token::Kind::floating: return make(line, Constant{JinjaValue(stream_.next().floating)}, 0);
    case Token::Kind::string: {
      std::string text = stream_.next().text;
      while (stream_.is(Token::Kind::string)) text += stream_.next().text;
      return make(line, Constant{JinjaValue(std::move(text))}, 0);
    }
    default: break;
  }
  if (stream_.take_symbol("(")) return parse_parenthesis();
  if (stream_.take_symbol("[")) return parse_list();
  if (stream_.take_symbol("{")) return parse_dict();
  return stream_.expected("a value");
}

Result<ExpressionPtr> ExpressionParser::parse_name() {
  int line = stream_.line();
  std::string name = stream_.next().text;
  if (name == "true" || name == "True") return make(line, Constant{JinjaValue(true)}, 0);
  if (name == "false" || name == "False") return make(line, Constant{JinjaValue(false)}, 0);
  if (name == "none" || name == "None") return make(line, Constant{JinjaValue::none()}, 0);
  if (function != nullptr) {
    function->takes_more_positional |= name == "varargs";
    function->takes_more_keyword |= name == "kwargs";
    function->takes_caller |= name == "caller";
  }
  return make(line, Name{std::move(name)}, 0);
}

Result<ExpressionPtr> ExpressionParser::parse_parenthesis() {
  int line = stream_.line();
  ListLiteral empty;
  empty.tuple = true;
  if (stream_.take_symbol(")")) return make(line, std::move(empty), 0);
  auto inner = parse_tuple();
  if (!inner) return inner;
  if (auto closed = stream_.expect_symbol(")"); !closed) return pass(closed);
  return inner;
}

Result<ExpressionPtr> ExpressionParser::parse_list() {
  int line = stream_.line();
  ListLiteral list;
  while (!stream_.is_symbol("]")) {
    auto item = parse();
    if (!item) return item;
    list.items.push_back(std::move(*item));
    if (!stream_.take_symbol(",")) break;
  }
  if (auto closed = stream_.expect_symbol("]"); !closed) return pass(closed);
  int height = height_of(list.items);
  return make(line, std::move(list), height);
}

Result<ExpressionPtr> ExpressionParser::parse_dict() {
  int line = stream_.line();
  DictLiteral dict;
  int height = 0;
  while (!stream_.is_symbol("}")) {
    auto key = parse();
    if (!key) return key;
    if (auto colon = stream_.expect_symbol(":"); !colon) return pass(colon);
    auto value = parse();
    if (!value) return value;
    height = std::max({height, height_of(*key), height_of(*value)});
    dict.entries.emplace_back(std::move(*key), std::move(*value));
    if (!stream_.take_symbol(",")) break;
  }
  if (auto closed = stream_.expect_symbol("}"); !closed) return pass(closed);
  return make(line, std::move(dict), height);
}

// Attributes, subscripts and calls; with_filters: filters and tests too, which bind less tightly than a sign.
Result<ExpressionPtr> ExpressionParser::parse_postfix(ExpressionPtr object, bool with_filters) {
  Result<ExpressionPtr> value = std::move(object);
  bool filtered = false;
  while (value) {
    int line = stream_.line();
    if (!filtered && stream_.is_symbol(".")) {
      value = parse_attribute(std::move(*value));
    } else if (!filtered && stream_.is_symbol("[")) {
      value = parse_subscript(std::move(*value));
    } else if (stream_.is_symbol("(")) {
      auto arguments = parse_arguments();
      if (!arguments) return pass(arguments);
      int height = std::max(height_of(*value), height_of(*arguments));
      value = make(line, Call{std::move(*value), std::move(*arguments)}, height);
    } else if (with_filters && stream_.is_symbol("|")) {
      value = parse_filters(std::move(*value));
      filtered = true;
    } else if (with_filters && stream_.take_name("is")) {
      value = parse_test(std::move(*value));
      filtered = true;
    } else {
      break;
    }
  }
  return value;
}

Result<ExpressionPtr> ExpressionParser::parse_attribute(ExpressionPtr object) {
  int line = stream_.next().line;
  int height = height_of(object);
  if (stream_.is(Token::Kind::name))
    return make(line, Attribute{std::move(object), stream_.next().text}, height);
  if (!stream_.is(Token::Kind::integer)) return stream_.expected("a name or a number after '.'");
  auto index = make(line, Constant{JinjaValue(stream_.next().integer)}, 0);
  if (!index) return index;
  return make(line, Item{std::move(object), std::move(*index)}, height);
}

Result<ExpressionPtr> ExpressionParser::parse_subscript(ExpressionPtr object) {
  int line = stream_.next().line;
  std::vector<ExpressionPtr> parts;  // start, stop, step
  auto at_part_end = [&] { return stream_.is_symbol(":") || stream_.is_symbol("]"); };
  do {
    Result<ExpressionPtr> part = nullptr;
    if (!at_part_end()) part = parse();
    if (!part) return part;
    parts.push_back(std::move(*part));
  } while (parts.size() < 3 && stream_.take_symbol(":"));
  if (parts.size() == 1 && !parts[0]) return stream_.expected("a subscript");
  if (auto closed = stream_.expect_symbol("]"); !closed) return pass(closed);
  int height = std::max(height_of(object), height_of(parts));
  if (parts.size() == 1) return make(line, Item{std::move(object), std::move(parts[0])}, height);
  parts.resize(3);
  return make(line, Slice{std::move(object), std::move(parts[0]), std::move(parts[1]), std::move(parts[2])},
              height);
}

Result<ExpressionPtr> ExpressionParser::parse_filters(ExpressionPtr input) {
  Result<ExpressionPtr> value = std::move(input);
  while (value && stream_.take_symbol("|")) value = parse_filter(std::move(*value));
  return value;
}

Result<ExpressionPtr> ExpressionParser::parse_block_filter() {
  auto first = parse_filter(nullptr);
  if (!first) return first;
  return parse_filters(std::move(*first));
}

Result<ExpressionPtr> ExpressionParser::parse_filter(ExpressionPtr input) {
  int line = stream_.line();
  auto name = stream_.expect_identifier("the name of a filter");
  if (!name) return pass(name);
  Result<ArgumentList> arguments;
  if (stream_.is_symbol("(")) arguments = parse_arguments();
  if (!arguments) return pass(arguments);
  int height = std::max(height_of(input), height_of(*arguments));
  return make(line, Filter{std::move(input), std::move(*name), std::move(*arguments)}, height);
}

// After "is": the test's only argument may stand without parentheses, as in "x is divisibleby 3".
Result<ExpressionPtr> ExpressionParser::parse_test(ExpressionPtr input) {
  int line = stream_.line();
  Test test;
  test.negated = stream_.take_name("not");
  auto name = stream_.expect_identifier("the name of a test");
  if (!name) return pass(name);
  test.name = std::move(*name);
  auto ends_test = [&] {
    for (std::string_view word : {"else", "or", "and", "is", "if", "in", "not"}) {
      if (stream_.is_name(word)) return true;
    }
    return false;
  };
  auto begins_value = [&] {
    Token::Kind kind = stream_.peek().kind;
    return kind == Token::Kind::name || kind == Token::Kind::string || kind == Token::Kind::integer ||
           kind == Token::Kind::floating || stream_.is_symbol("[") || stream_.is_symbol("{");
  };
  if (stream_.is_symbol("(")) {
    auto arguments = parse_arguments();
    if (!arguments) return pass(arguments);
    test.arguments = std::move(*arguments);
  } else if (begins_value() && !ends_test()) {
    auto argument = parse_primary();
    if (argument) argument = parse_postfix(std::move(*argument), false);
    if (!argument) return argument;
    test.arguments.positional.push_back(std::move(*argument));
  }
  int height = std::max(height_of(input), height_of(test.arguments));
  test.input = std::move(input);
  return make(line, std::move(test), height);
}

Result<ArgumentList> ExpressionParser::parse_arguments() {
  ArgumentList arguments;
  if (auto opened = stream_.expect_symbol("("); !opened) return pass(opened);
  while (!stream_.is_symbol(")")) {
    if (stream_.is_symbol("*") || stream_.is_symbol("**"))
      return stream_.expected("an argument (no '*' is supported)");
    bool keyword = stream_.is(Token::Kind::name) && stream_.peek(1).kind == Token::Kind::symbol &&
                   stream_.peek(1).text == "=";
    std::string name;
    if (keyword) {
      name = stream_.next().text;
      stream_.next();
    } else if (!arguments.keyword.empty()) {
      return stream_.expected("a named argument after a named one");
    }
    auto value = parse();
    if (!value) return pass(value);
    if (keyword) {
      arguments.keyword.emplace_back(std::move(name), std::move(*value));
    } else {
      arguments.positional.push_back(std::move(*value));
    }
    if (!stream_.take_symbol(",")) break;
  }
  if (auto closed = stream_.expect_symbol(")"); !closed) return pass(closed);
  return arguments;
}

Result<Target> ExpressionParser::parse_target(bool with_attribute) {
  auto first = parse_target_item(with_attribute);
  if (!first || !stream_.is_symbol(",")) return first;
  Target tuple;
  tuple.items.push_back(std::move(*first));
  while (stream_.take_symbol(",") && !at_tuple_end() && !stream_.is_symbol("=")) {
    auto item = parse_target_item(with_attribute);
    if (!item) return item;
    tuple.items.push_back(std::move(*item));
  }
  return tuple;
}

Result<Target> ExpressionParser::parse_target_item(bool with_attribute) {
  Nesting nesting(*this);
  if (auto checked = nesting.check(); !checked) return pass(checked);
  if (stream_.take_symbol("(")) {
    auto inner = parse_target(with_attribute);
    if (!inner) return inner;
    if (auto closed = stream_.expect_symbol(")"); !closed) return pass(closed);
    return inner;
  }
  Target target;
  auto name = stream_.expect_identifier("a name to assign to");
  if (!name) return pass(name);
  for (std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
    if (*name == constant) return fail("line {}: '{}' cannot be assigned to", stream_.line(), constant);
  }
  target.name = std::move(*name);
  if (with_attribute && stream_.take_symbol(".")) {
    auto attribute = stream_.expect_identifier("the name of an attribute");
    if (!attribute) return pass(attribute);
    target.attribute = std::move(*attribute);
  }
  return target;
}

}  // namespace mneme::model::jinja
