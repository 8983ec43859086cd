// The public face: grammars, vocabularies, and a generation's place in the two.
#include <algorithm>
#include <utility>

#include "grammar/masks.h"
#include "grammar/regex.h"
#include "grammar/schema.h"
#include "grammar/text_parser.h"
#include "mneme/grammar.h"

namespace mneme::grammar {

Grammar::Grammar(std::shared_ptr<const Machine> machine, std::vector<std::string> warnings)
    : machine_(std::move(machine)), warnings_(std::move(warnings)) {}

namespace {

Result<std::shared_ptr<const Grammar>> compiled(Rules rules, RuleId root, std::vector<std::string> warnings) {
  auto machine = compile(std::move(rules), root);
  if (!machine) return core::pass(machine);
  return std::make_shared<const Grammar>(std::make_shared<const Machine>(std::move(*machine)),
                                         std::move(warnings));
}

}  // namespace

Result<std::shared_ptr<const Grammar>> Grammar::from_text(std::string_view text) {
  auto parsed = parse_text(text);
  if (!parsed) return core::pass(parsed);
  return compiled(std::move(parsed->rules), parsed->root, std::move(parsed->warnings));
}

Result<std::shared_ptr<const Grammar>> Grammar::from_regex(std::string_view pattern) {
  Rules rules;
  const RuleId root = rules.add_rule("root");
  auto body = parse_regex(rules, pattern, RegexScope::kWhole, Spelling::kPlain);
  if (!body) return core::pass(body);
  rules.define(root, *body);
  return compiled(std::move(rules), root, {});
}

Result<std::shared_ptr<const Grammar>> Grammar::from_schema(std::string_view schema,
                                                            const SchemaOptions& options) {
  Rules rules;
  const RuleId root = rules.add_rule("root");
  SchemaCompiler compiler(rules, options);
  auto body = compiler.compile(schema);
  if (!body) return core::pass(body);
  rules.define(root, *body);
  return compiled(std::move(rules), root, compiler.warnings());
}

std::shared_ptr<const Grammar> Grammar::any_json_object() {
  auto grammar = from_schema(R"({"type": "object"})", {});
  MNEME_CHECK(grammar.has_value(), "{}", grammar.error().message);
  return *grammar;
}

bool Grammar::matches(std::string_view text) const {
  Automaton automaton(machine_);
  const ConfigId end = automaton.next(automaton.start(), text);
  return end != kDead && automaton.may_end(end);
}

Vocabulary::Vocabulary(std::span<const TokenSpelling> tokens) {
  using Kind = TokenSpelling::Kind;
  spellings_.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const TokenSpelling& token = tokens[i];
    std::string spelling;
    // The mark is no byte of any UTF-8 text: a token with it can be part of none.
    const bool text = token.kind == Kind::kText && token.bytes.find(kSpecialMark) == std::string_view::npos;
    if (text) spelling = token.bytes;
    if (token.kind == Kind::kSpecial) spelling = kSpecialMark + std::string(token.bytes) + kSpecialMark;
    if (token.kind == Kind::kEnd) ends_.push_back(static_cast<TokenId>(i));
    spellings_.push_back(std::move(spelling));
  }
  trie_ = std::make_unique<Trie>(spellings_);
}

Vocabulary::~Vocabulary() = default;

bool Vocabulary::is_end(TokenId token) const { return std::binary_search(ends_.begin(), ends_.end(), token); }

Constraint::Constraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const Vocabulary> vocabulary)
    : grammar_(std::move(grammar)),
      vocabulary_(std::move(vocabulary)),
      masks_(std::make_shared<NewestMasks>(std::make_shared<MaskCache>(grammar_->machine(), vocabulary_))) {}

Constraint::~Constraint() = default;

Guide Constraint::guide() const {
  auto cache = masks_->get();
  const ConfigId start = cache->start();
  return {masks_, std::move(cache), start};
}

std::span<const uint64_t> Guide::allowed() {
  newest_->bring_up_to_date(masks_, config_);
  return masks_->mask(config_);
}

bool Guide::accept(TokenId token) {
  const Vocabulary& vocabulary = masks_->vocabulary();
  if (token < 0 || static_cast<size_t>(token) >= vocabulary.size()) return false;
  if (vocabulary.is_end(token)) return complete();
  const std::string_view spelling = vocabulary.spelling(token);
  return !spelling.empty() && accept_text(spelling);
}

bool Guide::accept_text(std::string_view text) {
  newest_->bring_up_to_date(masks_, config_);
  const ConfigId next = masks_->next(config_, text);
  if (next == kDead) return false;
  config_ = next;
  return true;
}

bool Guide::complete() const { return masks_->may_end(config_); }

bool Guide::finished() const { return masks_->may_end(config_) && !masks_->may_go_on(config_); }

std::string Guide::forced() const {
  constexpr size_t kBytesMax = 4096;
  return masks_->forced(config_, kBytesMax);
}

}  // namespace mneme::grammar
