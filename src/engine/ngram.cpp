#include "engine/ngram.h"

#include <algorithm>
#include <bit>

namespace mneme::engine {

using core::fail;

namespace {

constexpr int kBitsMax = 25;  // five tokens in 128 bits

double discount_of(const std::array<double, 4>& discounts, uint32_t count) {
  return discounts[std::min<uint32_t>(count, 3)];
}

}  // namespace

Result<Ngram> Ngram::train(std::span<const std::vector<TokenId>> sequences, int vocab_size) {
  Ngram model;
  model.vocab_size_ = vocab_size;
  model.bits_ = std::bit_width(static_cast<uint32_t>(vocab_size));
  if (model.bits_ > kBitsMax) return fail("a vocabulary of {} is too large for n-grams", vocab_size);

  std::vector<Key> keys;
  for (const auto& sequence : sequences) {
    for (size_t i = 0; i < sequence.size(); ++i) {
      MNEME_CHECK(sequence[i] >= 0 && sequence[i] < vocab_size, "token {}", sequence[i]);
      const Key history = model.pack(std::span(sequence).first(i), kOrder - 1);
      keys.push_back(history << model.bits_ | static_cast<Key>(sequence[i]));
    }
  }
  model.trained_tokens_ = keys.size();
  for (size_t n = kOrder; n > 0; --n) {
    const std::vector<Count> counts = counted(keys);
    model.orders_[n - 1] = model.make_order(counts);
    if (n == 1) break;
    // Each different n-gram counts once for the shorter one that ends it.
    const Key shorter = (Key{1} << (model.bits_ * static_cast<int>(n - 1))) - 1;
    keys.clear();
    for (const Count& one : counts) keys.push_back(one.key & shorter);
  }
  return model;
}

// Sorts the keys.
std::vector<Ngram::Count> Ngram::counted(std::vector<Key>& keys) {
  std::sort(keys.begin(), keys.end());
  std::vector<Count> counts;
  for (const Key key : keys) {
    if (counts.empty() || counts.back().key != key) counts.push_back({key, 0});
    ++counts.back().count;
  }
  return counts;
}

Ngram::Order Ngram::make_order(std::span<const Count> counts) const {
  Order order;
  std::array<double, 5> with{};  // how many n-grams have this count
  for (const Count& one : counts) {
    if (one.count < with.size()) ++with[one.count];
  }
  // Equation 17 of the paper; too little text may give no or strange discounts: half a count then.
  const double y = with[1] > 0 ? with[1] / (with[1] + 2 * with[2]) : 0;
  for (size_t k = 1; k <= 3; ++k) {
    const auto count = static_cast<double>(k);
    const double d = with[k] > 0 ? count - (count + 1) * y * with[k + 1] / with[k] : 0;
    order.discounts[k] = d > 0 && d < count ? d : 0.5;
  }
  const Key token_mask = (Key{1} << bits_) - 1;
  double taken = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const Key context = counts[i].key >> bits_;
    if (order.contexts.empty() || order.contexts.back() != context) {
      order.contexts.push_back(context);
      order.begins.push_back(i);
      order.totals.push_back(0);
      taken = 0;
    }
    order.totals.back() += counts[i].count;
    taken += discount_of(order.discounts, counts[i].count);
    order.tokens.push_back(static_cast<uint32_t>(counts[i].key & token_mask));
    order.counts.push_back(counts[i].count);
    const bool last = i + 1 == counts.size() || counts[i + 1].key >> bits_ != context;
    if (last) order.left.push_back(taken / order.totals.back());
  }
  order.begins.push_back(counts.size());
  return order;
}

// The last `tokens` of the history, marks of a beginning in front of it.
Ngram::Key Ngram::pack(std::span<const TokenId> history, size_t tokens) const {
  Key key = 0;
  for (size_t i = 0; i < tokens; ++i) {
    const size_t back = tokens - i;
    const bool before = back > history.size();
    const auto id = before ? vocab_size_ : history[history.size() - back];
    key = key << bits_ | static_cast<Key>(id);
  }
  return key;
}

double Ngram::probability(std::span<const TokenId> history, TokenId token) const {
  const auto wanted = static_cast<uint32_t>(token);
  double p = 1.0 / vocab_size_;
  for (size_t n = 1; n <= kOrder; ++n) {
    const Order& order = orders_[n - 1];
    const Key context = pack(history, n - 1);
    const auto found = std::lower_bound(order.contexts.begin(), order.contexts.end(), context);
    if (found == order.contexts.end() || *found != context) return p;
    const auto at = static_cast<size_t>(found - order.contexts.begin());
    p *= order.left[at];
    const auto begin = order.tokens.begin() + static_cast<ptrdiff_t>(order.begins[at]);
    const auto end = order.tokens.begin() + static_cast<ptrdiff_t>(order.begins[at + 1]);
    const auto follower = std::lower_bound(begin, end, wanted);
    if (follower == end || *follower != wanted) continue;
    const uint32_t count = order.counts[static_cast<size_t>(follower - order.tokens.begin())];
    p += (count - discount_of(order.discounts, count)) / order.totals[at];
  }
  return p;
}

}  // namespace mneme::engine
