// Banded causal attention, fused: out = softmax(q k^T) v a tile of queries at a time.
//
// Forward, for the queries of a tile of tokens (all heads of a group together) against the keys they can see:
//   S = Q K^T, P = softmax(S), O = P V; kept: O and log-sum-exp of each row.
// Backward: P again from S and the log-sum-exp; D = rowsum(dO * O); dV += P^T dO; dS = P (dO V^T - D);
//   dQ = dS K; dK += dS^T Q.                                               (arXiv 2205.14135, algorithm 4)
#include <ATen/Parallel.h>

#include <vector>

#include "train/functional.h"
#include "train/row_kernels.h"

namespace mneme::train {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

struct Sizes {
  int64_t batch, kv, tokens, group, d, window;
  bool cross;

  // Query tokens of one tile. A narrow window wants small ones, or most of a tile's scores are hidden; long
  // rows of scores want few of them, so that they stay in cache; else large products run best.
  int64_t tile() const {
    if (cross) return 32;
    return window > 0 && window <= 128 ? 64 : 128;
  }
};

Sizes sizes_of(const Tensor& q, int64_t window, bool cross) {
  return {q.size(0), q.size(1), q.size(2), q.size(3), q.size(4), window, cross};
}

// Keys of one text that a tile of queries reads: tokens [first, last) of text `text`; `own`: causal.
struct Stretch {
  int64_t text, first, last;
  bool own;
};

struct Tile {
  int64_t text, head, token, tokens;  // query tokens [token, token + tokens)
  std::vector<Stretch> stretches;
  int64_t columns = 0;  // of all stretches
};

Tile tile_of(const Sizes& s, int64_t text, int64_t head, int64_t token) {
  Tile tile{text, head, token, std::min(s.tile(), s.tokens - token), {}, 0};
  for (int64_t other = 0; other < s.batch; ++other) {
    if (other == text) {
      const int64_t first = s.window > 0 ? std::max<int64_t>(0, token - s.window + 1) : 0;
      tile.stretches.push_back({text, first, token + tile.tokens, true});
    } else if (s.cross) {
      tile.stretches.push_back({other, 0, s.tokens, false});
    }
  }
  for (const Stretch& stretch : tile.stretches) tile.columns += stretch.last - stretch.first;
  return tile;
}

// Keys (or values) of the tile side by side: [columns, d].
Tensor gather(const Tensor& from, const Tile& tile) {
  std::vector<Tensor> parts;
  for (const Stretch& s : tile.stretches)
    parts.push_back(from.select(0, s.text).select(0, tile.head).narrow(0, s.first, s.last - s.first));
  return parts.size() == 1 ? parts[0] : torch::cat(parts, 0);
}

void scatter_add(Tensor& to, const Tensor& rows, const Tile& tile) {
  int64_t column = 0;
  for (const Stretch& s : tile.stretches) {
    to.select(0, s.text)
        .select(0, tile.head)
        .narrow(0, s.first, s.last - s.first)
        .add_(rows.narrow(0, column, s.last - s.first));
    column += s.last - s.first;
  }
}

// What each row sees of its own text, as columns [first, last) of the tile; other texts are seen whole.
struct Seen {
  int64_t own_first, own_last;  // columns of the own stretch
  int64_t first, last;          // of them, those that this row sees
};

Seen seen_by(const Sizes& s, const Tile& tile, int64_t row) {
  const int64_t t = tile.token + row / s.group;
  int64_t column = 0;
  for (const Stretch& stretch : tile.stretches) {
    const int64_t width = stretch.last - stretch.first;
    if (stretch.own) {
      const int64_t from = s.window > 0 ? std::max(stretch.first, t - s.window + 1) : 0;
      return {column, column + width, column + from - stretch.first, column + t + 1 - stretch.first};
    }
    column += width;
  }
  TORCH_CHECK(false, "a tile without its own text");
}

// With other texts beside it a row's own stretch lies among visible columns: what it does not see is put to
// minus infinity, and the row is taken whole.
void hide(float* scores, const Seen& seen) {
  for (int64_t i = seen.own_first; i < seen.first; ++i) scores[i] = -1e30f;
  for (int64_t i = seen.last; i < seen.own_last; ++i) scores[i] = -1e30f;
}

// The rows of one tile's scores, as f32.
struct Scores {
  Tensor f32;  // [rows, columns]
  int64_t columns;
  float* row(int64_t r) const { return f32.data_ptr<float>() + r * columns; }
};

Scores scores_of(const Sizes& s, const Tile& tile, const Tensor& queries, const Tensor& keys) {
  Scores scores{torch::mm(queries, keys.t()).to(torch::kFloat32), tile.columns};
  if (s.cross) {
    for (int64_t r = 0; r < queries.size(0); ++r) hide(scores.row(r), seen_by(s, tile, r));
  }
  return scores;
}

// Columns a softmax runs over.
std::pair<size_t, size_t> columns_of(const Sizes& s, const Tile& tile, int64_t row) {
  if (s.cross) return {0, static_cast<size_t>(tile.columns)};
  const Seen seen = seen_by(s, tile, row);
  return {static_cast<size_t>(seen.first), static_cast<size_t>(seen.last)};
}

Tensor tile_queries(const Sizes& s, const Tile& tile, const Tensor& q) {
  return q.select(0, tile.text).select(0, tile.head).narrow(0, tile.token, tile.tokens).reshape({-1, s.d});
}

struct BandedAttention : torch::autograd::Function<BandedAttention> {
  // -> [B, K, T, G, d]
  static Tensor forward(AutogradContext* ctx, const Tensor& q_in, const Tensor& k_in, const Tensor& v_in,
                        const Tensor& sinks, int64_t window, bool cross) {
    const Tensor q = q_in.contiguous(), k = k_in.contiguous(), v = v_in.contiguous();
    const Sizes s = sizes_of(q, window, cross);
    Tensor out = torch::empty_like(q);
    Tensor lse = torch::empty({s.batch, s.kv, s.tokens, s.group}, q.options().dtype(torch::kFloat32));
    at::parallel_for(0, s.batch * s.kv, 1, [&](int64_t begin, int64_t end) {
      torch::NoGradGuard no_grad;
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t token = 0; token < s.tokens; token += s.tile())
          forward_tile(s, tile_of(s, i / s.kv, i % s.kv, token), q, k, v, sinks, out, lse);
      }
    });
    ctx->save_for_backward({q, k, v, sinks, out, lse});
    ctx->saved_data["window"] = window;
    ctx->saved_data["cross"] = cross;
    return out;
  }

  static void forward_tile(const Sizes& s, const Tile& tile, const Tensor& q, const Tensor& k,
                           const Tensor& v, const Tensor& sinks, Tensor& out, Tensor& lse) {
    const Tensor keys = gather(k, tile), values = gather(v, tile);
    const Tensor queries = tile_queries(s, tile, q);
    const Scores scores = scores_of(s, tile, queries, keys);
    float* sums = lse.select(0, tile.text).select(0, tile.head).select(0, tile.token).data_ptr<float>();
    for (int64_t r = 0; r < queries.size(0); ++r) {
      const auto [first, last] = columns_of(s, tile, r);
      const float* sink = is_there(sinks) ? sinks.data_ptr<float>() + tile.head * s.group + r % s.group
                                          : nullptr;
      sums[r] = rows::softmax_row(scores.row(r), first, last, static_cast<size_t>(tile.columns), sink,
                                  scores.row(r));
    }
    tile_queries(s, tile, out).copy_(torch::mm(scores.f32.to(v.scalar_type()), values));
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &q = saved[0], &k = saved[1], &v = saved[2], &sinks = saved[3], &out = saved[4];
    const Sizes s = sizes_of(q, ctx->saved_data["window"].toInt(), ctx->saved_data["cross"].toBool());
    const Tensor dout = grads[0].contiguous();
    const Tensor delta =
        (dout.to(torch::kFloat32) * out.to(torch::kFloat32)).sum(-1).contiguous();  // [B,K,T,G]
    const auto f32 = k.options().dtype(torch::kFloat32);
    Tensor dq = torch::empty_like(q), dk = torch::zeros(k.sizes(), f32), dv = torch::zeros(v.sizes(), f32);
    // Across texts the keys of one head get sums from everywhere: then a task is a head.
    const int64_t tasks = s.cross ? s.kv : s.batch * s.kv;
    at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
      torch::NoGradGuard no_grad;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t text_first = s.cross ? 0 : i / s.kv, text_last = s.cross ? s.batch : text_first + 1;
        for (int64_t text = text_first; text < text_last; ++text) {
          for (int64_t token = 0; token < s.tokens; token += s.tile())
            backward_tile(s, tile_of(s, text, i % s.kv, token), saved, dout, delta, dq, dk, dv);
        }
      }
    });
    Tensor dsinks;
    if (is_there(sinks)) {
      const Tensor p = torch::exp(sinks.view({1, s.kv, 1, s.group}) - saved[5]);
      dsinks = -(p * delta).sum(torch::IntArrayRef({0, 2})).view({s.kv * s.group});
    }
    return {dq, dk.to(k.scalar_type()), dv.to(v.scalar_type()), dsinks, Tensor(), Tensor()};
  }

  static void backward_tile(const Sizes& s, const Tile& tile, const variable_list& saved, const Tensor& dout,
                            const Tensor& delta, Tensor& dq, Tensor& dk, Tensor& dv) {
    const Tensor keys = gather(saved[1], tile), values = gather(saved[2], tile);
    const Tensor queries = tile_queries(s, tile, saved[0]), grad = tile_queries(s, tile, dout);
    const auto type = keys.scalar_type();
    const Scores scores = scores_of(s, tile, queries, keys);
    const auto at_tile = [&](const Tensor& x) {
      return x.select(0, tile.text).select(0, tile.head).select(0, tile.token).data_ptr<float>();
    };
    const float *lse = at_tile(saved[5]), *deltas = at_tile(delta);
    const auto width = static_cast<size_t>(tile.columns);
    for (int64_t r = 0; r < queries.size(0); ++r) {
      const auto [first, last] = columns_of(s, tile, r);
      rows::softmax_again(scores.row(r), first, last, width, lse[r], scores.row(r));
    }
    scatter_add(dv, torch::mm(scores.f32.to(type).t(), grad), tile);
    const Scores dp{torch::mm(grad, values.t()).to(torch::kFloat32), tile.columns};
    for (int64_t r = 0; r < queries.size(0); ++r)
      rows::softmax_backward(scores.row(r), dp.row(r), deltas[r], dp.row(r), width);
    const Tensor ds = dp.f32.to(type);
    tile_queries(s, tile, dq).copy_(torch::mm(ds, keys));
    scatter_add(dk, torch::mm(ds.t(), queries), tile);
  }
};

}  // namespace

Tensor banded_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& sinks,
                        const AttentionSpan& span, bool fused) {
  if (!fused || !is_fusable(q)) return reference::banded_attention(q, k, v, sinks, span);
  const Tensor out = BandedAttention::apply(q, k, v, or_empty(sinks), span.window, span.cross_rows);
  return out.permute({0, 2, 1, 3, 4}).reshape({q.size(0) * q.size(2), -1});
}

}  // namespace mneme::train
