// Sealed blocks: the oracle against the definitions of sealed.h in double, and every back-end against the
// oracle.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "core/rng.h"
#include "kernels/backends.h"
#include "kernels/select.h"
#include "tensor/convert.h"
#include "tensor/e4m3.h"

namespace mneme::kernels {
namespace {

using tensor::Bf16;
using tensor::E4M3;

constexpr uint64_t kSeed = 7;
constexpr int kDims[] = {2, 6, 16, 48, 64, 80, 96, 128, 256};

size_t key_at(int c, int t) { return static_cast<size_t>(c / 2 * 128 + t * 2 + c % 2); }
size_t value_at(int c, int t, int dim) { return static_cast<size_t>(t / 2 * dim * 2 + c * 2 + t % 2); }
float wide(uint16_t bits) { return to_f32(Bf16{bits}); }

// The bf16 block and all that is made of it, filled with 0xAA before.
struct Block {
  int dim, count = 64;
  std::vector<uint16_t> keys, values, centres;
  BlockStatistics statistics;
  std::vector<uint8_t> deviations, means, sketch, key_codes, value_codes, scales;

  explicit Block(int head_dim)
      : dim(head_dim),
        keys(size() * 64),
        values(size() * 64),
        centres(size(), 0xAAAA),
        deviations(size(), 0xAA),
        means(size(), 0xAA),
        sketch((size() + 3) / 4 * 64, 0xAA),
        key_codes(size() * 64, 0xAA),
        value_codes(size() * 64, 0xAA),
        scales(64, 0xAA) {
    std::memset(static_cast<void*>(&statistics), 0xAA, sizeof(statistics));
  }
  size_t size() const { return static_cast<size_t>(dim); }
  SummaryOut summary() {
    return {&statistics, centres.data(), deviations.data(), means.data(), sketch.data()};
  }
  Fp8Out fp8() { return {key_codes.data(), value_codes.data(), scales.data()}; }
  void seal(const Ops& ops) { ops.seal_block({keys.data(), values.data(), count, dim, summary(), fp8()}); }
  void unseal(const Ops& ops, Block& out) {
    ops.unseal_block({summary(), fp8(), dim, out.keys.data(), out.values.data()});
  }

  float deviation(int c) const {
    return std::bit_cast<float>(
        deviation_bits(statistics.deviation_base, deviations[static_cast<size_t>(c)]));
  }
  float key_unit(int c) const {
    const uint32_t level = statistics.deviation_base + deviations[static_cast<size_t>(c)];
    return std::bit_cast<float>(scale_bits(key_scale(level)));
  }
  int code(int c, int t) const {
    return sketch[static_cast<size_t>(c / 4 * 64 + t % 16 * 4 + c % 4)] >> (t / 16 * 2) & 3;
  }
};

using Fill = std::function<float(core::Rng&, int channel, int token)>;
struct Kind {
  const char* name;
  Fill fill;
};

float noise(core::Rng& rng) { return rng.next_unit() + rng.next_unit() + rng.next_unit() - 1.5f; }

// Channels of different offsets and widths, as keys have them.
float keylike(core::Rng& rng, int channel, int) {
  const float width = channel % 7 == 3 ? 20.0f : 1.0f / static_cast<float>(1 + channel % 5);
  return width * noise(rng) + static_cast<float>(channel % 11 - 5) * (channel % 13 == 5 ? 60.0f : 1.0f);
}

std::vector<Kind> kinds() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return {
      {"keylike", keylike},
      {"zeros", [](core::Rng&, int, int) { return 0.0f; }},
      {"minus zeros", [](core::Rng&, int, int t) { return t % 3 ? -0.0f : 0.0f; }},
      {"all equal", [](core::Rng&, int c, int) { return static_cast<float>(c) - 3.3f; }},
      {"one token out", [](core::Rng&, int c, int t) { return t == c % 64 ? 5.0f : 0.25f; }},
      {"neighbours", [](core::Rng&, int, int t) { return t % 2 ? 100.0f : 100.5f; }},
      {"huge", [](core::Rng& rng, int, int) { return 1e38f * noise(rng); }},
      {"at the limit", [](core::Rng& rng, int, int) { return 0x1p56f * noise(rng); }},
      {"small", [](core::Rng& rng, int, int) { return 1e-36f * noise(rng); }},
      {"denormal", [](core::Rng& rng, int, int) { return 1e-39f * noise(rng); }},
      {"many octaves",
       [](core::Rng& rng, int c, int) { return std::ldexp(noise(rng), c % 2 ? 20 - c : c - 20); }},
      {"some infinite",
       [=](core::Rng& rng, int c, int t) {
         return (c + t) % 31 ? noise(rng) : t % 2 ? kInfinity : -kInfinity;
       }},
      {"some NaN", [](core::Rng& rng, int c, int t) { return (c + t) % 31 ? noise(rng) : std::nanf(""); }},
      {"all NaN", [](core::Rng&, int, int) { return std::nanf(""); }},
      {"any bits", [](core::Rng& rng, int, int) { return std::bit_cast<float>(rng.next_u32()); }}};
}

Block make(int dim, const Fill& fill, uint64_t seed = kSeed) {
  Block block(dim);
  core::Rng rng(seed);
  for (int t = 0; t < 64; ++t) {
    for (int c = 0; c < dim; ++c) {
      block.keys[key_at(c, t)] = tensor::to_bf16(fill(rng, c, t)).bits;
      block.values[value_at(c, t, dim)] = tensor::to_bf16(fill(rng, c, t)).bits;
    }
  }
  return block;
}

// What sealing takes a value for.
float taken(uint16_t bits) {
  const float x = wide(bits);
  return std::isnan(x) ? 0.0f : std::clamp(x, -kSealMax, kSealMax);
}

// Half a unit of E4M3 around x times the scale, and of bf16 around the result.
double half_unit(double x, double scale, double result) {
  return std::max(std::abs(x) / 16, scale * 0x1p-10) * (1 + 1e-6) + std::abs(result) * 0x1p-8 + 1e-38;
}

TEST(SealScalar, KeepsWhatTheDefinitionsSay) {
  for (const auto& [name, fill] : kinds()) {
    for (const int dim : {2, 6, 96}) {
      Block block = make(dim, fill), back(dim);
      block.seal(scalar_ops());
      block.unseal(scalar_ops(), back);
      double largest = 0;
      for (int c = 0; c < dim; ++c) largest = std::max(largest, double{block.deviation(c)});
      for (int c = 0; c < dim; ++c) {
        double sum = 0, squares = 0, magnitude = 0, value_sum = 0;
        for (int t = 0; t < 64; ++t) {
          const double k = taken(block.keys[key_at(c, t)]);
          sum += k, magnitude += std::abs(k);
          value_sum += taken(block.values[value_at(c, t, dim)]);
        }
        const double centre = wide(block.centres[static_cast<size_t>(c)]);
        ASSERT_NEAR(centre, sum / 64, std::abs(sum / 64) * 0x1p-8 + magnitude * 1e-7 + 1e-38) << name;
        for (int t = 0; t < 64; ++t) squares += std::pow(taken(block.keys[key_at(c, t)]) - centre, 2);
        const double s = block.deviation(c), real = std::sqrt(squares / 64);
        ASSERT_GE(s, real * (1 - 1e-6) - 1e-22) << name << " channel " << c;
        ASSERT_LE(s, std::max(real * 1.126, largest * 0x1p-31)) << name << " channel " << c;
        for (int t = 0; t < 64; ++t) {
          const double k = taken(block.keys[key_at(c, t)]), v = taken(block.values[value_at(c, t, dim)]);
          ASSERT_LE(std::abs(k - centre), 8 * s * (1 + 1e-6) + 1e-21);
          ASSERT_LE(std::abs(k - centre), 448.001 * block.key_unit(c) + 1e-21) << "saturates";
          ASSERT_NEAR(wide(back.keys[key_at(c, t)]), k, half_unit(k - centre, block.key_unit(c), k) + 1e-21)
              << name << " channel " << c << " token " << t;
          const double unit = std::bit_cast<float>(scale_bits(block.scales[static_cast<size_t>(t)]));
          ASSERT_NEAR(wide(back.values[value_at(c, t, dim)]), v, half_unit(v, unit, v))
              << name << " channel " << c << " token " << t;
        }
        const double mean = double{block.statistics.value_mean_scale} *
                            to_f32(E4M3{block.means[static_cast<size_t>(c)]});
        double magnitudes = 0;
        for (int t = 0; t < 64; ++t) magnitudes += std::abs(double{taken(block.values[value_at(c, t, dim)])});
        ASSERT_NEAR(mean, value_sum / 64,
                    half_unit(value_sum / 64, block.statistics.value_mean_scale, 0) + magnitudes * 1e-7)
            << name;
      }
    }
  }
}

TEST(SealScalar, SketchIsTheNearestOfFourLevels) {
  for (const int dim : {2, 6, 128}) {
    Block block = make(dim, keylike);
    block.seal(scalar_ops());
    for (int c = 0; c < dim; ++c) {
      const double step = double{kSketchStep} * block.deviation(c);
      for (int t = 0; t < 64; ++t) {
        const double x = double{wide(block.keys[key_at(c, t)])} - wide(block.centres[static_cast<size_t>(c)]);
        for (int code = 0; code < 4; ++code) {
          ASSERT_LE(std::abs(step * (block.code(c, t) - 1.5) - x),
                    std::abs(step * (code - 1.5) - x) + step * 1e-6);
        }
      }
    }
  }
}

TEST(SealScalar, NormsOfValues) {
  Block block = make(80, keylike);
  block.seal(scalar_ops());
  double max = 0, sum = 0;
  for (int t = 0; t < 64; ++t) {
    double squares = 0;
    for (int c = 0; c < 80; ++c) squares += std::pow(wide(block.values[value_at(c, t, 80)]), 2);
    max = std::max(max, squares), sum += squares;
  }
  EXPECT_NEAR(block.statistics.value_norm_max, std::sqrt(max), std::sqrt(max) * 1e-6);
  EXPECT_NEAR(block.statistics.value_norm_rms, std::sqrt(sum / 64), std::sqrt(sum / 64) * 1e-6);
  EXPECT_EQ(block.statistics.count, 64u);
}

TEST(SealScalar, EqualKeysComeBackExactly) {
  Block block = make(64, [](core::Rng&, int c, int) { return static_cast<float>(c) - 3.3f; }), back(64);
  block.seal(scalar_ops());
  block.unseal(scalar_ops(), back);
  EXPECT_EQ(block.keys, back.keys);
}

class SealEachIsa : public testing::TestWithParam<const Ops*> {};

TEST_P(SealEachIsa, WritesTheSameBits) {
  for (const auto& [name, fill] : kinds()) {
    for (const int dim : kDims) {
      for (const int count : {64, 1, 17, 63}) {
        if (count < 64 && dim != 6 && dim != 64) continue;
        Block got = make(dim, fill);
        got.count = count;
        Block want = got, got_back(dim), want_back(dim);
        got.seal(*GetParam());
        want.seal(scalar_ops());
        const std::string what = std::string(name) + " dim " + std::to_string(dim) + " count " +
                                 std::to_string(count) + " seed " + std::to_string(kSeed);
        ASSERT_EQ(std::memcmp(&got.statistics, &want.statistics, sizeof(BlockStatistics)), 0) << what;
        ASSERT_EQ(got.centres, want.centres) << what;
        ASSERT_EQ(got.deviations, want.deviations) << what;
        ASSERT_EQ(got.means, want.means) << what;
        ASSERT_EQ(got.sketch, want.sketch) << what;
        ASSERT_EQ(got.key_codes, want.key_codes) << what;
        ASSERT_EQ(got.value_codes, want.value_codes) << what;
        ASSERT_EQ(got.scales, want.scales) << what;
        got.unseal(*GetParam(), got_back);
        want.unseal(scalar_ops(), want_back);
        ASSERT_EQ(got_back.keys, want_back.keys) << what;
        ASSERT_EQ(got_back.values, want_back.values) << what;
      }
    }
  }
}

TEST_P(SealEachIsa, ManyRandomBlocks) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Block got = make(64, keylike, seed);
    Block want = got;
    got.seal(*GetParam());
    want.seal(scalar_ops());
    ASSERT_EQ(got.centres, want.centres) << seed;
    ASSERT_EQ(got.deviations, want.deviations) << seed;
    ASSERT_EQ(got.sketch, want.sketch) << seed;
    ASSERT_EQ(got.key_codes, want.key_codes) << seed;
    ASSERT_EQ(got.value_codes, want.value_codes) << seed;
    ASSERT_EQ(std::memcmp(&got.statistics, &want.statistics, sizeof(BlockStatistics)), 0) << seed;
  }
}

// What is beyond `count` leaves no trace.
TEST_P(SealEachIsa, ForgottenTokensAreNotLookedAt) {
  for (const int count : {1, 2, 33, 63}) {
    Block clean = make(64, keylike), dirty = clean;
    for (int t = count; t < 64; ++t) {
      for (int c = 0; c < 64; ++c) {
        clean.keys[key_at(c, t)] = clean.values[value_at(c, t, 64)] = 0;
        dirty.keys[key_at(c, t)] = dirty.values[value_at(c, t, 64)] = 0x7FFF;  // NaN
      }
    }
    clean.count = dirty.count = count;
    clean.seal(*GetParam());
    dirty.seal(*GetParam());
    EXPECT_EQ(clean.key_codes, dirty.key_codes);
    EXPECT_EQ(clean.value_codes, dirty.value_codes);
    EXPECT_EQ(clean.sketch, dirty.sketch);
    EXPECT_EQ(clean.centres, dirty.centres);
    EXPECT_EQ(std::memcmp(&clean.statistics, &dirty.statistics, sizeof(BlockStatistics)), 0);
  }
}

TEST_P(SealEachIsa, SketchScoresAgree) {
  for (const int dim : kDims) {
    for (const int rows : {1, 2, 3, 4, 7, 64}) {
      Block blocks[3] = {make(dim, keylike, 1), make(dim, keylike, 2), make(dim, keylike, 3)};
      blocks[2].count = 5;
      std::vector<SealedSummary> summaries;
      for (Block& block : blocks) block.seal(scalar_ops()), summaries.push_back(block.summary());
      core::Rng rng(kSeed);
      const auto size = static_cast<size_t>(dim), stride = size + 3, score_stride = size_t{3 * 64 + 5};
      std::vector<float> queries(stride * static_cast<size_t>(rows));
      for (auto& q : queries) q = noise(rng);
      std::vector<float> got(score_stride * static_cast<size_t>(rows), -7.0f), want = got;
      std::vector<std::byte> scratch(sketch_scratch_bytes(dim) + 64);
      auto* aligned = scratch.data() + (64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64) % 64;
      SketchTask task{queries.data(), stride,       rows,   dim, summaries.data(), 3,
                      got.data(),     score_stride, aligned};
      GetParam()->sketch_scores(task);
      task.scores = want.data();
      scalar_ops().sketch_scores(task);
      for (size_t i = 0; i < got.size(); ++i) {
        const size_t row = i / score_stride, at = i % score_stride;
        double max = 0, magnitude = 0;
        for (int c = 0; c < dim && at < 192; ++c) {
          const double q = std::abs(queries[row * stride + static_cast<size_t>(c)]);
          max = std::max(max, q * kSketchStep * blocks[at / 64].deviation(c));
          magnitude += q * (std::abs(wide(blocks[at / 64].centres[static_cast<size_t>(c)])) +
                            2 * blocks[at / 64].deviation(c));
        }
        ASSERT_NEAR(got[i], want[i], 1.5 * dim * max / 254 + magnitude * 1e-6)
            << dim << " row " << row << " at " << at;
      }
    }
  }
}

TEST_P(SealEachIsa, SketchScoresOfStrangeBlocksDoNotCrash) {
  for (const auto& [name, fill] : kinds()) {
    Block block = make(64, fill);
    block.seal(*GetParam());
    const SealedSummary summary = block.summary();
    std::vector<float> queries(64, 0.5f), scores(64);
    alignas(64) std::byte scratch[sketch_scratch_bytes(64)];
    for (const float q : {0.5f, 0.0f, 1e-38f}) {
      std::fill(queries.begin(), queries.end(), q);
      GetParam()->sketch_scores({queries.data(), 64, 1, 64, &summary, 1, scores.data(), 64, scratch});
      for (const float score : scores) ASSERT_TRUE(std::isfinite(score)) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, SealEachIsa, testing::ValuesIn(available_ops()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace mneme::kernels
