#include "model/forward.h"

#include <algorithm>
#include <cmath>

#include "kernels/rope.h"
#include "model/pass.h"
#include "tensor/dequantize.h"

namespace mneme::model {

namespace {

Result<void> embed(const Pass& pass);
void place(const Pass& pass);
void mix_embedding(const Pass& pass, const LayerWeights& layer);
Result<void> attention_layer(const Pass& pass, const LayerWeights& layer, int index);
void ffn_layer(const Pass& pass, const LayerWeights& layer);
void sum_states(const Pass& pass);
void head(const Pass& pass, std::span<float> logits);

}  // namespace

Result<void> run_forward(const Pass& pass, std::span<float> logits) {
  begin_engram(pass);
  if (auto read = embed(pass); !read) {
    drop_engram(pass, 0);
    return read;
  }
  place(pass);
  for (int i = 0; i < pass.config.layers; ++i) {
    const LayerWeights& layer = pass.weights.layers[static_cast<size_t>(i)];
    mix_embedding(pass, layer);
    if (auto added = engram_layer(pass, layer, i); !added) return added;
    if (auto attended = attention_layer(pass, layer, i); !attended) {
      drop_engram(pass, i + 1);
      return attended;
    }
    ffn_layer(pass, layer);
  }
  sum_states(pass);
  head(pass, logits);
  return {};
}

namespace {

// Every stream of a row = embedding of the row's token
Result<void> embed(const Pass& pass) {
  const size_t dim = as_size(pass.config.dim), n = as_size(pass.config.mneme.streams);
  const std::span<float> rows = pass.scratch.embedded.empty() ? pass.scratch.residual : pass.scratch.embedded;
  const EmbeddingTable& table = pass.weights.embedding;
  pass.scratch.embedding_row.resize(table.row_bytes);
  size_t row = 0;
  for (const Chunk& chunk : pass.chunks) {
    for (const TokenId token : chunk.tokens) {
      auto read = table.read_row(token, pass.scratch.embedding_row, rows.subspan(row++ * dim, dim));
      if (!read) return read;
    }
  }
  if (pass.scratch.embedded.empty()) return {};
  for_rows(pass, pass.rows, [&](size_t r) {
    for (size_t m = 0; m < n; ++m)
      std::copy_n(&rows[r * dim], dim, &pass.scratch.residual[(r * n + m) * dim]);
  });
  return {};
}

// x_m += mu * (embedding of the token)
void mix_embedding(const Pass& pass, const LayerWeights& layer) {
  if (layer.embedding_mix.empty()) return;
  const size_t dim = as_size(pass.config.dim), n = as_size(pass.config.mneme.streams);
  for_rows(pass, pass.rows, [&](size_t row) {
    for (size_t m = 0; m < n; ++m)
      pass.ops.blend(&pass.scratch.residual[(row * n + m) * dim], 1.0f, &pass.scratch.embedded[row * dim],
                     layer.embedding_mix[0], pass.config.dim);
  });
}

// Where every row stands, and cos and sin of its position, shared by all layers
void place(const Pass& pass) {
  const size_t dims = as_size(pass.config.rope.dims);
  pass.scratch.places.clear();
  for_chunks(pass, [&](const Chunk& chunk, size_t first) {
    const int position = first_position(chunk);
    for (size_t i = 0; i < chunk.tokens.size(); ++i) {
      pass.scratch.places.push_back({chunk.sequence, position + static_cast<int>(i)});
      kernels::rope_table(position + static_cast<int>(i), pass.rope.frequencies, pass.rope.scale,
                          pass.scratch.rope.subspan((first + i) * dims, dims));
    }
  });
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

// Whether nothing that is kept reads what a layer's attention says of tokens far from the end of an input:
// the layers behind it have windows, which have forgotten those tokens by then. A cold tier keeps windows
// too.
bool is_unread(const Pass& pass, const Chunk& chunk, int index) {
  if (chunk.logits != LogitsOf::kNone || !chunk.state_sum.empty()) return false;
  int windows = 0;
  for (int behind = index + 1; behind < pass.config.layers; ++behind) {
    const int window = pass.config.window(behind);
    if (window == 0) return false;
    windows += window;
  }
  return windows == 0 || (windows <= attention::kPrefillUnreadEndTokens - kv::kRewindTokens &&
                          chunk.sequence->copies_sealed(index));
}

// How many of the job's first tokens sparse attention has computed.
Result<int> attend_sparsely(const Pass& pass, const Chunk& chunk, int index, const attention::DenseJob& job) {
  if (chunk.sparse == nullptr) return 0;
  const attention::SparseOptions& options = chunk.sparse->options();
  if (options.decode && job.count <= attention::kSparseTokensMax) {
    auto done = pass.scratch.sparse.run(pass.ops, pass.pool, index, job, *chunk.sparse);
    if (!done) return core::pass(done);
    return *done ? job.count : 0;
  }
  if (!options.prefill) return 0;
  return pass.scratch.prefill.run(pass.ops, pass.pool, index, job,
                                  {chunk.tokens_after, is_unread(pass, chunk, index)}, *chunk.sparse);
}

Result<void> attend(const Pass& pass, const LayerWeights& layer, int index) {
  const size_t query_dim = as_size(pass.config.heads * pass.config.head_dim);
  auto& jobs = pass.scratch.jobs;
  jobs.clear();
  Result<int> done = 0;
  for_chunks(pass, [&](const Chunk& chunk, size_t first) {
    if (!done) return;
    attention::DenseJob job{chunk.sequence,
                            first_position(chunk),
                            static_cast<int>(chunk.tokens.size()),
                            &pass.scratch.query[first * query_dim],
                            &pass.scratch.attended[first * query_dim],
                            pass.config.architecture == Architecture::kMneme ? 1.0f : 0.0f,
                            pass.config.window(index),
                            layer.sinks.empty() ? nullptr : layer.sinks.data()};
    done = attend_sparsely(pass, chunk, index, job);
    if (!done || *done == job.count) return;
    const size_t rows_done = as_size(*done) * query_dim;
    job.first += *done, job.count -= *done, job.queries += rows_done, job.out += rows_done;
    jobs.push_back(job);
  });
  if (!done) return core::pass(done);
  return pass.scratch.attention.run(pass.ops, pass.pool, index, jobs);
}

// The pending audit of a chunk whose rows begin at `first`: |W_o (o - o_dense)| / |x| over its tokens.
void finish_audit(const Pass& pass, const LayerWeights& layer, size_t first, attention::SparseLayer& sparse) {
  if (!sparse.audit) return;
  Scratch& s = pass.scratch;
  const size_t query_dim = as_size(pass.config.heads * pass.config.head_dim), dim = as_size(pass.config.dim);
  const std::vector<int>& tokens = sparse.audit->tokens;
  if (s.audited.size() < tokens.size() * dim) s.audited.resize(tokens.size() * dim);
  const kernels::Product output[] = {product(layer.output, s.audited)};
  s.matmul.multiply(pass.ops, pass.pool, output, sparse.audit->difference.data(),
                    static_cast<int>(tokens.size()), query_dim);
  double squares = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const double size = residual_size(pass, layer.attention_residual, first + as_size(tokens[i]));
    squares += std::pow(norm_of(std::span(s.audited).subspan(i * dim, dim)) / size, 2);
  }
  sparse.finish_audit(std::sqrt(squares / static_cast<double>(tokens.size())), pass.config.kv_heads);
}

// What sparse attention learns of the layer once its output product is there: how much of the residual stream
// it is, and of an audited head the difference it made.
void observe_attention(const Pass& pass, const LayerWeights& layer, int index) {
  Scratch& s = pass.scratch;
  const size_t query_dim = as_size(pass.config.heads * pass.config.head_dim), dim = as_size(pass.config.dim);
  for_chunks(pass, [&](const Chunk& chunk, size_t first) {
    if (chunk.sparse == nullptr || pass.config.window(index) > 0) return;
    const size_t row = first + chunk.tokens.size() - 1;
    const double size = residual_size(pass, layer.attention_residual, row);
    for (attention::SparseLayer* sparse : {&chunk.sparse->layer(index), &chunk.sparse->prefill(index)}) {
      sparse->controller.observe(size, norm_of(s.attended.subspan(row * query_dim, query_dim)),
                                 norm_of(s.normed.subspan(row * dim, dim)));
      finish_audit(pass, layer, first, *sparse);
    }
  });
}

// F(x) = W_o attention(rope(W_q n), rope(W_k n), W_v n),  n = norm(x)
Result<void> attention_layer(const Pass& pass, const LayerWeights& layer, int index) {
  Scratch& s = pass.scratch;
  read_residual(pass, layer.attention_residual, layer.attention_norm);
  const kernels::Product products[] = {product(layer.query, s.query), product(layer.key, s.key),
                                       product(layer.value, s.value), product(layer.key_shift, s.key_shift),
                                       product(layer.key_ahead, s.key_ahead)};
  const size_t count = layer.key_ahead.rows > 0 ? 5 : layer.key_shift.rows > 0 ? 4 : 3;
  multiply(pass, std::span(products).first(count), s.normed);
  if (pass.config.architecture == Architecture::kMneme)
    finish_mneme_heads(pass, layer, index);
  else
    finish_qkv(pass, layer);
  store_kv(pass, index);
  if (auto attended = attend(pass, layer, index); !attended) return core::pass(attended);
  const kernels::Product output[] = {product(layer.output, s.normed)};
  multiply(pass, output, s.attended);
  observe_attention(pass, layer, index);
  write_residual(pass, layer.attention_residual, layer.output_bias);
  return {};
}

// F(x) = W_down (silu(W_gate n) * W_up n),  n = norm(x)
void ffn_layer(const Pass& pass, const LayerWeights& layer) {
  Scratch& s = pass.scratch;
  const size_t ffn_dim = as_size(pass.config.ffn_dim);
  read_residual(pass, layer.ffn_residual, layer.ffn_norm);
  const kernels::Product gate_up[] = {product(layer.gate, s.gate), product(layer.up, s.up)};
  multiply(pass, gate_up, s.normed);
  for_rows(pass, pass.rows, [&](size_t row) {
    pass.ops.silu_mul(&s.gate[row * ffn_dim], &s.gate[row * ffn_dim], &s.up[row * ffn_dim],
                      pass.config.ffn_dim);
  });
  const kernels::Product down[] = {product(layer.down, s.normed)};
  multiply(pass, down, s.gate);
  write_residual(pass, layer.ffn_residual, {});
}

void sum_states(const Pass& pass) {
  const size_t dim = as_size(pass.config.dim);
  for_chunks(pass, [&](const Chunk& chunk, size_t first) {
    if (chunk.state_sum.empty()) return;
    for (size_t row = first; row < first + chunk.tokens.size(); ++row) {
      float* const state = &pass.scratch.normed[row * dim];
      final_norm(pass, row, pass.weights.output_norm, state);
      pass.ops.add(chunk.state_sum.data(), state, pass.config.dim);
    }
  });
}

// Only the rows that want logits pass the final norm and the head: they are gathered to the front first.
void head(const Pass& pass, std::span<float> logits) {
  const size_t dim = as_size(pass.config.dim);
  int wanted = 0;
  for_chunks(pass, [&](const Chunk& chunk, size_t first) {
    if (chunk.logits == LogitsOf::kNone) return;
    const size_t count = chunk.tokens.size();
    for (size_t row = chunk.logits == LogitsOf::kAll ? first : first + count - 1; row < first + count;
         ++row) {
      final_norm(pass, row, pass.weights.output_norm, &pass.scratch.normed[as_size(wanted++) * dim]);
    }
  });
  if (wanted == 0) return;
  const kernels::Product out[] = {product(pass.weights.head, logits)};
  pass.scratch.matmul.multiply(pass.ops, pass.pool, out, pass.scratch.normed.data(), wanted, dim);
}

}  // namespace

Result<Scratch> Scratch::reserve(const Config& c, const Weights& weights, int rows_max, int threads) {
  const size_t rows = as_size(rows_max), query_dim = as_size(c.heads * c.head_dim),
               kv_dim = as_size(c.kv_heads * c.head_dim), dim = as_size(c.dim), ffn_dim = as_size(c.ffn_dim),
               n = as_size(c.mneme.streams), engram_width = as_size(c.mneme.engram.width());
  auto matmul = kernels::MatmulScratch::reserve(
      rows_max, std::max({c.dim, c.heads * c.head_dim, c.ffn_dim, c.mneme.engram.width()}), threads);
  if (!matmul) return core::pass(matmul);
  Scratch s(std::move(*matmul),
            attention::DenseAttention({c.layers, c.kv_heads, c.head_dim}, c.heads, threads),
            attention::SparseAttention({c.layers, c.kv_heads, c.head_dim}, c.heads, threads),
            attention::SparsePrefill({c.layers, c.kv_heads, c.head_dim}, c.heads, threads));
  const auto any_layer = [&](auto member) {
    return std::any_of(weights.layers.begin(), weights.layers.end(),
                       [&](const LayerWeights& layer) { return !(layer.*member).empty(); });
  };
  const bool mneme = c.architecture == Architecture::kMneme;
  struct {
    std::span<float>* span;
    size_t width;
  } const wanted[] = {
      {&s.residual, n * dim},
      {&s.coefficients, residual_coefficient_stride(c)},
      {&s.read, n > 1 ? dim : 0},
      {&s.embedded, n > 1 || any_layer(&LayerWeights::embedding_mix) ? dim : 0},
      {&s.normed, dim},
      {&s.query, query_dim},
      {&s.key, kv_dim},
      {&s.value, kv_dim},
      {&s.key_shift, mneme ? kv_dim : 0},
      {&s.key_ahead, c.mneme.look_ahead > 0 ? kv_dim : 0},
      {&s.first_value, any_layer(&LayerWeights::value_mix) ? kv_dim : 0},
      {&s.attended, query_dim},
      {&s.gate, ffn_dim},
      {&s.up, ffn_dim},
      {&s.rope, as_size(c.rope.dims)},
      {&s.engram.fetched, engram_width},
      {&s.engram.keys, engram_width > 0 ? n * dim : 0},
      {&s.engram.values, engram_width > 0 ? dim : 0},
      {&s.engram.gates, engram_width > 0 ? n : 0},
  };
  size_t row_values = 0;
  for (const auto& want : wanted) row_values += want.width;
  auto arena = core::Arena::reserve(rows * row_values * sizeof(float) +
                                    std::size(wanted) * core::Arena::kAlign);
  if (!arena) return core::pass(arena);
  s.arena = std::move(*arena);
  for (const auto& want : wanted) {
    if (want.width > 0) *want.span = s.arena.take_array<float>(rows * want.width);
  }
  s.places.reserve(rows);
  if (auto reserved = reserve_engram(c, weights, rows_max, s.engram); !reserved) return core::pass(reserved);
  return s;
}

}  // namespace mneme::model
