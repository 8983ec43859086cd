// Sealed blocks: the oracle against the definitions of sealed.h in double, and every back-end against the
// oracle.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/backends.h"
#include "kernels/sealed_for_test.h"
#include "kernels/select.h"

namespace mneme::kernels {
namespace {

constexpr int kDims[] = {2, 6, 16, 48, 64, 80, 96, 128, 256};
constexpr CopyFormat kFormats[] = {CopyFormat::kE4M3, CopyFormat::kInt8};

// Half a step of int8 codes, and of bf16 around the result.
double half_step(double scale, double result) {
  return scale / 2 * (1 + 1e-4) + std::abs(result) * 0x1p-8 + 1e-38;
}

// Half a unit of E4M3 around x times the scale, and of bf16 around the result.
double half_unit(double x, double scale, double result) {
  return std::max(std::abs(x) / 16, scale * 0x1p-10) * (1 + 1e-6) + std::abs(result) * 0x1p-8 + 1e-38;
}

// Centre, deviation, scale and codes of a channel of keys.
void expect_channel(const Block& block, const Block& back, int c, double largest_deviation,
                    const char* name) {
  double sum = 0, squares = 0, magnitude = 0, reach = 0;
  for (int t = 0; t < 64; ++t) {
    const double k = taken(block.keys[key_at(c, t)]);
    sum += k, magnitude += std::abs(k);
  }
  const double centre = wide(block.centres[static_cast<size_t>(c)]);
  ASSERT_NEAR(centre, sum / 64, std::abs(sum / 64) * 0x1p-8 + magnitude * 1e-7 + 1e-38) << name;
  for (int t = 0; t < 64; ++t) {
    const double x = taken(block.keys[key_at(c, t)]) - centre;
    squares += x * x, reach = std::max(reach, std::abs(x));
  }
  const double s = block.deviation(c), real = std::sqrt(squares / 64), unit = block.key_unit(c);
  ASSERT_GE(s, real * (1 - 1e-6) - 1e-22) << name << " channel " << c;
  ASSERT_LE(s, std::max(real * 1.126, largest_deviation * 0x1p-31)) << name << " channel " << c;
  ASSERT_LE(reach, 8 * s * (1 + 1e-6) + 1e-21);
  const bool is_int8 = block.format == CopyFormat::kInt8;
  ASSERT_LE(reach, (is_int8 ? 127.001 : 448.001) * unit + 1e-21) << "saturates";
  if (is_int8) {
    ASSERT_LE(unit, std::max(reach / 127 * (1 + 0x1p-7), double{kInt8ScaleMin})) << name;
  }
  for (int t = 0; t < 64; ++t) {
    const double k = taken(block.keys[key_at(c, t)]);
    const double error = is_int8 ? half_step(unit, k) : half_unit(k - centre, unit, k);
    ASSERT_NEAR(wide(back.keys[key_at(c, t)]), k, error + 1e-21)
        << name << " channel " << c << " token " << t;
  }
}

// Codes, scales and mean of a channel of values.
void expect_values(const Block& block, const Block& back, int c, const char* name) {
  double sum = 0, magnitude = 0;
  for (int t = 0; t < 64; ++t) {
    const size_t at = value_at(c, t, block.dim);
    const double v = taken(block.values[at]);
    sum += v, magnitude += std::abs(v);
    const double unit = block.value_unit(t);
    const bool is_int8 = block.format == CopyFormat::kInt8;
    ASSERT_LE(std::abs(v), (is_int8 ? 127.001 : 448.001) * unit + 1e-21) << "saturates";
    ASSERT_NEAR(wide(back.values[at]), v, is_int8 ? half_step(unit, v) : half_unit(v, unit, v))
        << name << " channel " << c << " token " << t;
  }
  const double unit = block.statistics.value_mean_scale;
  const double mean = unit * to_f32(E4M3{block.means[static_cast<size_t>(c)]});
  ASSERT_NEAR(mean, sum / 64, half_unit(sum / 64, unit, 0) + magnitude * 1e-7) << name;
}

TEST(SealScalar, KeepsWhatTheDefinitionsSay) {
  for (const CopyFormat format : kFormats) {
    for (const auto& [name, fill] : kinds()) {
      for (const int dim : {2, 6, 96}) {
        Block block = make(dim, fill, kSeed, format), back(dim);
        block.seal(scalar_ops());
        block.unseal(scalar_ops(), back);
        double largest = 0;
        for (int c = 0; c < dim; ++c) largest = std::max(largest, double{block.deviation(c)});
        for (int c = 0; c < dim; ++c) {
          expect_channel(block, back, c, largest, name);
          expect_values(block, back, c, name);
        }
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
  for (const CopyFormat format : kFormats) {
    const auto constant = [](core::Rng&, int c, int) { return static_cast<float>(c) - 3.3f; };
    Block block = make(64, constant, kSeed, format), back(64);
    block.seal(scalar_ops());
    block.unseal(scalar_ops(), back);
    EXPECT_EQ(block.keys, back.keys);
  }
}

void expect_same(const Block& got, const Block& want, const std::string& what) {
  ASSERT_EQ(std::memcmp(&got.statistics, &want.statistics, sizeof(BlockStatistics)), 0) << what;
  ASSERT_EQ(got.centres, want.centres) << what;
  ASSERT_EQ(got.deviations, want.deviations) << what;
  ASSERT_EQ(got.means, want.means) << what;
  ASSERT_EQ(got.sketch, want.sketch) << what;
  ASSERT_EQ(got.key_codes, want.key_codes) << what;
  ASSERT_EQ(got.key_scales, want.key_scales) << what;
  ASSERT_EQ(got.value_codes, want.value_codes) << what;
  ASSERT_EQ(got.value_scales, want.value_scales) << what;
  ASSERT_EQ(got.exponents, want.exponents) << what;
}

class SealEachIsaAndFormat : public testing::TestWithParam<std::tuple<const Ops*, CopyFormat>> {
 protected:
  const Ops& ops() const { return *std::get<0>(GetParam()); }
  CopyFormat format() const { return std::get<1>(GetParam()); }
};

TEST_P(SealEachIsaAndFormat, WritesTheSameBits) {
  for (const auto& [name, fill] : kinds()) {
    for (const int dim : kDims) {
      for (const int count : {64, 1, 17, 63}) {
        if (count < 64 && dim != 6 && dim != 64) continue;
        Block got = make(dim, fill, kSeed, format());
        got.count = count;
        Block want = got, got_back(dim), want_back(dim);
        got.seal(ops());
        want.seal(scalar_ops());
        const std::string what = std::string(name) + " dim " + std::to_string(dim) + " count " +
                                 std::to_string(count) + " seed " + std::to_string(kSeed);
        expect_same(got, want, what);
        got.unseal(ops(), got_back);
        want.unseal(scalar_ops(), want_back);
        ASSERT_EQ(got_back.keys, want_back.keys) << what;
        ASSERT_EQ(got_back.values, want_back.values) << what;
      }
    }
  }
}

TEST_P(SealEachIsaAndFormat, ManyRandomBlocks) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Block got = make(64, keylike, seed, format());
    Block want = got;
    got.seal(ops());
    want.seal(scalar_ops());
    expect_same(got, want, "seed " + std::to_string(seed));
  }
}

// What is beyond `count` leaves no trace.
TEST_P(SealEachIsaAndFormat, ForgottenTokensAreNotLookedAt) {
  for (const int count : {1, 2, 33, 63}) {
    Block clean = make(64, keylike, kSeed, format()), dirty = clean;
    for (int t = count; t < 64; ++t) {
      for (int c = 0; c < 64; ++c) {
        clean.keys[key_at(c, t)] = clean.values[value_at(c, t, 64)] = 0;
        dirty.keys[key_at(c, t)] = dirty.values[value_at(c, t, 64)] = 0x7FFF;  // NaN
      }
    }
    clean.count = dirty.count = count;
    clean.seal(ops());
    dirty.seal(ops());
    expect_same(clean, dirty, std::to_string(count));
  }
}

class SealEachIsa : public testing::TestWithParam<const Ops*> {};

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

INSTANTIATE_TEST_SUITE_P(Isa, SealEachIsaAndFormat,
                         testing::Combine(testing::ValuesIn(available_ops()), testing::ValuesIn(kFormats)),
                         [](const auto& info) {
                           const bool is_int8 = std::get<1>(info.param) == CopyFormat::kInt8;
                           return std::get<0>(info.param)->name + std::string(is_int8 ? "_int8" : "_e4m3");
                         });
INSTANTIATE_TEST_SUITE_P(Isa, SealEachIsa, testing::ValuesIn(available_ops()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace mneme::kernels
