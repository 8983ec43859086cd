// Grammars: texts that a generation must stay within. A Grammar says which texts; a Vocabulary, the spellings
// of a model's tokens, is made once a model; a Constraint joins the two; a Guide is one generation's place.
//
//   auto grammar = mneme::grammar::Grammar::from_schema(R"({"type": "object", ...})", {});
//   auto constraint = std::make_shared<mneme::grammar::Constraint>(*grammar, engine.text().vocabulary());
//   mneme::generate(engine, session, {.constraint = constraint}, {});
//
// Grammar, Vocabulary and Constraint are immutable to their users and may be used from any thread; a Guide
// belongs to one thread at a time. docs/grammar.md says what grammars, expressions and schemas may contain.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mneme/result.h"

namespace mneme::grammar {

using TokenId = int32_t;

struct Machine;
class MaskCache;
class NewestMasks;
class Trie;

// After ',' and ':' of JSON.
enum class JsonSpaces : uint8_t {
  kNone,
  kAllowed,
  kRequired,  // one each, as Python's json.dumps writes and the calls in most models' training data are
};

struct SchemaOptions {
  // OpenAI's strict mode: the root is an object, every object names all its properties as required and allows
  // no others; and whatever cannot be held to exactly is an error instead of a warning.
  bool strict = false;
  JsonSpaces spaces = JsonSpaces::kAllowed;
};

class Grammar {
 public:
  // Rules in the manner of GBNF; the text is what `root` matches. Errors name line and column.
  static Result<std::shared_ptr<const Grammar>> from_text(std::string_view text);
  // The whole text must match the regular expression (of ECMAScript's kind).
  static Result<std::shared_ptr<const Grammar>> from_regex(std::string_view pattern);
  // JSON that the schema accepts, without blanks but for those of the options. Errors and warnings name the
  // place as a JSON pointer.
  static Result<std::shared_ptr<const Grammar>> from_schema(std::string_view schema,
                                                            const SchemaOptions& options);
  // Any JSON object.
  static std::shared_ptr<const Grammar> any_json_object();

  Grammar(std::shared_ptr<const Machine> machine, std::vector<std::string> warnings);
  // What a schema says that texts are not held to, a line each.
  const std::vector<std::string>& warnings() const { return warnings_; }
  bool matches(std::string_view text) const;  // the whole of it
  const std::shared_ptr<const Machine>& machine() const { return machine_; }

 private:
  std::shared_ptr<const Machine> machine_;
  std::vector<std::string> warnings_;
};

struct TokenSpelling {
  enum class Kind : uint8_t {
    kText,     // `bytes` are text
    kSpecial,  // never text; passes where a grammar names it: %token "<tool_call>"
    kEnd,      // ends a generation: passes where the text may end
    kUnused,   // never passes
  };
  Kind kind = Kind::kText;
  std::string_view bytes = {};
};

class Vocabulary {
 public:
  explicit Vocabulary(std::span<const TokenSpelling> tokens);  // [vocab_size]; copied
  ~Vocabulary();
  size_t size() const { return spellings_.size(); }
  // As the grammar reads it: a special token's has a mark that no text contains.
  std::string_view spelling(TokenId token) const { return spellings_[static_cast<size_t>(token)]; }
  bool is_end(TokenId token) const;
  std::span<const TokenId> ends() const { return ends_; }
  const Trie& trie() const { return *trie_; }

 private:
  std::vector<std::string> spellings_;  // empty: passes as no text
  std::vector<TokenId> ends_;           // rising
  std::unique_ptr<Trie> trie_;
};

class Guide;

// What was computed for one generation (which tokens may follow where) serves all others of the constraint.
class Constraint {
 public:
  Constraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const Vocabulary> vocabulary);
  ~Constraint();
  const Grammar& grammar() const { return *grammar_; }
  const Vocabulary& vocabulary() const { return *vocabulary_; }
  Guide guide() const;  // at the beginning of a text; may outlive the constraint

 private:
  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const Vocabulary> vocabulary_;
  std::shared_ptr<NewestMasks> masks_;
};

// Copies are independent of each other.
class Guide {
 public:
  // Bit token % 64 of word token / 64: it may follow. Valid until the guide changes. No bit at all: the
  // vocabulary cannot spell what must follow.
  std::span<const uint64_t> allowed();
  // Goes on by a token; false, and no change, for one that is not allowed. An end token changes nothing.
  bool accept(TokenId token);
  bool accept_text(std::string_view text);  // the same by bytes
  bool complete() const;                    // the text so far is one of the grammar's
  bool finished() const;                    // ... and nothing may follow it
  // The bytes that must follow, where only one text is possible for a while, at most 4096; they may end
  // within a UTF-8 character. The guide stays where it is.
  std::string forced() const;

 private:
  friend class Constraint;
  Guide(std::shared_ptr<NewestMasks> newest, std::shared_ptr<MaskCache> masks, int32_t config)
      : newest_(std::move(newest)), masks_(std::move(masks)), config_(config) {}

  std::shared_ptr<NewestMasks> newest_;
  std::shared_ptr<MaskCache> masks_;
  int32_t config_ = 0;
};

}  // namespace mneme::grammar
