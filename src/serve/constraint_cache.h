// Grammars of requests, compiled and joined with the model's vocabulary, by their text: a client sends the
// same tools with every turn, and what was computed for one generation serves the next. Thread safe.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "mneme/text.h"

namespace mneme::serve {

class ConstraintCache {
 public:
  static constexpr size_t kCountMax = 64;                   // each with at most 32 MiB of masks
  static constexpr size_t kTextBytesMax = size_t{8} << 20;  // of all grammars' texts

  enum class Kind : char { kText, kRegex, kSchema, kSchemaStrict };
  // The error is the grammar's.
  Result<std::shared_ptr<const grammar::Constraint>> find(const Text& text, Kind kind,
                                                          const std::string& source);
  bool has(Kind kind, const std::string& source) const;
  size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const grammar::Constraint> constraint;
  };
  std::shared_ptr<const grammar::Constraint> known(const std::string& key);
  void keep(Entry entry);

  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the last used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
  size_t text_bytes_ = 0;
};

}  // namespace mneme::serve
