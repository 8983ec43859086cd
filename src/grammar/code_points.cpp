#include "grammar/code_points.h"

#include <algorithm>
#include <string>

#include "core/utf8.h"

namespace mneme::grammar {

namespace {

constexpr char32_t kLast = 0x10FFFF;
constexpr char32_t kSurrogateFirst = 0xD800, kSurrogateLast = 0xDFFF;

// Both ends have the same number of bytes, and between them each byte runs through a whole range.
ByteRanges spell(char32_t first, char32_t last) {
  std::string low, high;
  core::append_utf8(low, first);
  core::append_utf8(high, last);
  ByteRanges ranges;
  for (size_t i = 0; i < low.size(); ++i)
    ranges.push_back({static_cast<uint8_t>(low[i]), static_cast<uint8_t>(high[i])});
  return ranges;
}

// Cuts the range until spell() may spell it: at the ends of each length, then where a later byte does not
// run through all of 80..BF.
void cut(char32_t first, char32_t last, std::vector<ByteRanges>& out) {
  for (const char32_t end : {char32_t{0x7F}, char32_t{0x7FF}, char32_t{0xFFFF}}) {
    if (first <= end && end < last) {
      cut(first, end, out);
      return cut(end + 1, last, out);
    }
  }
  const int later = last < 0x80 ? 0 : last < 0x800 ? 1 : last < 0x10000 ? 2 : 3;
  for (int i = 1; i <= later; ++i) {
    const char32_t low_bits = (char32_t{1} << (6 * i)) - 1;
    if ((first & ~low_bits) == (last & ~low_bits)) continue;
    if ((first & low_bits) != 0) {
      cut(first, first | low_bits, out);
      return cut((first | low_bits) + 1, last, out);
    }
    if ((last & low_bits) != low_bits) {
      cut(first, (last & ~low_bits) - 1, out);
      return cut(last & ~low_bits, last, out);
    }
  }
  out.push_back(spell(first, last));
}

}  // namespace

void CodePoints::add(char32_t first, char32_t last) {
  last = std::min(last, kLast);
  if (first > last) return;
  if (first <= kSurrogateLast && last >= kSurrogateFirst) {
    if (first < kSurrogateFirst) add(first, kSurrogateFirst - 1);
    if (last > kSurrogateLast) add(kSurrogateLast + 1, last);
    return;
  }
  // Everything that touches the new range becomes part of it.
  const auto from = std::lower_bound(ranges_.begin(), ranges_.end(), first,
                                     [](const CodeRange& r, char32_t x) { return r.last + 1 < x; });
  auto to = from;
  for (; to != ranges_.end() && to->first <= last + 1; ++to) {
    first = std::min(first, to->first);
    last = std::max(last, to->last);
  }
  ranges_.insert(ranges_.erase(from, to), {first, last});
}

void CodePoints::add(const CodePoints& other) {
  for (const CodeRange& range : other.ranges_) add(range.first, range.last);
}

CodePoints CodePoints::complement() const {
  CodePoints result;
  char32_t next = 0;
  for (const CodeRange& range : ranges_) {
    if (next < range.first) result.add(next, range.first - 1);
    next = range.last + 1;
  }
  if (next <= kLast) result.add(next, kLast);
  return result;
}

CodePoints CodePoints::intersected(const CodePoints& other) const {
  CodePoints result;
  size_t i = 0, j = 0;
  while (i < ranges_.size() && j < other.ranges_.size()) {
    const CodeRange a = ranges_[i], b = other.ranges_[j];
    const char32_t first = std::max(a.first, b.first), last = std::min(a.last, b.last);
    if (first <= last) result.ranges_.push_back({first, last});
    ++(a.last < b.last ? i : j);
  }
  return result;
}

bool CodePoints::contains(char32_t code_point) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const CodeRange& range) {
    return range.first <= code_point && code_point <= range.last;
  });
}

std::vector<ByteRanges> utf8_spellings(const CodePoints& set) {
  std::vector<ByteRanges> spellings;
  for (const CodeRange& range : set.ranges()) cut(range.first, range.last, spellings);
  return spellings;
}

}  // namespace mneme::grammar
