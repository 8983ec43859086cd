#include "train/indexer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "model/gguf.h"
#include "train/export.h"
#include "train/functional.h"
#include "train/network.h"
#include "train/optimizer.h"

namespace mneme::train {
namespace {

constexpr double kMinus = -std::numeric_limits<double>::infinity();

ModelOptions small_options(int indexer_heads) {
  ModelOptions o;
  o.vocab_size = 61;
  o.dim = 32, o.layers = 3, o.heads = 4, o.kv_heads = 2, o.head_dim = 16, o.ffn_dim = 64;
  o.window = 7, o.global_layers = {0, 2};
  o.context_length = 16;  // shorter than the rows: sharpening is at work
  o.indexer = {indexer_heads, 10, 5};
  return o;
}

// A layer's queries and keys out of nothing: B = 2 texts of `tokens`, C = 32, K = 2, G = 2, d = 8.
struct Case {
  AttentionInputs in;
  Tensor value;
  int64_t batch = 2, tokens;
  int64_t seen() const { return in.cross_rows ? batch * tokens : tokens; }
  // The place of token s of text c among the keys that text b sees; -1: not among them.
  int64_t column(int64_t b, int64_t c, int64_t s) const {
    return in.cross_rows ? c * tokens + s : b == c ? s : -1;
  }
};

Case random_case(int64_t tokens, bool cross_rows) {
  torch::manual_seed(static_cast<uint64_t>(tokens));
  const auto unit = [](const Tensor& x) { return x / x.norm(2, -1, true); };
  return {{torch::randn({2 * tokens, 32}), unit(torch::randn({2, 2, tokens, 2, 8})) * 6,
           unit(torch::randn({2, 2, tokens, 8})), torch::randn({4}), cross_rows},
          torch::randn({2, 2, tokens, 8}),
          2,
          tokens};
}

// The definitions, in double precision, as the model file's page words them.
struct Plain {
  Tensor query, key, key_shift, head;  // leaves, f64

  explicit Plain(const std::vector<Parameter>& p) {
    Tensor* const to[] = {&query, &key, &key_shift, &head};
    for (size_t i = 0; i < 4; ++i) *to[i] = p[i].value.detach().to(torch::kFloat64).set_requires_grad(true);
  }
  std::vector<Tensor> leaves() const { return {query, key, key_shift, head}; }

  static Tensor unit(const Tensor& v) {
    const double epsilon = ModelOptions().norm_epsilon;
    return v / (v.square().sum(-1, true) + static_cast<double>(v.size(-1)) * epsilon).sqrt();
  }
  // I of token t of text b over all keys: [S]
  Tensor scores(const Case& c, int64_t b, int64_t t) const {
    const Tensor y = c.in.y.to(torch::kFloat64).view({c.batch, c.tokens, -1});
    const Tensor zero = torch::zeros({1, y.size(2)}, y.options());
    std::vector<Tensor> keys;
    for (int64_t text = 0; text < c.batch; ++text) {
      if (!c.in.cross_rows && text != b) continue;
      const Tensor before = torch::cat({zero, y[text].narrow(0, 0, c.tokens - 1)});
      keys.push_back(unit(y[text].matmul(key.t()) + before.matmul(key_shift.t())));
    }
    const Tensor q = unit(query.matmul(y[b][t]).view({head.size(0), -1})), w = head.matmul(y[b][t]);
    return w.matmul(torch::relu(q.matmul(torch::cat(keys).t())));
  }
  // Attention weights over keys that are not hidden [S], summed over heads, normalised.
  static Tensor shares(const Case& c, int64_t b, int64_t t, const Tensor& hidden) {
    Tensor sum = torch::zeros({c.seen()}, torch::kFloat64);
    for (int64_t h = 0; h < 4; ++h) {
      Tensor keys = c.in.key[b][h / 2];
      if (c.in.cross_rows) keys = torch::cat({c.in.key[0][h / 2], c.in.key[1][h / 2]});
      const Tensor logits = keys.to(torch::kFloat64).mv(c.in.query[b][h / 2][t][h % 2].to(torch::kFloat64));
      const Tensor e = logits.exp().masked_fill(hidden, 0);
      sum += e / (e.sum() + c.in.sinks[h].to(torch::kFloat64).exp());
    }
    return sum / sum.sum();
  }
};

Tensor causal(const Case& c) {
  Tensor hidden = torch::ones({c.batch, c.tokens, c.seen()}, torch::kBool);
  for (int64_t b = 0; b < c.batch; ++b)
    for (int64_t t = 0; t < c.tokens; ++t)
      for (int64_t other = 0; other < c.batch; ++other)
        for (int64_t s = 0; s < c.tokens; ++s)
          if (c.column(b, other, s) >= 0 && (other != b || s <= t))
            hidden[b][t][c.column(b, other, s)] = false;
  return hidden;
}

double relative_error(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(torch::kFloat64), y = b.to(torch::kFloat64);
  return ((x - y).square().sum() / (y.square().sum() + 1e-30)).sqrt().item<double>();
}

TEST(Indexer, LearnsByTheGradientOfTheDefinition) {
  const ModelOptions options = small_options(3);
  for (const bool cross : {false, true})
    for (const bool sparse : {false, true}) {
      const Case c = random_case(33, cross);
      Indexer indexer(options);
      const std::vector<Parameter> parameters = indexer.make_parameters("", 4);
      const Plain plain(parameters);
      const Tensor hidden = sparse ? indexer.hidden_keys(c.in, 5, true) : causal(c);
      IndexerProbe probe;
      probe.queries = 9, probe.seed = 3;
      const Tensor positions = sampled_positions(c.batch, c.tokens, probe);
      Tensor want = torch::zeros({}, torch::kFloat64);
      for (int64_t b = 0; b < c.batch; ++b)
        for (int64_t i = 0; i < 9; ++i) {
          const int64_t t = positions[b][i].item<int64_t>();
          const Tensor p = Plain::shares(c, b, t, hidden[b][t]);
          const Tensor log_share = torch::log_softmax(plain.scores(c, b, t).masked_fill(hidden[b][t], kMinus),
                                                      0);
          want = want + (torch::xlogy(p, p) - p * log_share.masked_fill(hidden[b][t], 0)).sum() / 18;
        }
      const auto d_want = torch::autograd::grad({want}, plain.leaves());
      for (const bool fused : {false, true}) {
        SCOPED_TRACE(testing::Message() << "cross " << cross << " sparse " << sparse << " fused " << fused);
        IndexerProbe got = probe;
        indexer.note(c.in, sparse ? hidden : Tensor(), fused, got);
        EXPECT_NEAR(got.loss.item<double>(), want.item<double>(), 1e-5 * (1 + want.item<double>()));
        std::vector<Tensor> leaves;
        for (const Parameter& p : parameters) leaves.push_back(p.value);
        const auto d_got = torch::autograd::grad({got.loss}, leaves);
        for (size_t i = 0; i < 4; ++i)  // f32 sums of some hundred terms
          EXPECT_LT(relative_error(d_got[i], d_want[i]), 1e-4) << parameters[i].name;
      }
    }
}

TEST(Indexer, HidesAllButTheWindowAndTheBest) {
  const ModelOptions options = small_options(3);
  for (const bool cross : {false, true}) {
    const Case c = random_case(130, cross);  // three tiles, the last of two queries
    Indexer indexer(options);
    const Plain plain(indexer.make_parameters("", 4));
    const Tensor hidden = indexer.hidden_keys(c.in, 5, true), later = causal(c);
    for (int64_t b = 0; b < c.batch; ++b)
      for (const int64_t t : {0, 6, 7, 12, 63, 64, 129}) {
        torch::NoGradGuard no_grad;
        Tensor recent = torch::zeros({c.seen()}, torch::kBool);
        for (int64_t s = std::max<int64_t>(0, t - 6); s <= t; ++s) recent[c.column(b, b, s)] = true;
        const Tensor scores = plain.scores(c, b, t).masked_fill(later[b][t].logical_or(recent), kMinus);
        // By their scores: where every relu is zero, tokens are as good as one another.
        const Tensor shown = hidden[b][t].logical_not();
        EXPECT_FALSE(shown.logical_and(later[b][t]).any().item<bool>());
        EXPECT_TRUE(shown.logical_or(recent.logical_not()).all().item<bool>());
        const Tensor best = std::get<0>(scores.masked_select(scores > kMinus).sort(-1, true)).slice(0, 0, 5);
        const Tensor chosen = std::get<0>(
            scores.masked_select(shown.logical_and(recent.logical_not())).sort(-1, true));
        ASSERT_EQ(chosen.numel(), best.numel()) << "text " << b << " token " << t;
        EXPECT_TRUE(torch::allclose(chosen, best, 0, 1e-5)) << "text " << b << " token " << t;
      }
    EXPECT_FALSE(indexer.hidden_keys(c.in, c.seen() - 7, true).defined());
    EXPECT_TRUE(indexer.hidden_keys(c.in, c.seen() - 8, true).defined());
  }
}

TEST(Indexer, SparseAttentionOverEverythingIsDense) {
  for (const bool cross : {false, true}) {
    std::vector<Tensor> results[2];
    const Tensor seed = torch::randn({2 * 70, 32});
    for (const bool sparse : {false, true}) {
      Case c = random_case(70, cross);
      const std::vector<Tensor> leaves = {c.in.query, c.in.key, c.value, c.in.sinks};
      for (const Tensor& leaf : leaves) leaf.set_requires_grad(true);
      const Tensor out = sparse
                             ? sparse_attention(c.in, c.value, causal(c))
                             : banded_attention(c.in.query, c.in.key, c.value, c.in.sinks, {0, cross}, true);
      out.backward(seed);
      results[sparse].push_back(out.detach());
      for (const Tensor& leaf : leaves) results[sparse].push_back(leaf.grad());
    }
    for (size_t i = 0; i < results[0].size(); ++i)
      EXPECT_LT(relative_error(results[1][i], results[0][i]), 2e-5) << "result " << i;
  }
}

TEST(Indexer, PositionsAreDistinctAndPastTheFirst) {
  IndexerProbe probe;
  probe.queries = 32;
  const Tensor positions = sampled_positions(3, 100, probe);
  ASSERT_EQ(positions.sizes(), torch::IntArrayRef({3, 32}));
  EXPECT_GE(positions.min().item<int64_t>(), 50);  // of 100 tokens the second half, of long texts past 64
  EXPECT_LT(positions.max().item<int64_t>(), 100);
  EXPECT_TRUE((positions.diff() > 0).all().item<bool>());
  EXPECT_TRUE(torch::equal(positions, sampled_positions(3, 100, probe)));
  EXPECT_FALSE(torch::equal(positions[0], positions[1]));
  EXPECT_GE(sampled_positions(3, 1000, probe).min().item<int64_t>(), 64);
  EXPECT_EQ(sampled_positions(1, 1, probe).item<int64_t>(), 0);
  EXPECT_EQ(sampled_positions(2, 70, probe).size(1), 32);
  EXPECT_EQ(sampled_positions(2, 20, probe).size(1), 10);
}

struct Example {
  Tensor tokens, targets, weights;
};
Example example(uint64_t seed, int64_t tokens) {
  torch::manual_seed(seed);
  return {torch::randint(0, 61, {2, tokens}, torch::kInt64),
          torch::randint(0, 61, {2, tokens}, torch::kInt64), torch::ones({2, tokens})};
}

// Away from the start, where output matrices are zero and most gradients with them.
void disturb(Network& network) {
  torch::NoGradGuard no_grad;
  for (Parameter& p : network.parameters()) {
    torch::manual_seed(std::hash<std::string>()(p.name));
    if (!is_of_indexer(p)) p.value.add_(torch::randn_like(p.value) * 0.05);
  }
}

Tensor loss_of(const Network& network, const Example& e, const ForwardOptions& forward) {
  return network.loss_sum(e.tokens, e.targets, e.weights, forward);
}

TEST(IndexerInNetwork, LeavesTheNetworkAsItIs) {
  Network without(small_options(0), 3), with(small_options(2), 3);
  EXPECT_FALSE(without.has_indexer());
  ASSERT_EQ(with.parameters().size(), without.parameters().size() + 8);
  size_t i = 0;
  for (const Parameter& p : with.parameters()) {
    if (is_of_indexer(p)) continue;
    EXPECT_EQ(p.name, without.parameters()[i].name);
    EXPECT_TRUE(torch::equal(p.value, without.parameters()[i].value)) << p.name;
    ++i;
  }
  disturb(without), disturb(with);
  const Example e = example(8, 90);
  IndexerProbe probe;
  ForwardOptions plain, probed;
  probed.indexer = &probe;
  const Tensor a = loss_of(without, e, plain), b = loss_of(with, e, plain), c = loss_of(with, e, probed);
  EXPECT_EQ(a.item<float>(), b.item<float>());
  EXPECT_EQ(a.item<float>(), c.item<float>());
  EXPECT_EQ(probe.layers, 2);

  // The indexers' loss moves their parameters only, and the main loss the others as if there were none.
  probe.loss.backward({}, true);
  for (const Parameter& p : with.parameters()) {
    const bool moves = p.value.grad().defined() && p.value.grad().abs().max().item<float>() > 0;
    EXPECT_EQ(moves, is_of_indexer(p)) << p.name;
    p.value.mutable_grad() = Tensor();
  }
  a.backward();
  (c + probe.loss).backward();
  i = 0;
  for (const Parameter& p : with.parameters()) {
    if (is_of_indexer(p)) continue;
    EXPECT_TRUE(torch::equal(p.value.grad(), without.parameters()[i].value.grad())) << p.name;
    ++i;
  }
}

TEST(IndexerInNetwork, LearnsAloneWhenToldSo) {
  Network network(small_options(2), 3);
  disturb(network);
  Optimizer optimizer(network.parameters(), {});
  std::vector<Tensor> before;
  for (const Parameter& p : network.parameters()) before.push_back(p.value.detach().clone());
  const Example e = example(8, 90);
  const auto step = [&](bool only) {
    learn_only_indexers(network.parameters(), only);
    IndexerProbe probe;
    ForwardOptions forward;
    forward.indexer = &probe;
    const Tensor loss = loss_of(network, e, forward);
    (loss / 180 + 0.01 * probe.loss).backward();
    optimizer.step(1);
  };
  step(true), step(true);
  for (size_t i = 0; i < before.size(); ++i) {
    const Parameter& p = network.parameters()[i];
    EXPECT_EQ(torch::equal(p.value, before[i]), !is_of_indexer(p)) << p.name;
  }
  step(false);
  EXPECT_FALSE(torch::equal(network.parameters()[0].value, before[0]));
}

TEST(IndexerInNetwork, SparseTurnsDenseWhereItChoosesAll) {
  Network network(small_options(2), 3);
  disturb(network);
  const Example e = example(8, 90);
  const auto logits = [&](int top_k, bool cross) {
    torch::NoGradGuard no_grad;
    ForwardOptions forward;
    forward.sparse_top_k = top_k, forward.cross_rows = cross;
    return network.logits(e.tokens, forward);
  };
  for (const bool cross : {false, true}) {
    const int64_t seen = cross ? 180 : 90;
    EXPECT_TRUE(torch::equal(logits(static_cast<int>(seen), cross), logits(0, cross)));
    EXPECT_GT(relative_error(logits(3, cross), logits(0, cross)), 1e-3);
    const Tensor few = logits(3, cross).view({2, 90, 61}), all = logits(0, cross).view({2, 90, 61});
    if (!cross) {  // 7 + 3 tokens are all that the first ten queries have
      EXPECT_LT(relative_error(few.narrow(1, 0, 10), all.narrow(1, 0, 10)), 1e-5);
    }
  }
  // Trained through: everything has a gradient.
  IndexerProbe probe;
  ForwardOptions forward;
  forward.sparse_top_k = 3, forward.indexer = &probe;
  const Tensor loss = loss_of(network, e, forward);
  (loss + probe.loss).backward();
  for (const Parameter& p : network.parameters()) {
    ASSERT_TRUE(p.value.grad().defined()) << p.name;
    EXPECT_TRUE(p.value.grad().isfinite().all().item<bool>()) << p.name;
  }
}

// Queries that look for the earlier places of their own token: dense attention lies on about 1/61 of the
// text.
TEST(IndexerInNetwork, FindsWhatAttentionFinds) {
  ModelOptions o = small_options(4);
  o.layers = 1, o.global_layers = {0}, o.sinks = false, o.context_length = 1024;
  o.indexer.head_dim = 16;
  o.temperature_global = 20;
  Network network(o, 1);
  {
    torch::NoGradGuard no_grad;
    Tensor query, key;
    for (Parameter& p : network.parameters()) {
      if (p.name == "blk.0.attn_q.weight") query = p.value;
      if (p.name == "blk.0.attn_k.weight") key = p.value;
      if (p.name == "blk.0.attn_k_shift.weight") p.value.zero_();
    }
    for (int64_t h = 0; h < 4; ++h) query.narrow(0, h * 16, 16).copy_(key.narrow(0, h / 2 * 16, 16));
  }
  learn_only_indexers(network.parameters(), true);
  Optimizer optimizer(network.parameters(), {});
  const auto mass = [&] {
    torch::NoGradGuard no_grad;
    IndexerProbe probe{64, 99, false, true, {}};
    ForwardOptions forward;
    forward.indexer = &probe;
    network.hidden(example(1000, 256).tokens, forward);
    return probe.mass;
  };
  const double before = mass();
  double first = 0, last = 0;
  for (uint64_t step = 0; step < 60; ++step) {
    IndexerProbe probe;
    probe.seed = step;
    ForwardOptions forward;
    forward.indexer = &probe;
    network.hidden(example(step, 256).tokens, forward);
    last = probe.loss.item<double>();
    if (step == 0) first = last;
    probe.loss.backward();
    optimizer.step(1);
  }
  const double after = mass();
  RecordProperty("before", std::to_string(before));
  std::printf("mass in the top tenth %.3f -> %.3f, KL %.3f -> %.3f (seeds 1, 0..59)\n", before, after, first,
              last);
  EXPECT_LT(before, 0.35);
  EXPECT_GT(after, 0.9);
}

TEST(IndexerInNetwork, IsWrittenToTheModelFile) {
  const Network network(small_options(3), 3);
  const auto path = std::filesystem::temp_directory_path() / "mneme_indexer_test.gguf";
  ASSERT_TRUE(export_gguf(path.string(), network, nullptr, {}));
  const auto file = model::Gguf::open(path.string());
  ASSERT_TRUE(file) << file.error().message;
  std::filesystem::remove(path);
  EXPECT_EQ(file->require_uint("mneme.attention.indexer.head_count").value_or(0), 3u);
  EXPECT_EQ(file->require_uint("mneme.attention.indexer.key_length").value_or(0), 10u);
  EXPECT_EQ(file->require_uint("mneme.attention.indexer.top_k").value_or(0), 5u);
  const uint64_t query[] = {32, 30}, key[] = {32, 10}, head[] = {32, 3};
  for (const std::string prefix : {"blk.0.indexer.", "blk.2.indexer."}) {
    EXPECT_TRUE(file->require_tensor(prefix + "query.weight", query));
    EXPECT_TRUE(file->require_tensor(prefix + "key.weight", key));
    EXPECT_TRUE(file->require_tensor(prefix + "key_shift.weight", key));
    EXPECT_TRUE(file->require_tensor(prefix + "head.weight", head));
  }
  EXPECT_EQ(file->find_tensor("blk.1.indexer.query.weight"), nullptr);
}

}  // namespace
}  // namespace mneme::train
