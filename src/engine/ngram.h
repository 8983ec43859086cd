// A token 5-gram model with interpolated modified Kneser-Ney smoothing (Chen & Goodman 1999, section 3), for
// telling how much of a network's perplexity is more than local statistics.
//
//   p_n(w | h) = max(c(h w) - D(c), 0) / c(h .) + g(h) p_{n-1}(w | h without its first)
//
// c is the count at order 5 and the number of different tokens in front of (h w) below; D the three discounts
// of an order, from its counts of counts; g(h) what the discounts took; p_0 = 1 / vocab_size. An unseen h
// leaves p_{n-1} as it is. The probabilities of a history sum to 1.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/error.h"
#include "mneme/text.h"

namespace mneme::engine {

class Ngram {
 public:
  static constexpr size_t kOrder = 5;

  // Sequences are learned apart, each as if preceded by the marks of a beginning. Ids outside
  // [0, vocab_size): a bug. Fails for vocabularies of 2^25 and more.
  static Result<Ngram> train(std::span<const std::vector<TokenId>> sequences, int vocab_size);

  // p(token | history); only the last kOrder - 1 tokens of the history count, a shorter one is a beginning.
  double probability(std::span<const TokenId> history, TokenId token) const;
  size_t trained_tokens() const { return trained_tokens_; }

 private:
  // n tokens, the first in the highest bits.
  using Key = unsigned __int128;
  struct Count {
    Key key;
    uint32_t count;
  };
  // The n-grams of one order, sorted, so that what follows a context is one range.
  struct Order {
    std::array<double, 4> discounts{};  // by count, 3 and more alike
    std::vector<Key> contexts;          // [context]: n - 1 tokens
    std::vector<size_t> begins;         // [context + 1]: into tokens and counts
    std::vector<double> totals;         // [context]
    std::vector<double> left;           // [context]: g
    std::vector<uint32_t> tokens;       // [n-gram]
    std::vector<uint32_t> counts;       // [n-gram]
  };

  static std::vector<Count> counted(std::vector<Key>& keys);
  Order make_order(std::span<const Count> counts) const;
  Key pack(std::span<const TokenId> history, size_t tokens) const;

  int vocab_size_ = 0;
  int bits_ = 0;  // of a token or the mark of a beginning, whose id is vocab_size
  size_t trained_tokens_ = 0;
  std::array<Order, kOrder> orders_;  // [n - 1]
};

}  // namespace mneme::engine
