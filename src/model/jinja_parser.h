// Tokens -> AST. TokenStream and ExpressionParser are here for jinja_parser.cpp alone; others call
// parse_template().
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "model/jinja_ast.h"
#include "model/jinja_lexer.h"

namespace mneme::model::jinja {

// Errors begin with "line N: " and say what was expected.
Result<Body> parse_template(std::string_view source);

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  Token next() { return at_ + 1 < tokens_.size() ? std::move(tokens_[at_++]) : tokens_.back(); }
  int line() const { return peek().line; }

  bool is(Token::Kind kind) const { return peek().kind == kind; }
  bool is_symbol(std::string_view symbol) const { return is(Token::Kind::symbol) && peek().text == symbol; }
  bool is_name(std::string_view name) const { return is(Token::Kind::name) && peek().text == name; }
  bool take_symbol(std::string_view symbol);
  bool take_name(std::string_view name);
  Result<void> expect_symbol(std::string_view symbol);
  Result<void> expect_name(std::string_view name);
  Result<void> expect(Token::Kind kind, std::string_view what);
  Result<std::string> expect_identifier(std::string_view what);
  tl::unexpected<Error> expected(std::string_view what) const;

 private:
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

  Result<ExpressionPtr> parse(bool with_conditional = true);
  // Several expressions with commas between are a tuple; a single one is itself.
  Result<ExpressionPtr> parse_tuple(bool with_conditional = true);
  Result<Target> parse_target(bool with_attribute);
  Result<Target> parse_target_item(bool with_attribute);  // one name, or several in parentheses
  // "name(args) | name ...": the filters of a {% filter %} block.
  Result<ExpressionPtr> parse_block_filter();
  // "| name(args) | name ..." behind `input`, which may be null.
  Result<ExpressionPtr> parse_filters(ExpressionPtr input);

  // The macro whose body is being parsed, which is told of the special names it uses; null outside.
  Function* function = nullptr;

  // Nesting of statements and expressions together; the parser recurses, so it is bounded.
  class Nesting {
   public:
    explicit Nesting(ExpressionParser& parser) : parser_(parser) { ++parser_.depth_; }
    ~Nesting() { --parser_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    Result<void> check() const;

   private:
    ExpressionParser& parser_;
  };

 private:
  Result<ExpressionPtr> parse_logic(Operator op);
  Result<ExpressionPtr> parse_not();
  Result<ExpressionPtr> parse_comparison();
  Result<ExpressionPtr> parse_sum();
  Result<ExpressionPtr> parse_concat();
  Result<ExpressionPtr> parse_product();
  Result<ExpressionPtr> parse_power();
  Result<ExpressionPtr> parse_unary(bool with_filters);
  Result<ExpressionPtr> parse_primary();
  Result<ExpressionPtr> parse_name();
  Result<ExpressionPtr> parse_parenthesis();
  Result<ExpressionPtr> parse_list();
  Result<ExpressionPtr> parse_dict();
  Result<ExpressionPtr> parse_postfix(ExpressionPtr object, bool with_filters);
  Result<ExpressionPtr> parse_attribute(ExpressionPtr object);
  Result<ExpressionPtr> parse_subscript(ExpressionPtr object);
  Result<ExpressionPtr> parse_test(ExpressionPtr input);
  Result<ExpressionPtr> parse_filter(ExpressionPtr input);
  Result<ArgumentList> parse_arguments();
  bool at_tuple_end() const;

  TokenStream& stream_;
  int depth_ = 0;
};

}  // namespace mneme::model::jinja
