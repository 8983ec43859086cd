// The whole network: fused against plain, and gradients against finite differences.
#include "train/network.h"

#include <gtest/gtest.h>

#include "train/option_fields.h"

namespace mneme::train {
namespace {

using torch::Tensor;

ModelOptions small(Residual kind) {
  ModelOptions o;
  o.vocab_size = 61;
  o.dim = 32, o.layers = 3, o.heads = 4, o.kv_heads = 2, o.head_dim = 16, o.ffn_dim = 64;
  o.window = 7, o.global_layers = {1};
  o.look_ahead = kind == Residual::kPlain ? 0 : 3;
  o.residual = kind, o.streams = 3;
  o.value_residual = o.embedding_mix = true;
  o.tied = false;
  o.context_length = 16;  // shorter than the rows: sharpening is at work
  o.engram.layers = {1}, o.engram.rows = 101, o.engram.heads = 2;
  return o;
}

struct Example {
  Tensor tokens, targets, weights;
};

Example example(uint64_t seed) {
  torch::manual_seed(seed);
  const Tensor weights = (torch::rand({2, 37}) < 0.6).to(torch::kFloat32) * torch::rand({2, 37});
  return {torch::randint(0, 61, {2, 37}, torch::kInt64), torch::randint(0, 61, {2, 37}, torch::kInt64),
          weights};
}

// Away from the start, where output matrices are zero and most gradients with them.
void disturb(Network& network) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(12);
  for (Parameter& p : network.parameters()) p.value.add_(torch::randn_like(p.value) * 0.05);
}

class EachResidual : public testing::TestWithParam<Residual> {};

TEST_P(EachResidual, FusedIsThePlainOne) {
  Network network(small(GetParam()), 3);
  disturb(network);
  const Example e = example(5);
  for (const bool cross : {false, true}) {
    std::vector<Tensor> gradients[2];
    double losses[2];
    for (const bool fused : {false, true}) {
      ForwardOptions forward;
      forward.fused = fused, forward.cross_rows = cross;
      const Tensor loss = network.loss_sum(e.tokens, e.targets, e.weights, forward);
      loss.backward();
      losses[fused] = loss.item<double>();
      for (Parameter& p : network.parameters()) {
        gradients[fused].push_back(p.value.grad().defined() ? p.value.grad().clone() : Tensor());
        p.value.mutable_grad() = Tensor();
      }
    }
    EXPECT_NEAR(losses[1], losses[0], 1e-4 * losses[0]);
    for (size_t i = 0; i < gradients[0].size(); ++i) {
      const std::string& name = network.parameters()[i].name;
      ASSERT_EQ(gradients[0][i].defined(), gradients[1][i].defined()) << name;
      if (!gradients[0][i].defined()) continue;
      const double off = (gradients[0][i] - gradients[1][i]).norm().item<double>();
      EXPECT_LT(off, 2e-4 * gradients[0][i].norm().item<double>() + 1e-6) << name;
    }
  }
}

// One direction in the space of all parameters: the slope of the loss is the gradient's part along it.
TEST_P(EachResidual, GradientIsTheSlope) {
  Network network(small(GetParam()), 3);
  disturb(network);
  const Example e = example(6);
  ForwardOptions forward;
  const Tensor loss = network.loss_sum(e.tokens, e.targets, e.weights, forward);
  loss.backward();
  torch::manual_seed(8);
  std::vector<Tensor> direction;
  double along = 0;
  for (Parameter& p : network.parameters()) {
    direction.push_back(torch::randn_like(p.value) * p.value.abs().mean());
    if (!p.value.grad().defined()) continue;
    const Tensor grad = p.value.grad().is_sparse() ? p.value.grad().to_dense() : p.value.grad();
    along += (grad * direction.back()).sum().item<double>();
  }
  torch::NoGradGuard no_grad;
  const double step = 2e-4;
  double values[2];
  for (const int side : {0, 1}) {
    const double by = side == 0 ? -step : 2 * step;
    for (size_t i = 0; i < direction.size(); ++i) network.parameters()[i].value.add_(direction[i], by);
    values[side] = network.loss_sum(e.tokens, e.targets, e.weights, forward).item<double>();
  }
  EXPECT_NEAR((values[1] - values[0]) / (2 * step), along, 0.02 * std::abs(along) + 0.5);
}

TEST_P(EachResidual, NothingIsSeenFromTheFuture) {
  Network network(small(GetParam()), 4);
  disturb(network);
  torch::NoGradGuard no_grad;
  const Example e = example(7);
  const Tensor before = network.logits(e.tokens, {}).view({2, 37, 61});
  Tensor changed = e.tokens.clone();
  changed.narrow(1, 20, 17).fill_(1);
  const Tensor after = network.logits(changed, {}).view({2, 37, 61});
  EXPECT_LT((before - after).narrow(1, 0, 20).abs().max().item<double>(), 1e-5);
  EXPECT_GT((before - after).narrow(1, 20, 17).abs().max().item<double>(), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Kinds, EachResidual,
                         testing::Values(Residual::kPlain, Residual::kAlpha, Residual::kRezero,
                                         Residual::kLayerScale, Residual::kHc, Residual::kMhc,
                                         Residual::kMhcLite, Residual::kMhcIdentity),
                         [](const auto& info) {
                           std::string name = residual_name(info.param);
                           std::erase(name, '-');
                           return name;
                         });

TEST(Network, OptionsSurviveBeingWrittenDown) {
  ModelOptions o = small(Residual::kMhcLite), back;
  o.rope_base = 12345.678f;
  std::string error;
  ASSERT_TRUE(from_text(to_text(o), back, error)) << error;
  EXPECT_EQ(to_text(o), to_text(back));
  EXPECT_EQ(back.global_layers, o.global_layers);
  EXPECT_FALSE(from_text("dim=wide\n", back, error));
  EXPECT_FALSE(from_text("depth=3\n", back, error));
}

TEST(Network, WrongShapesAreNamed) {
  ModelOptions o = small(Residual::kPlain);
  EXPECT_EQ(check(o), "");
  o.kv_heads = 3;
  EXPECT_NE(check(o), "");
  o = small(Residual::kMhc);
  o.streams = 9;
  EXPECT_NE(check(o), "");
  o = small(Residual::kPlain);
  o.global_layers = {3};
  EXPECT_EQ(check(o), "global-layers names layer 3");
}

}  // namespace
}  // namespace mneme::train
