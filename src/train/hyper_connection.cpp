#include "train/hyper_connection.h"

#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "train/hyper_fused.h"

namespace mneme::train {
namespace {

// Coefficients decide between streams: they are not rounded to bf16 where the caller's autocast would do so.
struct NoAutocast {
  c10::impl::ExcludeDispatchKeyGuard guard{
      c10::DispatchKeySet({c10::DispatchKey::AutocastCPU, c10::DispatchKey::AutocastCUDA})};
};

int64_t factorial(int n) {
  int64_t product = 1;
  for (int i = 2; i <= n; ++i) product *= i;
  return product;
}

// [n!, n * n]: the permutation matrices in lexicographic order, row-major.
torch::Tensor permutation_matrices(int n, const torch::TensorOptions& options) {
  auto matrices = torch::zeros({factorial(n), n * n}, torch::kFloat);
  std::vector<int> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  auto* row = matrices.data_ptr<float>();
  do {
    for (int i = 0; i < n; ++i) row[i * n + order[static_cast<size_t>(i)]] = 1;
    row += n * n;
  } while (std::next_permutation(order.begin(), order.end()));
  return matrices.to(options);
}

// logits: [T, n, n].
torch::Tensor sinkhorn(const torch::Tensor& logits) {
  auto matrix = torch::exp(logits - logits.amax({1, 2}, true).detach());
  for (int iteration = 0; iteration < kSinkhornIterations; ++iteration) {
    matrix = matrix / matrix.sum(2, true);
    matrix = matrix / matrix.sum(1, true);
  }
  return matrix;
}

// coefficients: [T, r], scaled and with bias.
torch::Tensor mix_of(const torch::Tensor& coefficients, Mixing mixing, int64_t n) {
  if (mixing == Mixing::kIdentity) return {};
  if (mixing == Mixing::kPermutations) {
    const auto matrices = permutation_matrices(static_cast<int>(n),
                                               coefficients.options().requires_grad(false));
    return torch::matmul(torch::softmax(coefficients, 1), matrices).view({-1, n, n});
  }
  const auto square = coefficients.reshape({-1, n, n});
  return mixing == Mixing::kSinkhorn ? sinkhorn(square) : square;
}

HyperRead reference_read(const torch::Tensor& streams, const HyperWeights& weights, Mixing mixing,
                         float epsilon) {
  const NoAutocast no_autocast;
  const int64_t n = streams.size(1);
  const auto flat = streams.reshape({streams.size(0), -1});
  const auto normed = flat * torch::rsqrt(flat.square().mean(1, true) + epsilon);
  auto c = torch::matmul(normed, weights.weight.t());
  if (mixing == Mixing::kFree) c = torch::tanh(c);
  const auto part = [&](int64_t which, int64_t from, int64_t to) {
    return weights.scale[which] * c.slice(1, from, to) + weights.bias.slice(0, from, to);
  };
  auto pre = part(0, 0, n);
  auto post = part(1, n, 2 * n);
  if (mixing != Mixing::kFree) {
    pre = torch::sigmoid(pre);
    post = 2 * torch::sigmoid(post);
  }
  return {torch::matmul(pre.unsqueeze(1), streams).squeeze(1), post,
          mix_of(part(2, 2 * n, c.size(1)), mixing, n)};
}

torch::Tensor reference_write(const torch::Tensor& streams, const HyperRead& read,
                              const torch::Tensor& output) {
  const NoAutocast no_autocast;
  const auto kept = read.mix.defined() ? torch::matmul(read.mix, streams) : streams;
  return kept + read.post.unsqueeze(2) * output.to(streams.dtype()).unsqueeze(1);
}

void check_read(const torch::Tensor& streams, const HyperWeights& weights, Mixing mixing) {
  MNEME_CHECK(streams.dim() == 3, "streams are [rows, streams, channels]; {} dimensions", streams.dim());
  const int n = static_cast<int>(streams.size(1));
  const int64_t rows = 2 * n + coefficient_rows(mixing, n);
  MNEME_CHECK(weights.weight.dim() == 2 && weights.weight.size(0) == rows &&
                  weights.weight.size(1) == n * streams.size(2),
              "weight is not [{}, {}]", rows, n * streams.size(2));
  MNEME_CHECK(weights.bias.numel() == rows && weights.scale.numel() == 3,
              "bias [{}] or scale [3]: {} and {} values", rows, weights.bias.numel(), weights.scale.numel());
}

void check_write(const torch::Tensor& streams, const HyperRead& read, const torch::Tensor& output) {
  MNEME_CHECK(streams.dim() == 3, "streams are [rows, streams, channels]; {} dimensions", streams.dim());
  const int64_t rows = streams.size(0), n = streams.size(1), channels = streams.size(2);
  MNEME_CHECK(output.dim() == 2 && output.size(0) == rows && output.size(1) == channels,
              "output is not [{}, {}]", rows, channels);
  MNEME_CHECK(read.post.numel() == rows * n, "post is not [{}, {}]", rows, n);
  MNEME_CHECK(!read.mix.defined() || read.mix.numel() == rows * n * n, "mix is not [{}, {}, {}]", rows, n, n);
}

}  // namespace

int coefficient_rows(Mixing mixing, int streams) {
  MNEME_CHECK(streams >= 2 && streams <= kHyperStreamsMax, "{} streams", streams);
  if (mixing == Mixing::kIdentity) return 0;
  return mixing == Mixing::kPermutations ? static_cast<int>(factorial(streams)) : streams * streams;
}

HyperRead hyper_read(const torch::Tensor& streams, const HyperWeights& weights, Mixing mixing, float epsilon,
                     bool fused) {
  check_read(streams, weights, mixing);
  if (fused && can_fuse(streams)) return fused_read(streams, weights, mixing, epsilon);
  return reference_read(streams, weights, mixing, epsilon);
}

torch::Tensor hyper_write(const torch::Tensor& streams, const HyperRead& read, const torch::Tensor& output,
                          bool fused) {
  check_write(streams, read, output);
  if (fused && can_fuse(streams)) return fused_write(streams, read, output);
  return reference_write(streams, read, output);
}

HyperWritten hyper_write_read(const torch::Tensor& streams, const HyperRead& read,
                              const torch::Tensor& output, const HyperConnection& next) {
  check_write(streams, read, output);
  check_read(streams, next.weights, next.mixing);
  if (next.fused && can_fuse(streams)) return fused_write_read(streams, read, output, next);
  const auto written = reference_write(streams, read, output);
  return {written, reference_read(written, next.weights, next.mixing, next.epsilon)};
}

HyperWeights initial_hyper_weights(Mixing mixing, int streams, int64_t channels, int sublayer, float scale) {
  const int n = streams, rows = 2 * n + coefficient_rows(mixing, n);
  const bool is_free = mixing == Mixing::kFree;
  auto bias = torch::zeros({rows}, torch::kFloat);
  auto* b = bias.data_ptr<float>();
  for (int i = 0; i < n; ++i) {
    const bool is_read = i == sublayer % n;
    b[i] = is_free ? (is_read ? 1.0F : 0.0F) : (is_read ? 3.0F : -3.0F);  // sigmoid(+-3) = 0.95, 0.05
    b[n + i] = is_free ? 1.0F : 0.0F;                                     // 2 sigmoid(0) = 1
  }
  constexpr double kDiagonal = 5.5;  // 0.988 of a stream stays in it at n = 4
  if (mixing == Mixing::kFree || mixing == Mixing::kSinkhorn) {
    for (int i = 0; i < n; ++i) b[2 * n + i * n + i] = is_free ? 1.0F : static_cast<float>(kDiagonal);
  } else if (mixing == Mixing::kPermutations) {
    // Of the other n! - 1 permutations (n - 1)(n - 1)! move a given stream; with this logit of the identity
    // their weights add up to what Sinkhorn with kDiagonal leaves off the diagonal.
    const auto others = static_cast<double>(factorial(n - 1));
    b[2 * n] = static_cast<float>(std::log(others * (std::exp(kDiagonal) - 1) + 1));
  }
  return {torch::zeros({rows, n * channels}, torch::kFloat), bias, torch::full({3}, scale, torch::kFloat)};
}

CompositeGain composite_gain(std::span<const torch::Tensor> mixes) {
  const torch::NoGradGuard no_grad;
  torch::Tensor product;
  for (const auto& mix : mixes) {
    if (!mix.defined()) continue;
    const auto wide = mix.detach().to(torch::kDouble);
    product = product.defined() ? torch::matmul(wide, product) : wide;
  }
  if (!product.defined() || product.numel() == 0) return {};
  const auto rows = product.sum(2), columns = product.sum(1);
  return {rows.min().item<double>(), rows.max().item<double>(), columns.min().item<double>(),
          columns.max().item<double>()};
}

}  // namespace mneme::train
