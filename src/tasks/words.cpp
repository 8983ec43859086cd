#include "tasks/words.h"

#include <array>
#include <vector>

namespace mneme::tasks {
namespace {

std::vector<std::string_view> cut(std::string_view written) {
  std::vector<std::string_view> words;
  for (size_t at = written.find_first_not_of(' '); at != std::string_view::npos;) {
    const size_t end = written.find(' ', at);
    words.push_back(written.substr(at, end == std::string_view::npos ? end : end - at));
    at = written.find_first_not_of(' ', end);
  }
  return words;
}

using Lists = std::array<std::vector<std::string_view>, kWordClasses * 4>;

size_t index_of(WordClass word_class, Language language, Split split) {
  return (static_cast<size_t>(word_class) * 2 + static_cast<size_t>(language)) * 2 +
         static_cast<size_t>(split);
}

Lists make_lists() {
  Lists lists;
  for (size_t i = 0; i < kWordClasses; ++i) {
    const auto word_class = static_cast<WordClass>(i);
    for (const Split split : {Split::kTrain, Split::kHeldOut}) {
      lists[index_of(word_class, Language::kEnglish, split)] = cut(words_written_english(word_class, split));
      lists[index_of(word_class, Language::kChinese, split)] = cut(words_written_chinese(word_class, split));
    }
  }
  return lists;
}

}  // namespace

std::span<const std::string_view> words(WordClass word_class, Language language, Split split) {
  static const Lists lists = make_lists();
  return lists[index_of(word_class, language, split)];
}

}  // namespace mneme::tasks
