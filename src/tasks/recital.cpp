#include "tasks/recital.h"

#include <algorithm>

#include "tasks/lines.h"
#include "tasks/utf8.h"

namespace mneme::tasks {

namespace {

constexpr size_t kBytesBefore = 32, kAnswerMax = 120, kAnswerPart = 32;

// Where the blank in front of at, or at itself, begins.
size_t with_blank(std::string_view text, size_t at) { return at > 0 && text[at - 1] == ' ' ? at - 1 : at; }

// Bytes of an answer that are said before it: all of it, or the first words of a long one.
size_t told_size(std::string_view answer) {
  if (answer.size() <= kAnswerMax) return answer.size();
  const size_t part = floor_boundary(answer, kAnswerPart);
  return std::min(part, answer.substr(0, part).rfind(' '));
}

}  // namespace

std::string recital(std::string_view record, std::string_view key, std::string_view value) {
  const size_t key_at = record.find(key);
  if (key.empty() || value.empty() || key_at == std::string_view::npos) return {};
  size_t value_at = record.find(value, key_at + key.size());
  if (value_at == std::string_view::npos) value_at = record.find(value);
  if (value_at == std::string_view::npos) return {};
  const size_t begin = with_blank(record, std::min(key_at, value_at));
  const size_t end = std::max(key_at + key.size(), value_at + value.size());
  return std::string(record.substr(begin, end - begin));
}

std::string recital_at(std::string_view context, size_t answer_begin, size_t answer_end) {
  size_t begin = floor_boundary(context, answer_begin - std::min(answer_begin, kBytesBefore));
  const size_t line = context.substr(begin, answer_begin - begin).rfind('\n');
  if (line != std::string_view::npos) begin += line + 1;
  if (const size_t blank = context.substr(begin, answer_begin - begin).find(' ');
      blank != std::string_view::npos && begin > 0 && context[begin - 1] != '\n')
    begin += blank;
  const size_t size = told_size(context.substr(answer_begin, answer_end - answer_begin));
  return std::string(context.substr(begin, answer_begin - begin + size));
}

std::string recital_of(std::string_view answer) {
  answer = trimmed(answer);
  return std::string(answer.substr(0, told_size(answer)));
}

}  // namespace mneme::tasks
