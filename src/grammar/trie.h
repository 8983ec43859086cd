// A vocabulary as a tree by leading bytes, in the order of a walk, so that testing all of 150,000 tokens
// against a grammar reads memory in one direction and leaves out whole branches.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "grammar/code_points.h"

namespace mneme::grammar {

// What begins and ends the spelling of a special token. No UTF-8 text contains the byte, so no characters of
// a grammar match it.
inline constexpr char kSpecialMark = '\xFF';

// What stands in a JSON string as it is, and no pattern is particular about: from U+0020 on, but for the
// quotation mark, the backslash and DEL.
const CodePoints& plain_characters();

class Trie {
 public:
  struct Node {
    uint32_t after = 0;  // the node after this one and all below it
    int32_t token = -1;  // that ends here: the lowest of those that are spelt the same
    uint16_t depth = 0;  // bytes, from 1
    uint8_t byte = 0;
    // Here a character ends, and below are many tokens, all plain: how many more the longest has. Otherwise
    // kMixed.
    uint8_t plain_below = kMixed;
  };
  static_assert(sizeof(Node) == 12);  // a walk is as fast as these are read
  static constexpr uint8_t kMixed = 255;
  struct Tokens {
    uint32_t first = 0, after = 0;  // in order()
  };
  using Words = std::vector<uint64_t>;  // a bit a token

  // Spellings that are empty, or longer than 64 KiB, are no tokens.
  explicit Trie(std::span<const std::string> spellings);

  std::span<const Node> all() const { return all_; }
  std::span<const int32_t> order() const { return order_; }   // tokens in the order of all()'s nodes
  std::span<const Tokens> tokens() const { return tokens_; }  // [node of all()]: its own, and all below it
  // Without the plain tokens: those of whole plain characters. Inside of strings these are all allowed or
  // need no test each.
  std::span<const Node> rest() const { return rest_; }
  const Words& plain() const { return plain_; }
  int plain_characters_max() const { return plain_characters_max_; }  // of any plain token
  size_t plain_bytes_max() const { return plain_bytes_max_; }
  size_t depth_max() const { return depth_max_; }
  // Adds the tokens that are spelt the same as a token of a node whose bit is set.
  void add_twins(std::span<uint64_t> bits) const;

 private:
  std::vector<Node> all_, rest_;
  std::vector<int32_t> order_;
  std::vector<Tokens> tokens_;
  Words plain_;
  std::vector<std::pair<int32_t, int32_t>> twins_;  // token of a node, other token
  int plain_characters_max_ = 0;
  size_t plain_bytes_max_ = 0;
  size_t depth_max_ = 0;
};

}  // namespace mneme::grammar
