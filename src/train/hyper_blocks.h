// One block of rows through the streams, for hyper_kernels.cpp: forward. kLanes is the machine's vector, n
// the streams. Tiles of the products are kLanes / 2 by 2 accumulators: with what is multiplied they fill the
// machine's registers, and their sums over lanes come out as one vector (lane_sums).
#pragma once

#include <cstdint>

#include "train/hyper_kernels.h"
#include "train/hyper_rules.h"
#include "train/row_kernels.h"

namespace mneme::train::hyper {

inline constexpr int kBlock = static_cast<int>(kBlockRows);

MNEME_HYPER_INLINE int coefficient_count(const Rule& rule) {
  const int n = rule.streams;
  if (rule.mixing == Mixing::kIdentity) return 2 * n;
  return 2 * n + (rule.mixing == Mixing::kPermutations ? (n == 2 ? 2 : n == 3 ? 6 : 24) : n * n);
}

// Rows of block `index`, at least 1.
MNEME_HYPER_INLINE int rows_of(const Extent& extent, size_t index) {
  const size_t left = extent.rows - index * kBlockRows;
  return static_cast<int>(left < kBlockRows ? left : kBlockRows);
}

// Pointers to the rows of a block; rows that the batch does not have repeat its last one.
struct RowPointers {
  const float* row[kBlock];
};
MNEME_HYPER_INLINE RowPointers row_pointers(const float* block, int rows, size_t width) {
  RowPointers pointers;
  for (int b = 0; b < kBlock; ++b)
    pointers.row[b] = block + static_cast<size_t>(b < rows ? b : rows - 1) * width;
  return pointers;
}

// lane b: sum of squares of row b.
template <int kLanes>
MNEME_HYPER_INLINE Rows squares(const RowPointers& x, size_t width) {
  using V = Lanes<kLanes>;
  float sums[kBlock];
  for (int b = 0; b < kBlock; b += kLanes) {
    V parts[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      V sum{};
      for_lanes<kLanes>(width, [&](auto access, size_t at) MNEME_ALWAYS_INLINE {
        const V v = access.load(x.row[b + i] + at);
        prefetch(x.row[b + i] + at, width);
        sum += v * v;
      });
      parts[i] = sum;
    }
    store(sums + b, lane_sums<kLanes>(parts));
  }
  return load<Rows>(sums);
}

// c[k], lane b: weight row k . x row b. c has an even number of elements.
template <int kLanes>
MNEME_HYPER_INLINE void project(const float* weight, int count, const RowPointers& x, size_t width, Rows* c) {
  using V = Lanes<kLanes>;
  constexpr int kTile = kLanes / 2;
  for (int b = 0; b < kBlock; b += kTile) {
    for (int k = 0; k < count; k += 2) {
      const float* first = weight + static_cast<size_t>(k) * width;
      const float* second = k + 1 < count ? first + width : first;
      V parts[kLanes]{};
      for_lanes<kLanes>(width, [&](auto access, size_t at) MNEME_ALWAYS_INLINE {
        const V p = access.load(first + at), q = access.load(second + at);
        unroll<kTile>([&](auto i) MNEME_ALWAYS_INLINE {
          const V v = access.load(x.row[b + i] + at);
          parts[i] += p * v;
          parts[kTile + i] += q * v;
        });
      });
      float sums[kLanes];
      store(sums, lane_sums<kLanes>(parts));
      std::memcpy(reinterpret_cast<float*>(c + k) + b, sums, kTile * sizeof(float));
      std::memcpy(reinterpret_cast<float*>(c + k + 1) + b, sums + kTile, kTile * sizeof(float));
    }
  }
}

// to[row, k] = from[k], lane row.
MNEME_HYPER_INLINE void store_rows(const Rows* from, int count, int rows, float* to) {
  for (int b = 0; b < rows; ++b) {
    for (int k = 0; k < count; ++k) to[b * count + k] = from[k][b];
  }
}

// The other way; absent rows, and everything where `from` is null, are zero.
MNEME_HYPER_INLINE void load_rows(const float* from, int count, int rows, Rows* to) {
  for (int k = 0; k < count; ++k) to[k] = Rows{};
  if (from == nullptr) return;
  for (int b = 0; b < rows; ++b) {
    for (int k = 0; k < count; ++k) to[k][b] = from[b * count + k];
  }
}

// x: the block's streams. Everything in `out` at block `index`.
template <int kLanes, int n>
MNEME_HYPER_INLINE void read_block(const Rule& rule, const float* x, const Extent& extent, size_t index,
                                   const ReadResult& out) {
  using V = Lanes<kLanes>;
  const int rows = rows_of(extent, index), count = coefficient_count(rule);
  const size_t channels = rule.channels, width = n * channels, at_row = index * kBlockRows;
  const RowPointers x_rows = row_pointers(x, rows, width);

  const Rows mean = squares<kLanes>(x_rows, width) * (1.0F / static_cast<float>(width)) + rule.epsilon;
  Rows inverse_rms;
  for (int b = 0; b < kBlock; ++b) inverse_rms[b] = 1.0F / __builtin_sqrtf(mean[b]);
  Rows c[kCoefficients];
  project<kLanes>(rule.weight, count, x_rows, width, c);
  for (int k = 0; k < count; ++k) c[k] *= inverse_rms;

  Weights weights;
  apply_rule<n>(rule.mixing, rule.scale, rule.bias, c, &weights, nullptr);
  std::memcpy(out.saved.coefficients + at_row * static_cast<size_t>(count), c,
              static_cast<size_t>(count) * sizeof(Rows));
  store(out.saved.inverse_rms + at_row, inverse_rms);
  store_rows(weights.post, n, rows, out.post + at_row * n);
  if (out.mix != nullptr) store_rows(weights.mix, n * n, rows, out.mix + at_row * n * n);

  for (int b = 0; b < rows; ++b) {
    float* input = out.input + (at_row + static_cast<size_t>(b)) * channels;
    float pre[n];
    for (int j = 0; j < n; ++j) pre[j] = weights.pre[j][b];
    for_lanes<kLanes>(channels, [&](auto access, size_t at) MNEME_ALWAYS_INLINE {
      V sum = pre[0] * access.load(x_rows.row[b] + at);
      unroll<n - 1>([&](auto j) MNEME_ALWAYS_INLINE {
        sum += pre[j + 1] * access.load(x_rows.row[b] + (j + 1) * channels + at);
      });
      access.store(input + at, sum);
    });
  }
}

// The sublayer's output of one row as f32: its own row, or `buffer` [channels] after conversion.
MNEME_HYPER_INLINE const float* output_row(const WriteInput& in, size_t row, size_t channels, float* buffer) {
  if (!in.is_output_bf16) return static_cast<const float*>(in.output) + row * channels;
  rows::to_f32(static_cast<const uint16_t*>(in.output) + row * channels, buffer, channels);
  return buffer;
}

// y: the block's written streams. extent.scratch: [channels].
template <int kLanes, int n>
MNEME_HYPER_INLINE void write_block(const Rule& rule, const WriteInput& in, const Extent& extent,
                                    size_t index, float* y) {
  using V = Lanes<kLanes>;
  const size_t channels = rule.channels, width = n * channels;
  const int rows = rows_of(extent, index);
  for (int b = 0; b < rows; ++b) {
    const size_t row = index * kBlockRows + static_cast<size_t>(b);
    const float* x = in.streams + row * width;
    float* to = y + static_cast<size_t>(b) * width;
    const float* output = output_row(in, row, channels, extent.scratch);
    float post[n], mix[n * n]{};
    std::memcpy(post, in.post + row * n, sizeof post);
    if (in.mix == nullptr) {
      for_lanes<kLanes>(channels, [&](auto access, size_t at) MNEME_ALWAYS_INLINE {
        const V out = access.load(output + at);
        unroll<n>([&](auto i) MNEME_ALWAYS_INLINE {
          prefetch(x + i * channels + at, width);
          access.store(to + i * channels + at, access.load(x + i * channels + at) + post[i] * out);
        });
      });
      continue;
    }
    std::memcpy(mix, in.mix + row * n * n, sizeof mix);
    for_lanes<kLanes>(channels, [&](auto access, size_t at) MNEME_ALWAYS_INLINE {
      const V out = access.load(output + at);
      V stream[n];
      unroll<n>([&](auto j) MNEME_ALWAYS_INLINE {
        stream[j] = access.load(x + j * channels + at);
        prefetch(x + j * channels + at, width);
      });
      unroll<n>([&](auto i) MNEME_ALWAYS_INLINE {
        V sum = post[i] * out;
        unroll<n>([&](auto j) MNEME_ALWAYS_INLINE { sum += mix[i * n + j] * stream[j]; });
        access.store(to + i * channels + at, sum);
      });
    });
  }
}

}  // namespace mneme::train::hyper
