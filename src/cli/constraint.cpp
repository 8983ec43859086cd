// --grammar, --json-schema and --regex: what a generated text is held to.
#include <utility>

#include "cli/input.h"
#include "cli/options.h"

namespace mneme::cli {

void add_constraint_options(CLI::App& verb, ConstraintArguments& arguments) {
  auto* const grammar = verb.add_option("--grammar", arguments.grammar_path,
                                        "the new text is one that this file's rules allow (docs/grammar.md)");
  auto* const schema = verb.add_option("--json-schema", arguments.schema,
                                       "the new text is JSON as this schema, a file or {...}, allows it");
  auto* const regex = verb.add_option("--regex", arguments.regex,
                                      "the whole of the new text matches this regular expression");
  grammar->excludes(schema)->excludes(regex);
  schema->excludes(regex);
}

Result<std::shared_ptr<const grammar::Grammar>> read_grammar(const ConstraintArguments& arguments) {
  using grammar::Grammar;
  if (!arguments.grammar_path.empty()) {
    auto text = read_input(arguments.grammar_path);
    if (!text) return tl::unexpected(text.error());
    auto parsed = Grammar::from_text(*text);
    if (!parsed) return tl::unexpected(Error{arguments.grammar_path + ": " + parsed.error().message});
    for (const std::string& warning : (*parsed)->warnings()) note(warning);
    return parsed;
  }
  if (!arguments.regex.empty()) return Grammar::from_regex(arguments.regex);
  if (arguments.schema.empty()) return nullptr;
  std::string schema = arguments.schema;
  const size_t first = schema.find_first_not_of(" \t\r\n");
  if (first == std::string::npos || schema[first] != '{') {
    auto text = read_input(schema);
    if (!text) return tl::unexpected(text.error());
    schema = std::move(*text);
  }
  auto compiled = Grammar::from_schema(schema, {});
  if (compiled) {
    for (const std::string& warning : (*compiled)->warnings()) note(warning);
  }
  return compiled;
}

std::shared_ptr<const grammar::Constraint> constraint_on(const Text& text,
                                                         std::shared_ptr<const grammar::Grammar> grammar) {
  if (!grammar) return nullptr;
  return std::make_shared<const grammar::Constraint>(std::move(grammar), text.vocabulary());
}

}  // namespace mneme::cli
