#include "tasks/recital.h"

#include <algorithm>

#include "tasks/lines.h"
#include "tasks/utf8.h"

namespace mneme::tasks {

namespace {

constexpr size_t kAnswerMax = 120, kAnswerPart = 32;
constexpr std::string_view kBack = " <- ";

// Where the blank in front of at, or at itself, begins.
size_t with_blank(std::string_view text, size_t at) { return at > 0 && text[at - 1] == ' ' ? at - 1 : at; }

// Bytes of an answer that are said before it: all of it, or the first words of a long one.
size_t told_size(std::string_view answer) {
  if (answer.size() <= kAnswerMax) return answer.size();
  const size_t part = floor_boundary(answer, kAnswerPart);
  return std::min(part, answer.substr(0, part).rfind(' '));
}

}  // namespace

std::string recital(std::string_view record, std::string_view named, std::string_view wanted) {
  size_t named_at = record.find(named);
  if (named.empty() || wanted.empty() || named_at == std::string_view::npos) return {};
  size_t wanted_at = record.find(wanted, named_at + named.size());
  if (wanted_at == std::string_view::npos) wanted_at = record.find(wanted);
  if (wanted_at == std::string_view::npos) return {};
  // "7" of "7a = 7" is the one outside the key.
  if (wanted_at <= named_at && named_at < wanted_at + wanted.size()) named_at = record.rfind(named);
  const size_t begin = with_blank(record, named_at);
  if (named_at <= wanted_at) return recital_from(record, begin, wanted_at, wanted_at + wanted.size());
  return recital_back(record.substr(begin, named_at - begin + named.size()), wanted);
}

std::string recital_from(std::string_view context, size_t named_begin, size_t answer_begin,
                         size_t answer_end) {
  const size_t size = told_size(context.substr(answer_begin, answer_end - answer_begin));
  return std::string(context.substr(named_begin, answer_begin - named_begin + size));
}

std::string recital_counted(std::string_view beginning, std::string_view words, size_t count) {
  std::string told(beginning);
  for (size_t number = 1, from = 0; number <= count; ++number) {
    const size_t end = end_of_words(words, number);
    if (end == 0) break;
    told += words.substr(from, end - from);
    told += '|' + std::to_string(number) + '|';
    from = end;
  }
  return told;
}

std::string recital_back(std::string_view named, std::string_view told) {
  return std::string(named) + std::string(kBack) + std::string(told);
}

std::string recital_of(std::string_view answer) {
  answer = trimmed(answer);
  return std::string(answer.substr(0, told_size(answer)));
}

}  // namespace mneme::tasks
