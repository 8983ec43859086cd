// A long context in memory with sealed forms, and a pass of query tokens at its end: for tests of sparse
// prefill.
#pragma once

#include <cmath>
#include <vector>

#include "attention/dense.h"
#include "core/error.h"
#include "core/rng.h"
#include "kernels/select.h"
#include "kv/kv.h"
#include "tensor/convert.h"

namespace mneme::attention {

struct PrefillContext {
  kv::KvShape shape;
  int heads, tokens, count;  // the pass: the last `count` of the tokens
  kv::BlockPool pool;
  kv::Sequence sequence;
  std::vector<float> keys, values;  // [tokens, kv_heads, head_dim], as stored: rounded to bf16
  std::vector<float> queries;       // [count, heads, head_dim]

  // Keys are noise around a shared centre; the queries of a token are `sharpness` times the key of some
  // token, of which `alike` tokens look for the same one.
  PrefillContext(const kv::KvShape& s, int query_heads, int first, int pass, float sharpness, uint64_t seed,
                 int alike = 1)
      : shape(s),
        heads(query_heads),
        tokens(first + pass),
        count(pass),
        pool(*kv::BlockPool::create(s, uint64_t{512} << 20, kv::BlockPool::Forms::kBlocksAndSealed)),
        sequence(pool) {
    core::Rng rng(seed);
    const auto normal = [&] {
      float sum = -3;
      for (int i = 0; i < 6; ++i) sum += rng.next_unit();
      return sum * 1.4f;
    };
    const auto dim = static_cast<size_t>(s.head_dim);
    const size_t width = static_cast<size_t>(s.kv_heads) * dim;
    std::vector<float> centre(width);
    for (float& x : centre) x = 2 * normal();
    keys.resize(static_cast<size_t>(tokens) * width), values.resize(keys.size());
    const auto round = [](float x) { return tensor::to_f32(tensor::to_bf16(x)); };
    for (size_t i = 0; i < keys.size(); ++i) keys[i] = round(centre[i % width] + normal());
    for (size_t i = 0; i < values.size(); ++i) values[i] = round(normal() + 0.3f * centre[i % width]);
    std::vector<uint32_t> wanted(static_cast<size_t>(heads));
    for (int token = 0; token < count; ++token) {
      for (int h = 0; h < heads; ++h) {
        const size_t kv_head = static_cast<size_t>(h / (heads / s.kv_heads));
        uint32_t& of_head = wanted[static_cast<size_t>(h)];
        if (token % alike == 0) of_head = rng.next_below(static_cast<uint32_t>(first));
        const size_t at = of_head * width + kv_head * dim;
        for (size_t c = 0; c < dim; ++c)
          queries.push_back(sharpness * (keys[at + c] - centre[kv_head * dim + c]) + 0.3f * normal());
      }
    }
    store();
  }

  // After a change of keys or values: puts them in place, sealed.
  void store() {
    const auto dim = static_cast<size_t>(shape.head_dim);
    const size_t width = static_cast<size_t>(shape.kv_heads) * dim;
    sequence.truncate(0);
    MNEME_CHECK(sequence.extend(tokens).has_value());
    for (int head = 0; head < shape.kv_heads; ++head) {
      const size_t at = static_cast<size_t>(head) * dim;
      sequence.store(0, head, 0, tokens, &keys[at], &values[at], width);
    }
    core::ThreadPool threads(2);
    sequence.make_sealed_forms(*kernels::available_ops().back(), threads);
  }

  DenseJob job(std::vector<float>& out) {
    out.assign(queries.size(), 0.0f);
    return {&sequence, tokens - count, count, queries.data(), out.data()};
  }
  std::vector<float> dense(const kernels::Ops& ops, const float* sinks = nullptr) {
    std::vector<float> out;
    DenseJob what = job(out);
    what.sinks = sinks;
    core::ThreadPool threads(2);
    DenseAttention attention(shape, heads, 2);
    MNEME_CHECK(attention.run(ops, threads, 0, {&what, 1}).has_value());
    return out;
  }
  // softmax(q k / sqrt(head_dim)) v of one token and query head of the pass, in double.
  std::vector<double> exact(int token, int head, double sink) const {
    const auto dim = static_cast<size_t>(shape.head_dim), h = static_cast<size_t>(head);
    const size_t width = static_cast<size_t>(shape.kv_heads) * dim;
    const size_t at = static_cast<size_t>(head / (heads / shape.kv_heads)) * dim;
    const float* q = &queries[(static_cast<size_t>(token) * static_cast<size_t>(heads) + h) * dim];
    const size_t visible = static_cast<size_t>(tokens - count + token) + 1;
    std::vector<double> logits(visible, 0.0), out(dim, 0.0);
    double top = sink;
    for (size_t t = 0; t < visible; ++t) {
      for (size_t c = 0; c < dim; ++c) logits[t] += double{q[c]} * double{keys[t * width + at + c]};
      logits[t] /= std::sqrt(static_cast<double>(dim));
      top = std::max(top, logits[t]);
    }
    double sum = std::exp(sink - top);
    for (size_t t = 0; t < visible; ++t) {
      const double weight = std::exp(logits[t] - top);
      sum += weight;
      for (size_t c = 0; c < dim; ++c) out[c] += weight * double{values[t * width + at + c]};
    }
    for (double& x : out) x /= sum;
    return out;
  }
};

// |a - b|^2 of one of `count` tokens.
inline double token_difference2(const std::vector<float>& a, const std::vector<float>& b, int token,
                                int count) {
  const size_t width = a.size() / static_cast<size_t>(count), at = static_cast<size_t>(token) * width;
  double squares = 0;
  for (size_t i = at; i < at + width; ++i) squares += std::pow(double{a[i]} - double{b[i]}, 2);
  return squares;
}

}  // namespace mneme::attention
