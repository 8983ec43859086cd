// Queries, keys and values of the mneme architecture (docs/formats/mneme-gguf.md, Attention). The products
// W_q y, W_k y, W_v y (and W_k_shift y, W_k_ahead y in global layers) are done.
#include <cmath>

#include "kernels/rope.h"
#include "model/pass.h"

namespace mneme::model {

namespace {

// s(n) = 1 + c max(0, ln n / ln n_train - 1): keeps attention sharp beyond the lengths of the training.
float sharpening(const MnemeConfig& config, int tokens) {
  if (config.log_length_train == 0) return 1.0f;
  const double ratio = std::log(static_cast<double>(tokens)) /
                       std::log(static_cast<double>(config.log_length_train));
  return static_cast<float>(1.0 + config.log_length_slope * std::max(0.0, ratio - 1.0));
}

// Queries are scaled by all of the logit's factors: the temperature is part of the gain.
void finish_query(const Pass& pass, const LayerWeights& layer, bool global, size_t row) {
  const Config& c = pass.config;
  const size_t head_dim = as_size(c.head_dim), query_dim = as_size(c.heads) * head_dim;
  float* query = &pass.scratch.query[row * query_dim];
  for (size_t h = 0; h < as_size(c.heads); ++h) {
    float* head = query + h * head_dim;
    pass.ops.rms_norm(head, head, &layer.query_gain[h * head_dim], c.head_dim, c.norm_epsilon);
    if (!global)
      kernels::rope_apply(head, c.rope.dims, c.rope.interleaved,
                          &pass.scratch.rope[row * as_size(c.rope.dims)]);
  }
  if (!global) return;
  const float factor = sharpening(c.mneme, pass.scratch.places[row].position + 1);
  if (factor == 1.0f) return;
  for (size_t i = 0; i < query_dim; ++i) query[i] *= factor;
}

size_t kv_dim_of(const Config& config) { return as_size(config.kv_heads * config.head_dim); }

// What a token of a global layer leaves to those behind it, one after the other (shift_row_width).
struct LeftRow {
  float *shift, *key, *ahead, *value;

  LeftRow(float* row, size_t kv_dim)
      : shift(row), key(row + kv_dim), ahead(row + 2 * kv_dim), value(row + 3 * kv_dim) {}
};

LeftRow left_row(const Pass& pass, int ring, size_t row, int back) {
  const RowPlace& place = pass.scratch.places[row];
  return {place.sequence->recent().row(ring, place.position - back), kv_dim_of(pass.config)};
}

// Keeps what the tokens behind this one will want of it.
void leave(const Pass& pass, int ring, size_t row) {
  const Scratch& s = pass.scratch;
  const size_t kv_dim = kv_dim_of(pass.config), at = row * kv_dim;
  const LeftRow left = left_row(pass, ring, row, 0);
  std::copy_n(&s.key_shift[at], kv_dim, left.shift);
  if (pass.config.mneme.look_ahead == 0) return;
  std::copy_n(&s.key[at], kv_dim, left.key);
  std::copy_n(&s.key_ahead[at], kv_dim, left.ahead);
  std::copy_n(&s.value[at], kv_dim, left.value);
}

// k = W_k y_s + W_k_shift y_{s-1} + W_k_ahead (y_{s+1} + ... + y_{s+a}) / sqrt(a), v = that of s, s = t - a.
// Without look-ahead a = 0, and key and value are there already. All tokens up to t have left theirs.
void gather_key(const Pass& pass, int ring, size_t row) {
  const int ahead = pass.config.mneme.look_ahead, position = pass.scratch.places[row].position;
  const size_t kv_dim = kv_dim_of(pass.config);
  const int width = static_cast<int>(kv_dim);
  float *key = &pass.scratch.key[row * kv_dim], *value = &pass.scratch.value[row * kv_dim];
  if (ahead > 0) {
    std::fill_n(key, kv_dim, 0.0f);
    for (int back = std::min(ahead - 1, position); back >= 0; --back)
      pass.ops.add(key, left_row(pass, ring, row, back).ahead, width);
    const float share = 1.0f / std::sqrt(static_cast<float>(ahead));
    for (size_t i = 0; i < kv_dim; ++i) key[i] *= share;
    if (position >= ahead) {
      pass.ops.add(key, left_row(pass, ring, row, ahead).key, width);
      std::copy_n(left_row(pass, ring, row, ahead).value, kv_dim, value);
    } else {
      std::fill_n(value, kv_dim, 0.0f);
    }
  }
  if (position > ahead) pass.ops.add(key, left_row(pass, ring, row, ahead + 1).shift, width);
}

void finish_key(const Pass& pass, const LayerWeights& layer, bool global, size_t row) {
  const Config& c = pass.config;
  const size_t head_dim = as_size(c.head_dim);
  for (size_t h = 0; h < as_size(c.kv_heads); ++h) {
    float* head = &pass.scratch.key[(row * as_size(c.kv_heads) + h) * head_dim];
    pass.ops.rms_norm(head, head, layer.key_gain.data(), c.head_dim, c.norm_epsilon);
    if (!global)
      kernels::rope_apply(head, c.rope.dims, c.rope.interleaved,
                          &pass.scratch.rope[row * as_size(c.rope.dims)]);
  }
}

}  // namespace

void finish_mneme_heads(const Pass& pass, const LayerWeights& layer, int index) {
  const Config& c = pass.config;
  Scratch& s = pass.scratch;
  const size_t kv_dim = kv_dim_of(c);
  const bool global = c.window(index) == 0;
  const int ring = global ? shift_ring(c, index) : -1;
  for_rows(pass, pass.rows, [&](size_t row) {
    finish_query(pass, layer, global, row);
    float* value = &s.value[row * kv_dim];
    if (index == 0 && !s.first_value.empty()) std::copy_n(value, kv_dim, &s.first_value[row * kv_dim]);
    if (!layer.value_mix.empty()) {
      const float mix = layer.value_mix[0];
      pass.ops.blend(value, 1.0f - mix, &s.first_value[row * kv_dim], mix, static_cast<int>(kv_dim));
    }
    if (global) leave(pass, ring, row);
  });
  for_rows(pass, pass.rows, [&](size_t row) {
    if (global) gather_key(pass, ring, row);
    finish_key(pass, layer, global, row);
  });
}

}  // namespace mneme::model
