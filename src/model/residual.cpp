// Residual connections (docs/formats/mneme-gguf.md): one stream with a plain or scaled sum, or n streams
// between which each sublayer mixes: arXiv 2409.19606 (hc), 2512.24880 (mhc).
#include <array>
#include <cmath>
#include <numeric>

#include "model/pass.h"

namespace mneme::model {

namespace {

constexpr int kStreamsMax = kernels::kStreamsMax;
constexpr int kSinkhornRounds = 20;

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

// One row's coefficients: of what the sublayer reads, of what each stream keeps of each, of what it is given.
struct Coefficients {
  std::array<float, kStreamsMax> pre, post;
  std::array<float, kStreamsMax * kStreamsMax> res;  // [n, n]
};

// res = Sinkhorn-Knopp of exp(res): rows, then columns, divided by their sums.
template <size_t n>
void sinkhorn(float* res) {
  const float top = *std::max_element(res, res + n * n);
  for (size_t i = 0; i < n * n; ++i) res[i] = std::exp(res[i] - top);
  for (int round = 0; round < kSinkhornRounds; ++round) {
    for (size_t i = 0; i < n; ++i) {
      float sum = 0;
      for (size_t j = 0; j < n; ++j) sum += res[i * n + j];
      const float factor = 1.0f / sum;
      for (size_t j = 0; j < n; ++j) res[i * n + j] *= factor;
    }
    std::array<float, n> sums{};
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) sums[j] += res[i * n + j];
    }
    for (float& sum : sums) sum = 1.0f / sum;
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) res[i * n + j] *= sums[j];
    }
  }
}

void sinkhorn(float* res, int streams) {
  switch (streams) {
    case 2: return sinkhorn<2>(res);
    case 3: return sinkhorn<3>(res);
    case 4: return sinkhorn<4>(res);
    case 5: return sinkhorn<5>(res);
    case 6: return sinkhorn<6>(res);
    case 7: return sinkhorn<7>(res);
    case 8: return sinkhorn<8>(res);
    default: MNEME_CHECK(false, "{} streams", streams);
  }
}

// res = sum_k softmax(logits)_k P_k over the permutations in lexicographic order; `logits` are overwritten.
void mix_permutations(std::span<float> logits, int streams, float* res) {
  const float top = *std::max_element(logits.begin(), logits.end());
  float sum = 0;
  for (float& logit : logits) sum += logit = std::exp(logit - top);
  std::array<uint8_t, kStreamsMax> permutation{};
  const auto end = permutation.begin() + streams;
  std::iota(permutation.begin(), end, uint8_t{0});
  std::fill_n(res, streams * streams, 0.0f);
  for (const float weight : logits) {
    for (int i = 0; i < streams; ++i) res[i * streams + permutation[as_size(i)]] += weight / sum;
    std::next_permutation(permutation.begin(), end);
  }
}

// From c = P X' (`raw`, overwritten) to the coefficients of the model's kind.
Coefficients coefficients_of(const MnemeConfig& config, const ResidualWeights& weights,
                             std::span<float> raw) {
  const size_t n = as_size(config.streams);
  const float a_pre = weights.coefficient_scale[0], a_post = weights.coefficient_scale[1],
              a_res = weights.coefficient_scale[2];
  const float* bias = weights.bias.data();
  Coefficients c;
  if (config.residual == ResidualKind::kHc) {
    for (size_t i = 0; i < n; ++i) c.pre[i] = a_pre * std::tanh(raw[i]) + bias[i];
    for (size_t i = 0; i < n; ++i) c.post[i] = a_post * std::tanh(raw[n + i]) + bias[n + i];
    for (size_t i = 0; i < n * n; ++i) c.res[i] = a_res * std::tanh(raw[2 * n + i]) + bias[2 * n + i];
    return c;
  }
  for (size_t i = 0; i < n; ++i) c.pre[i] = sigmoid(a_pre * raw[i] + bias[i]);
  for (size_t i = 0; i < n; ++i) c.post[i] = 2 * sigmoid(a_post * raw[n + i] + bias[n + i]);
  for (size_t i = 2 * n; i < raw.size(); ++i) raw[i] = a_res * raw[i] + bias[i];
  if (config.residual == ResidualKind::kMhc) {
    std::copy_n(&raw[2 * n], n * n, c.res.begin());
    sinkhorn(c.res.data(), config.streams);
  } else if (config.residual == ResidualKind::kMhcLite) {
    mix_permutations(raw.subspan(2 * n), config.streams, c.res.data());
  } else {
    for (size_t i = 0; i < n * n; ++i) c.res[i] = i % (n + 1) == 0 ? 1.0f : 0.0f;
  }
  return c;
}

// coefficients[row] = P X, without the norm of X
void project(const Pass& pass, const ResidualWeights& weights) {
  constexpr int kRowsEach = 8, kCountEach = 8, kFewRows = 16;
  const int n = pass.config.mneme.streams * pass.config.dim, count = static_cast<int>(weights.bias.size());
  const size_t stride = residual_coefficient_stride(pass.config);
  // A few rows: reading P is the cost, and is shared out.
  const int step = pass.rows <= kFewRows ? kCountEach : count, parts = (count + step - 1) / step;
  const int blocks = (pass.rows + kRowsEach - 1) / kRowsEach;
  pass.pool.run(blocks * parts, [&](int task, int) {
    const int row = task / parts * kRowsEach, first = task % parts * step;
    pass.ops.dots({&pass.scratch.coefficients[as_size(row) * stride + as_size(first)], stride,
                   &weights.projection[as_size(first) * as_size(n)], std::min(step, count - first),
                   &pass.scratch.residual[as_size(row) * as_size(n)], as_size(n),
                   std::min(kRowsEach, pass.rows - row), n});
  });
}

void read_streams(const Pass& pass, const ResidualWeights& weights, std::span<const float> gain) {
  const Config& c = pass.config;
  const size_t n = as_size(c.mneme.streams), dim = as_size(c.dim);
  const size_t stride = residual_coefficient_stride(c);
  project(pass, weights);
  for_rows(pass, pass.rows, [&](size_t row) {
    const float* x = &pass.scratch.residual[row * n * dim];
    const int size = static_cast<int>(n * dim);
    float squares = 0;
    pass.ops.dots({&squares, 1, x, 1, x, n * dim, 1, size});
    const float factor = 1.0f / std::sqrt(squares / static_cast<float>(size) + c.norm_epsilon);
    const auto raw = pass.scratch.coefficients.subspan(row * stride, weights.bias.size());
    for (float& value : raw) value *= factor;
    const Coefficients h = coefficients_of(c.mneme, weights, raw);
    float* kept = &pass.scratch.coefficients[row * stride];  // for write_streams: post [n], res [n, n]
    std::copy_n(h.post.begin(), n, kept);
    std::copy_n(h.res.begin(), n * n, kept + n);
    float* read = &pass.scratch.read[row * dim];
    pass.ops.combine(read, h.pre.data(), x, c.mneme.streams, c.dim);
    pass.ops.rms_norm(&pass.scratch.normed[row * dim], read, gain.data(), c.dim, c.norm_epsilon);
  });
}

void write_streams(const Pass& pass, std::span<const float> bias) {
  const size_t n = as_size(pass.config.mneme.streams), dim = as_size(pass.config.dim);
  const size_t stride = residual_coefficient_stride(pass.config);
  for_rows(pass, pass.rows, [&](size_t row) {
    float* f = &pass.scratch.normed[row * dim];
    if (!bias.empty()) pass.ops.add(f, bias.data(), pass.config.dim);
    const float* kept = &pass.scratch.coefficients[row * stride];
    pass.ops.mix_streams({&pass.scratch.residual[row * n * dim], f, kept + n, kept, pass.config.mneme.streams,
                          pass.config.dim});
  });
}

// x += a * F, a being one number or one for each channel
void add_scaled(const Pass& pass, std::span<const float> scale, std::span<const float> bias) {
  const size_t dim = as_size(pass.config.dim);
  for_rows(pass, pass.rows, [&](size_t row) {
    float* residual = &pass.scratch.residual[row * dim];
    float* f = &pass.scratch.normed[row * dim];
    if (!bias.empty()) pass.ops.add(f, bias.data(), pass.config.dim);
    if (scale.size() == 1) return pass.ops.blend(residual, 1.0f, f, scale[0], pass.config.dim);
    for (size_t c = 0; c < dim; ++c) residual[c] += scale[c] * f[c];
  });
}

// x += F
void add_plain(const Pass& pass, std::span<const float> bias) {
  const size_t dim = as_size(pass.config.dim);
  for_rows(pass, pass.rows, [&](size_t row) {
    float* residual = &pass.scratch.residual[row * dim];
    pass.ops.add(residual, &pass.scratch.normed[row * dim], pass.config.dim);
    if (!bias.empty()) pass.ops.add(residual, bias.data(), pass.config.dim);
  });
}

}  // namespace

size_t residual_coefficient_stride(const Config& config) {
  const auto n = static_cast<uint64_t>(config.mneme.streams);
  if (n == 1) return 0;
  return 2 * n + std::max(n * n, residual_coefficients(config.mneme.residual, config.mneme.streams));
}

void read_residual(const Pass& pass, const ResidualWeights& weights, std::span<const float> gain) {
  if (pass.config.mneme.streams > 1) return read_streams(pass, weights, gain);
  const Config& c = pass.config;
  for_rows(pass, pass.rows, [&](size_t row) {
    pass.ops.rms_norm(&pass.scratch.normed[row * as_size(c.dim)],
                      &pass.scratch.residual[row * as_size(c.dim)], gain.data(), c.dim, c.norm_epsilon);
  });
}

void write_residual(const Pass& pass, const ResidualWeights& weights, std::span<const float> bias) {
  if (pass.config.mneme.streams > 1) return write_streams(pass, bias);
  if (!weights.scale.empty()) return add_scaled(pass, weights.scale, bias);
  add_plain(pass, bias);
}

double norm_of(std::span<const float> x) {
  double squares = 0;
  for (const float value : x) squares += double{value} * double{value};
  return std::sqrt(squares);
}

double residual_size(const Pass& pass, const ResidualWeights& weights, size_t row) {
  const size_t n = as_size(pass.config.mneme.streams), width = n * as_size(pass.config.dim);
  const double size = norm_of(pass.scratch.residual.subspan(row * width, width));
  if (n > 1) {
    const float* post = &pass.scratch.coefficients[row * residual_coefficient_stride(pass.config)];
    return size / norm_of({post, n});
  }
  if (weights.scale.empty()) return size;
  return size / (norm_of(weights.scale) / std::sqrt(static_cast<double>(weights.scale.size())));
}

void final_norm(const Pass& pass, size_t row, std::span<const float> gain, float* out) {
  const Config& c = pass.config;
  const size_t n = as_size(c.mneme.streams), dim = as_size(c.dim);
  const float* x = &pass.scratch.residual[row * n * dim];
  if (n > 1) {
    std::array<float, kStreamsMax> share;
    share.fill(1.0f / static_cast<float>(n));
    float* mean = &pass.scratch.read[row * dim];
    pass.ops.combine(mean, share.data(), x, c.mneme.streams, c.dim);
    x = mean;
  }
  pass.ops.rms_norm(out, x, gain.data(), c.dim, c.norm_epsilon);
}

}  // namespace mneme::model
