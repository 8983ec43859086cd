#include "attention/scorer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "attention/sparse_context_for_test.h"
#include "tensor/convert.h"

namespace mneme::attention {
namespace {

class Scorers : public testing::TestWithParam<const kernels::Ops*> {};

// Estimated against true masses of every block, in nats.
TEST_P(Scorers, TheSketchIsNearTheTruthAndRightOnAverage) {
  for (const float sharpness : {0.5f, 1.2f}) {
    TestContext x({1, 1, 64}, 4, 64 * 64, sharpness, 21);
    constexpr int kBlocks = 64, kRows = 4, kDim = 64;
    std::vector<kv::SealedBlock> sealed(kBlocks);
    std::vector<kv::BlockView> views(kBlocks);
    x.sequence.sealed(0, 0, 0, sealed);
    x.sequence.view(0, 0, 0, views);
    std::vector<kernels::SealedSummary> summaries;
    for (const kv::SealedBlock& block : sealed) summaries.push_back(block.summary);
    std::vector<float> queries;
    for (int i = 0; i < kRows * kDim; ++i) queries.push_back(x.queries[static_cast<size_t>(i)] / 8);
    std::vector<float> max(size_t{kRows} * (kBlocks + 3)), sum(max.size());
    std::vector<std::byte> memory(score_scratch_bytes(kDim) + 64);
    const auto at = reinterpret_cast<uintptr_t>(memory.data());
    SketchScorer().score({GetParam(), 0, 0, 0, queries.data(), kRows, kDim, summaries, max.data(), sum.data(),
                          kBlocks + 3, memory.data() + (64 - at % 64)});
    double bias = 0, squares = 0;
    for (int r = 0; r < kRows; ++r) {
      for (int b = 0; b < kBlocks; ++b) {
        double mass = 0;
        for (int t = 0; t < 64; ++t) {
          double logit = 0;
          for (int c = 0; c < kDim; ++c) {
            const uint16_t bits = views[static_cast<size_t>(b)].keys[c / 2 * 128 + t * 2 + c % 2];
            logit += double{queries[static_cast<size_t>(r * kDim + c)]} *
                     double{tensor::to_f32(tensor::Bf16{bits})};
          }
          mass += std::exp(logit);
        }
        const size_t i = static_cast<size_t>(r * (kBlocks + 3) + b);
        const double error = double{max[i]} + std::log(double{sum[i]}) - std::log(mass);
        bias += error, squares += error * error;
      }
    }
    constexpr double kCount = kRows * kBlocks;
    EXPECT_LT(std::abs(bias / kCount), 0.06) << sharpness;
    EXPECT_LT(std::sqrt(squares / kCount), 0.5) << sharpness;
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, Scorers, testing::ValuesIn(kernels::available_ops()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace mneme::attention
