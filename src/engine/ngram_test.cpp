// The n-gram model beside sums and a second computation with maps.
#include "engine/ngram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "core/rng.h"

namespace mneme::engine {
namespace {

using Sequence = std::vector<TokenId>;

// Tokens that follow each other by a rule most of the time, so that counts of 1, 2, 3 and more all occur.
Sequence some_text(size_t count, int vocab_size, uint64_t seed) {
  core::Rng rng(seed);
  Sequence tokens;
  for (size_t i = 0; i < count; ++i) {
    const int last = tokens.empty() ? 0 : tokens.back();
    const bool rule = rng.next_unit() < 0.7f;
    tokens.push_back(rule ? (last * 3 + 1) % vocab_size
                          : static_cast<int>(rng.next_below(static_cast<uint32_t>(vocab_size))));
  }
  return tokens;
}

// The formula as it is written, over maps.
class SlowNgram {
 public:
  SlowNgram(const std::vector<Sequence>& sequences, int vocab_size) : vocab_size_(vocab_size) {
    for (const Sequence& sequence : sequences) {
      Sequence padded(Ngram::kOrder - 1, vocab_size);
      padded.insert(padded.end(), sequence.begin(), sequence.end());
      for (size_t i = Ngram::kOrder; i <= padded.size(); ++i) {
        const auto end = padded.begin() + static_cast<ptrdiff_t>(i);
        ++counts_[Ngram::kOrder][Sequence(end - Ngram::kOrder, end)];
      }
    }
    for (size_t n = Ngram::kOrder - 1; n > 0; --n) {
      for (const auto& [gram, count] : counts_[n + 1]) ++counts_[n][Sequence(gram.begin() + 1, gram.end())];
    }
  }

  double probability(const Sequence& history, TokenId token, size_t n) const {
    if (n == 0) return 1.0 / vocab_size_;
    Sequence padded(Ngram::kOrder - 1, vocab_size_);
    padded.insert(padded.end(), history.begin(), history.end());
    Sequence gram(padded.end() - static_cast<ptrdiff_t>(n - 1), padded.end());
    const double lower = probability(history, token, n - 1);
    double total = 0, taken = 0;
    for (int w = 0; w < vocab_size_; ++w) {
      gram.push_back(w);
      const double c = count(n, gram);
      total += c;
      if (c > 0) taken += discount(n, c);
      gram.pop_back();
    }
    if (total == 0) return lower;
    gram.push_back(token);
    const double c = count(n, gram);
    return (c > 0 ? c - discount(n, c) : 0) / total + taken / total * lower;
  }

 private:
  double count(size_t n, const Sequence& gram) const {
    const auto found = counts_[n].find(gram);
    return found == counts_[n].end() ? 0 : found->second;
  }
  double with_count(size_t n, int wanted) const {
    double found = 0;
    for (const auto& [gram, count] : counts_[n]) found += count == wanted ? 1 : 0;
    return found;
  }
  double discount(size_t n, double count) const {
    const int k = std::min(static_cast<int>(count), 3);
    if (with_count(n, 1) == 0 || with_count(n, k) == 0) return 0.5;
    const double y = with_count(n, 1) / (with_count(n, 1) + 2 * with_count(n, 2));
    const double d = k - (k + 1) * y * with_count(n, k + 1) / with_count(n, k);
    return d > 0 && d < k ? d : 0.5;
  }

  int vocab_size_;
  std::map<Sequence, int> counts_[Ngram::kOrder + 1];
};

TEST(Ngram, ProbabilitiesSumToOne) {
  constexpr int kVocab = 23;
  const std::vector<Sequence> text{some_text(3000, kVocab, 1), some_text(77, kVocab, 2), {}, {5}};
  const auto model = Ngram::train(text, kVocab);
  ASSERT_TRUE(model);
  EXPECT_EQ(model->trained_tokens(), 3078u);
  core::Rng rng(3);
  for (int i = 0; i < 300; ++i) {
    // Half of them histories that the text has.
    Sequence history = some_text(rng.next_below(8), kVocab, rng.next_u32());
    if (i % 2 == 0) history.assign(text[0].begin(), text[0].begin() + i);
    double sum = 0;
    for (int token = 0; token < kVocab; ++token) sum += model->probability(history, token);
    EXPECT_NEAR(sum, 1, 1e-12) << i;
  }
}

TEST(Ngram, IsTheFormula) {
  constexpr int kVocab = 7;
  const std::vector<Sequence> text{some_text(150, kVocab, 4), some_text(40, kVocab, 5)};
  const auto model = Ngram::train(text, kVocab);
  ASSERT_TRUE(model);
  const SlowNgram slow(text, kVocab);
  core::Rng rng(6);
  for (int i = 0; i < 40; ++i) {
    const Sequence history = some_text(rng.next_below(7), kVocab, rng.next_u32());
    const auto token = static_cast<TokenId>(rng.next_below(kVocab));
    EXPECT_NEAR(model->probability(history, token), slow.probability(history, token, Ngram::kOrder), 1e-12);
  }
}

TEST(Ngram, KnowsItsTextAndNotOther) {
  constexpr int kVocab = 1000;
  const std::vector<Sequence> text{some_text(20000, kVocab, 7)};
  const auto model = Ngram::train(text, kVocab);
  ASSERT_TRUE(model);
  const auto nll = [&](const Sequence& tokens) {
    double sum = 0;
    for (size_t i = 0; i < tokens.size(); ++i)
      sum -= std::log(model->probability(std::span(tokens).first(i), tokens[i]));
    return sum / static_cast<double>(tokens.size());
  };
  // 0.7 by rule, else one of a thousand: 0.61 + 0.3 ln 1000 nats at best.
  EXPECT_GT(nll(some_text(5000, kVocab, 8)), 2.6);
  EXPECT_LT(nll(some_text(5000, kVocab, 8)), 3.3);
  EXPECT_LT(nll(text[0]), 2.0);
}

TEST(Ngram, NoTextIsUniform) {
  const auto model = Ngram::train({}, 10);
  ASSERT_TRUE(model);
  EXPECT_DOUBLE_EQ(model->probability(Sequence{1, 2}, 3), 0.1);
  EXPECT_FALSE(Ngram::train({}, 1 << 25));
}

}  // namespace
}  // namespace mneme::engine
