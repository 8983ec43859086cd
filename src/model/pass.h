// What the steps of the forward pass share (forward.cpp, residual.cpp, mneme_heads.cpp, engram_layer.cpp).
#pragma once

#include <algorithm>
#include <span>

#include "model/forward.h"

namespace mneme::model {

inline size_t as_size(int n) { return static_cast<size_t>(n); }

// Calls body(row) for every row, several rows to a task.
template <class Body>
void for_rows(const Pass& pass, int rows, Body body) {
  constexpr int kRowsEach = 8;
  pass.pool.run((rows + kRowsEach - 1) / kRowsEach, [&](int task, int) {
    for (int row = task * kRowsEach; row < std::min(rows, (task + 1) * kRowsEach); ++row) body(as_size(row));
  });
}

// Calls body(chunk, first row of the chunk).
template <class Body>
void for_chunks(const Pass& pass, Body body) {
  size_t row = 0;
  for (const Chunk& chunk : pass.chunks) {
    body(chunk, row);
    row += chunk.tokens.size();
  }
}

inline int first_position(const Chunk& chunk) {
  return chunk.sequence->token_count() - static_cast<int>(chunk.tokens.size());
}

// The products of one input x [rows, columns] as one parallel section.
inline void multiply(const Pass& pass, std::span<const kernels::Product> products, std::span<const float> x) {
  const size_t columns = as_size(products.front().weights->columns);
  pass.scratch.matmul.multiply(pass.ops, pass.pool, products, x.data(), pass.rows, columns);
}

inline kernels::Product product(const kernels::PackedMatrix& weights, std::span<float> y) {
  return {&weights, y.data(), as_size(weights.rows)};
}

// Euclidean.
double norm_of(std::span<const float> x);

// ---- residual.cpp: how sublayers read and write the residual stream(s)

// normed = RMSNorm(what the sublayer reads; gain). With several streams their coefficients for this sublayer
// are computed here and wait for write_residual.
void read_residual(const Pass& pass, const ResidualWeights& weights, std::span<const float> gain);
// The streams take the sublayer's output, which `normed` holds by now; `bias` [dim] or empty is added to it.
void write_residual(const Pass& pass, const ResidualWeights& weights, std::span<const float> bias);
// The norm of what the sublayer's output is added to, in units of that output: of several streams the root
// mean square, what the sublayer gives them and scales included. Between read_residual and write_residual.
double residual_size(const Pass& pass, const ResidualWeights& weights, size_t row);
// out [dim] = RMSNorm(mean of a row's streams; gain)
void final_norm(const Pass& pass, size_t row, std::span<const float> gain, float* out);
// Floats that a row's coefficients take; 0 with one stream.
size_t residual_coefficient_stride(const Config& config);

// ---- mneme_heads.cpp: queries, keys and values of the mneme architecture, from products to what is stored

void finish_mneme_heads(const Pass& pass, const LayerWeights& layer, int index);

// ---- engram_layer.cpp

// Fetches and what is not activations.
Result<void> reserve_engram(const Config& config, const Weights& weights, int rows_max,
                            EngramScratch& scratch);
// Has the rows that the new tokens' n-grams want fetched; they depend on token ids alone.
void begin_engram(const Pass& pass);
// Takes that back where the pass ends before its layer `first`: what the layers from there on would read.
void drop_engram(const Pass& pass, int first);
// x_m += engram_m where layer `index` has a table.
Result<void> engram_layer(const Pass& pass, const LayerWeights& layer, int index);

}  // namespace mneme::model
