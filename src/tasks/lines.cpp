#include "tasks/lines.h"

#include <algorithm>
#include <functional>

#include "tasks/utf8.h"

namespace mneme::tasks {

bool occurs_once(std::string_view text, std::string_view pattern) {
  if (pattern.empty() || pattern.size() > text.size()) return false;
  // Skips up to the pattern's size at a time: contexts are megabytes, and each question asks this.
  const std::boyer_moore_horspool_searcher search(pattern.begin(), pattern.end());
  const auto first = std::search(text.begin(), text.end(), search);
  return first != text.end() && std::search(first + 1, text.end(), search) == text.end();
}

bool always_followed(std::string_view text, std::string_view beginning, std::string_view rest) {
  if (beginning.empty()) return false;
  const std::boyer_moore_horspool_searcher search(beginning.begin(), beginning.end());
  size_t found = 0;
  for (auto from = text.begin();;) {
    const auto at = std::search(from, text.end(), search);
    if (at == text.end()) return found > 0;
    const auto behind = static_cast<size_t>(at - text.begin()) + beginning.size();
    if (text.substr(behind, rest.size()) != rest || ++found > 64) return false;
    from = at + 1;
  }
}

bool is_chinese(std::string_view text) {
  return !text.empty() && (static_cast<unsigned char>(text[0]) & 0x80) != 0;
}

size_t end_of_words(std::string_view text, size_t count) {
  if (is_chinese(text)) {
    const size_t end = bytes_of_characters(text, count);
    return end < text.size() || bytes_of_characters(text, count - 1) < end ? end : 0;
  }
  size_t at = 0;
  for (; count > 0; --count) {
    at = text.find_first_not_of(' ', at);
    if (at == std::string_view::npos) return 0;
    at = std::min(text.find(' ', at), text.size());
  }
  return at;
}

namespace {

// Bytes of text's first wrapped line: text itself, or up to the last blank before width, or to a character.
size_t wrapped_size(std::string_view text, size_t width) {
  if (text.size() <= width) return text.size();
  const size_t blank = text.rfind(' ', width);
  if (blank != std::string_view::npos && blank > width / 2) return blank;
  return std::max(floor_boundary(text, width), character_bytes(text, 0));
}

}  // namespace

std::vector<Range> append_wrapped(Noise& noise, std::string& out, size_t bytes, size_t width) {
  std::vector<Range> lines;
  const size_t limit = out.size() + bytes;
  std::string raw;
  // Blank lines fall out, so once more where much room is left.
  for (int rounds = 0; rounds < 4 && out.size() + width < limit; ++rounds) {
    const size_t room = limit - out.size();
    raw.clear();
    noise.fill(raw, room + room / 8 + width);
    for (std::string_view rest = raw; !rest.empty();) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      while (!line.empty() && trimmed(line.substr(line.size() - 1)).empty()) line.remove_suffix(1);
      while (!trimmed(line).empty()) {
        const size_t size = wrapped_size(line, width);
        if (out.size() + size + 1 > limit) return lines;
        lines.push_back({out.size(), out.size() + size});
        out += line.substr(0, size);
        out += '\n';
        line.remove_prefix(size);
        if (!line.empty() && line[0] == ' ') line.remove_prefix(1);
      }
    }
  }
  return lines;
}

Range line_around(std::string_view text, size_t at) {
  const size_t before = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
  size_t begin = before == std::string_view::npos ? 0 : before + 1;
  size_t end = std::min(text.find('\n', at), text.size());
  while (begin < end && (text[begin] == ' ' || text[begin] == '\t')) ++begin;
  while (end > begin && (text[end - 1] == '\r' || text[end - 1] == ' ' || text[end - 1] == '\t')) --end;
  return {begin, std::max(begin, end)};
}

size_t place_near(Draft& draft, size_t last) {
  if (draft.request.depth < 0) return draft.below(last + 1);
  // Spread over 2 % (at least some lines), so that each try sees another line.
  const size_t spread = std::min(last, std::max<size_t>(last / 50, 2000));
  const auto middle = static_cast<size_t>(std::min(draft.request.depth, 1.0) * static_cast<double>(last));
  const size_t low = std::min(middle - std::min(middle, spread / 2), last - spread);
  return low + draft.below(spread + 1);
}

}  // namespace mneme::tasks
