// The n-gram tables' part of the forward pass (docs/formats/mneme-gguf.md, Engram; arXiv 2601.07372):
//   g_m = sigmoid(RMSNorm(x_m) . RMSNorm(k_m) / sqrt(C)),  z_m = g_m v,
//   x_m += z_m + silu(sum_j conv[j, m] RMSNorm(z_m; conv_norm_m) of token t - (3 - j) N)
// RMSNorm(z_m) is f_m v with f_m = g_m / sqrt(g_m^2 mean(v^2) + eps), so a token's v and its f_m are all that
// later tokens need of it.
#include <cmath>

#include "engram/hash.h"
#include "model/pass.h"

namespace mneme::model {

namespace {

constexpr int kTaps = 4;

// The place of layer `index` among those with a table.
int table_of(const Config& config, int index) {
  const auto& layers = config.mneme.engram.layers;
  return static_cast<int>(std::find(layers.begin(), layers.end(), index) - layers.begin());
}

engram::HashOptions hash_options(const EngramConfig& e, size_t table) {
  const size_t order = as_size(e.order_max);
  return {static_cast<uint32_t>(e.order_max),
          static_cast<uint32_t>(e.heads),
          e.primes,
          std::span(e.multipliers).subspan(table * order, order),
          e.token_map,
          e.pad};
}

// Rows of a table for every new token, begun for all tables at once where they are few. Where they are many
// the tables take turns: the second layer's would hold up the first's, which are wanted first, and have the
// layers between to come in.
bool take_turns(const Pass& pass) {
  constexpr int kRowsAtOnce = 1024;  // 10 ms of a disk's reads
  return pass.rows * pass.config.mneme.engram.rows_per_token() > kRowsAtOnce;
}

// Names the rows that the new tokens' n-grams want of one table, and has them fetched.
void begin_table(const Pass& pass, size_t table) {
  const EngramConfig& e = pass.config.mneme.engram;
  EngramScratch& s = pass.scratch.engram;
  const size_t each = as_size(e.rows_per_token());
  for_chunks(pass, [&](const Chunk& chunk, size_t first) {
    const int position = first_position(chunk);
    s.previous.clear();
    for (int before = std::max(0, position - e.order_max + 1); before < position; ++before)
      s.previous.push_back(chunk.sequence->recent().id(before));
    engram::row_indices(hash_options(e, table), s.previous, chunk.tokens,
                        std::span(s.indices).subspan(first * each, chunk.tokens.size() * each));
  });
  s.fetches[table]->begin(std::span(s.indices).first(as_size(pass.rows) * each));
}

// Waits for what was begun from `table` on and drops it: nothing may be left for the next pass.
void drop_from(const Pass& pass, size_t table) {
  EngramScratch& s = pass.scratch.engram;
  const size_t end = take_turns(pass) ? std::min(table + 1, s.fetches.size()) : s.fetches.size();
  for (; table < end; ++table)
    (void)s.fetches[table]->wait(s.fetched.first(as_size(pass.rows * pass.config.mneme.engram.width())));
}

// Gates of one row, and what later tokens read of it.
void gate_row(const Pass& pass, const EngramWeights& weights, int ring, size_t row) {
  const Config& c = pass.config;
  EngramScratch& s = pass.scratch.engram;
  const size_t n = as_size(c.mneme.streams), dim = as_size(c.dim);
  const RowPlace& place = pass.scratch.places[row];
  float* kept = place.sequence->recent().row(ring, place.position);  // v [dim], f [n]
  const float* value = &s.values[row * dim];
  std::copy_n(value, dim, kept);
  float squares = 0;
  pass.ops.dots({&squares, 1, value, 1, value, dim, 1, c.dim});
  for (size_t m = 0; m < n; ++m) {
    float* query = &pass.scratch.normed[row * dim];
    float* key = &s.keys[(row * n + m) * dim];
    pass.ops.rms_norm(query, &pass.scratch.residual[(row * n + m) * dim], &weights.query_norm[m * dim], c.dim,
                      c.norm_epsilon);
    pass.ops.rms_norm(key, key, &weights.key_norm[m * dim], c.dim, c.norm_epsilon);
    float likeness = 0;
    pass.ops.dots({&likeness, 1, key, 1, query, dim, 1, c.dim});
    const float gate = 1.0f / (1.0f + std::exp(-likeness / std::sqrt(static_cast<float>(c.dim))));
    s.gates[row * n + m] = gate;
    kept[dim + m] = gate / std::sqrt(gate * gate * squares / static_cast<float>(c.dim) + c.norm_epsilon);
  }
}

// x_m += z_m + silu(convolution), for one row. The keys are used up: their place takes the sums.
void add_row(const Pass& pass, const EngramWeights& weights, int ring, size_t row) {
  const Config& c = pass.config;
  EngramScratch& s = pass.scratch.engram;
  const size_t n = as_size(c.mneme.streams), dim = as_size(c.dim);
  const RowPlace& place = pass.scratch.places[row];
  for (size_t m = 0; m < n; ++m) {
    float* sum = &s.keys[(row * n + m) * dim];
    std::fill_n(sum, dim, 0.0f);
    for (int tap = 0; tap < kTaps; ++tap) {
      const int token = place.position - (kTaps - 1 - tap) * c.mneme.engram.order_max;
      if (token < 0) continue;
      const float* kept = place.sequence->recent().row(ring, token);
      const float* conv = &weights.conv[(as_size(tap) * n + m) * dim];
      const float factor = kept[dim + m];
      for (size_t i = 0; i < dim; ++i) sum[i] += conv[i] * (factor * kept[i]);
    }
    pass.ops.silu_mul(sum, sum, s.ones.data(), c.dim);
    float* x = &pass.scratch.residual[(row * n + m) * dim];
    pass.ops.blend(x, 1.0f, &s.values[row * dim], s.gates[row * n + m], c.dim);
    pass.ops.add(x, sum, c.dim);
  }
}

}  // namespace

Result<void> reserve_engram(const Config& config, const Weights& weights, int rows_max, EngramScratch& s) {
  const EngramConfig& e = config.mneme.engram;
  if (e.layers.empty()) return {};
  const size_t rows = as_size(rows_max);
  for (const int layer : e.layers) {
    auto fetch = engram::Fetch::create(*weights.layers[as_size(layer)].engram.table,
                                       rows * as_size(e.rows_per_token()));
    if (!fetch) return core::pass(fetch);
    s.fetches.push_back(std::move(*fetch));
  }
  s.previous.reserve(as_size(e.order_max));
  s.indices.resize(rows * as_size(e.rows_per_token()));
  s.ones.assign(as_size(config.dim), 1.0f);
  return {};
}

void begin_engram(const Pass& pass) {
  const EngramConfig& e = pass.config.mneme.engram;
  if (e.layers.empty()) return;
  for_chunks(pass, [&](const Chunk& chunk, size_t) {
    int position = first_position(chunk);
    for (const TokenId token : chunk.tokens) chunk.sequence->recent().id(position++) = token;
  });
  const size_t tables = take_turns(pass) ? 1 : e.layers.size();
  for (size_t table = 0; table < tables; ++table) begin_table(pass, table);
}

void drop_engram(const Pass& pass, int first) {
  const auto& layers = pass.config.mneme.engram.layers;
  const auto next = std::find_if(layers.begin(), layers.end(), [&](int layer) { return layer >= first; });
  if (next != layers.end()) drop_from(pass, as_size(static_cast<int>(next - layers.begin())));
}

Result<void> engram_layer(const Pass& pass, const LayerWeights& layer, int index) {
  if (layer.engram.table == nullptr) return {};
  const EngramConfig& e = pass.config.mneme.engram;
  EngramScratch& s = pass.scratch.engram;
  const size_t table = as_size(table_of(pass.config, index));
  const auto fetched = s.fetched.first(as_size(pass.rows * e.width()));
  if (auto rows = s.fetches[table]->wait(fetched); !rows) {
    if (!take_turns(pass)) drop_from(pass, table + 1);
    return rows;
  }
  if (take_turns(pass) && table + 1 < s.fetches.size()) begin_table(pass, table + 1);
  const kernels::Product products[] = {product(layer.engram.key, s.keys),
                                       product(layer.engram.value, s.values)};
  multiply(pass, products, fetched);
  const int ring = engram_ring(pass.config, static_cast<int>(table));
  for_rows(pass, pass.rows, [&](size_t row) { gate_row(pass, layer.engram, ring, row); });
  for_rows(pass, pass.rows, [&](size_t row) { add_row(pass, layer.engram, ring, row); });
  return {};
}

}  // namespace mneme::model
