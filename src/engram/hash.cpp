#include "engram/hash.h"

#include <array>

#include "core/rng.h"

namespace mneme::engram {

Result<void> validate(const HashOptions& options) {
  if (options.order_max < 2 || options.order_max > kOrderMax)
    return core::fail("engram: n-grams of up to {} tokens; 2 to {} are supported", options.order_max,
                      kOrderMax);
  if (options.heads == 0) return core::fail("engram: no hash heads");
  if (options.primes.size() != options.rows_per_token())
    return core::fail("engram: {} primes for {} tables", options.primes.size(), options.rows_per_token());
  for (const uint32_t prime : options.primes) {
    if (prime == 0) return core::fail("engram: a table of 0 rows");
  }
  if (options.multipliers.size() != options.order_max)
    return core::fail("engram: {} multipliers for n-grams of up to {} tokens", options.multipliers.size(),
                      options.order_max);
  for (const uint64_t multiplier : options.multipliers) {
    if (multiplier % 2 == 0) return core::fail("engram: the multiplier {} is even", multiplier);
  }
  if (options.token_map.empty()) return core::fail("engram: the token map is empty");
  return {};
}

uint64_t row_count(const HashOptions& options) {
  uint64_t rows = 0;
  for (const uint32_t prime : options.primes) rows += prime;
  return rows;
}

void row_indices(const HashOptions& options, std::span<const int32_t> previous,
                 std::span<const int32_t> tokens, std::span<uint64_t> out) {
  const size_t width = options.rows_per_token(), order_max = options.order_max;
  MNEME_CHECK(order_max >= 2 && order_max <= kOrderMax && options.primes.size() == width &&
                  options.multipliers.size() == order_max && out.size() == tokens.size() * width,
              "{} primes, {} multipliers, {} tokens, {} rows", options.primes.size(),
              options.multipliers.size(), tokens.size(), out.size());
  const auto compressed = [&](int32_t token) -> uint64_t {
    const auto id = static_cast<size_t>(static_cast<uint32_t>(token));
    MNEME_CHECK(id < options.token_map.size(), "token {} of {}", token, options.token_map.size());
    return options.token_map[id];
  };
  std::array<uint64_t, kOrderMax> ids;  // of the tokens t, t-1, ..
  ids.fill(options.pad);
  const auto push = [&](uint64_t id) {
    for (size_t k = order_max - 1; k > 0; --k) ids[k] = ids[k - 1];
    ids[0] = id;
  };
  const size_t before = std::min(previous.size(), order_max - 1);
  for (const int32_t token : previous.last(before)) push(compressed(token));
  size_t next = 0;
  for (const int32_t token : tokens) {
    push(compressed(token));
    uint64_t mix = ids[0] * options.multipliers[0], table_start = 0;
    for (size_t n = 2; n <= order_max; ++n) {
      mix ^= ids[n - 1] * options.multipliers[n - 1];
      for (size_t head = 0; head < options.heads; ++head) {
        const uint64_t prime = options.primes[(n - 2) * options.heads + head];
        out[next++] = table_start + mix % prime;
        table_start += prime;
      }
    }
  }
}

namespace {

bool is_prime(uint32_t number) {
  if (number < 4) return number >= 2;
  if (number % 2 == 0) return false;
  for (uint32_t factor = 3; uint64_t{factor} * factor <= number; factor += 2) {
    if (number % factor == 0) return false;
  }
  return true;
}

}  // namespace

Result<std::vector<uint32_t>> distinct_primes(uint32_t rows_max, size_t count) {
  std::vector<uint32_t> primes;
  for (uint32_t number = rows_max; number >= 2 && primes.size() < count; --number) {
    if (is_prime(number)) primes.push_back(number);
  }
  if (primes.size() < count)
    return core::fail("engram: {} tables of different primes do not exist below {} rows each", count,
                      rows_max);
  return primes;
}

std::vector<uint64_t> odd_multipliers(uint64_t seed, size_t layers, uint32_t order_max) {
  core::Rng rng(seed);
  std::vector<uint64_t> multipliers(layers * order_max);
  for (uint64_t& multiplier : multipliers) {
    const uint64_t high = rng.next_u32();
    multiplier = (high << 32) | rng.next_u32() | 1;
  }
  return multipliers;
}

}  // namespace mneme::engram
