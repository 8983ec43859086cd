// The vocabulary of keys, values, names and subjects. Train and held-out lists have no word in common.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "tasks/tasks.h"

namespace mneme::tasks {

enum class WordClass : uint8_t { kNoun, kAdjective, kGivenName, kSurname, kCity, kProduct };
inline constexpr size_t kWordClasses = 6;

std::span<const std::string_view> words(WordClass word_class, Language language, Split split);

// The lists as they are written: words between blanks.
std::string_view words_written_english(WordClass word_class, Split split);
std::string_view words_written_chinese(WordClass word_class, Split split);

}  // namespace mneme::tasks
