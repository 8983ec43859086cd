#include "train/hyper_connection.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <string>
#include <vector>

#include "train/hyper_kernels.h"

namespace mneme::train {
namespace {

constexpr float kEpsilon = 1e-6F;
constexpr Mixing kMixings[] = {Mixing::kFree, Mixing::kSinkhorn, Mixing::kPermutations, Mixing::kIdentity};

struct Shape {
  int64_t rows;
  int streams;
  int64_t channels;
};

// Leaves of a whole step: read, a sublayer that multiplies by a vector, write, read by another connection.
struct Leaves {
  torch::Tensor streams, gain;
  HyperWeights first, second;

  [[nodiscard]] std::vector<torch::Tensor> all() const {
    return {streams, gain, first.weight, first.bias, first.scale, second.weight, second.bias, second.scale};
  }
  // Copies that start their own graph.
  [[nodiscard]] Leaves copy(torch::Dtype dtype) const {
    const auto fresh = [&](const torch::Tensor& t) {
      return t.detach().to(dtype).clone().requires_grad_(true);
    };
    const auto fresh_weights = [&](const HyperWeights& w) {
      return HyperWeights{fresh(w.weight), fresh(w.bias), fresh(w.scale)};
    };
    return {fresh(streams), fresh(gain), fresh_weights(first), fresh_weights(second)};
  }
};

// Away from the initial values: dynamic coefficients of size 1, biases of size 1.
HyperWeights random_weights(Mixing mixing, const Shape& shape) {
  auto weights = initial_hyper_weights(mixing, shape.streams, shape.channels, 1);
  const auto width = static_cast<double>(shape.streams * shape.channels);
  weights.weight = torch::randn_like(weights.weight) / std::sqrt(width);
  weights.bias = weights.bias * 0.2 + torch::randn_like(weights.bias);
  weights.scale = torch::tensor({0.7F, -0.4F, 1.1F});
  return weights;
}

Leaves random_leaves(Mixing mixing, const Shape& shape) {
  torch::manual_seed(static_cast<uint64_t>(shape.rows * 1000 + shape.streams * 100) +
                     static_cast<uint64_t>(mixing));
  return {torch::randn({shape.rows, shape.streams, shape.channels}) * 1.5, torch::randn({shape.channels}),
          random_weights(mixing, shape), random_weights(mixing, shape)};
}

enum class Chain { kSeparate, kTogether };

// A scalar of everything that the step returns, each with its own fixed factors.
torch::Tensor loss(const Leaves& leaves, Mixing mixing, bool fused, Chain chain) {
  const auto read = hyper_read(leaves.streams, leaves.first, mixing, kEpsilon, fused);
  const auto output = read.input * leaves.gain;
  HyperWritten next;
  if (chain == Chain::kTogether) {
    next = hyper_write_read(leaves.streams, read, output, {leaves.second, mixing, kEpsilon, fused});
  } else {
    next.streams = hyper_write(leaves.streams, read, output, fused);
    next.read = hyper_read(next.streams, leaves.second, mixing, kEpsilon, fused);
  }
  double phase = 0.3;
  const auto weigh = [&](const torch::Tensor& t) {
    phase += 0.7;
    const auto factors = torch::sin(torch::arange(t.numel(), torch::kDouble) * 1.7 + phase);
    return (t.flatten().to(torch::kDouble) * factors).sum();
  };
  auto total = weigh(next.streams) + weigh(next.read.input) + weigh(next.read.post);
  if (next.read.mix.defined()) total = total + 3 * weigh(next.read.mix);
  return total;
}

std::vector<torch::Tensor> gradients(const Leaves& leaves, Mixing mixing, bool fused, Chain chain) {
  return torch::autograd::grad({loss(leaves, mixing, fused, chain)}, leaves.all(), {}, false, false, true);
}

// |a - b| / |b|, of vectors.
double relative(const torch::Tensor& a, const torch::Tensor& b) {
  const double size = b.to(torch::kDouble).norm().item<double>();
  return (a.to(torch::kDouble) - b.to(torch::kDouble)).norm().item<double>() / std::max(size, 1e-12);
}

std::string describe(Mixing mixing, const Shape& shape) {
  return "mixing " + std::to_string(static_cast<int>(mixing)) + ", rows " + std::to_string(shape.rows) +
         ", streams " + std::to_string(shape.streams) + ", channels " + std::to_string(shape.channels);
}

// Every element passes through sums of at most n C = 1000 products and some 100 roundings of small matrices;
// as vectors the errors are below sqrt(1000) + 100 roundings of 2^-24: 8e-6, and three times that where the
// few values of a scale's gradient cancel.
constexpr double kTolerance = 2.4e-5;

TEST(HyperConnection, FusedIsTheReferenceForwardAndBackward) {
  for (const Mixing mixing : kMixings) {
    for (const int streams : {2, 3, 4}) {
      for (const auto& [rows, channels] :
           {std::pair<int64_t, int64_t>{1, 36}, {7, 250}, {65, 128}, {33, 5}}) {
        const Shape shape{rows, streams, channels};
        SCOPED_TRACE(describe(mixing, shape));
        const auto leaves = random_leaves(mixing, shape);
        const auto exact = leaves.copy(torch::kDouble), single = leaves.copy(torch::kFloat);

        const auto read = hyper_read(single.streams, single.first, mixing, kEpsilon, true);
        const auto expected = hyper_read(exact.streams, exact.first, mixing, kEpsilon, false);
        EXPECT_LT(relative(read.input, expected.input), kTolerance);
        EXPECT_LT(relative(read.post, expected.post), kTolerance);
        ASSERT_EQ(read.mix.defined(), mixing != Mixing::kIdentity);
        if (read.mix.defined()) {
          EXPECT_LT(relative(read.mix, expected.mix), kTolerance);
        }
        const auto output = torch::randn({rows, channels});
        EXPECT_LT(relative(hyper_write(single.streams, read, output, true),
                           hyper_write(exact.streams, expected, output.to(torch::kDouble), false)),
                  kTolerance);

        const auto want = gradients(exact, mixing, false, Chain::kSeparate);
        const auto separate = gradients(single, mixing, true, Chain::kSeparate);
        const auto together = gradients(single, mixing, true, Chain::kTogether);
        for (size_t i = 0; i < want.size(); ++i) {
          EXPECT_LT(relative(separate[i], want[i]), kTolerance) << "gradient " << i;
          EXPECT_LT(relative(together[i], want[i]), kTolerance) << "gradient " << i << " of write_read";
        }
      }
    }
  }
}

// Central differences along a random direction, step h, of a loss computed to a relative error e: the error
// of the slope is about h^2 |third derivative| + e |loss| / h.
double slope(const Leaves& leaves, const Leaves& direction, double h, Mixing mixing, bool fused) {
  const auto at = [&](double step) {
    const torch::NoGradGuard no_grad;
    auto moved = leaves.copy(leaves.streams.scalar_type());
    const auto values = moved.all(), towards = direction.all();
    for (size_t i = 0; i < values.size(); ++i) values[i].add_(towards[i].to(values[i].dtype()), step);
    return loss(moved, mixing, fused, Chain::kTogether).item<double>();
  };
  return (at(h) - at(-h)) / (2 * h);
}

void check_slope(torch::Dtype dtype, double h, double tolerance, bool fused) {
  for (const Mixing mixing : kMixings) {
    for (const int streams : {2, 3, 4}) {
      const Shape shape{5, streams, 18};
      SCOPED_TRACE(describe(mixing, shape));
      const auto leaves = random_leaves(mixing, shape).copy(dtype);
      torch::manual_seed(11);
      Leaves direction = leaves.copy(torch::kDouble);
      for (auto tensor : direction.all()) {
        const torch::NoGradGuard no_grad;
        tensor.normal_();
      }
      const auto d = gradients(leaves, mixing, fused, Chain::kTogether);
      double expected = 0, size = 0;
      for (size_t i = 0; i < d.size(); ++i) {
        expected += (d[i].to(torch::kDouble) * direction.all()[i]).sum().item<double>();
        size += std::pow(d[i].to(torch::kDouble).norm().item<double>(), 2);
      }
      EXPECT_NEAR(slope(leaves, direction, h, mixing, fused), expected, tolerance * std::sqrt(size));
    }
  }
}

TEST(HyperConnection, ReferenceHasTheSlopeOfItsGradient) { check_slope(torch::kDouble, 1e-5, 1e-6, false); }
// f32: losses of about 50 to 2^-24 over a step of 2^-8 leave 8e-4 of noise.
TEST(HyperConnection, FusedHasTheSlopeOfItsGradient) { check_slope(torch::kFloat, 0x1p-9, 2e-3, true); }

TEST(HyperConnection, MixingIsDoublyStochastic) {
  for (const Mixing mixing : {Mixing::kSinkhorn, Mixing::kPermutations}) {
    for (const int streams : {2, 3, 4}) {
      auto leaves = random_leaves(mixing, {65, streams, 36});
      const auto check = [&](double tolerance) {
        for (const bool fused : {false, true}) {
          const auto mix = hyper_read(leaves.streams, leaves.first, mixing, kEpsilon, fused).mix;
          EXPECT_LT((mix.sum(1) - 1).abs().max().item<double>(), 1e-5);  // columns are divided last
          EXPECT_LT((mix.sum(2) - 1).abs().max().item<double>(), tolerance);
          EXPECT_GE(mix.min().item<double>(), 0);
        }
      };
      check(2e-2);  // as far as 20 iterations come from logits of size 1.5
      leaves.first.bias = initial_hyper_weights(mixing, streams, 36, 0).bias;
      leaves.first.scale.fill_(0.1);
      check(5e-3);  // near a permutation Sinkhorn converges slowly
    }
  }
}

TEST(HyperConnection, SinkhornTakesLargeLogits) {
  auto leaves = random_leaves(Mixing::kSinkhorn, {7, 4, 36});
  leaves.first.scale = torch::tensor({50.0F, 50.0F, 12.0F});
  const auto single = leaves.copy(torch::kFloat);
  const auto want = gradients(leaves.copy(torch::kDouble), Mixing::kSinkhorn, false, Chain::kSeparate);
  const auto got = gradients(single, Mixing::kSinkhorn, true, Chain::kTogether);
  for (size_t i = 0; i < want.size(); ++i)
    EXPECT_LT(relative(got[i], want[i]), 20 * kTolerance) << "gradient " << i;
}

TEST(HyperConnection, StartsAsAPlainResidual) {
  for (const Mixing mixing : kMixings) {
    const int64_t channels = 24;
    auto streams = torch::randn({9, 1, channels}).expand({9, 4, channels}).contiguous();
    const auto read = hyper_read(streams, initial_hyper_weights(mixing, 4, channels, 6), mixing, kEpsilon,
                                 true);
    const auto post = read.post;
    EXPECT_LT(relative(post, torch::ones_like(post)), 1e-6);
    const auto x = streams.select(1, 2);
    EXPECT_LT(relative(read.input, x * (mixing == Mixing::kFree ? 1.0 : 0.952574 + 3 * 0.047426)), 1e-5);
    const auto written = hyper_write(streams, read, torch::ones({9, channels}), true);
    EXPECT_LT(relative(written, streams + 1), 1e-6);
    if (!read.mix.defined()) continue;
    const auto diagonal = read.mix.diagonal(0, 1, 2);
    const double kept = mixing == Mixing::kFree ? 1 : 0.9879;
    EXPECT_NEAR(diagonal.min().item<double>(), kept, 1e-4);
  }
}

TEST(HyperConnection, OutputMayBeBf16) {
  for (const Mixing mixing : {Mixing::kSinkhorn, Mixing::kIdentity}) {
    const Shape shape{19, 4, 50};
    const auto leaves = random_leaves(mixing, shape).copy(torch::kFloat);
    const auto read = hyper_read(leaves.streams, leaves.first, mixing, kEpsilon, false);
    const auto output = torch::randn({19, 50}).to(torch::kBFloat16);
    const auto narrow = output.clone().requires_grad_(true);
    const auto wide = output.to(torch::kFloat).requires_grad_(true);
    const auto got = hyper_write(leaves.streams, read, narrow, true);
    const auto want = hyper_write(leaves.streams, read, wide, false);
    EXPECT_LT(relative(got, want), 1e-6);
    const auto factors = torch::randn_like(got);
    const auto d_narrow = torch::autograd::grad({(got * factors).sum()}, {narrow}, {}, true)[0];
    const auto d_wide = torch::autograd::grad({(want * factors).sum()}, {wide}, {}, true)[0];
    EXPECT_EQ(d_narrow.scalar_type(), torch::kBFloat16);
    EXPECT_LT(relative(d_narrow, d_wide), 0x1p-8);
  }
}

TEST(HyperConnection, ThreadsDoNotChangeABit) {
  const int before = at::get_num_threads();
  const auto leaves = random_leaves(Mixing::kSinkhorn, {300, 4, 36});
  std::vector<torch::Tensor> first;
  for (const int threads : {1, 2, 3, 7}) {
    at::set_num_threads(threads);
    auto got = gradients(leaves.copy(torch::kFloat), Mixing::kSinkhorn, true, Chain::kTogether);
    if (first.empty()) first = got;
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_TRUE(torch::equal(got[i], first[i])) << threads << " threads, " << i;
  }
  at::set_num_threads(before);
}

// A gradient that does not arrive is zero, not an error.
TEST(HyperConnection, UnusedResultsHaveNoGradient) {
  for (const Mixing mixing : kMixings) {
    const auto leaves = random_leaves(mixing, {9, 3, 20}).copy(torch::kFloat);
    const auto exact = leaves.copy(torch::kDouble);
    const auto of = [&](const Leaves& l, bool fused, int which) {
      const auto read = hyper_read(l.streams, l.first, mixing, kEpsilon, fused);
      const auto next = hyper_write_read(l.streams, read, read.input, {l.second, mixing, kEpsilon, fused});
      const auto& used = which == 0 ? next.streams : which == 1 ? next.read.input : next.read.post;
      return torch::autograd::grad({used.square().sum()}, l.all(), {}, false, false, true);
    };
    for (const int which : {0, 1, 2}) {
      const auto got = of(leaves, true, which), want = of(exact, false, which);
      for (size_t i = 0; i < got.size(); ++i) {
        if (!got[i].defined() || !want[i].defined()) continue;
        EXPECT_LT((got[i] - want[i]).norm().item<double>(), kTolerance * (1 + want[i].norm().item<double>()))
            << which << ", gradient " << i;
      }
    }
  }
}

TEST(HyperConnection, GainOfTheProduct) {
  EXPECT_EQ(composite_gain({}).row_max, 1);
  const auto mix = torch::tensor({2.0F, 0.0F, 1.0F, 1.0F}).view({1, 2, 2});  // its square: 4 0 / 3 1
  const std::vector<torch::Tensor> mixes{mix, {}, mix};
  const auto gain = composite_gain(mixes);
  EXPECT_EQ(gain.row_max, 4);
  EXPECT_EQ(gain.row_min, 4);
  EXPECT_EQ(gain.column_max, 7);
  EXPECT_EQ(gain.column_min, 1);
}

// Every machine's kernels against the narrowest: the same up to the order of sums.
TEST(HyperKernels, MachinesAgree) {
  const auto* generic = hyper::kernels_or_null_for_test("generic");
  for (const char* name : {"avx2", "avx512"}) {
    const auto* kernels = hyper::kernels_or_null_for_test(name);
    if (kernels == nullptr) continue;
    for (const Mixing mixing : kMixings) {
      for (const int n : {2, 3, 4}) {
        const int64_t rows = 21, channels = 45;
        SCOPED_TRACE(describe(mixing, {rows, n, channels}) + ", " + name);
        const auto leaves = random_leaves(mixing, {rows, n, channels});
        const auto d_input = torch::randn({rows, channels}), d_post = torch::randn({rows, n});
        const auto d_mix = torch::randn({rows, n, n}), d_direct = torch::randn({rows, n, channels});
        const auto output = torch::randn({rows, channels}), post = torch::rand({rows, n});
        const auto mix = torch::rand({rows, n, n});
        const auto run = [&](const hyper::Kernels& k) {
          const bool is_mixed = mixing != Mixing::kIdentity;
          hyper::Rule rule{mixing,
                           n,
                           static_cast<size_t>(channels),
                           kEpsilon,
                           leaves.first.weight.data_ptr<float>(),
                           leaves.first.bias.data_ptr<float>(),
                           leaves.first.scale.data_ptr<float>(),
                           nullptr};
          const auto packed = torch::empty({static_cast<int64_t>(k.packed_size(rule))});
          k.pack_weight(rule, packed.data_ptr<float>());
          rule.packed = packed.data_ptr<float>();
          auto scratch = torch::empty({static_cast<int64_t>(hyper::scratch_size(rule))});
          const hyper::Extent extent{static_cast<size_t>(rows), 0, 2, scratch.data_ptr<float>()};
          const int64_t count = leaves.first.bias.numel();
          auto c = torch::empty({2, count, 16}), rms = torch::empty({2, 16}),
               y = torch::empty({rows, n, channels});
          auto input = torch::empty({rows, channels}), out_post = torch::empty({rows, n});
          auto out_mix = torch::zeros({rows, n, n}), dx = torch::empty_like(y), dm = torch::zeros_like(mix);
          auto dp = torch::empty_like(post), d_out = torch::empty_like(output),
               dw = torch::zeros_like(packed);
          auto plain = torch::zeros_like(leaves.first.weight), db = torch::zeros({count + 3});
          const hyper::WriteInput in{leaves.streams.data_ptr<float>(),
                                     is_mixed ? mix.data_ptr<float>() : nullptr, post.data_ptr<float>(),
                                     output.data_ptr<float>(), false};
          const hyper::Saved saved{c.data_ptr<float>(), rms.data_ptr<float>()};
          k.write_read(rule, in, extent, y.data_ptr<float>(),
                       {input.data_ptr<float>(), out_post.data_ptr<float>(),
                        is_mixed ? out_mix.data_ptr<float>() : nullptr, saved});
          hyper::WeightGradient d_weights{dw.data_ptr<float>(), {}, {}};
          k.write_read_backward(
              rule, in, y.data_ptr<float>(), saved,
              {d_input.data_ptr<float>(), d_post.data_ptr<float>(), d_mix.data_ptr<float>()},
              d_direct.data_ptr<float>(), extent,
              {dx.data_ptr<float>(), dm.data_ptr<float>(), dp.data_ptr<float>(), d_out.data_ptr<float>()},
              &d_weights);
          k.add_unpacked(rule, dw.data_ptr<float>(), plain.data_ptr<float>());
          for (int64_t i = 0; i < count; ++i) db[i] = d_weights.bias[i];
          for (int64_t i = 0; i < 3; ++i) db[count + i] = d_weights.scale[i];
          return std::vector<torch::Tensor>{y, input, out_post, out_mix, dx, dm, dp, d_out, plain, db};
        };
        const auto want = run(*generic), got = run(*kernels);
        for (size_t i = 0; i < want.size(); ++i)
          EXPECT_LT(relative(got[i], want[i]), kTolerance) << "result " << i;
      }
    }
  }
}

}  // namespace
}  // namespace mneme::train
