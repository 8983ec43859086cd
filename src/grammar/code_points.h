// Sets of Unicode characters, and the UTF-8 bytes that spell them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace mneme::grammar {

struct CodeRange {
  char32_t first = 0, last = 0;  // both inside
  bool operator==(const CodeRange&) const = default;
};

// Unicode scalar values: surrogates (U+D800..U+DFFF) are never in it.
class CodePoints {
 public:
  CodePoints() = default;
  CodePoints(std::initializer_list<CodeRange> ranges) {
    for (const CodeRange& range : ranges) add(range.first, range.last);
  }
  static CodePoints all() { return {{0, 0x10FFFF}}; }

  void add(char32_t first, char32_t last);
  void add(const CodePoints& other);
  CodePoints complement() const;
  CodePoints intersected(const CodePoints& other) const;
  CodePoints without(const CodePoints& other) const { return intersected(other.complement()); }
  bool contains(char32_t code_point) const;
  bool empty() const { return ranges_.empty(); }
  const std::vector<CodeRange>& ranges() const { return ranges_; }  // rising, with gaps between
  bool operator==(const CodePoints&) const = default;

 private:
  std::vector<CodeRange> ranges_;
};

struct ByteRange {
  uint8_t first = 0, last = 0;
  bool operator==(const ByteRange&) const = default;
  auto operator<=>(const ByteRange&) const = default;
};
using ByteRanges = std::vector<ByteRange>;  // one a byte of the character

// The UTF-8 spellings of all characters of the set, as runs of byte ranges that do not overlap.
std::vector<ByteRanges> utf8_spellings(const CodePoints& set);

}  // namespace mneme::grammar
