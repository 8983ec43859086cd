#include "attention/dense.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/rng.h"
#include "kernels/select.h"
#include "tensor/convert.h"

namespace mneme::attention {
namespace {

struct Case {
  kv::KvShape shape;
  int heads, first, count;
  int window = 0;
  float scale = 0;
  bool sinks = false;
};

// Of head h: below, among and above the logits.
float sink_of(int h) { return 4.0f * static_cast<float>(h) - 6.0f; }

// A sequence of first + count random tokens beside plain copies of its keys and values (rounded as stored).
struct Context {
  kv::BlockPool pool;
  kv::Sequence sequence;
  std::vector<float> keys, values;  // layer 1: [token, kv_heads, head_dim]
  std::vector<float> queries;       // [count, heads, head_dim]

  explicit Context(const Case& c, uint64_t seed)
      : pool(*kv::BlockPool::create(c.shape, uint64_t{256} << 20)), sequence(pool) {
    core::Rng rng(seed);
    const int tokens = c.first + c.count;
    const size_t width = static_cast<size_t>(c.shape.kv_heads * c.shape.head_dim);
    for (auto* side : {&keys, &values}) {
      side->resize(static_cast<size_t>(tokens) * width);
      for (auto& v : *side) v = tensor::to_f32(tensor::to_bf16(3 * rng.next_unit() - 1.5f));
    }
    queries.resize(static_cast<size_t>(c.count * c.heads * c.shape.head_dim));
    for (auto& v : queries) v = 4 * rng.next_unit() - 2;
    EXPECT_TRUE(sequence.extend(tokens));
    for (int head = 0; head < c.shape.kv_heads; ++head) {
      const size_t offset = static_cast<size_t>(head * c.shape.head_dim);
      sequence.store(1, head, 0, tokens, &keys[offset], &values[offset], width);
    }
  }
};

// The definition, in double.
std::vector<float> plain_attention(const Case& c, const Context& x) {
  std::vector<float> out;
  const int dim = c.shape.head_dim, group = c.heads / c.shape.kv_heads;
  for (int i = 0; i < c.count; ++i) {
    for (int h = 0; h < c.heads; ++h) {
      const float* q = &x.queries[static_cast<size_t>((i * c.heads + h) * dim)];
      std::vector<double> weight, sum(static_cast<size_t>(dim));
      double total = 0;
      const auto row = [&](int t) { return static_cast<size_t>((t * c.shape.kv_heads + h / group) * dim); };
      const int start = c.window == 0 ? 0 : std::max(0, c.first + i + 1 - c.window);
      if (c.sinks) total = std::exp(double{sink_of(h)});
      for (int t = start; t <= c.first + i; ++t) {
        double logit = 0;
        for (int d = 0; d < dim; ++d) logit += double{q[d]} * x.keys[row(t) + static_cast<size_t>(d)];
        weight.push_back(std::exp(c.scale == 0 ? logit / std::sqrt(dim) : logit * c.scale));
        total += weight.back();
      }
      for (int t = start; t <= c.first + i; ++t) {
        for (int d = 0; d < dim; ++d)
          sum[static_cast<size_t>(d)] += weight[static_cast<size_t>(t - start)] / total *
                                         x.values[row(t) + static_cast<size_t>(d)];
      }
      out.insert(out.end(), sum.begin(), sum.end());
    }
  }
  return out;
}

class EachIsa : public testing::TestWithParam<const kernels::Ops*> {};

TEST_P(EachIsa, EqualsTheDefinition) {
  const Case cases[] = {
      {{2, 2, 32}, 4, 0, 1},
      {{2, 2, 32}, 4, 63, 1},
      {{2, 2, 32}, 4, 64, 1},
      {{2, 1, 64}, 7, 127, 2},
      {{2, 2, 64}, 2, 0, 200},
      {{2, 1, 128}, 4, 130, 70},
      {{2, 1, 32}, 3, 2047, 1},
      {{2, 1, 32}, 3, 2048, 1},
      {{2, 1, 32}, 6, 4200, 4},
      {{2, 1, 32}, 2, 4200, 5},
      {{2, 1, 24}, 2, 70, 3},
      // windows: one token, less than a block, a block, more; runs that are split; sinks once for all runs
      {{2, 2, 32}, 4, 0, 70, 1},
      {{2, 2, 32}, 4, 60, 200, 5},
      {{2, 1, 64}, 4, 100, 130, 64, 0.3f, true},
      {{2, 2, 96}, 6, 0, 250, 100, 0, true},
      {{2, 2, 32}, 4, 130, 1, 5, 0.2f, true},
      {{2, 1, 32}, 3, 6000, 1, 4200, 0, true},
      {{2, 1, 32}, 3, 6000, 4, 2049},
      {{2, 1, 32}, 6, 4200, 4, 0, 0.1f, true},
      {{2, 1, 32}, 2, 4200, 70, 300, 0, true},
      {{2, 1, 24}, 2, 70, 3, 20, 0, true},
      {{2, 1, 64}, 16, 500, 40, 129, 0, true},
  };
  for (const Case& c : cases) {
    const Context x(c, 17);
    const auto want = plain_attention(c, x);
    std::vector<float> first_out;
    for (const int threads : {1, 3}) {
      core::ThreadPool pool(threads);
      DenseAttention attention(c.shape, c.heads, threads);
      std::vector<float> out(want.size());
      std::vector<float> sinks;
      for (int h = 0; h < c.heads; ++h) sinks.push_back(sink_of(h));
      const DenseJob job{&x.sequence, c.first, c.count,  x.queries.data(),
                         out.data(),  c.scale, c.window, c.sinks ? sinks.data() : nullptr};
      ASSERT_TRUE(attention.run(*GetParam(), pool, 1, {&job, 1}));
      double difference = 0, power = 0;
      for (size_t i = 0; i < want.size(); ++i)
        difference += std::pow(double{out[i]} - want[i], 2), power += double{want[i]} * want[i];
      EXPECT_LT(difference / power, 1e-4)
          << GetParam()->name << " first " << c.first << " count " << c.count << " window " << c.window;
      if (first_out.empty()) first_out = out;
      EXPECT_EQ(out, first_out) << "the bits depend on the number of threads";
    }
  }
}

TEST_P(EachIsa, SequencesTogetherGiveTheBitsOfEachAlone) {
  const Case a{{2, 2, 64}, 8, 3000, 1}, b{{2, 2, 64}, 8, 10, 1}, c{{2, 2, 64}, 8, 100, 40};
  const Context xa(a, 1), xb(b, 2), xc(c, 3);
  core::ThreadPool pool(2);
  DenseAttention attention(a.shape, a.heads, 2);
  std::vector<float> alone[3], together[3];
  std::vector<DenseJob> jobs;
  const Case* cases[] = {&a, &b, &c};
  const Context* contexts[] = {&xa, &xb, &xc};
  for (int i = 0; i < 3; ++i) {
    alone[i].resize(contexts[i]->queries.size());
    together[i].resize(contexts[i]->queries.size());
    DenseJob job{&contexts[i]->sequence, cases[i]->first, cases[i]->count, contexts[i]->queries.data(),
                 alone[i].data()};
    ASSERT_TRUE(attention.run(*GetParam(), pool, 1, {&job, 1}));
    job.out = together[i].data();
    jobs.push_back(job);
  }
  ASSERT_TRUE(attention.run(*GetParam(), pool, 1, jobs));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(alone[i], together[i]);
}

INSTANTIATE_TEST_SUITE_P(Isa, EachIsa, testing::ValuesIn(kernels::available_ops()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace mneme::attention
