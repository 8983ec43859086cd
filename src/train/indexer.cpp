#include "train/indexer.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/rng.h"
#include "train/functional.h"
#include "train/network.h"

namespace mneme::train {

namespace {

constexpr int64_t kFirstPosition = 64;  // before it, choosing decides little
constexpr int64_t kTile = 64;           // queries whose I exists at a time
constexpr double kMassShare = 0.1;      // of the visible tokens, in IndexerProbe::mass
constexpr double kMinus = -std::numeric_limits<double>::infinity();

Tensor exact(const Tensor& x) {
  return x.scalar_type() == torch::kBFloat16 || x.scalar_type() == torch::kHalf ? x.to(torch::kFloat32) : x;
}

Tensor project(const Tensor& x, const Tensor& w) { return exact(torch::mm(x, w.to(x.scalar_type()).t())); }

// own: [B, Q, T], about each text's own tokens -> [B, Q, S], false for those of other texts.
Tensor over_texts(const Tensor& own, bool cross_rows) {
  if (!cross_rows) return own;
  const int64_t batch = own.size(0), count = own.size(1), tokens = own.size(2);
  Tensor all = torch::zeros({batch, count, batch, tokens}, own.options());
  for (int64_t b = 0; b < batch; ++b) all.select(0, b).select(1, b).copy_(own.select(0, b));
  return all.view({batch, count, batch * tokens});
}

// How far behind the query each token of its text lies: [B, Q, T].
Tensor distances(const Tensor& positions, int64_t tokens) {
  return positions.unsqueeze(2) - torch::arange(tokens, positions.options());
}

// x: [B, ..., T, d] with tokens in dimension `at` -> what every text's queries see, [B, ..., S, d].
Tensor seen_from_texts(const Tensor& x, int64_t at, bool cross_rows) {
  if (!cross_rows) return x;
  std::vector<int64_t> shape = x.sizes().vec();
  const Tensor row = x.movedim(0, at - 1).flatten(at - 1, at).unsqueeze(0);
  shape[static_cast<size_t>(at)] *= shape[0];
  return row.expand(shape);
}

// I: query [B, Q, J, d_I], key [B, S, d_I], head [B, Q, J] -> [B, Q, S].
Tensor index_scores(const Tensor& query, const Tensor& key, const Tensor& head) {
  const Tensor dots = torch::matmul(query.flatten(1, 2), key.transpose(1, 2));
  const Tensor relu = torch::relu(dots).view({query.size(0), query.size(1), query.size(2), key.size(1)});
  return torch::matmul(head.unsqueeze(2), relu).squeeze(2);
}

// indexer_loss() lets a query see a stretch of keys; which of them are hidden it learns from one more head:
// its key is the key's column of `hidden`, its query picks the query's row of it, so that its product is 1
// where hidden, 0 elsewhere, and its weight puts e^-1e9 = 0 there. Keys after the last one, hidden from all,
// let the first query see as far as the last. query: [Q, J, d_I], key: [S, d_I], head: [Q, J], hidden: [Q,
// S].
IndexerScores with_hidden(const Tensor& query, const Tensor& key, const Tensor& head, const Tensor& hidden) {
  const int64_t count = query.size(0), keys = key.size(0);
  const auto options = query.options().requires_grad(false);
  const Tensor picks = torch::eye(count, options).unsqueeze(1);
  const auto pad = [&](const Tensor& x, std::vector<int64_t> widths) {
    return torch::constant_pad_nd(x, widths);
  };
  const Tensor queries = torch::cat({pad(query, {0, count}), pad(picks, {query.size(2), 0})}, 1);
  const Tensor columns = torch::cat({hidden.t().to(options), torch::ones({count - 1, count}, options)}, 0);
  const Tensor key_rows = torch::cat({pad(key, {0, 0, 0, count - 1}), columns}, 1);
  return {queries, key_rows, torch::cat({head, torch::full({count, 1}, -1e9, options)}, 1), keys - 1};
}

// Share of p [B, Q, S] on the top tenth of each query's visible tokens by I. Mean over queries.
double mass_caught(const Tensor& shares, const Tensor& scores, const Tensor& hidden) {
  const Tensor order = scores.masked_fill(hidden, kMinus).argsort(-1, true);
  const Tensor taken = (hidden.logical_not().sum(-1, true) * kMassShare).ceil();
  const Tensor ranks = torch::arange(shares.size(2), taken.options());
  return (shares.gather(2, order) * (ranks < taken)).sum(-1).mean().item<double>();
}

}  // namespace

Indexer::Indexer(const ModelOptions& options)
    : heads_(options.indexer.heads),
      dim_(options.indexer.head_dim),
      channels_(options.dim),
      window_(options.window),
      epsilon_(options.norm_epsilon) {}

std::vector<Parameter> Indexer::make_parameters(const std::string& prefix, uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const double gain = 1 / std::sqrt(static_cast<double>(channels_));
  std::vector<Parameter> made;
  const auto add = [&](const char* name, int64_t rows, ParameterKind kind) {
    const Tensor value = torch::randn({rows, channels_}, generator) * gain;
    made.push_back({prefix + name, value.set_requires_grad(true), kind});
    return made.back().value;
  };
  query_ = add("query.weight", heads_ * dim_, ParameterKind::kMatrix);
  key_ = add("key.weight", dim_, ParameterKind::kMatrix);
  key_shift_ = add("key_shift.weight", dim_, ParameterKind::kMatrix);
  head_ = add("head.weight", heads_, ParameterKind::kVector);  // J rows: too few for Muon
  return made;
}

Tensor Indexer::keys(const Tensor& y, int64_t batch, bool fused) const {
  const int64_t tokens = y.size(0) / batch;
  const Tensor before = project(y, key_shift_).view({batch, tokens, dim_}).narrow(1, 0, tokens - 1);
  const Tensor key = project(y, key_) + torch::constant_pad_nd(before, {0, 0, 1, 0}).view({-1, dim_});
  return unit_heads(key, Tensor(), Tensor(), {batch, tokens, 1, 1, epsilon_}, fused)
      .view({batch, tokens, dim_});
}

Tensor Indexer::queries(const Tensor& y, bool fused) const {
  const HeadLayout layout{1, y.size(0), 1, heads_, epsilon_};
  return unit_heads(project(y, query_), Tensor(), Tensor(), layout, fused).view({-1, heads_, dim_});
}

Tensor Indexer::head_weights(const Tensor& y) const { return project(y, head_); }

Tensor Indexer::hidden_keys(const AttentionInputs& in, int64_t top_k, bool fused) const {
  torch::NoGradGuard no_grad;
  const int64_t batch = in.key.size(0), tokens = in.key.size(2);
  const int64_t seen = in.cross_rows ? batch * tokens : tokens;
  if (top_k + window_ >= seen) return {};
  const Tensor key = seen_from_texts(keys(in.y, batch, fused), 1, in.cross_rows);
  const Tensor query = queries(in.y, fused).view({batch, tokens, heads_, dim_});
  const Tensor head = head_weights(in.y).view({batch, tokens, heads_});
  const Tensor all = torch::arange(tokens, torch::TensorOptions().dtype(torch::kInt64).device(in.y.device()))
                         .expand({batch, tokens});
  Tensor hidden = torch::empty({batch, tokens, seen}, all.options().dtype(torch::kBool));
  for (int64_t from = 0; from < tokens; from += kTile) {
    const auto tile = [&](const Tensor& x) { return x.narrow(1, from, std::min(kTile, tokens - from)); };
    const Tensor back = distances(tile(all), tokens);
    const Tensor later = over_texts(back < 0, in.cross_rows);
    const Tensor recent = over_texts((back >= 0).logical_and(back < window_), in.cross_rows);
    const Tensor scores =
        index_scores(tile(query), key, tile(head)).masked_fill(later.logical_or(recent), kMinus);
    const Tensor best = std::get<1>(scores.topk(top_k, -1, true, false));
    tile(hidden).copy_(recent.scatter(2, best, true).logical_not().logical_or(later));
  }
  return hidden;
}

void Indexer::note(const AttentionInputs& in, const Tensor& hidden, bool fused, IndexerProbe& probe) const {
  const int64_t batch = in.key.size(0), tokens = in.key.size(2);
  const Tensor positions = sampled_positions(batch, tokens, probe).to(in.y.device());
  const int64_t count = positions.size(1);
  const Tensor later = over_texts(distances(positions, tokens) < 0, in.cross_rows);

  const Tensor y = in.y.detach();
  const Tensor texts = torch::arange(batch, positions.options()).unsqueeze(1) * tokens;
  const Tensor sampled = y.index_select(0, (positions + texts).flatten());
  const Tensor key = seen_from_texts(keys(y, batch, fused), 1, in.cross_rows);
  const Tensor query = queries(sampled, fused).view({batch, count, heads_, dim_});
  const Tensor head = head_weights(sampled).view({batch, count, heads_});
  ++probe.layers;
  if (probe.with_mass) {
    torch::NoGradGuard no_grad;
    probe.mass += mass_caught(attention_shares(in, positions, later), index_scores(query, key, head), later);
  }
  if (!probe.with_loss) return;
  const Tensor unseen = hidden.defined()
                            ? hidden.gather(1, positions.unsqueeze(2).expand({-1, -1, hidden.size(2)}))
                            : later;
  const Tensor shares = torch::constant_pad_nd(attention_shares(in, positions, unseen), {0, count - 1});
  Tensor loss;
  for (int64_t b = 0; b < batch; ++b) {
    const Tensor one = indexer_loss(with_hidden(query[b], key[b], head[b], unseen[b]), shares[b], fused);
    loss = loss.defined() ? loss + one : one;
  }
  loss = loss / static_cast<double>(batch);
  probe.loss = probe.loss.defined() ? probe.loss + loss : loss;
}

Tensor sampled_positions(int64_t batch, int64_t tokens, const IndexerProbe& probe) {
  const int64_t first = std::min(kFirstPosition, tokens / 2);
  const int64_t count = std::min<int64_t>(std::max(probe.queries, 1), tokens - first);
  Tensor positions = torch::empty({batch, count}, torch::kInt64);
  core::Rng rng(probe.seed);
  std::vector<int64_t> pool(static_cast<size_t>(tokens - first));
  std::iota(pool.begin(), pool.end(), first);
  for (int64_t b = 0; b < batch; ++b) {
    for (size_t i = 0; i < static_cast<size_t>(count); ++i)
      std::swap(pool[i], pool[i + rng.next_below(static_cast<uint32_t>(pool.size() - i))]);
    int64_t* row = positions.data_ptr<int64_t>() + b * count;
    std::copy_n(pool.begin(), count, row);
    std::sort(row, row + count);
  }
  return positions;
}

Tensor attention_shares(const AttentionInputs& in, const Tensor& positions, const Tensor& hidden) {
  torch::NoGradGuard no_grad;
  const int64_t batch = in.query.size(0), kv = in.query.size(1), group = in.query.size(3);
  const int64_t d = in.query.size(4), count = positions.size(1), seen = hidden.size(2);
  const Tensor at = positions.view({batch, 1, count, 1, 1}).expand({batch, kv, count, group, d});
  const Tensor query = exact(in.query.gather(2, at)).view({batch, kv, count * group, d});
  const Tensor key = seen_from_texts(exact(in.key), 2, in.cross_rows);
  const Tensor scores = torch::matmul(query, key.transpose(2, 3)).view({batch, kv, count, group, seen});
  scores.masked_fill_(hidden.view({batch, 1, count, 1, seen}), kMinus);
  const Tensor top = scores.amax(-1, true);
  const Tensor powers = scores.sub_(top).exp_();
  Tensor total = powers.sum(-1, true);
  if (in.sinks.defined())
    total = total + torch::exp(in.sinks.to(total.options()).view({1, kv, 1, group, 1}) - top);
  const Tensor weights = powers.div_(total).sum(torch::IntArrayRef({1, 3}));
  return weights / weights.sum(-1, true).clamp_min(1e-30);  // sinks may leave next to nothing
}

Tensor sparse_attention(const AttentionInputs& in, const Tensor& value, const Tensor& hidden) {
  const int64_t batch = in.query.size(0), kv = in.query.size(1), tokens = in.query.size(2);
  const int64_t group = in.query.size(3), d = in.query.size(4), seen = hidden.size(2);
  const Tensor key = seen_from_texts(in.key, 2, in.cross_rows);
  Tensor scores = torch::matmul(in.query.reshape({batch, kv, tokens * group, d}), key.transpose(2, 3));
  scores = exact(scores)
               .view({batch, kv, tokens, group, seen})
               .masked_fill(hidden.view({batch, 1, tokens, 1, seen}), kMinus);
  if (in.sinks.defined()) {
    const Tensor sink = in.sinks.to(scores.scalar_type()).view({1, kv, 1, group, 1});
    scores = torch::cat({scores, sink.expand({batch, kv, tokens, group, 1})}, -1);
  }
  const Tensor weights = torch::softmax(scores, -1).narrow(-1, 0, seen).to(value.scalar_type());
  return torch::matmul(weights.reshape({batch, kv, tokens * group, seen}),
                       seen_from_texts(value, 2, in.cross_rows))
      .view({batch, kv, tokens, group, d})
      .permute({0, 2, 1, 3, 4})
      .reshape({batch * tokens, kv * group * d});
}

bool is_of_indexer(const Parameter& parameter) {
  return parameter.name.find(".indexer.") != std::string::npos;
}

void learn_only_indexers(std::vector<Parameter>& parameters, bool only) {
  for (Parameter& p : parameters) p.value.set_requires_grad(!only || is_of_indexer(p));
}

}  // namespace mneme::train
