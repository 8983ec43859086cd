#include "engram/hash.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/rng.h"

namespace mneme::engram {
namespace {

// Vectors that a HashOptions looks into.
struct Example {
  uint32_t order_max, heads;
  std::vector<uint32_t> primes;
  std::vector<uint64_t> multipliers;
  std::vector<uint32_t> token_map;
  uint32_t pad;

  HashOptions options() const { return {order_max, heads, primes, multipliers, token_map, pad}; }
};

Example small_example() {
  return {3,
          2,
          {97, 89, 101, 83},
          {0x9E3779B97F4A7C15ull, 0xC2B2AE3D27D4EB4Full, 0x165667B19E3779F9ull},
          {0, 1, 2, 1, 3, 4, 0, 5},
          6};
}

Example random_example(core::Rng& rng, uint32_t order_max, uint32_t heads) {
  Example example{order_max, heads, {}, {}, {}, 0};
  example.primes = *distinct_primes(5000 + rng.next_below(100000), size_t{order_max - 1} * heads);
  example.multipliers = odd_multipliers(rng.next_u32(), 1, order_max);
  for (int i = 0; i < 300; ++i) example.token_map.push_back(rng.next_below(200));
  example.pad = 200;
  return example;
}

// The specification word by word: every row from the whole text.
std::vector<uint64_t> rows_naive(const HashOptions& o, const std::vector<int32_t>& text, size_t first) {
  std::vector<uint64_t> rows;
  for (size_t t = first; t < text.size(); ++t) {
    uint64_t table_start = 0;
    for (uint32_t n = 2; n <= o.order_max; ++n) {
      for (uint32_t h = 0; h < o.heads; ++h) {
        uint64_t mix = 0;
        for (uint32_t k = 0; k < n; ++k) {
          const uint64_t u = k > t ? o.pad : o.token_map[static_cast<size_t>(text[t - k])];
          mix ^= u * o.multipliers[k];
        }
        const uint64_t p = o.primes[(n - 2) * o.heads + h];
        rows.push_back(table_start + mix % p);
        table_start += p;
      }
    }
  }
  return rows;
}

std::vector<uint64_t> rows_of(const HashOptions& o, std::span<const int32_t> previous,
                              std::span<const int32_t> tokens) {
  std::vector<uint64_t> rows(tokens.size() * o.rows_per_token());
  row_indices(o, previous, tokens, rows);
  return rows;
}

// Computed apart, from the specification, with Python's integers.
TEST(Hash, KnownRows) {
  const Example example = small_example();
  const std::vector<int32_t> tokens = {7, 3, 5, 0, 6};
  const std::vector<uint64_t> expected = {30,  106, 232, 289, 11,  113, 214, 301, 8,   153,
                                          209, 328, 54,  170, 215, 349, 0,   97,  238, 313};
  EXPECT_EQ(rows_of(example.options(), {}, tokens), expected);
  EXPECT_EQ(row_count(example.options()), 370u);
}

TEST(Hash, EqualsTheNaiveWayHoweverTheTextIsCut) {
  core::Rng rng(7);
  for (const uint32_t order_max : {2u, 3u, 4u}) {
    for (const uint32_t heads : {1u, 3u, 8u}) {
      const Example example = random_example(rng, order_max, heads);
      const HashOptions options = example.options();
      ASSERT_TRUE(validate(options));
      std::vector<int32_t> text(67);
      for (int32_t& token : text) token = static_cast<int32_t>(rng.next_below(300));
      const auto whole = rows_naive(options, text, 0);
      EXPECT_LT(*std::max_element(whole.begin(), whole.end()), row_count(options));
      for (size_t cut = 0; cut <= text.size(); ++cut) {
        const std::span<const int32_t> all(text);
        // everything before the cut, and no more than is read
        for (const size_t before : {cut, std::min<size_t>(cut, order_max - 1)}) {
          EXPECT_EQ(rows_of(options, all.subspan(cut - before, before), all.subspan(cut)),
                    rows_naive(options, text, cut))
              << "order " << order_max << " heads " << heads << " cut " << cut;
        }
      }
    }
  }
}

TEST(Hash, RefusesWhatAFileMustNotSay) {
  const auto message = [](auto change) {
    Example example = small_example();
    change(example);
    const auto valid = validate(example.options());
    return valid ? std::string() : valid.error().message;
  };
  EXPECT_EQ(message([](Example&) {}), "");
  EXPECT_NE(message([](Example& e) { e.order_max = 1; }), "");
  EXPECT_NE(message([](Example& e) { e.order_max = 5; }), "");
  EXPECT_NE(message([](Example& e) { e.heads = 0; }), "");
  EXPECT_NE(message([](Example& e) { e.heads = 0xFFFFFFFFu; }), "");
  EXPECT_NE(message([](Example& e) { e.primes.pop_back(); }), "");
  EXPECT_NE(message([](Example& e) { e.primes[1] = 0; }), "");
  EXPECT_NE(message([](Example& e) { e.multipliers.pop_back(); }), "");
  EXPECT_NE(message([](Example& e) { e.multipliers[2] = 4; }), "");
  EXPECT_NE(message([](Example& e) { e.token_map.clear(); }), "");
}

TEST(HashDeathTest, TokensOutsideTheVocabularyAreABug) {
  const Example example = small_example();
  std::vector<uint64_t> rows(4);
  for (const int32_t token : {8, -1})
    EXPECT_DEATH(row_indices(example.options(), {}, std::span(&token, 1), rows), "token");
}

TEST(Hash, PrimesAreTheLargestBelowAndDifferent) {
  EXPECT_EQ(*distinct_primes(30, 4), (std::vector<uint32_t>{29, 23, 19, 17}));
  EXPECT_EQ(*distinct_primes(29, 10), (std::vector<uint32_t>{29, 23, 19, 17, 13, 11, 7, 5, 3, 2}));
  EXPECT_FALSE(distinct_primes(29, 11));
  EXPECT_FALSE(distinct_primes(0, 1));
  EXPECT_EQ(distinct_primes(0xFFFFFFFFu, 1)->front(), 4294967291u);  // the largest prime of 32 bits
  EXPECT_EQ(*distinct_primes(1000000, 2), (std::vector<uint32_t>{999983, 999979}));
}

TEST(Hash, MultipliersAreOddSeededAndDifferent) {
  auto multipliers = odd_multipliers(3, 5, 4);
  ASSERT_EQ(multipliers.size(), 20u);
  EXPECT_EQ(multipliers, odd_multipliers(3, 5, 4));
  EXPECT_NE(multipliers, odd_multipliers(4, 5, 4));
  for (const uint64_t multiplier : multipliers) EXPECT_EQ(multiplier % 2, 1u);
  std::sort(multipliers.begin(), multipliers.end());
  EXPECT_EQ(std::unique(multipliers.begin(), multipliers.end()), multipliers.end());
}

}  // namespace
}  // namespace mneme::engram
