#include "model/forward.h"

#include <algorithm>

#include "kernels/rope.h"
#include "tensor/dequantize.h"

namespace mneme::model {

namespace {

Result<void> embed(const Pass& pass);
void place(const Pass& pass);
void attention_layer(const Pass& pass, const LayerWeights& layer, int index);
void ffn_layer(const Pass& pass, const LayerWeights& layer);
void head(const Pass& pass, std::span<float> logits);

}  // namespace

Result<void> run_forward(const Pass& pass, std::span<float> logits) {
  if (auto read = embed(pass); !read) return read;
  place(pass);
  for (int i = 0; i < pass.config.layers; ++i) {
    const LayerWeights& layer = pass.weights.layers[static_cast<size_t>(i)];
    attention_layer(pass, layer, i);
    ffn_layer(pass, layer);
  }
  head(pass, logits);
  return {};
}

namespace {

size_t as_size(int n) { return static_cast<size_t>(n); }

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

int first_position(const Chunk& chunk) {
  return chunk.sequence->token_count() - static_cast<int>(chunk.tokens.size());
}

// residual[row] = embedding of the row's token
Result<void> embed(const Pass& pass) {
  const size_t dim = as_size(pass.config.dim);
  const EmbeddingTable& table = pass.weights.embedding;
  pass.scratch.embedding_row.resize(table.row_bytes);
  size_t row = 0;
  for (const Chunk& chunk : pass.chunks) {
    for (const TokenId token : chunk.tokens) {
      auto read = table.read_row(token, pass.scratch.embedding_row,
                                 pass.scratch.residual.subspan(row++ * dim, dim));
      if (!read) return read;
    }
  }
  return {};
}

// cos and sin of every row's position, shared by all layers
void place(const Pass& pass) {
  const size_t dims = as_size(pass.config.rope.dims);
  for_chunks(pass, [&](const Chunk& chunk, size_t first) {
    const int position = first_position(chunk);
    for (size_t i = 0; i < chunk.tokens.size(); ++i) {
      kernels::rope_table(position + static_cast<int>(i), pass.rope.frequencies, pass.rope.scale,
                          pass.scratch.rope.subspan((first + i) * dims, dims));
    }
  });
}

// out[row] = RMSNorm(residual[row])
void norm_rows(const Pass& pass, std::span<const float> gain) {
  const Config& c = pass.config;
  for_rows(pass, pass.rows, [&](size_t row) {
    pass.ops.rms_norm(&pass.scratch.normed[row * as_size(c.dim)],
                      &pass.scratch.residual[row * as_size(c.dim)], gain.data(), c.dim, c.norm_epsilon);
  });
}

void multiply(const Pass& pass, std::span<const kernels::Product> products, std::span<const float> x) {
  const size_t columns = as_size(products.front().weights->columns);
  pass.scratch.matmul.multiply(pass.ops, pass.pool, products, x.data(), pass.rows, columns);
}

kernels::Product product(const kernels::PackedMatrix& weights, std::span<float> y) {
  return {&weights, y.data(), as_size(weights.rows)};
}

// One row's heads of `x` [heads, head_dim]: bias, QK-norm (qwen3), rotation
void finish_heads(const Pass& pass, float* x, int heads, std::span<const float> bias,
                  std::span<const float> norm, const float* table) {
  const Config& c = pass.config;
  if (!bias.empty()) pass.ops.add(x, bias.data(), heads * c.head_dim);
  for (int h = 0; h < heads; ++h) {
    float* head = x + h * c.head_dim;
    if (!norm.empty()) pass.ops.rms_norm(head, head, norm.data(), c.head_dim, c.norm_epsilon);
    kernels::rope_apply(head, c.rope.dims, c.rope.interleaved, table);
  }
}

void finish_qkv(const Pass& pass, const LayerWeights& layer) {
  const Config& c = pass.config;
  Scratch& s = pass.scratch;
  const size_t query_dim = as_size(c.heads * c.head_dim), kv_dim = as_size(c.kv_heads * c.head_dim);
  for_rows(pass, pass.rows, [&](size_t row) {
    const float* table = &s.rope[row * as_size(c.rope.dims)];
    finish_heads(pass, &s.query[row * query_dim], c.heads, layer.query_bias, layer.query_norm, table);
    finish_heads(pass, &s.key[row * kv_dim], c.kv_heads, layer.key_bias, layer.key_norm, table);
    if (!layer.value_bias.empty())
      pass.ops.add(&s.value[row * kv_dim], layer.value_bias.data(), static_cast<int>(kv_dim));
  });
}

// The new keys and values go into their sequences' blocks, one head a task.
void store_kv(const Pass& pass, int index) {
  const Config& c = pass.config;
  const size_t kv_dim = as_size(c.kv_heads * c.head_dim);
  const int heads_each = pass.rows > 4 ? 1 : c.kv_heads;  // a few rows are not worth waking anybody
  pass.pool.run(c.kv_heads / heads_each, [&](int task, int) {
    for (int head = task * heads_each; head < (task + 1) * heads_each; ++head) {
      for_chunks(pass, [&](const Chunk& chunk, size_t first) {
        const size_t offset = first * kv_dim + as_size(head * c.head_dim);
        chunk.sequence->store(index, head, first_position(chunk), static_cast<int>(chunk.tokens.size()),
                              &pass.scratch.key[offset], &pass.scratch.value[offset], kv_dim);
      });
    }
  });
}

void attend(const Pass& pass, int index) {
  const size_t query_dim = as_size(pass.config.heads * pass.config.head_dim);
  auto& jobs = pass.scratch.jobs;
  jobs.clear();
  for_chunks(pass, [&](const Chunk& chunk, size_t first) {
    jobs.push_back({chunk.sequence, first_position(chunk), static_cast<int>(chunk.tokens.size()),
                    &pass.scratch.query[first * query_dim], &pass.scratch.attended[first * query_dim]});
  });
  pass.scratch.attention.run(pass.ops, pass.pool, index, jobs);
}

// residual += normed, which holds a sublayer's output by now
void add_to_residual(const Pass& pass, std::span<const float> bias) {
  const size_t dim = as_size(pass.config.dim);
  for_rows(pass, pass.rows, [&](size_t row) {
    float* residual = &pass.scratch.residual[row * dim];
    pass.ops.add(residual, &pass.scratch.normed[row * dim], pass.config.dim);
    if (!bias.empty()) pass.ops.add(residual, bias.data(), pass.config.dim);
  });
}

// x += W_o attention(rope(W_q n), rope(W_k n), W_v n),  n = norm(x)
void attention_layer(const Pass& pass, const LayerWeights& layer, int index) {
  Scratch& s = pass.scratch;
  norm_rows(pass, layer.attention_norm);
  const kernels::Product qkv[] = {product(layer.query, s.query), product(layer.key, s.key),
                                  product(layer.value, s.value)};
  multiply(pass, qkv, s.normed);
  finish_qkv(pass, layer);
  store_kv(pass, index);
  attend(pass, index);
  const kernels::Product output[] = {product(layer.output, s.normed)};
  multiply(pass, output, s.attended);
  add_to_residual(pass, layer.output_bias);
}

// x += W_down (silu(W_gate n) * W_up n),  n = norm(x)
void ffn_layer(const Pass& pass, const LayerWeights& layer) {
  Scratch& s = pass.scratch;
  const size_t ffn_dim = as_size(pass.config.ffn_dim);
  norm_rows(pass, layer.ffn_norm);
  const kernels::Product gate_up[] = {product(layer.gate, s.gate), product(layer.up, s.up)};
  multiply(pass, gate_up, s.normed);
  for_rows(pass, pass.rows, [&](size_t row) {
    pass.ops.silu_mul(&s.gate[row * ffn_dim], &s.gate[row * ffn_dim], &s.up[row * ffn_dim],
                      pass.config.ffn_dim);
  });
  const kernels::Product down[] = {product(layer.down, s.normed)};
  multiply(pass, down, s.gate);
  add_to_residual(pass, {});
}

// Only the rows that want logits pass the final norm and the head: they are gathered to the front first.
void head(const Pass& pass, std::span<float> logits) {
  const Config& c = pass.config;
  const size_t dim = as_size(c.dim);
  int wanted = 0;
  for_chunks(pass, [&](const Chunk& chunk, size_t first) {
    if (chunk.logits == LogitsOf::kNone) return;
    const size_t count = chunk.tokens.size();
    for (size_t row = chunk.logits == LogitsOf::kAll ? first : first + count - 1; row < first + count;
         ++row) {
      pass.ops.rms_norm(&pass.scratch.normed[as_size(wanted++) * dim], &pass.scratch.residual[row * dim],
                        pass.weights.output_norm.data(), c.dim, c.norm_epsilon);
    }
  });
  if (wanted == 0) return;
  const kernels::Product out[] = {product(pass.weights.head, logits)};
  pass.scratch.matmul.multiply(pass.ops, pass.pool, out, pass.scratch.normed.data(), wanted, dim);
}

}  // namespace

Result<Scratch> Scratch::reserve(const Config& c, int rows_max, int threads) {
  const size_t rows = as_size(rows_max), query_dim = as_size(c.heads * c.head_dim),
               kv_dim = as_size(c.kv_heads * c.head_dim);
  auto matmul = kernels::MatmulScratch::reserve(rows_max, std::max({c.dim, c.heads * c.head_dim, c.ffn_dim}),
                                                threads);
  if (!matmul) return core::pass(matmul);
  Scratch s(std::move(*matmul),
            attention::DenseAttention({c.layers, c.kv_heads, c.head_dim}, c.heads, threads));
  const size_t row_values = 2 * as_size(c.dim) + 2 * query_dim + 2 * kv_dim + 2 * as_size(c.ffn_dim) +
                            as_size(c.rope.dims);
  auto arena = core::Arena::reserve(rows * row_values * sizeof(float) + 16 * core::Arena::kAlign);
  if (!arena) return core::pass(arena);
  s.arena = std::move(*arena);
  s.residual = s.arena.take_array<float>(rows * as_size(c.dim));
  s.normed = s.arena.take_array<float>(rows * as_size(c.dim));
  s.query = s.arena.take_array<float>(rows * query_dim);
  s.key = s.arena.take_array<float>(rows * kv_dim);
  s.value = s.arena.take_array<float>(rows * kv_dim);
  s.attended = s.arena.take_array<float>(rows * query_dim);
  s.gate = s.arena.take_array<float>(rows * as_size(c.ffn_dim));
  s.up = s.arena.take_array<float>(rows * as_size(c.ffn_dim));
  s.rope = s.arena.take_array<float>(rows * as_size(c.rope.dims));
  return s;
}

}  // namespace mneme::model
