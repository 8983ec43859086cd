#include "tasks/values.h"

#include <span>

#include "core/hash.h"
#include "tasks/open.h"
#include "tasks/utf8.h"

namespace mneme::tasks {
namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kCapitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view kMixed = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

std::string random_string(Draft& draft, std::string_view alphabet, size_t count) {
  std::string text(count, ' ');
  for (char& c : text) c = draft.any_of(alphabet);
  return text;
}

std::string uuid(Draft& draft) {
  std::string text = random_string(draft, kHexDigits, 36);
  for (const size_t dash : {8, 13, 18, 23}) text[dash] = '-';
  text[14] = '4';  // RFC 4122: version 4, variant 10
  text[19] = "89ab"[draft.below(4)];
  return text;
}

std::string identifier(Draft& draft) {
  // The words are English in Chinese samples too, as in real programs.
  const auto nouns = words(WordClass::kNoun, Language::kEnglish, draft.request.split);
  const auto adjectives = words(WordClass::kAdjective, Language::kEnglish, draft.request.split);
  const bool open = draft.makes_up(0.5f);
  std::string text = open ? text_word(draft, Language::kEnglish) : std::string(draft.any_of(adjectives));
  const std::string noun = open ? text_word(draft, Language::kEnglish) : std::string(draft.any_of(nouns));
  text += draft.chance(0.5f) ? '_' + noun : capitalised(noun);
  if (draft.chance(0.3f)) text += '_' + random_string(draft, kDigits, draft.between(1, 3));
  return text;
}

std::string joined_words(Draft& draft) {
  std::string text = word(draft, WordClass::kAdjective);
  if (!draft.english()) return text + word(draft, WordClass::kNoun);
  text += '-' + word(draft, WordClass::kNoun);
  if (draft.chance(0.25f)) text += '-' + word(draft, WordClass::kNoun);
  return text;
}

std::string random_of_split(Draft& draft, std::string_view alphabet, size_t count) {
  for (;;) {
    std::string text = random_string(draft, alphabet, count);
    if (text[0] == '0') text[0] = '7';
    if (belongs(text, draft.request.split)) return text;
  }
}

std::string any_value(Draft& draft, ValueKind kind) {
  switch (kind) {
    case ValueKind::kDigits: return random_of_split(draft, kDigits, draft.between(4, 8));
    case ValueKind::kHex: return random_of_split(draft, kHexDigits, draft.between(6, 12));
    case ValueKind::kWords: return joined_words(draft);
    case ValueKind::kIdentifier: return identifier(draft);
    case ValueKind::kMixed: return random_of_split(draft, kMixed, draft.between(5, 10));
    case ValueKind::kUuid: break;
  }
  for (;;) {
    std::string text = uuid(draft);
    if (belongs(text, draft.request.split)) return text;
  }
}

// Another character of the same class in place of one of the key's: letters and digits only, so that formats
// hold.
std::string with_one_character_changed(Draft& draft, std::string_view key) {
  std::string text(key);
  for (int tries = 0; tries < 16; ++tries) {
    char& c = text[draft.below(text.size())];
    const std::string_view alphabet = c >= '0' && c <= '9'   ? kDigits
                                      : c >= 'a' && c <= 'z' ? kLetters
                                      : c >= 'A' && c <= 'Z' ? kCapitals
                                                             : "";
    if (!alphabet.empty()) {
      c = draft.any_of(alphabet);
      return text;
    }
  }
  return text + draft.any_of(kDigits);
}

bool is_ascii_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The key's last word replaced: the prefix stays.
std::string with_other_ending(Draft& draft, std::string_view key) {
  size_t end = key.size();
  while (end > 0 && is_ascii_word(key[end - 1])) --end;
  if (end == key.size() || end == 0) return std::string(key) + '_' + draft.any_of(kDigits);
  const auto nouns = words(WordClass::kNoun, Language::kEnglish, draft.request.split);
  return std::string(key.substr(0, end)) + std::string(draft.any_of(nouns));
}

std::string with_other_beginning(Draft& draft, std::string_view key) {
  size_t begin = 0;
  while (begin < key.size() && is_ascii_word(key[begin])) ++begin;
  const auto adjectives = words(WordClass::kAdjective, Language::kEnglish, draft.request.split);
  if (begin == 0 || begin == key.size())
    return std::string(draft.any_of(adjectives)) + '_' + std::string(key);
  return std::string(draft.any_of(adjectives)) + std::string(key.substr(begin));
}

// Chinese words have no separators: the first or last two characters become another word.
std::string chinese_neighbour(Draft& draft, std::string_view key) {
  const size_t two = bytes_of_characters(key, 2);
  if (draft.chance(0.5f)) return std::string(key.substr(0, two)) + word(draft, WordClass::kNoun);
  return word(draft, WordClass::kAdjective) + std::string(key.substr(two));
}

}  // namespace

namespace {

// How many of train's words are any of the text's.
float open_share(WordClass word_class) {
  switch (word_class) {
    case WordClass::kNoun:
    case WordClass::kAdjective: return 0.5f;
    case WordClass::kGivenName:
    case WordClass::kSurname: return 0.25f;
    case WordClass::kCity: return 0.25f;
    case WordClass::kProduct: return 0;
  }
  return 0;
}

}  // namespace

bool belongs(std::string_view value, Split split) {
  const uint64_t hash = core::hash64(std::as_bytes(std::span(value.data(), value.size())), 0x7A5C);
  return (hash % 8 == 0) == (split == Split::kHeldOut);
}

std::string word(Draft& draft, WordClass word_class) {
  if (draft.makes_up(open_share(word_class))) {
    const std::string open = text_word(draft, draft.request.language);
    const bool name = word_class != WordClass::kNoun && word_class != WordClass::kAdjective;
    return name ? capitalised(open) : open;
  }
  return std::string(draft.any_of(words(word_class, draft.request.language, draft.request.split)));
}

std::string fresh_value(Draft& draft, ValueKind kind) {
  return fresh(draft, [&] { return any_value(draft, kind); });
}

std::string fresh_digits(Draft& draft, size_t count) {
  return fresh(draft, [&] { return random_of_split(draft, kDigits, count); });
}

std::string fresh_capitals(Draft& draft, size_t count) {
  return fresh(draft, [&] { return random_of_split(draft, kCapitals, count); });
}

std::string fresh_key(Draft& draft, ValueKind kind) { return fresh_value(draft, kind); }

std::string plain_key(Draft& draft) {
  constexpr WordClass kClasses[] = {WordClass::kNoun, WordClass::kNoun, WordClass::kAdjective,
                                    WordClass::kGivenName, WordClass::kProduct};
  return fresh(draft, [&] { return word(draft, draft.any_of(kClasses)); });
}

std::string fresh_neighbour(Draft& draft, std::string_view key) {
  const bool chinese = !key.empty() && (static_cast<unsigned char>(key[0]) & 0x80) != 0;
  return fresh(draft, [&] {
    if (chinese) return chinese_neighbour(draft, key);
    for (;;) {
      // A word in a code would stand out.
      const bool code = key.find_first_of(kDigits) < 6;
      const size_t way = code && draft.chance(0.8f) ? 3 : draft.below(4);
      std::string other = way == 0   ? with_other_ending(draft, key)
                          : way == 1 ? with_other_beginning(draft, key)
                                     : with_one_character_changed(draft, key);
      if (belongs(other, draft.request.split)) return other;
    }
  });
}

ValueKind any_key_kind(Draft& draft) {
  constexpr ValueKind kKinds[] = {ValueKind::kWords, ValueKind::kWords,      ValueKind::kIdentifier,
                                  ValueKind::kHex,   ValueKind::kIdentifier, ValueKind::kMixed,
                                  ValueKind::kUuid};
  return draft.any_of(kKinds);
}

ValueKind any_value_kind(Draft& draft) {
  constexpr ValueKind kKinds[] = {ValueKind::kDigits, ValueKind::kDigits,    ValueKind::kHex,
                                  ValueKind::kWords,  ValueKind::kMixed,     ValueKind::kWords,
                                  ValueKind::kUuid,   ValueKind::kIdentifier};
  return draft.any_of(kKinds);
}

std::string_view noun_for(ValueKind kind, Language language) {
  const bool english = language == Language::kEnglish;
  switch (kind) {
    case ValueKind::kDigits: return english ? "number" : "数字";
    case ValueKind::kWords: return english ? "word" : "词语";
    case ValueKind::kUuid: return english ? "uuid" : "编号";
    case ValueKind::kIdentifier: return english ? "name" : "名称";
    case ValueKind::kHex:
    case ValueKind::kMixed: break;
  }
  return english ? "code" : "代码";
}

std::string any_person(Draft& draft) {
  // Drawn one by one: C++ leaves the order of a sum's operands open, and samples must not depend on it.
  const std::string surname = word(draft, WordClass::kSurname);
  const std::string given = word(draft, WordClass::kGivenName);
  return draft.english() ? given + ' ' + surname : surname + given;
}

std::string fresh_person(Draft& draft) {
  return fresh(draft, [&] { return any_person(draft); });
}

std::string capitalised(std::string_view word) {
  std::string text(word);
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

}  // namespace mneme::tasks
