// What is computed with sealed blocks: the oracle against double arithmetic over unsealed blocks, every
// back-end against the oracle, and bounds that hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/backends.h"
#include "kernels/sealed_for_test.h"
#include "kernels/select.h"

namespace mneme::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr CopyFormat kFormats[] = {CopyFormat::kE4M3, CopyFormat::kInt8};

// Blocks and views of them.
struct Sealed {
  int dim;
  std::vector<Block> blocks;
  std::vector<SealedSummary> summaries;
  std::vector<SealedFp8> copies;

  Sealed(int head_dim, std::vector<int> counts, CopyFormat format, const Fill& fill = keylike)
      : dim(head_dim) {
    blocks.reserve(counts.size());
    for (size_t b = 0; b < counts.size(); ++b) {
      Block& block = blocks.emplace_back(make(head_dim, fill, kSeed + b, format));
      block.count = counts[b];
      block.seal(scalar_ops());
      summaries.push_back(block.summary());
      copies.push_back(block.fp8());
    }
  }
  int count() const { return static_cast<int>(blocks.size()); }

  double key(int b, int c, int t) const { return blocks[static_cast<size_t>(b)].key(c, t); }
  double value(int b, int c, int t) const { return blocks[static_cast<size_t>(b)].value(c, t); }
};

std::vector<float> random_queries(int rows, size_t stride, float size, uint64_t seed = kSeed) {
  core::Rng rng(seed);
  std::vector<float> queries(static_cast<size_t>(rows) * stride);
  for (auto& q : queries) q = size * noise(rng);
  return queries;
}

// Zeros that begin at a multiple of 64 bytes.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : lines_((bytes + 63) / 64) {}
  void* data() { return lines_.data(); }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> lines_;
};

// Softmax state of some rows.
struct State {
  std::vector<float> out, max, sum;

  State(int rows, int dim)
      : out(static_cast<size_t>(rows * dim)),
        max(static_cast<size_t>(rows), -kInfinity),
        sum(static_cast<size_t>(rows)) {}
};

void attend(const Ops& ops, const Sealed& sealed, const std::vector<float>& queries, size_t stride, int rows,
            State& state, int first = 0, int count = -1) {
  Scratch scratch(attend_sealed_scratch_bytes(sealed.dim));
  AttendSealedTask task;
  task.queries = queries.data(), task.query_stride = stride, task.rows = rows, task.head_dim = sealed.dim;
  task.summaries = sealed.summaries.data() + first, task.copies = sealed.copies.data() + first;
  task.blocks = count < 0 ? sealed.count() - first : count;
  task.out = state.out.data(), task.max = state.max.data(), task.sum = state.sum.data();
  task.scratch = scratch.data();
  ops.attend_sealed(task);
}

// Log of the sum of exp, and the mean of values: what a state stands for, in double over unrounded codes.
struct Exact {
  double log_sum = 0;
  std::vector<double> mean;
  double spread = 0;  // mean over the weights of |v|
};
Exact exact_attention(const Sealed& sealed, const float* q) {
  std::vector<double> scores;
  double max = -kInfinity, sum = 0;
  for (int b = 0; b < sealed.count(); ++b) {
    for (int t = 0; t < sealed.blocks[static_cast<size_t>(b)].count; ++t) {
      double score = 0;
      for (int c = 0; c < sealed.dim; ++c) score += double{q[c]} * sealed.key(b, c, t);
      scores.push_back(score), max = std::max(max, score);
    }
  }
  Exact exact;
  exact.mean.resize(static_cast<size_t>(sealed.dim));
  size_t at = 0;
  for (int b = 0; b < sealed.count(); ++b) {
    for (int t = 0; t < sealed.blocks[static_cast<size_t>(b)].count; ++t, ++at) {
      const double weight = std::exp(scores[at] - max);
      sum += weight;
      double squares = 0;
      for (int c = 0; c < sealed.dim; ++c) {
        const double v = sealed.value(b, c, t);
        exact.mean[static_cast<size_t>(c)] += weight * v, squares += v * v;
      }
      exact.spread += weight * std::sqrt(squares);
    }
  }
  for (auto& m : exact.mean) m /= sum;
  exact.spread /= sum;
  exact.log_sum = max + std::log(sum);
  return exact;
}

// `logit` is how far logits may be off: it moves weights by as much, relative to themselves.
void expect_near(const State& state, int row, const Exact& want, double logit, const std::string& what) {
  const auto r = static_cast<size_t>(row), dim = want.mean.size();
  ASSERT_NEAR(state.max[r] + std::log(state.sum[r]), want.log_sum, logit + 1e-5) << what;
  double error = 0;
  for (size_t c = 0; c < dim; ++c) error += std::pow(state.out[r * dim + c] / state.sum[r] - want.mean[c], 2);
  ASSERT_LE(std::sqrt(error), want.spread * (2 * logit + 0x1p-8 + 1e-6)) << what;
}

class SealedEachIsa : public testing::TestWithParam<const Ops*> {};

TEST_P(SealedEachIsa, AttentionIsThatOfTheCopy) {
  for (const CopyFormat format : kFormats) {
    for (const int dim : {2, 6, 16, 48, 64, 80, 128, 256}) {
      const Sealed sealed(dim, {64, 64, 64}, format);
      const size_t stride = static_cast<size_t>(dim) + 3;
      for (const int rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 23, 64}) {
        if (rows > 4 && dim > 64 && rows != 8) continue;
        const auto queries = random_queries(rows, stride, 0.3f);
        State state(rows, dim);
        attend(*GetParam(), sealed, queries, stride, rows, state);
        for (int r = 0; r < rows; ++r) {
          const float* q = &queries[static_cast<size_t>(r) * stride];
          // 15 bits of the largest term (int8), or 2^-9 of each (E4M3, bf16).
          double largest = 0, sum = 0, centre = 0;
          for (int c = 0; c < dim; ++c) {
            double unit = 0;
            for (const Block& b : sealed.blocks) unit = std::max(unit, double{b.key_unit(c)});
            largest = std::max(largest, std::abs(q[c]) * unit);
            for (const Block& b : sealed.blocks)
              centre = std::max(centre, std::abs(double{q[c]} * wide(b.centres[static_cast<size_t>(c)])));
            sum += std::abs(q[c]) * unit;
          }
          const double logit = format == CopyFormat::kInt8 ? 127.0 / 32638 * largest * std::sqrt(dim) * 3
                                                           : 448.0 / 512 / std::sqrt(dim) * sum * 3;
          expect_near(state, r, exact_attention(sealed, q), std::min(logit, 0.2) + centre * dim * 1e-7,
                      std::to_string(dim) + " dim, row " + std::to_string(r) + " of " + std::to_string(rows) +
                          ", seed " + std::to_string(kSeed));
        }
      }
    }
  }
}

TEST_P(SealedEachIsa, AttentionSeesTheTokensThereAre) {
  for (const CopyFormat format : kFormats) {
    for (int count = 1; count <= 64; ++count) {
      const Sealed sealed(64, {64, count}, format), alone(64, {count}, format);
      const auto queries = random_queries(3, 64, 0.1f);
      State both(3, 64), one(3, 64);
      attend(*GetParam(), sealed, queries, 64, 3, both);
      attend(*GetParam(), alone, queries, 64, 3, one);
      for (int r = 0; r < 3; ++r) {
        const float* q = &queries[static_cast<size_t>(r) * 64];
        expect_near(both, r, exact_attention(sealed, q), 0.02, std::to_string(count));
        expect_near(one, r, exact_attention(alone, q), 0.02, std::to_string(count));
      }
    }
  }
}

// Blocks in both formats, in two runs, after and before others.
TEST_P(SealedEachIsa, RunsMayFollowEachOther) {
  Sealed sealed(64, {64, 64, 64, 64}, CopyFormat::kInt8);
  for (const size_t b : {1u, 2u}) {
    sealed.blocks[b].format = CopyFormat::kE4M3;
    sealed.blocks[b].seal(scalar_ops());
    sealed.copies[b] = sealed.blocks[b].fp8();
  }
  const auto queries = random_queries(5, 64, 0.2f);
  State whole(5, 64), parts(5, 64);
  attend(*GetParam(), sealed, queries, 64, 5, whole);
  attend(*GetParam(), sealed, queries, 64, 5, parts, 2, 2);
  attend(*GetParam(), sealed, queries, 64, 5, parts, 0, 0);
  attend(*GetParam(), sealed, queries, 64, 5, parts, 0, 2);
  for (size_t r = 0; r < 5; ++r) {
    EXPECT_NEAR(whole.max[r] + std::log(whole.sum[r]), parts.max[r] + std::log(parts.sum[r]), 1e-5f);
    for (size_t c = 0; c < 64; ++c) {
      const float want = whole.out[r * 64 + c] / whole.sum[r];
      EXPECT_NEAR(parts.out[r * 64 + c] / parts.sum[r], want, 0.01f * (1 + std::abs(want)));
    }
  }
}

TEST_P(SealedEachIsa, AttentionOfStrangeBlocksIsFinite) {
  for (const CopyFormat format : kFormats) {
    for (const auto& [name, fill] : kinds()) {
      const Sealed sealed(64, {64, 64, 9}, format, fill);
      for (const float size : {1.0f, 0.0f, 1e-38f, 100.0f}) {
        const auto queries = random_queries(4, 64, size);
        State state(4, 64);
        attend(*GetParam(), sealed, queries, 64, 4, state);
        for (size_t r = 0; r < 4; ++r) {
          EXPECT_TRUE(std::isfinite(state.max[r]) && state.sum[r] >= 0.99f) << name << " queries of " << size;
          for (size_t c = 0; c < 64; ++c) EXPECT_TRUE(std::isfinite(state.out[r * 64 + c])) << name;
        }
      }
    }
  }
}

// One token wins by far: the result is its value.
TEST_P(SealedEachIsa, AttentionSurvivesLargeLogits) {
  for (const CopyFormat format : kFormats) {
    const Sealed sealed(64, {64, 64}, format, [](core::Rng&, int c, int t) {
      return t == 10 ? 900.0f + static_cast<float>(c % 4) : static_cast<float>(t % 3 - 1);
    });
    const std::vector<float> queries(64, 10.0f);
    State state(1, 64);
    attend(*GetParam(), sealed, queries, 64, 1, state);
    for (int c = 0; c < 64; ++c)
      EXPECT_NEAR(state.out[static_cast<size_t>(c)] / state.sum[0], sealed.value(0, c, 10), 8.0);
  }
}

TEST_P(SealedEachIsa, MassesAreThoseOfTheSketch) {
  for (const int dim : {2, 6, 16, 64, 80, 128}) {
    const Sealed sealed(dim, {64, 1, 64, 63, 64, 17}, CopyFormat::kInt8);
    const size_t query_stride = static_cast<size_t>(dim) + 1, blocks = sealed.blocks.size(),
                 stride = blocks + 2;
    for (const int rows : {1, 2, 3, 4, 5, 8, 13, 64}) {
      const auto queries = random_queries(rows, query_stride, 0.4f);
      std::vector<float> max(static_cast<size_t>(rows) * stride, -7.0f), sum = max, variance = max;
      std::vector<float> want_max = max, want_sum = max, want_variance = max;
      Scratch scratch(sketch_mass_scratch_bytes(dim));
      SketchMassTask task{queries.data(), query_stride,  rows,       dim,    sealed.summaries.data(),
                          sealed.count(), max.data(),    sum.data(), stride, variance.data(),
                          stride,         scratch.data()};
      GetParam()->sketch_masses(task);
      task.max = want_max.data(), task.sum = want_sum.data(), task.variance = want_variance.data();
      scalar_ops().sketch_masses(task);
      for (size_t i = 0; i < max.size(); ++i) {
        const size_t r = i / stride, b = i % stride;
        if (b >= blocks) {
          ASSERT_TRUE(max[i] == -7.0f && sum[i] == -7.0f && variance[i] == -7.0f);
          continue;
        }
        double step = 0, magnitude = 0;
        for (int c = 0; c < dim; ++c) {
          const double q = std::abs(queries[r * query_stride + static_cast<size_t>(c)]);
          step = std::max(step, q * kSketchStep * sealed.blocks[b].deviation(c));
          magnitude += q * std::abs(wide(sealed.blocks[b].centres[static_cast<size_t>(c)]));
        }
        const double off = 1.5 * dim * step / 254 + magnitude * 1e-6;
        ASSERT_NEAR(max[i], want_max[i], off) << dim << " row " << r << " block " << b;
        ASSERT_NEAR(max[i] + std::log(sum[i]), want_max[i] + std::log(want_sum[i]), off + 2e-4);
        ASSERT_NEAR(variance[i], want_variance[i], want_variance[i] * 1e-5);
        ASSERT_GE(sum[i], 0.9998f);
        ASSERT_LE(sum[i], static_cast<float>(sealed.blocks[b].count) * 1.0002f);
      }
    }
  }
}

TEST_P(SealedEachIsa, MassesAreTheSumsOfTheScores) {
  const Sealed sealed(64, {64, 64, 64}, CopyFormat::kInt8);
  const auto queries = random_queries(7, 64, 0.5f);
  Scratch scratch(sketch_mass_scratch_bytes(64));
  std::vector<float> max(21), sum(21), variance(21), scores(7 * 192);
  GetParam()->sketch_masses({queries.data(), 64, 7, 64, sealed.summaries.data(), 3, max.data(), sum.data(), 3,
                             variance.data(), 3, scratch.data()});
  GetParam()->sketch_scores(
      {queries.data(), 64, 7, 64, sealed.summaries.data(), 3, scores.data(), 192, scratch.data()});
  for (size_t r = 0; r < 7; ++r) {
    for (size_t b = 0; b < 3; ++b) {
      const float* s = &scores[r * 192 + b * 64];
      const double top = *std::max_element(s, s + 64);
      double total = 0;
      for (int t = 0; t < 64; ++t) total += std::exp(s[t] - top);
      EXPECT_NEAR(max[r * 3 + b], top, 1e-4);
      EXPECT_NEAR(sum[r * 3 + b], total, total * 3e-4);
    }
  }
}

TEST_P(SealedEachIsa, MassesOfStrangeBlocksAreFinite) {
  for (const auto& [name, fill] : kinds()) {
    const Sealed sealed(64, {64, 5}, CopyFormat::kInt8, fill);
    Scratch scratch(sketch_mass_scratch_bytes(64));
    for (const float size : {1.0f, 0.0f, 1e-38f, 1000.0f}) {
      const auto queries = random_queries(2, 64, size);
      float max[4], sum[4], variance[4];
      GetParam()->sketch_masses(
          {queries.data(), 64, 2, 64, sealed.summaries.data(), 2, max, sum, 2, variance, 2, scratch.data()});
      for (int i = 0; i < 4; ++i)
        EXPECT_TRUE(std::isfinite(max[i]) && sum[i] > 0.99f && sum[i] < 64.1f && variance[i] >= 0)
            << name << " of " << size;
    }
  }
}

TEST_P(SealedEachIsa, MeansAreAdded) {
  for (const int dim : {6, 64, 80, 128}) {
    const Sealed sealed(dim, std::vector<int>(150, 64), CopyFormat::kInt8);
    for (const int rows : {1, 2, 3, 7, 8}) {
      core::Rng rng(kSeed);
      std::vector<float> masses(static_cast<size_t>(rows) * 160), highest(static_cast<size_t>(rows));
      for (auto& m : masses) m = std::exp(20 * noise(rng));
      for (auto& h : highest) h = 8 * noise(rng);
      masses[3] = 0, masses[5] = 1e9f;  // far above the rest
      if (rows > 1) std::fill_n(&masses[160], 160, 0.0f);
      for (const bool all : {true, false}) {
        std::vector<int> chosen;
        for (int b = 149; b >= 0; b -= 1 + b % 3) chosen.push_back(b);
        AddMeansTask task;
        task.blocks = sealed.summaries.data(), task.chosen = all ? nullptr : chosen.data();
        task.count = all ? 150 : static_cast<int>(chosen.size());
        task.rows = rows, task.head_dim = dim, task.masses = masses.data(), task.mass_stride = 160;
        task.highest = highest.data();
        State got(rows, dim);
        // A state that has seen something, and one that has not.
        if (!all) {
          for (auto& o : got.out) o = noise(rng);
          std::fill(got.max.begin(), got.max.end(), 3.0f), std::fill(got.sum.begin(), got.sum.end(), 2.0f);
        }
        State want = got;
        task.out = got.out.data(), task.max = got.max.data(), task.sum = got.sum.data();
        GetParam()->add_means(task);
        task.out = want.out.data(), task.max = want.max.data(), task.sum = want.sum.data();
        scalar_ops().add_means(task);
        ASSERT_EQ(got.max, want.max);
        for (size_t r = 0; r < got.sum.size(); ++r) {
          ASSERT_NEAR(got.sum[r], want.sum[r], want.sum[r] * 1e-5) << r;
          for (size_t c = 0; c < static_cast<size_t>(dim); ++c) {
            const size_t i = r * static_cast<size_t>(dim) + c;
            ASSERT_NEAR(got.out[i], want.out[i], 1e-5 * (1 + want.sum[r]) * 40) << "row " << r;
          }
        }
      }
    }
  }
}

TEST(SealedScalar, MeansAreTheirWeightedSum) {
  const Sealed sealed(6, {64, 64, 64}, CopyFormat::kInt8);
  const float masses[] = {1.0f, 0.0f, 2.5f}, highest = 0.5f;
  State state(1, 6);
  AddMeansTask task;
  task.blocks = sealed.summaries.data(), task.count = 3, task.rows = 1, task.head_dim = 6;
  task.masses = masses, task.mass_stride = 3, task.highest = &highest;
  task.out = state.out.data(), task.max = state.max.data(), task.sum = state.sum.data();
  scalar_ops().add_means(task);
  EXPECT_EQ(state.max[0], 0.5f);
  EXPECT_NEAR(state.sum[0], 3.5, 1e-6);
  for (int c = 0; c < 6; ++c) {
    double want = 0;
    for (const int b : {0, 2}) {
      double mean = 0;
      for (int t = 0; t < 64; ++t)
        mean += wide(sealed.blocks[static_cast<size_t>(b)].values[value_at(c, t, 6)]);
      want += masses[b] * mean / 64;
    }
    EXPECT_NEAR(state.out[static_cast<size_t>(c)], want, 0.08 * (1 + std::abs(want))) << c;
  }
  // Beside what weighs more, by its own logit.
  const float sum = state.sum[0], out = state.out[0];
  state.max[0] = 1.5f;
  scalar_ops().add_means(task);
  EXPECT_EQ(state.max[0], 1.5f);
  EXPECT_NEAR(state.sum[0], sum * (1 + std::exp(-1.0)), 1e-5);
  EXPECT_NEAR(state.out[0], out * (1 + std::exp(-1.0)), 1e-5 * (1 + std::abs(out)));
}

// The score that attend_sealed computes of a token: as the first of one it is the state's max.
float score_of(const Ops& ops, Block block, const float* q, int token) {
  for (int c = 0; c < block.dim; ++c)
    std::swap(block.key_codes[block.key_code_at(c, 0)], block.key_codes[block.key_code_at(c, token)]);
  block.statistics.count = 1;
  const SealedSummary summary = block.summary();
  const SealedFp8 copy = block.fp8();
  std::vector<float> out(block.size());
  float max = -kInfinity, sum = 0;
  Scratch scratch(attend_sealed_scratch_bytes(block.dim));
  ops.attend_sealed(
      {q, block.size(), 1, block.dim, &summary, &copy, 1, out.data(), &max, &sum, scratch.data()});
  return max;
}

TEST_P(SealedEachIsa, BoundsHold) {
  std::vector<Kind> all = kinds();
  // Keys half a step away from their codes, all the same way; one channel that hides the others; a channel at
  // 8 deviations.
  all.push_back({"half steps", [](core::Rng&, int c, int t) {
                   return t == 63 ? 127.0f : t == 62 ? -127.0f : static_cast<float>((c + t) % 60) + 0.5f;
                 }});
  all.push_back({"one large channel",
                 [](core::Rng& rng, int c, int) { return (c == 5 ? 3000.0f : 1.0f) * noise(rng); }});
  all.push_back({"spike", [](core::Rng&, int c, int t) { return t == c % 64 ? 1000.0f : 0.0f; }});
  for (const CopyFormat format : kFormats) {
    for (const auto& [name, fill] : all) {
      for (const int dim : {6, 64, 128}) {
        Block block = make(dim, fill, kSeed, format);
        block.seal(scalar_ops());
        const SealedSummary summary = block.summary();
        const SealedFp8 copy = block.fp8();
        for (int kind = 0; kind < 4; ++kind) {
          const float size = kind == 1 ? 1e-30f : kind == 2 ? 1000.0f : 0.3f;
          auto queries = random_queries(1, block.size(), size, kSeed + static_cast<uint64_t>(kind));
          if (kind == 3) std::fill(queries.begin(), queries.end(), 1.0f);
          float bound = 0;
          GetParam()->key_error_bounds({queries.data(), block.size(), 1, dim, &summary, &copy, 1, &bound, 1});
          for (int token = 0; token < 64; token += dim == 64 ? 1 : 7) {
            double exact = 0;
            for (int c = 0; c < dim; ++c)
              exact += double{queries[static_cast<size_t>(c)]} * taken(block.keys[key_at(c, token)]);
            const double score = score_of(*GetParam(), block, queries.data(), token);
            ASSERT_LE(std::abs(score - exact), double{bound})
                << name << " token " << token << " dim " << dim << " kind " << kind;
          }
        }
      }
    }
  }
}

// The bound is not far above what happens when every channel is as wrong as it can be.
TEST_P(SealedEachIsa, BoundsAreTight) {
  const auto half_steps = [](core::Rng&, int, int t) {
    return t == 63 ? 127.0f : t == 62 ? -127.0f : t < 31 ? 10.5f : -10.5f;
  };
  Block block = make(64, half_steps, kSeed, CopyFormat::kInt8);
  block.seal(scalar_ops());
  const SealedSummary summary = block.summary();
  const SealedFp8 copy = block.fp8();
  const std::vector<float> queries(64, 1.0f);
  float bound = 0;
  GetParam()->key_error_bounds({queries.data(), 64, 1, 64, &summary, &copy, 1, &bound, 1});
  double worst = 0;
  for (int t = 0; t < 64; ++t) {
    double exact = 0;
    for (int c = 0; c < 64; ++c) exact += taken(block.keys[key_at(c, t)]);
    worst = std::max(worst, std::abs(score_of(*GetParam(), block, queries.data(), t) - exact));
  }
  EXPECT_LE(worst, bound);
  EXPECT_GE(worst, bound / 1.3);
}

INSTANTIATE_TEST_SUITE_P(Isa, SealedEachIsa, testing::ValuesIn(available_ops()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace mneme::kernels
