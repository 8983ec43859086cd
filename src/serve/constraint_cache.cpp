#include "serve/constraint_cache.h"

#include <utility>

#include "core/error.h"
#include "serve/backend.h"

namespace mneme::serve {

namespace {

Result<std::shared_ptr<const grammar::Grammar>> compile(ConstraintCache::Kind kind,
                                                        const std::string& source) {
  using Kind = ConstraintCache::Kind;
  switch (kind) {
    case Kind::kText: return grammar::Grammar::from_text(source);
    case Kind::kRegex: return grammar::Grammar::from_regex(source);
    case Kind::kSchema: return grammar::Grammar::from_schema(source, {});
    case Kind::kSchemaStrict: return grammar::Grammar::from_schema(source, {.strict = true});
  }
  return core::fail("unknown kind of grammar");
}

}  // namespace

Result<std::shared_ptr<const grammar::Constraint>> ConstraintCache::find(const Text& text, Kind kind,
                                                                         const std::string& source) {
  std::string key = static_cast<char>(kind) + source;
  if (auto constraint = known(key)) return constraint;
  // Compiled outside the lock: two requests may both do it once.
  auto grammar = compile(kind, source);
  if (!grammar) return core::pass(grammar);
  const auto vocabulary = text.vocabulary();
  if (!vocabulary) return core::fail("this model's text has no vocabulary to hold answers to a grammar with");
  auto constraint = std::make_shared<const grammar::Constraint>(std::move(*grammar), vocabulary);
  keep({std::move(key), constraint});
  return constraint;
}

bool ConstraintCache::has(Kind kind, const std::string& source) const {
  const std::lock_guard lock(mutex_);
  return by_key_.contains(static_cast<char>(kind) + source);
}

size_t ConstraintCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

std::shared_ptr<const grammar::Constraint> ConstraintCache::known(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->constraint;
}

void ConstraintCache::keep(Entry entry) {
  const std::lock_guard lock(mutex_);
  if (by_key_.contains(entry.key)) return;
  text_bytes_ += entry.key.size();
  entries_.push_front(std::move(entry));
  by_key_[entries_.front().key] = entries_.begin();
  while (entries_.size() > 1 && (entries_.size() > kCountMax || text_bytes_ > kTextBytesMax)) {
    text_bytes_ -= entries_.back().key.size();
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

std::shared_ptr<ConstraintCache> make_constraint_cache() { return std::make_shared<ConstraintCache>(); }

}  // namespace mneme::serve
