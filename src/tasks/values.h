// Random keys and values. A random string of digits or letters belongs to train or to held-out by its hash
// (one in eight is held-out), so the two never share one; strings made of words take the words of their side.
#pragma once

#include <string>
#include <string_view>

#include "tasks/draft.h"
#include "tasks/words.h"

namespace mneme::tasks {

enum class ValueKind : uint8_t { kDigits, kHex, kWords, kUuid, kIdentifier, kMixed };
inline constexpr size_t kValueKinds = 6;

// Which side a random string is on.
bool belongs(std::string_view value, Split split);

std::string word(Draft& draft, WordClass word_class);
// A value of this kind that the sample has not used yet.
std::string fresh_value(Draft& draft, ValueKind kind);
// Digits, first not 0; fresh.
std::string fresh_digits(Draft& draft, size_t count);
// "QXBZA", as names of variables; fresh.
std::string fresh_capitals(Draft& draft, size_t count);
// The kind of keys: adjective-noun, identifier, and the like; fresh.
std::string fresh_key(Draft& draft, ValueKind kind);
// One word: a noun, an adjective, a given name or a product; fresh.
std::string plain_key(Draft& draft);
// A key that is easily taken for this one: a character, the first or the last word differs; fresh.
std::string fresh_neighbour(Draft& draft, std::string_view key);
ValueKind any_key_kind(Draft& draft);
ValueKind any_value_kind(Draft& draft);
// "number", "word", ... as a record names the kind.
std::string_view noun_for(ValueKind kind, Language language);

// "Clara Weber", "张晓东".
std::string any_person(Draft& draft);
std::string fresh_person(Draft& draft);
std::string capitalised(std::string_view word);
// Fresh whatever make() gives: called until it gives something that was not used yet.
template <class Make>
std::string fresh(Draft& draft, Make make) {
  // A word list that is used up: a number tells the next ones apart. Large tables do not wait for luck.
  const int patience = draft.used.size() < 4000 ? 40 : 2;
  for (int tries = 0;; ++tries) {
    std::string made = make();
    if (tries > patience) made += std::to_string(2 + draft.below(size_t{1} << 20));
    if (draft.used.insert(made).second) return made;
  }
}

}  // namespace mneme::tasks
