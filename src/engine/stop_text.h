#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mneme::engine {

// Finds the first of several texts in a stream that arrives in pieces, and lets through only what can no
// longer be part of one. "First" is the one complete first, so the result does not depend on where the pieces
// are cut; of those complete at the same byte it is the longest.
class StopText {
 public:
  explicit StopText(std::vector<std::string> texts);  // empty ones are ignored

  // What may be shown now. Nothing comes after a match.
  std::string push(std::string_view piece);
  // What was held back, at the end of the stream.
  std::string finish();
  bool matched() const { return matched_; }
  const std::string& matched_text() const { return matched_text_; }  // which; empty: none

 private:
  size_t held_bytes() const;

  std::vector<std::string> texts_;
  std::string pending_;
  bool matched_ = false;
  std::string matched_text_;
};

}  // namespace mneme::engine
