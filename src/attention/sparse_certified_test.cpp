// Tries to break the bound of certified steps.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "attention/sparse_context_for_test.h"
#include "attention/sparse_decode.h"
#include "kv/sealed_block.h"
#include "tensor/convert.h"

namespace mneme::attention {
namespace {

using tensor::Bf16;
using tensor::to_f32;

constexpr int kDim = 32, kTokens = 2600, kHeads = 2;
const kv::KvShape kShape{1, 1, kDim};

// One KV head, keys and values as given [token, channel], one query a head.
struct Hostile {
  std::unique_ptr<kv::BlockPool> pool;
  kv::Sequence sequence;
  std::vector<float> queries;

  Hostile(std::vector<float> keys, std::vector<float> values)
      : pool(std::make_unique<kv::BlockPool>(
            *kv::BlockPool::create(kShape, uint64_t{64} << 20, kv::BlockPool::Forms::kBlocksAndSealed))),
        sequence(*pool),
        queries(size_t{kHeads} * kDim) {
    EXPECT_TRUE(sequence.extend(kTokens));
    sequence.store(0, 0, 0, kTokens, keys.data(), values.data(), kDim);
    core::ThreadPool threads(1);
    sequence.make_sealed_forms(*kernels::available_ops().front(), threads);
  }
  float key(int token, int channel) const {
    kv::BlockView view;
    sequence.view(0, 0, token / 64, {&view, 1});
    return to_f32(Bf16{view.keys[channel / 2 * 128 + token % 64 * 2 + channel % 2]});
  }
  float value(int token, int channel) const {
    kv::BlockView view;
    sequence.view(0, 0, token / 64, {&view, 1});
    return to_f32(Bf16{view.values[token % 64 / 2 * kDim * 2 + channel * 2 + token % 2]});
  }
  // What the 8-bit copy says of a key: unsealed, in bf16 (off by 2^-9 of itself, enough to aim by).
  std::vector<float> copies() const {
    std::vector<float> keys(static_cast<size_t>(kTokens / 64 * 64) * kDim);
    std::vector<uint16_t> k(64 * kDim), v(64 * kDim);
    for (int block = 0; block < kTokens / 64; ++block) {
      kv::SealedBlock sealed;
      sequence.sealed(0, 0, block, {&sealed, 1});
      kv::unseal(*kernels::available_ops().front(), sealed.summary, sealed.fp8, k, v);
      for (int t = 0; t < 64; ++t)
        for (int c = 0; c < kDim; ++c)
          keys[static_cast<size_t>((block * 64 + t) * kDim + c)] = to_f32(
              Bf16{k[static_cast<size_t>(c / 2 * 128 + t * 2 + c % 2)]});
    }
    return keys;
  }
  std::vector<double> exact() const {
    std::vector<double> out;
    for (int h = 0; h < kHeads; ++h) {
      std::vector<double> logits(kTokens);
      for (int t = 0; t < kTokens; ++t)
        for (int c = 0; c < kDim; ++c)
          logits[static_cast<size_t>(t)] += double{queries[static_cast<size_t>(h * kDim + c)]} *
                                            double{key(t, c)};
      const double top = *std::max_element(logits.begin(), logits.end());
      double total = 0;
      std::vector<double> sum(kDim);
      for (int t = 0; t < kTokens; ++t) {
        const double weight = std::exp(logits[static_cast<size_t>(t)] - top);
        total += weight;
        for (int c = 0; c < kDim; ++c) sum[static_cast<size_t>(c)] += weight * double{value(t, c)};
      }
      for (const double s : sum) out.push_back(s / total);
    }
    return out;
  }
};

struct Outcome {
  double error, bound;
  uint64_t eight_bit;
};

double distance(const std::vector<float>& out, const std::vector<double>& want) {
  double squares = 0;
  for (size_t i = 0; i < out.size(); ++i) squares += std::pow(double{out[i]} - want[i], 2);
  return std::sqrt(squares);
}

// Of the same kernels with everything in bf16.
double exact_error(const Hostile& x, const kernels::Ops& ops) {
  core::ThreadPool pool(1);
  DenseAttention attention(kShape, kHeads, 1);
  std::vector<float> out(size_t{kHeads} * kDim);
  const DenseJob job{&x.sequence, kTokens - 1, 1, x.queries.data(), out.data(), 1.0f};
  EXPECT_TRUE(attention.run(ops, pool, 0, {&job, 1}));
  return distance(out, x.exact());
}

Outcome certified(const Hostile& x, const kernels::Ops& ops, double target) {
  core::ThreadPool pool(1);
  SparseAttention attention(kShape, kHeads, 1);
  SparseContext context({SparseMode::kCertified, target}, 1, 1);
  context.layer(0).controller.observe(1, 1, 1);
  std::vector<float> out(size_t{kHeads} * kDim);
  DenseJob job{&x.sequence, kTokens - 1, 1, x.queries.data(), out.data(), 1.0f};
  EXPECT_TRUE(attention.run(ops, pool, 0, job, context));
  const SparseCounters& c = context.layer(0).counters;
  return {distance(out, x.exact()), c.bound_max, c.tokens_eight_bit};
}

// Kinds of trouble: outliers that stretch the steps of a channel; rounding errors of keys that all point the
// query's way and decide between opposite values; values on the borders between codes; one channel that alone
// decides, with steps as wide as they get.
enum Trouble { kPlain, kOutliers, kAligned, kBorders, kOneChannel };

Hostile make(Trouble trouble, float strength, core::Rng& rng) {
  std::vector<float> keys(size_t{kTokens} * kDim), values(keys.size());
  for (float& k : keys) k = 2 * rng.next_unit() - 1;
  for (float& v : values) v = 2 * rng.next_unit() - 1;
  if (trouble == kOutliers || trouble == kAligned) {
    for (int block = 0; block < kTokens / 64; ++block)
      for (int c = 0; c < kDim; c += 3)
        keys[static_cast<size_t>((block * 64 + static_cast<int>(rng.next_below(64))) * kDim + c)] = 30;
  }
  for (int t = 0; trouble == kOneChannel && t < kTokens; t += 16) keys[static_cast<size_t>(t * kDim)] = -20;
  if (trouble == kBorders) {
    constexpr float kBetween[] = {1.0625f, 1.1875f, 1.3125f, 1.9375f};
    for (float& v : values) v = kBetween[rng.next_below(4)];
  }
  Hostile x(keys, values);
  const std::vector<float> copies = x.copies();
  for (int h = 0; h < kHeads; ++h) {
    const int aim = static_cast<int>(rng.next_below(kTokens - 400));
    for (int c = 0; c < kDim; ++c) {
      const float error = copies[static_cast<size_t>(aim * kDim + c)] - x.key(aim, c);
      x.queries[static_cast<size_t>(h * kDim + c)] = trouble == kAligned
                                                         ? strength * (error > 0 ? 1.0f : -1.0f)
                                                         : strength * (2 * rng.next_unit() - 1);
    }
  }
  if (trouble != kAligned && trouble != kOneChannel) return x;
  // What rounding favours says +1, what it disfavours -1.
  for (int t = 0; t < kTokens / 64 * 64; ++t) {
    float favour = 0;
    for (int c = 0; c < kDim; ++c)
      favour += x.queries[static_cast<size_t>(c)] * (copies[static_cast<size_t>(t * kDim + c)] - x.key(t, c));
    for (int c = 0; c < kDim; ++c) values[static_cast<size_t>(t * kDim + c)] = favour > 0 ? 1.0f : -1.0f;
  }
  Hostile aimed(keys, values);
  aimed.queries = x.queries;
  return aimed;
}

class Certified : public testing::TestWithParam<const kernels::Ops*> {};

TEST_P(Certified, TheBoundHolds) {
  double tightest = 0;
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    core::Rng rng(seed);
    for (const Trouble trouble : {kPlain, kOutliers, kAligned, kBorders, kOneChannel}) {
      for (const float strength : {0.02f, 0.3f, 2.0f}) {
        const Hostile x = make(trouble, strength, rng);
        // Vector kernels round queries and weights to bf16, in exact attention too.
        const bool scalar = GetParam()->name == std::string("scalar");
        const double arithmetic = scalar ? 1e-5 : 2e-3 + 1.5 * exact_error(x, *GetParam());
        for (const double target : {1e6, 0.3, 0.02}) {
          const Outcome outcome = certified(x, *GetParam(), target);
          EXPECT_LE(outcome.error, outcome.bound + arithmetic)
              << "seed " << seed << " trouble " << trouble << " strength " << strength << " target "
              << target;
          EXPECT_LE(outcome.bound, target);
          if (target < 1e6) continue;
          EXPECT_GT(outcome.eight_bit, 0u);
          tightest = std::max(tightest, outcome.error / outcome.bound);
        }
      }
    }
  }
  RecordProperty("tightest", std::to_string(tightest));
  EXPECT_GT(tightest, 0.05) << "the attack does not come near the bound: is it one?";
}

TEST_P(Certified, WithNothingAllowedEverythingIsInBf16) {
  core::Rng rng(4);
  const Hostile x = make(kAligned, 0.3f, rng);
  const Outcome outcome = certified(x, *GetParam(), 1e-9);
  EXPECT_EQ(outcome.eight_bit, 0u);
  EXPECT_EQ(outcome.bound, 0);
}

// Steps that would read more than dense ones are tried ever more seldom; where there is something to gain,
// all steps are certified.
TEST_P(Certified, WithNothingToGainStepsAreDense) {
  core::Rng rng(4);
  const Hostile x = make(kAligned, 0.3f, rng);
  core::ThreadPool pool(1);
  SparseAttention attention(kShape, kHeads, 1);
  for (const bool hopeless : {true, false}) {
    SparseContext context({SparseMode::kCertified, hopeless ? 1e-9 : 1e6}, 1, 1);
    context.layer(0).controller.observe(1, 1, 1);
    std::vector<float> out(size_t{kHeads} * kDim);
    const DenseJob job{&x.sequence, kTokens - 1, 1, x.queries.data(), out.data(), 1.0f};
    std::vector<int> tries;
    for (int step = 0; step < 200; ++step) {
      const auto ran = attention.run(*GetParam(), pool, 0, job, context);
      ASSERT_TRUE(ran);
      if (*ran) tries.push_back(step);
    }
    const SparseCounters& c = context.layer(0).counters;
    EXPECT_EQ(c.steps, 200u);
    EXPECT_EQ(c.steps_dense, 200u - tries.size());
    if (hopeless) {
      EXPECT_EQ(tries, (std::vector<int>{0, 5, 14, 31, 64, 129, 194}));
    } else {
      EXPECT_EQ(tries.size(), 200u);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, Certified, testing::ValuesIn(kernels::available_ops()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace mneme::attention
