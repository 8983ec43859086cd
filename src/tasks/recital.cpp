#include "tasks/recital.h"

#include <algorithm>

#include "tasks/lines.h"
#include "tasks/utf8.h"

namespace mneme::tasks {

namespace {

constexpr size_t kBytesBefore = 32, kBytesBehind = 12;

// Where the blank in front of at, or at itself, begins.
size_t with_blank(std::string_view text, size_t at) { return at > 0 && text[at - 1] == ' ' ? at - 1 : at; }

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
  size_t end = floor_boundary(context, std::min(answer_end, answer_begin + kBytesBehind));
  end = std::max(end, answer_begin);
  return std::string(context.substr(begin, end - begin));
}

}  // namespace mneme::tasks
