// A context in memory with sealed forms, whose keys have heads that look things up: for tests of sparse
// attention.
#pragma once

#include <vector>

#include "attention/dense.h"
#include "core/error.h"
#include "core/rng.h"
#include "kernels/select.h"
#include "kv/kv.h"

namespace mneme::attention {

struct TestContext {
  kv::KvShape shape;
  int heads, tokens;
  kv::BlockPool pool;
  kv::Sequence sequence;
  std::vector<float> queries;  // of the last 4 tokens, [4, heads, head_dim]

  // Keys are noise around a shared centre; queries are `sharpness` times the key of some token of their own.
  TestContext(const kv::KvShape& s, int query_heads, int count, float sharpness, uint64_t seed)
      : shape(s),
        heads(query_heads),
        tokens(count),
        pool(*kv::BlockPool::create(s, uint64_t{512} << 20, kv::BlockPool::Forms::kBlocksAndSealed)),
        sequence(pool) {
    core::Rng rng(seed);
    const auto normal = [&] {
      float sum = -6;
      for (int i = 0; i < 12; ++i) sum += rng.next_unit();
      return sum;
    };
    const auto dim = static_cast<size_t>(s.head_dim), kv_heads = static_cast<size_t>(s.kv_heads);
    const size_t width = kv_heads * dim;
    std::vector<float> keys(static_cast<size_t>(count) * width), values(keys.size());
    std::vector<float> centre(width);
    for (float& x : centre) x = 2 * normal();
    for (size_t i = 0; i < keys.size(); ++i) keys[i] = centre[i % width] + normal();
    for (size_t i = 0; i < values.size(); ++i) values[i] = normal() + 0.3f * centre[i % width];
    MNEME_CHECK(sequence.extend(count).has_value());
    for (int layer = 0; layer < s.layers; ++layer) {
      for (size_t head = 0; head < kv_heads; ++head)
        sequence.store(layer, static_cast<int>(head), 0, count, &keys[head * dim], &values[head * dim],
                       width);
    }
    core::ThreadPool threads(2);
    sequence.make_sealed_forms(*kernels::available_ops().back(), threads);
    for (int token = 0; token < 4; ++token) {
      for (int h = 0; h < heads; ++h) {
        const size_t kv_head = static_cast<size_t>(h / (heads / s.kv_heads));
        const size_t at = rng.next_below(static_cast<uint32_t>(count)) * width + kv_head * dim;
        for (size_t c = 0; c < dim; ++c)
          queries.push_back(sharpness * (keys[at + c] - centre[kv_head * dim + c]) + 0.3f * normal());
      }
    }
  }

  DenseJob job(int count, std::vector<float>& out) {
    out.assign(static_cast<size_t>(count * heads * shape.head_dim), 0.0f);
    return {&sequence, tokens - count, count, queries.data(), out.data()};
  }
  std::vector<float> dense(const kernels::Ops& ops, int count, const float* sinks = nullptr) {
    std::vector<float> out;
    DenseJob what = job(count, out);
    what.sinks = sinks;
    core::ThreadPool threads(1);
    DenseAttention attention(shape, heads, 1);
    MNEME_CHECK(attention.run(ops, threads, 0, {&what, 1}).has_value());
    return out;
  }
};

// |a - b|^2 of the last of `count` tokens.
inline double difference2(const std::vector<float>& a, const std::vector<float>& b, int count) {
  double squares = 0;
  const size_t width = a.size() / static_cast<size_t>(count);
  for (size_t i = a.size() - width; i < a.size(); ++i) {
    const double d = double{a[i]} - double{b[i]};
    squares += d * d;
  }
  return squares;
}

}  // namespace mneme::attention
