// Queries, keys and values of the mneme architecture (docs/formats/mneme-gguf.md, Attention). The products
// W_q y, W_k y, W_v y (and W_k_shift y in global layers) are done.
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

// Adds W_k_shift y_{t-1}, which the token before computed, and keeps this token's for the next.
void shift_key(const Pass& pass, int ring, size_t row, float* key) {
  const size_t kv_dim = as_size(pass.config.kv_heads * pass.config.head_dim);
  const RowPlace& place = pass.scratch.places[row];
  kv::RecentRows& recent = place.sequence->recent();
  const float* own = &pass.scratch.key_shift[row * kv_dim];
  if (place.position > 0) {
    const float* before = place.first ? recent.row(ring, place.position - 1) : own - kv_dim;
    pass.ops.add(key, before, static_cast<int>(kv_dim));
  }
  std::copy_n(own, kv_dim, recent.row(ring, place.position));
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
  const size_t kv_dim = as_size(c.kv_heads * c.head_dim);
  const bool global = c.window(index) == 0;
  const int ring = global ? shift_ring(c, index) : -1;
  for_rows(pass, pass.rows, [&](size_t row) {
    finish_query(pass, layer, global, row);
    if (global) shift_key(pass, ring, row, &s.key[row * kv_dim]);
    finish_key(pass, layer, global, row);
    float* value = &s.value[row * kv_dim];
    if (index == 0 && !s.first_value.empty()) std::copy_n(value, kv_dim, &s.first_value[row * kv_dim]);
    if (layer.value_mix.empty()) return;
    const float mix = layer.value_mix[0];
    pass.ops.blend(value, 1.0f - mix, &s.first_value[row * kv_dim], mix, static_cast<int>(kv_dim));
  });
}

}  // namespace mneme::model
