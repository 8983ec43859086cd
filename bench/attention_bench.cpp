// attention_bench [DEPTH ...]: time of one layer's attention in a decode step, dense beside sparse, in shapes
// of real models on synthetic contexts: some heads look at everything, some at a few tokens. Least of several
// runs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "attention/attention.h"
#include "core/clock.h"
#include "core/rng.h"
#include "kernels/select.h"

namespace mneme {
namespace {

struct Shape {
  const char* name;
  int heads, kv_heads, head_dim;
};

float normal(core::Rng& rng) {
  float sum = -6;
  for (int i = 0; i < 12; ++i) sum += rng.next_unit();
  return sum;
}

struct Context {
  kv::KvShape shape;
  kv::BlockPool pool;
  kv::Sequence sequence;
  std::vector<float> queries, out;
  attention::DenseJob job;

  Context(const Shape& s, int tokens, float sharpness, const kernels::Ops& ops, core::ThreadPool& threads)
      : shape{1, s.kv_heads, s.head_dim},
        pool(*kv::BlockPool::create(shape, uint64_t{6} << 30, kv::BlockPool::Forms::kBlocksAndSealed)),
        sequence(pool) {
    core::Rng rng(3);
    const size_t width = static_cast<size_t>(s.kv_heads * s.head_dim);
    const auto dim = static_cast<size_t>(s.head_dim);
    std::vector<float> keys(width * 512), values(keys.size());
    (void)sequence.extend(tokens);
    for (int first = 0; first < tokens; first += 512) {
      const int count = std::min(512, tokens - first);
      for (float& k : keys) k = normal(rng);
      for (float& v : values) v = normal(rng);
      for (int head = 0; head < s.kv_heads; ++head) {
        const size_t at = static_cast<size_t>(head) * dim;
        sequence.store(0, head, first, count, &keys[at], &values[at], width);
      }
    }
    sequence.make_sealed_forms(ops, threads);
    // Half of the heads point at a key (of the last ones written), the others nowhere.
    const int group = s.heads / s.kv_heads;
    for (int h = 0; h < s.heads; ++h) {
      const size_t at = rng.next_below(300) * width + static_cast<size_t>(h / group) * dim;
      for (size_t c = 0; c < dim; ++c)
        queries.push_back((h / group % 2 == 0 ? sharpness * keys[at + c] : 0.0f) + 0.5f * normal(rng));
    }
    out.resize(queries.size());
    job = {&sequence, tokens - 1, 1, queries.data(), out.data()};
  }
};

template <class Body>
double least_s(Body body) {
  double least = 1e9;
  for (int i = 0; i < 25; ++i) {
    const double start = core::now_s();
    body();
    least = std::min(least, core::now_s() - start);
  }
  return least;
}

double norm(const std::vector<float>& x) {
  double squares = 0;
  for (const float v : x) squares += double{v} * double{v};
  return std::sqrt(squares);
}

void measure(const Shape& shape, int tokens, float sharpness, double target, const kernels::Ops& ops,
             core::ThreadPool& threads) {
  Context x(shape, tokens, sharpness, ops, threads);
  attention::DenseAttention dense(x.shape, shape.heads, threads.thread_count());
  attention::SparseAttention sparse(x.shape, shape.heads, threads.thread_count());
  const double dense_s = least_s([&] { (void)dense.run(ops, threads, 0, {&x.job, 1}); });
  const double size = norm(x.out);
  attention::SparseContext context({.target_error = target, .begins_dense = false}, 1, shape.kv_heads);
  attention::SparseLayer& layer = context.layer(0);
  layer.controller.observe(size, 1, 1);
  for (int i = 0; i < 200; ++i) {  // the controller settles; each step at a position of its own
    x.job.first = tokens - 1 - i;
    (void)sparse.run(ops, threads, 0, x.job, context);
    if (!layer.audit) continue;
    std::vector<float> difference = layer.audit->difference;
    layer.finish_audit(norm(difference) / size, shape.kv_heads);
  }
  x.job.first = tokens - 1;
  while (layer.controller.draw_audit(static_cast<uint64_t>(x.job.first), 0, true)) --x.job.first;
  (void)dense.run(ops, threads, 0, {&x.job, 1});
  const std::vector<float> want = x.out;
  layer.counters = {};
  const double sparse_s = least_s([&] { (void)sparse.run(ops, threads, 0, x.job, context); });
  std::vector<float> difference = x.out;
  for (size_t i = 0; i < difference.size(); ++i) difference[i] -= want[i];
  const attention::SparseCounters& c = layer.counters;
  const auto all = static_cast<double>(c.tokens_full + c.tokens_eight_bit + c.tokens_estimated);
  fmt::print("{:12} {:7} {:5.1f} {:7.3f} {:9.3f} {:9.3f} {:6.2f} {:6.1f} {:6.1f} {:6.1f} {:8.4f}\n",
             shape.name, tokens, sharpness, target, dense_s * 1e3, sparse_s * 1e3, dense_s / sparse_s,
             100.0 * static_cast<double>(c.tokens_full) / all,
             100.0 * static_cast<double>(c.tokens_eight_bit) / all,
             100.0 * static_cast<double>(c.tokens_estimated) / all, norm(difference) / size);
}

}  // namespace
}  // namespace mneme

int main(int count, char** arguments) {
  using namespace mneme;
  const auto ops = kernels::select_ops();
  if (!ops) return 1;
  std::vector<int> depths;
  for (int i = 1; i < count; ++i) depths.push_back(std::atoi(arguments[i]));
  if (depths.empty()) depths = {32768};
  fmt::print("{:12} {:>7} {:>5} {:>7} {:>9} {:>9} {:>6} {:>6} {:>6} {:>6} {:>8}\n", "shape", "depth", "sharp",
             "target", "dense ms", "sparse ms", "ratio", "bf16 %", "8bit %", "est. %", "error");
  for (const int threads : {1, 2}) {
    core::ThreadPool pool(threads);
    fmt::print("{} thread{}\n", threads, threads == 1 ? "" : "s");
    for (const int depth : depths) {
      for (const Shape& shape :
           {Shape{"default", 4, 2, 128}, Shape{"llama-1b", 32, 8, 64}, Shape{"qwen3-0.6b", 16, 8, 128}}) {
        measure(shape, depth, 0.0f, 0.02, **ops, pool);
        measure(shape, depth, 1.0f, 0.02, **ops, pool);
        measure(shape, depth, 1.0f, 0.1, **ops, pool);
      }
    }
  }
}
