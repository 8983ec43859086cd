// One block of rows back through the streams, for hyper_kernels.cpp.
//
// Packed weight: [stream][strip][coefficient, rounded up to kLanes / 2][2 kLanes], channels of a stream's
// last strip and coefficients beyond the last being zero: the strip of all coefficients that a tile reads is
// contiguous.
#pragma once

#include "train/hyper_blocks.h"

namespace mneme::train::hyper {

template <int kLanes>
struct Packing {
  static constexpr int kTile = kLanes / 2;
  static constexpr size_t kWidth = 2 * kLanes;
  size_t strips;  // of one stream
  int padded;     // coefficients

  explicit MNEME_ALWAYS_INLINE Packing(const Rule& rule)
      : strips((rule.channels + kWidth - 1) / kWidth),
        padded((coefficient_count(rule) + kTile - 1) / kTile * kTile) {}
  MNEME_ALWAYS_INLINE size_t strip_size() const { return static_cast<size_t>(padded) * kWidth; }
};

// d_pre[j], lane b: d_input of row b . its stream j.
template <int kLanes, int n>
MNEME_HYPER_INLINE void pre_gradient(const RowPointers& x, const RowPointers& d_input, size_t channels,
                                     int rows, Rows* d_pre) {
  using V = Lanes<kLanes>;
  constexpr int kRowsOnce = kLanes / 4;  // 4 lanes of the result a row, for n <= 4
  float dots[kBlock * 4];
  for (int b = 0; b < kBlock; b += kRowsOnce) {
    V parts[kLanes]{};
    unroll<kRowsOnce>([&](auto r) MNEME_ALWAYS_INLINE {
      for_lanes<kLanes>(channels, [&](auto access, size_t at) MNEME_ALWAYS_INLINE {
        const V d = access.load(d_input.row[b + r] + at);
        prefetch(d_input.row[b + r] + at, kRowsOnce * channels);
        unroll<n>([&](auto j) MNEME_ALWAYS_INLINE {
          parts[r * 4 + j] += d * access.load(x.row[b + r] + j * channels + at);
          prefetch(x.row[b + r] + j * channels + at, kRowsOnce * n * channels);
        });
      });
    });
    store(dots + b * 4, lane_sums<kLanes>(parts));
  }
  for (int j = 0; j < n; ++j) {
    for (int b = 0; b < kBlock; ++b) d_pre[j][b] = b < rows ? dots[b * 4 + j] : 0.0F;
  }
}

// to[b] = sum over k of dc[k], lane b, times weight[k]: one strip, [kBlock, kWidth].
template <int kLanes>
MNEME_HYPER_INLINE void strip_gradient(const float* weight, const Rows* dc, int count, float* to) {
  using V = Lanes<kLanes>;
  constexpr int kTile = kLanes / 2;
  constexpr size_t kWidth = Packing<kLanes>::kWidth;
  for (int b = 0; b < kBlock; b += kTile) {
    V sums[2 * kTile]{};
    for (int k = 0; k < count; ++k) {
      const float* factor = reinterpret_cast<const float*>(dc + k) + b;
      const V p = load<V>(weight + static_cast<size_t>(k) * kWidth);
      const V q = load<V>(weight + static_cast<size_t>(k) * kWidth + kLanes);
      unroll<kTile>([&](auto i) MNEME_ALWAYS_INLINE {
        sums[2 * i] += factor[i] * p;
        sums[2 * i + 1] += factor[i] * q;
      });
    }
    unroll<kTile>([&](auto i) MNEME_ALWAYS_INLINE {
      store(to + static_cast<size_t>(b + i) * kWidth, sums[2 * i]);
      store(to + static_cast<size_t>(b + i) * kWidth + kLanes, sums[2 * i + 1]);
    });
  }
}

// d_weight[k] += sum over rows of dc[k], lane b, times x[b]: one strip, x being [kBlock, kWidth].
template <int kLanes>
MNEME_HYPER_INLINE void strip_weight_gradient(const float* x, const Rows* dc, int padded, float* d_weight) {
  using V = Lanes<kLanes>;
  constexpr int kTile = kLanes / 2;
  constexpr size_t kWidth = Packing<kLanes>::kWidth;
  for (int k = 0; k < padded; k += kTile) {
    float* to = d_weight + static_cast<size_t>(k) * kWidth;
    V sums[2 * kTile];
    unroll<2 * kTile>([&](auto i) MNEME_ALWAYS_INLINE { sums[i] = load<V>(to + i * kLanes); });
    for (int b = 0; b < kBlock; ++b) {
      const float* factor = reinterpret_cast<const float*>(dc + k) + b;
      const V p = load<V>(x + static_cast<size_t>(b) * kWidth);
      const V q = load<V>(x + static_cast<size_t>(b) * kWidth + kLanes);
      unroll<kTile>([&](auto i) MNEME_ALWAYS_INLINE {
        sums[2 * i] += factor[i * kBlock] * p;
        sums[2 * i + 1] += factor[i * kBlock] * q;
      });
    }
    unroll<2 * kTile>([&](auto i) MNEME_ALWAYS_INLINE { store(to + i * kLanes, sums[i]); });
  }
}

// What reaches the streams of a block through its read, lanes being rows:
//   dX = sum_k dc_k P_k / rms - X (dc . c) / (n C rms^2) + pre d_input.
struct BlockGradient {
  Rows dc[kCoefficients];  // divided by the rms; absent rows and coefficients zero
  Rows shrink;             // (dc . c) / (n C rms^2)
  Rows pre[kStreams];
};

template <int kLanes, int n>
MNEME_HYPER_INLINE void coefficient_gradient(const Rule& rule, const RowPointers& x, const Saved& saved,
                                             const ReadGradient& d, int rows, size_t at_row,
                                             BlockGradient* out, RuleSums* sums) {
  const int count = coefficient_count(rule);
  Rows c[kCoefficients];
  std::memcpy(c, saved.coefficients + at_row * static_cast<size_t>(count),
              static_cast<size_t>(count) * sizeof(Rows));
  Weights weights, d_weights;
  RuleState state;
  apply_rule<n>(rule.mixing, rule.scale, rule.bias, c, &weights, &state);
  for (int j = 0; j < n; ++j) d_weights.pre[j] = Rows{};
  if (d.input != nullptr) {
    pre_gradient<kLanes, n>(x, row_pointers(d.input + at_row * rule.channels, rows, rule.channels),
                            rule.channels, rows, d_weights.pre);
  }
  load_rows(d.post == nullptr ? nullptr : d.post + at_row * n, n, rows, d_weights.post);
  load_rows(d.mix == nullptr ? nullptr : d.mix + at_row * n * n, n * n, rows, d_weights.mix);
  for (int k = 0; k < kCoefficients; ++k) out->dc[k] = Rows{};
  rule_backward<n>(rule.mixing, rule.scale, c, weights, state, &d_weights, out->dc, sums);

  const Rows inverse_rms = load<Rows>(saved.inverse_rms + at_row);
  Rows along{};
  for (int k = 0; k < count; ++k) {
    along += out->dc[k] * c[k];
    out->dc[k] *= inverse_rms;
  }
  out->shrink = along * inverse_rms * inverse_rms * (1.0F / static_cast<float>(n * rule.channels));
  for (int j = 0; j < n; ++j) out->pre[j] = weights.pre[j];
}

// dx: the block's gradient of the streams.
template <int kLanes, int n>
MNEME_HYPER_INLINE void read_block_backward(const Rule& rule, const float* x, const Saved& saved,
                                            const ReadGradient& d, const Extent& extent, size_t index,
                                            float* dx, float* d_packed, RuleSums* sums) {
  using V = Lanes<kLanes>;
  const Packing<kLanes> packing(rule);
  constexpr size_t kWidth = Packing<kLanes>::kWidth;
  const size_t channels = rule.channels, width = n * channels, at_row = index * kBlockRows;
  const int rows = rows_of(extent, index), count = coefficient_count(rule);
  const RowPointers x_rows = row_pointers(x, rows, width);
  BlockGradient g;
  coefficient_gradient<kLanes, n>(rule, x_rows, saved, d, rows, at_row, &g, sums);

  // The strip of x is copied together: rows a power of two apart would fight for the same cache sets.
  alignas(64) float strip[kBlock * kWidth], product[kBlock * kWidth];
  for (size_t j = 0; j < n; ++j) {
    for (size_t s = 0; s < packing.strips; ++s) {
      const size_t from = s * kWidth, left = channels - from < kWidth ? channels - from : kWidth;
      const size_t packed_at = (j * packing.strips + s) * packing.strip_size();
      for (int b = 0; b < kBlock; ++b) {
        float* to = strip + static_cast<size_t>(b) * kWidth;
        if (left < kWidth) std::memset(to, 0, kWidth * sizeof(float));
        for_lanes<kLanes>(left, [&](auto access, size_t at) MNEME_ALWAYS_INLINE {
          access.store(to + at, access.load(x_rows.row[b] + j * channels + from + at));
        });
      }
      strip_gradient<kLanes>(rule.packed + packed_at, g.dc, count, product);
      strip_weight_gradient<kLanes>(strip, g.dc, packing.padded, d_packed + packed_at);
      for (int b = 0; b < rows; ++b) {
        const size_t at_strip = static_cast<size_t>(b) * kWidth;
        const size_t at_stream = static_cast<size_t>(b) * width + j * channels + from;
        const float shrink = g.shrink[b], pre = g.pre[j][b];
        const float* d_input = d.input == nullptr
                                   ? nullptr
                                   : d.input + (at_row + static_cast<size_t>(b)) * channels + from;
        for_lanes<kLanes>(left, [&](auto access, size_t at) MNEME_ALWAYS_INLINE {
          V sum = access.load(product + at_strip + at) - shrink * access.load(strip + at_strip + at);
          if (d_input != nullptr) sum += pre * access.load(d_input + at);
          access.store(dx + at_stream + at, sum);
        });
      }
    }
  }
}

// block += direct, both [rows, width].
template <int kLanes>
MNEME_HYPER_INLINE void add_block(float* block, const float* direct, size_t count, size_t width) {
  for_lanes<kLanes>(count, [&](auto access, size_t at) MNEME_ALWAYS_INLINE {
    prefetch(direct + at, width);
    access.store(block + at, access.load(block + at) + access.load(direct + at));
  });
}

// One row of write_block_backward: gradients of mix and post.
template <int kLanes, int n>
MNEME_HYPER_INLINE void write_weights_backward(const float* x, const float* output, const float* dy,
                                               size_t channels, float* d_mix, float* d_post) {
  using V = Lanes<kLanes>;
  constexpr int kDots = (n * n + kLanes - 1) / kLanes * kLanes;
  constexpr int kPosts = (n + kLanes - 1) / kLanes * kLanes;
  V mixes[kDots]{}, posts[kPosts]{};
  for_lanes<kLanes>(channels, [&](auto access, size_t at) MNEME_ALWAYS_INLINE {
    const V out = access.load(output + at);
    V d[n];
    unroll<n>([&](auto i) MNEME_ALWAYS_INLINE {
      d[i] = access.load(dy + i * channels + at);
      posts[i] += d[i] * out;
    });
    if (d_mix == nullptr) return;
    unroll<n>([&](auto j) MNEME_ALWAYS_INLINE {
      const V stream = access.load(x + j * channels + at);
      prefetch(x + j * channels + at, n * channels);
      unroll<n>([&](auto i) MNEME_ALWAYS_INLINE { mixes[i * n + j] += d[i] * stream; });
    });
  });
  float sums[kDots];
  for (int at = 0; at < kPosts; at += kLanes) store(sums + at, lane_sums<kLanes>(posts + at));
  std::memcpy(d_post, sums, n * sizeof(float));
  if (d_mix == nullptr) return;
  for (int at = 0; at < kDots; at += kLanes) store(sums + at, lane_sums<kLanes>(mixes + at));
  std::memcpy(d_mix, sums, n * n * sizeof(float));
}

// dy: the block's gradient of the written streams. extent.scratch: [2 * channels].
template <int kLanes, int n>
MNEME_HYPER_INLINE void write_block_backward(const Rule& rule, const WriteInput& in, const Extent& extent,
                                             size_t index, const float* dy, const WriteGradient& d) {
  using V = Lanes<kLanes>;
  const size_t channels = rule.channels, width = n * channels;
  const int rows = rows_of(extent, index);
  for (int b = 0; b < rows; ++b) {
    const size_t row = index * kBlockRows + static_cast<size_t>(b);
    const float* from = dy + static_cast<size_t>(b) * width;
    const float* output = output_row(in, row, channels, extent.scratch);
    float* d_mix = in.mix == nullptr ? nullptr : d.mix + row * n * n;
    write_weights_backward<kLanes, n>(in.streams + row * width, output, from, channels, d_mix,
                                      d.post + row * n);

    float* d_output = in.is_output_bf16 ? extent.scratch + channels
                                        : static_cast<float*>(d.output) + row * channels;
    float* dx = d.streams + row * width;
    float post[n], mix[n * n]{};
    std::memcpy(post, in.post + row * n, sizeof post);
    if (in.mix != nullptr) std::memcpy(mix, in.mix + row * n * n, sizeof mix);
    const auto back = [&](auto access, size_t at, auto is_mixed) MNEME_ALWAYS_INLINE {
      V stream[n], sum{};
      unroll<n>([&](auto i) MNEME_ALWAYS_INLINE {
        stream[i] = access.load(from + i * channels + at);
        sum += post[i] * stream[i];
      });
      access.store(d_output + at, sum);
      unroll<n>([&](auto j) MNEME_ALWAYS_INLINE {
        V kept = stream[j];
        if constexpr (is_mixed) {
          kept = mix[j] * stream[0];
          unroll<n - 1>([&](auto i) MNEME_ALWAYS_INLINE { kept += mix[(i + 1) * n + j] * stream[i + 1]; });
        }
        access.store(dx + j * channels + at, kept);
      });
    };
    if (in.mix == nullptr) {
      for_lanes<kLanes>(
          channels, [&](auto access, size_t at) MNEME_ALWAYS_INLINE { back(access, at, std::false_type{}); });
    } else {
      for_lanes<kLanes>(
          channels, [&](auto access, size_t at) MNEME_ALWAYS_INLINE { back(access, at, std::true_type{}); });
    }
    if (in.is_output_bf16)
      rows::to_bf16(d_output, static_cast<uint16_t*>(d.output) + row * channels, channels);
  }
}

}  // namespace mneme::train::hyper
