// The oracle: exact weights, f32 activations, sums in double; attention as the formula reads.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/backends.h"
#include "kernels/ops.h"
#include "kernels/scalar/seal_scalar.h"
#include "tensor/convert.h"

namespace mneme::kernels {

namespace {

uint32_t forms(tensor::DType, int) { return kFormF32; }

void prepare(const Activations&, uint32_t, int, int) {}

void matmul(const PackedMatrix& w, int tile_first, int tile_count, const Activations& x, float* y,
            size_t y_stride, void*) {
  float unit_values[kTileRows * 256];
  const int unit = unit_columns(w.type), units = w.columns / unit;
  for (int tile = tile_first; tile < tile_first + tile_count; ++tile) {
    const std::byte* data = w.data + static_cast<size_t>(tile) * w.tile_bytes();
    const int first = tile * kTileRows, count = std::min(kTileRows, w.rows - first);
    for (int r = 0; r < x.rows; ++r) {
      const float* in = x.f32 + static_cast<size_t>(r) * x.f32_stride;
      double sums[kTileRows] = {};
      for (int u = 0; u < units; ++u) {
        unpack_unit(w.type, data + static_cast<size_t>(u) * unit_bytes(w.type), unit_values);
        for (int row = 0; row < kTileRows; ++row) {
          for (int c = 0; c < unit; ++c) sums[row] += double{unit_values[row * unit + c]} * in[u * unit + c];
        }
      }
      for (int row = 0; row < count; ++row)
        y[static_cast<size_t>(r) * y_stride + static_cast<size_t>(first + row)] = static_cast<float>(
            sums[row]);
    }
  }
}

void rms_norm(float* out, const float* x, const float* gain, int n, float epsilon) {
  double squares = 0;
  for (int i = 0; i < n; ++i) squares += double{x[i]} * x[i];
  const double factor = 1.0 / std::sqrt(squares / n + epsilon);
  for (int i = 0; i < n; ++i) out[i] = static_cast<float>(x[i] * factor * gain[i]);
}

void silu_mul(float* out, const float* gate, const float* up, int n) {
  for (int i = 0; i < n; ++i)
    out[i] = static_cast<float>(gate[i] / (1.0 + std::exp(-double{gate[i]})) * up[i]);
}

void add(float* out, const float* x, int n) {
  for (int i = 0; i < n; ++i) out[i] += x[i];
}

void blend(float* out, float keep, const float* x, float take, int n) {
  for (int i = 0; i < n; ++i) out[i] = static_cast<float>(double{keep} * out[i] + double{take} * x[i]);
}

void dots(const DotsTask& task) {
  for (int r = 0; r < task.rows; ++r) {
    const float* x = task.x + static_cast<size_t>(r) * task.x_stride;
    for (int m = 0; m < task.count; ++m) {
      const float* row = task.matrix + static_cast<size_t>(m) * static_cast<size_t>(task.n);
      double sum = 0;
      for (int k = 0; k < task.n; ++k) sum += double{row[k]} * x[k];
      task.out[static_cast<size_t>(r) * task.out_stride + static_cast<size_t>(m)] = static_cast<float>(sum);
    }
  }
}

void combine(float* out, const float* weights, const float* x, int streams, int n) {
  for (int i = 0; i < n; ++i) {
    double sum = 0;
    for (int j = 0; j < streams; ++j) sum += double{weights[j]} * x[j * n + i];
    out[i] = static_cast<float>(sum);
  }
}

void mix_streams(const StreamMix& mix) {
  for (int c = 0; c < mix.n; ++c) {
    double sums[kStreamsMax];
    for (int i = 0; i < mix.streams; ++i) {
      sums[i] = double{mix.give[i]} * mix.f[c];
      for (int j = 0; j < mix.streams; ++j)
        sums[i] += double{mix.keep[i * mix.streams + j]} * mix.x[j * mix.n + c];
    }
    for (int i = 0; i < mix.streams; ++i) mix.x[i * mix.n + c] = static_cast<float>(sums[i]);
  }
}

float key_at(const AttendTask& task, int token, int channel) {
  return tensor::to_f32(
      tensor::Bf16{task.keys[token / 64][channel / 2 * 128 + token % 64 * 2 + channel % 2]});
}

float value_at(const AttendTask& task, int token, int channel) {
  return tensor::to_f32(
      tensor::Bf16{task.values[token / 64][token % 64 / 2 * task.head_dim * 2 + channel * 2 + token % 2]});
}

// One token after the other, the state moving to each new maximum.
void attend(const AttendTask& task) {
  for (int r = 0; r < task.rows; ++r) {
    float* out = task.out + r * task.head_dim;
    const int start = task.starts == nullptr ? 0 : std::max(0, task.starts[r]);
    for (int token = start; token < std::min(task.limits[r], task.blocks * 64); ++token) {
      double logit = 0;
      for (int c = 0; c < task.head_dim; ++c) {
        logit += double{task.queries[static_cast<size_t>(r) * task.query_stride + static_cast<size_t>(c)]} *
                 key_at(task, token, c);
      }
      const auto score = static_cast<float>(logit);
      if (score > task.max[r]) {
        const float shrink = std::exp(task.max[r] - score);
        for (int c = 0; c < task.head_dim; ++c) out[c] *= shrink;
        task.sum[r] *= shrink;
        task.max[r] = score;
      }
      const float weight = std::exp(score - task.max[r]);
      task.sum[r] += weight;
      for (int c = 0; c < task.head_dim; ++c) out[c] += weight * value_at(task, token, c);
    }
  }
}

uint32_t read_work(const void* data, size_t bytes) {
  const auto* words = static_cast<const uint64_t*>(data);
  uint64_t sums[8] = {};
  for (size_t i = 0; i < bytes / sizeof(uint64_t); i += 8) {
    for (size_t lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
  }
  uint64_t sum = 0;
  for (const uint64_t s : sums) sum += s;
  return static_cast<uint32_t>(sum ^ (sum >> 32));
}

}  // namespace

const Ops& scalar_ops() {
  static constexpr Ops kOps{"scalar",
                            forms,
                            prepare,
                            matmul,
                            rms_norm,
                            silu_mul,
                            add,
                            blend,
                            dots,
                            combine,
                            mix_streams,
                            attend,
                            scalar_seal_block,
                            scalar_unseal_block,
                            scalar_sketch_scores,
                            scalar_sketch_masses,
                            scalar_relative_masses,
                            scalar_attend_sealed,
                            scalar_add_means,
                            scalar_key_error_bounds,
                            [](int) { return 0.0; },
                            read_work};
  return kOps;
}

}  // namespace mneme::kernels
