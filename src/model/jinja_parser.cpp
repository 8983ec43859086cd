#include "model/jinja_parser.h"

#include <algorithm>
#include <initializer_list>

namespace mneme::model::jinja {
namespace {

using core::fail;
using core::pass;

constexpr size_t kSourceBytesMax = size_t{4} << 20;

using Ends = std::initializer_list<std::string_view>;

class StatementParser {
 public:
  explicit StatementParser(TokenStream& stream) : stream_(stream), expressions_(stream) {}

  // Up to one of the `ends`, whose "{%" is consumed and whose name is next; none: up to the end of the
  // template.
  Result<Body> parse_body(Ends ends, std::string_view opened_by = {}, int opened_line = 0);

 private:
  Result<void> parse_block(Body& body);
  Result<Statement::Node> parse_if();
  Result<Statement::Node> parse_for();
  Result<Statement::Node> parse_set();
  Result<Statement::Node> parse_macro();
  Result<Statement::Node> parse_call_block();
  Result<Statement::Node> parse_filter_block();
  Result<Statement::Node> parse_with();
  Result<Statement::Node> parse_generation();
  Result<Statement::Node> parse_do();
  Result<void> parse_parameters(Function& function);
  Result<Body> parse_function_body(Function& function, std::string_view word, std::string_view end, int line);
  Result<Body> parse_loop_body(Ends ends, int line);
  Result<void> end_tag() { return stream_.expect(Token::Kind::block_end, "'%}'"); }

  TokenStream& stream_;
  ExpressionParser expressions_;
  int loops_ = 0;
};

Result<Body> StatementParser::parse_body(Ends ends, std::string_view opened_by, int opened_line) {
  ExpressionParser::Nesting nesting(expressions_);
  if (auto checked = nesting.check(); !checked) return pass(checked);
  Body body;
  while (true) {
    Token token = stream_.peek();
    if (token.kind == Token::Kind::end) {
      if (ends.size() == 0) return body;
      return fail("line {}: '{{% {} %}}' has no '{{% {} %}}'", opened_line, opened_by, *(ends.end() - 1));
    }
    stream_.next();
    if (token.kind == Token::Kind::data) {
      body.push_back({Text{std::move(token.text)}, token.line});
    } else if (token.kind == Token::Kind::output_begin) {
      auto expression = expressions_.parse_tuple();
      if (!expression) return pass(expression);
      if (auto ended = stream_.expect(Token::Kind::output_end, "'}}'"); !ended) return pass(ended);
      body.push_back({Output{std::move(*expression)}, token.line});
    } else {
      bool at_end = std::any_of(ends.begin(), ends.end(),
                                [&](std::string_view word) { return stream_.is_name(word); });
      if (at_end) return body;
      if (auto parsed = parse_block(body); !parsed) return pass(parsed);
    }
  }
}

Result<void> StatementParser::parse_block(Body& body) {
  using Parse = Result<Statement::Node> (StatementParser::*)();
  static constexpr std::pair<std::string_view, Parse> kStatements[] = {
      {"if", &StatementParser::parse_if},           {"for", &StatementParser::parse_for},
      {"set", &StatementParser::parse_set},         {"macro", &StatementParser::parse_macro},
      {"call", &StatementParser::parse_call_block}, {"filter", &StatementParser::parse_filter_block},
      {"with", &StatementParser::parse_with},       {"generation", &StatementParser::parse_generation},
      {"do", &StatementParser::parse_do},
  };
  int line = stream_.line();
  bool is_break = stream_.is_name("break");
  if (is_break || stream_.is_name("continue")) {
    if (loops_ == 0) return fail("line {}: '{}' outside of a loop", line, stream_.peek().text);
    stream_.next();
    body.push_back({is_break ? Statement::Node(Break{}) : Statement::Node(Continue{}), line});
    return end_tag();
  }
  for (const auto& [word, parse] : kStatements) {
    if (!stream_.take_name(word)) continue;
    auto node = (this->*parse)();
    if (!node) return pass(node);
    body.push_back({std::move(*node), line});
    return end_tag();
  }
  return stream_.expected(
      "a statement (if, for, set, macro, call, filter, with, generation, break, continue, do)");
}

Result<Statement::Node> StatementParser::parse_if() {
  int line = stream_.line();
  If node;
  while (true) {
    auto condition = expressions_.parse_tuple(false);
    if (!condition) return pass(condition);
    if (auto ended = end_tag(); !ended) return pass(ended);
    auto body = parse_body({"elif", "else", "endif"}, "if", line);
    if (!body) return pass(body);
    node.branches.emplace_back(std::move(*condition), std::move(*body));
    if (!stream_.take_name("elif")) break;
  }
  if (stream_.take_name("else")) {
    if (auto ended = end_tag(); !ended) return pass(ended);
    auto body = parse_body({"endif"}, "if", line);
    if (!body) return pass(body);
    node.otherwise = std::move(*body);
  }
  stream_.next();
  return node;
}

Result<Body> StatementParser::parse_loop_body(Ends ends, int line) {
  ++loops_;
  auto body = parse_body(ends, "for", line);
  --loops_;
  return body;
}

Result<Statement::Node> StatementParser::parse_for() {
  int line = stream_.line();
  For node;
  auto target = expressions_.parse_target(false);
  if (!target) return pass(target);
  node.target = std::move(*target);
  if (auto in = stream_.expect_name("in"); !in) return pass(in);
  auto iterable = expressions_.parse_tuple(false);
  if (!iterable) return pass(iterable);
  node.iterable = std::move(*iterable);
  if (stream_.take_name("if")) {
    auto condition = expressions_.parse();
    if (!condition) return pass(condition);
    node.condition = std::move(*condition);
  }
  if (stream_.is_name("recursive")) return fail("line {}: recursive loops are not supported", line);
  if (auto ended = end_tag(); !ended) return pass(ended);
  auto body = parse_loop_body({"else", "endfor"}, line);
  if (!body) return pass(body);
  node.body = std::move(*body);
  if (stream_.take_name("else")) {
    if (auto ended = end_tag(); !ended) return pass(ended);
    auto otherwise = parse_body({"endfor"}, "for", line);
    if (!otherwise) return pass(otherwise);
    node.otherwise = std::move(*otherwise);
  }
  stream_.next();
  return node;
}

Result<Statement::Node> StatementParser::parse_set() {
  int line = stream_.line();
  auto target = expressions_.parse_target(true);
  if (!target) return pass(target);
  if (stream_.take_symbol("=")) {
    auto value = expressions_.parse_tuple();
    if (!value) return pass(value);
    return Set{std::move(*target), std::move(*value)};
  }
  auto filter = expressions_.parse_filters(nullptr);
  if (!filter) return pass(filter);
  if (!stream_.is(Token::Kind::block_end)) return stream_.expected("'=' or '%}'");
  if (auto ended = end_tag(); !ended) return pass(ended);
  auto body = parse_body({"endset"}, "set", line);
  if (!body) return pass(body);
  stream_.next();
  return SetBlock{std::move(*target), std::move(*filter), std::move(*body)};
}

Result<void> StatementParser::parse_parameters(Function& function) {
  if (auto opened = stream_.expect_symbol("("); !opened) return opened;
  while (!stream_.is_symbol(")")) {
    auto name = stream_.expect_identifier("the name of a parameter");
    if (!name) return pass(name);
    Result<ExpressionPtr> value = nullptr;
    bool defaults_begun = !function.parameters.empty() && function.parameters.back().second != nullptr;
    if (stream_.take_symbol("=")) {
      value = expressions_.parse();
    } else if (defaults_begun) {
      return stream_.expected("a default, as the parameter before has one");
    }
    if (!value) return pass(value);
    function.parameters.emplace_back(std::move(*name), std::move(*value));
    if (!stream_.take_symbol(",")) break;
  }
  return stream_.expect_symbol(")");
}

Result<Body> StatementParser::parse_function_body(Function& function, std::string_view word,
                                                  std::string_view end, int line) {
  if (auto ended = end_tag(); !ended) return pass(ended);
  Function* outer = std::exchange(expressions_.function, &function);
  int outer_loops = std::exchange(loops_, 0);  // break does not leave a macro
  auto body = parse_body({end}, word, line);
  expressions_.function = outer;
  loops_ = outer_loops;
  if (body) stream_.next();
  return body;
}

Result<Statement::Node> StatementParser::parse_macro() {
  int line = stream_.line();
  Macro node;
  auto name = stream_.expect_identifier("the name of the macro");
  if (!name) return pass(name);
  node.function.name = std::move(*name);
  if (auto parsed = parse_parameters(node.function); !parsed) return pass(parsed);
  auto body = parse_function_body(node.function, "macro", "endmacro", line);
  if (!body) return pass(body);
  node.function.body = std::move(*body);
  return node;
}

Result<Statement::Node> StatementParser::parse_call_block() {
  int line = stream_.line();
  CallBlock node;
  node.caller.name = "caller";
  if (stream_.is_symbol("(")) {
    if (auto parsed = parse_parameters(node.caller); !parsed) return pass(parsed);
  }
  auto call = expressions_.parse();
  if (!call) return pass(call);
  if (!std::holds_alternative<Call>((*call)->node))
    return fail("line {}: expected the call of a macro", line);
  node.call = std::move(*call);
  auto body = parse_function_body(node.caller, "call", "endcall", line);
  if (!body) return pass(body);
  node.caller.body = std::move(*body);
  return node;
}

Result<Statement::Node> StatementParser::parse_filter_block() {
  int line = stream_.line();
  FilterBlock node;
  auto filter = expressions_.parse_block_filter();
  if (!filter) return pass(filter);
  node.filter = std::move(*filter);
  if (auto ended = end_tag(); !ended) return pass(ended);
  auto body = parse_body({"endfilter"}, "filter", line);
  if (!body) return pass(body);
  node.body = std::move(*body);
  stream_.next();
  return node;
}

Result<Statement::Node> StatementParser::parse_with() {
  int line = stream_.line();
  With node;
  while (!stream_.is(Token::Kind::block_end)) {
    auto target = expressions_.parse_target_item(false);
    if (!target) return pass(target);
    if (auto assigned = stream_.expect_symbol("="); !assigned) return pass(assigned);
    auto value = expressions_.parse();
    if (!value) return pass(value);
    node.values.emplace_back(std::move(*target), std::move(*value));
    if (!stream_.take_symbol(",")) break;
  }
  if (auto ended = end_tag(); !ended) return pass(ended);
  auto body = parse_body({"endwith"}, "with", line);
  if (!body) return pass(body);
  node.body = std::move(*body);
  stream_.next();
  return node;
}

// Marks what the assistant generates, for training; it prints its body.
Result<Statement::Node> StatementParser::parse_generation() {
  int line = stream_.line();
  if (auto ended = end_tag(); !ended) return pass(ended);
  auto body = parse_body({"endgeneration"}, "generation", line);
  if (!body) return pass(body);
  stream_.next();
  With node;
  node.body = std::move(*body);
  return node;
}

Result<Statement::Node> StatementParser::parse_do() {
  auto expression = expressions_.parse_tuple();
  if (!expression) return pass(expression);
  return Do{std::move(*expression)};
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case Token::Kind::data: return "text";
    case Token::Kind::output_begin: return "'{{'";
    case Token::Kind::output_end: return "'}}'";
    case Token::Kind::block_begin: return "'{%'";
    case Token::Kind::block_end: return "'%}'";
    case Token::Kind::string: return "a string";
    case Token::Kind::end: return "the end of the template";
    default: return fmt::format("'{}'", token.text.substr(0, 40));
  }
}

}  // namespace

bool TokenStream::take_symbol(std::string_view symbol) {
  if (!is_symbol(symbol)) return false;
  next();
  return true;
}

bool TokenStream::take_name(std::string_view name) {
  if (!is_name(name)) return false;
  next();
  return true;
}

Result<void> TokenStream::expect_symbol(std::string_view symbol) {
  if (take_symbol(symbol)) return {};
  return expected(fmt::format("'{}'", symbol));
}

Result<void> TokenStream::expect_name(std::string_view name) {
  if (take_name(name)) return {};
  return expected(fmt::format("'{}'", name));
}

Result<void> TokenStream::expect(Token::Kind kind, std::string_view what) {
  if (!is(kind)) return expected(what);
  next();
  return {};
}

Result<std::string> TokenStream::expect_identifier(std::string_view what) {
  if (!is(Token::Kind::name)) return expected(what);
  return next().text;
}

tl::unexpected<Error> TokenStream::expected(std::string_view what) const {
  return fail("line {}: expected {}, found {}", line(), what, describe(peek()));
}

Result<Body> parse_template(std::string_view source) {
  if (source.size() > kSourceBytesMax) return fail("a template of {} bytes is too long", source.size());
  auto tokens = tokenize_template(source);
  if (!tokens) return pass(tokens);
  TokenStream stream(std::move(*tokens));
  return StatementParser(stream).parse_body({});
}

}  // namespace mneme::model::jinja
