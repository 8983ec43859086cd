#include "model/mneme_reference_for_test.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tensor/convert.h"

namespace mneme::model {

namespace {

using Vector = std::vector<double>;
using Rows = std::vector<Vector>;  // [token][channel]

constexpr double kEps = 1e-5f;  // as random_mneme_model writes it

double rounded(double x) { return tensor::to_f32(tensor::to_bf16(static_cast<float>(x))); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double silu(double x) { return x * sigmoid(x); }

double dot(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

class Reference {
 public:
  Reference(const MnemeModelForTest& model, std::span<const int32_t> tokens)
      : m_(model), o_(model.options), tokens_(tokens), count_(tokens.size()) {}

  std::vector<double> run();

 private:
  const std::vector<float>& w(const std::string& name) const { return m_.values(name); }
  std::string layer_name(const std::string& name) const { return fmt::format("blk.{}.{}", layer_, name); }
  const std::vector<float>& lw(const std::string& name) const { return w(layer_name(name)); }
  bool has(const std::string& name) const { return m_.has(layer_name(name)); }
  double scalar(const std::string& name) const { return lw(name)[0]; }

  static Vector multiply(const std::vector<float>& matrix, const Vector& x) {
    Vector y(matrix.size() / x.size());
    for (size_t r = 0; r < y.size(); ++r) {
      for (size_t c = 0; c < x.size(); ++c) y[r] += matrix[r * x.size() + c] * x[c];
    }
    return y;
  }
  // g * x / sqrt(mean(x^2) + eps), g being x.size() values from `first` on
  static Vector norm(const Vector& x, const std::vector<float>* gain, size_t first = 0) {
    const double factor = 1 / std::sqrt(dot(x, x) / static_cast<double>(x.size()) + kEps);
    Vector y = x;
    for (size_t i = 0; i < y.size(); ++i) y[i] *= factor * (gain == nullptr ? 1.0 : (*gain)[first + i]);
    return y;
  }
  Vector head_of(const Vector& x, size_t head) const {
    const auto d = static_cast<std::ptrdiff_t>(o_.head_dim), first = static_cast<std::ptrdiff_t>(head) * d;
    return {x.begin() + first, x.begin() + first + d};
  }
  Vector unit(const Vector& v) const {
    Vector y = v;
    for (double& value : y) value /= std::sqrt(dot(v, v) + o_.head_dim * kEps);
    return y;
  }
  Vector rope(Vector v, size_t position) const {
    const size_t dims = static_cast<size_t>(o_.rope_dims > 0 ? o_.rope_dims : o_.head_dim);
    for (size_t i = 0; i < dims / 2; ++i) {
      const double angle = static_cast<double>(position) *
                           std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(dims));
      const double a = v[i], b = v[i + dims / 2];
      v[i] = a * std::cos(angle) - b * std::sin(angle);
      v[i + dims / 2] = a * std::sin(angle) + b * std::cos(angle);
    }
    return v;
  }

  void sublayer(const std::string& name, Rows (Reference::*f)(const Rows&));
  void mixed_sublayer(const std::string& name, Rows (Reference::*f)(const Rows&));
  std::vector<Vector> residual_matrix(const Vector& logits) const;
  Rows attention(const Rows& h);
  Rows feed_forward(const Rows& h);
  void engram(size_t table);

  const MnemeModelForTest& m_;
  const MnemeOptionsForTest& o_;
  std::span<const int32_t> tokens_;
  size_t count_;
  size_t layer_ = 0;
  std::vector<Rows> x_;  // [stream][token][channel]
  Rows embedding_;       // [token][channel]
  Rows first_value_;     // layer 0's v
};

// x <- x + a F(x), or through the streams.
void Reference::sublayer(const std::string& name, Rows (Reference::*f)(const Rows&)) {
  if (o_.streams > 1) return mixed_sublayer(name, f);
  const Rows out = (this->*f)(x_[0]);
  for (size_t t = 0; t < count_; ++t) {
    for (size_t c = 0; c < out[t].size(); ++c) {
      double a = 1;
      if (o_.residual == "alpha" || o_.residual == "rezero") a = lw(name + "_residual.scale")[0];
      if (o_.residual == "layerscale") a = lw(name + "_residual.scale")[c];
      x_[0][t][c] += a * out[t][c];
    }
  }
}

// H_res of the constrained kinds from a_res c_res + b_res.
std::vector<Vector> Reference::residual_matrix(const Vector& logits) const {
  const size_t n = x_.size();
  std::vector<Vector> h(n, Vector(n));
  if (o_.residual == "mhc-identity") {
    for (size_t i = 0; i < n; ++i) h[i][i] = 1;
    return h;
  }
  const double top = *std::max_element(logits.begin(), logits.end());
  if (o_.residual == "mhc-lite") {
    double total = 0;
    for (const double logit : logits) total += std::exp(logit - top);
    std::vector<size_t> pi(n);
    std::iota(pi.begin(), pi.end(), size_t{0});
    for (const double logit : logits) {
      for (size_t i = 0; i < n; ++i) h[i][pi[i]] += std::exp(logit - top) / total;
      std::next_permutation(pi.begin(), pi.end());
    }
    return h;
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) h[i][j] = std::exp(logits[i * n + j] - top);
  }
  for (int round = 0; round < 20; ++round) {
    for (auto& row : h) {
      const double sum = std::accumulate(row.begin(), row.end(), 0.0);
      for (double& value : row) value /= sum;
    }
    for (size_t j = 0; j < n; ++j) {
      double sum = 0;
      for (size_t i = 0; i < n; ++i) sum += h[i][j];
      for (size_t i = 0; i < n; ++i) h[i][j] /= sum;
    }
  }
  return h;
}

void Reference::mixed_sublayer(const std::string& name, Rows (Reference::*f)(const Rows&)) {
  const size_t n = x_.size(), dim = static_cast<size_t>(o_.dim);
  const auto &a = lw(name + "_hc.scale"), &b = lw(name + "_hc.bias");
  Rows read(count_, Vector(dim)), post(count_);
  std::vector<std::vector<Vector>> res(count_);
  for (size_t t = 0; t < count_; ++t) {
    Vector all;
    for (const Rows& stream : x_) all.insert(all.end(), stream[t].begin(), stream[t].end());
    const Vector c = multiply(lw(name + "_hc.weight"), norm(all, nullptr));
    Vector pre(n), logits;
    post[t].resize(n);
    if (o_.residual == "hc") {
      res[t].assign(n, Vector(n));
      for (size_t i = 0; i < n; ++i) {
        pre[i] = a[0] * std::tanh(c[i]) + b[i];
        post[t][i] = a[1] * std::tanh(c[n + i]) + b[n + i];
        for (size_t j = 0; j < n; ++j)
          res[t][i][j] = a[2] * std::tanh(c[2 * n + i * n + j]) + b[2 * n + i * n + j];
      }
    } else {
      for (size_t i = 0; i < n; ++i) {
        pre[i] = sigmoid(a[0] * c[i] + b[i]);
        post[t][i] = 2 * sigmoid(a[1] * c[n + i] + b[n + i]);
      }
      for (size_t i = 2 * n; i < c.size(); ++i) logits.push_back(a[2] * c[i] + b[i]);
      res[t] = residual_matrix(logits);
    }
    for (size_t j = 0; j < n; ++j) {
      for (size_t k = 0; k < dim; ++k) read[t][k] += pre[j] * x_[j][t][k];
    }
  }
  const Rows out = (this->*f)(read);
  for (size_t t = 0; t < count_; ++t) {
    for (size_t k = 0; k < dim; ++k) {
      Vector next(n);
      for (size_t i = 0; i < n; ++i) {
        next[i] = post[t][i] * out[t][k];
        for (size_t j = 0; j < n; ++j) next[i] += res[t][i][j] * x_[j][t][k];
      }
      for (size_t i = 0; i < n; ++i) x_[i][t][k] = next[i];
    }
  }
}

Rows Reference::attention(const Rows& h) {
  const auto heads = static_cast<size_t>(o_.heads), kv_heads = static_cast<size_t>(o_.kv_heads),
             d = static_cast<size_t>(o_.head_dim), window = static_cast<size_t>(o_.window);
  const bool global = has("attn_k_shift.weight");
  const size_t ahead = has("attn_k_ahead.weight") ? static_cast<size_t>(o_.look_ahead) : 0;
  Rows y, keys(count_), values, out;
  for (const Vector& row : h) y.push_back(norm(row, &lw("attn_norm.weight")));
  for (size_t t = 0; t < count_; ++t) {
    Vector k(kv_heads * d);
    const auto add = [&](const char* matrix, size_t token, double factor) {
      const Vector part = multiply(lw(matrix), y[token]);
      for (size_t i = 0; i < k.size(); ++i) k[i] += factor * part[i];
    };
    if (t >= ahead) add("attn_k.weight", t - ahead, 1);
    if (global && t >= ahead + 1) add("attn_k_shift.weight", t - ahead - 1, 1);
    for (size_t j = 0; j < std::min(ahead, t + 1); ++j)
      add("attn_k_ahead.weight", t - j, 1 / std::sqrt(static_cast<double>(ahead)));
    for (size_t g = 0; g < kv_heads; ++g) {
      const Vector u = unit(head_of(k, g));
      for (const double value : global ? u : rope(u, t)) keys[t].push_back(rounded(value));
    }
    values.push_back(multiply(lw("attn_v.weight"), y[t]));
  }
  if (layer_ == 0) first_value_ = values;
  for (size_t t = 0; t < count_; ++t) {
    for (size_t i = 0; i < values[t].size(); ++i) {
      if (has("attn_value_mix")) {
        const double lambda = scalar("attn_value_mix");
        values[t][i] = (1 - lambda) * values[t][i] + lambda * first_value_[t][i];
      }
      values[t][i] = rounded(values[t][i]);
    }
  }
  values.insert(values.begin(), ahead, Vector(kv_heads * d));
  for (size_t t = 0; t < count_; ++t) {
    const Vector q = multiply(lw("attn_q.weight"), y[t]);
    double sharp = 1;
    if (global && o_.log_length_train > 0)
      sharp += o_.log_length_slope *
               std::max(0.0, std::log(static_cast<double>(t + 1)) / std::log(o_.log_length_train) - 1);
    Vector attended;
    for (size_t head = 0; head < heads; ++head) {
      const Vector u = unit(head_of(q, head)), query = global ? u : rope(u, t);
      const size_t first = global || t + 1 < window ? 0 : t + 1 - window, kv = head / (heads / kv_heads);
      double total = has("attn_sinks") ? std::exp(double{lw("attn_sinks")[head]}) : 0;
      Vector sum(d);
      for (size_t s = first; s <= t; ++s) {
        const double weight = std::exp(lw("attn_temperature")[head] * sharp *
                                       dot(query, head_of(keys[s], kv)));
        total += weight;
        for (size_t c = 0; c < d; ++c) sum[c] += weight * values[s][kv * d + c];
      }
      for (const double value : sum) attended.push_back(value / total);
    }
    out.push_back(multiply(lw("attn_output.weight"), attended));
  }
  return out;
}

Rows Reference::feed_forward(const Rows& h) {
  Rows out;
  for (const Vector& row : h) {
    const Vector y = norm(row, &lw("ffn_norm.weight"));
    Vector gate = multiply(lw("ffn_gate.weight"), y);
    const Vector up = multiply(lw("ffn_up.weight"), y);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] = silu(gate[i]) * up[i];
    out.push_back(multiply(lw("ffn_down.weight"), gate));
  }
  return out;
}

void Reference::engram(size_t table) {
  const EngramConfig& e = m_.engram;
  const auto order = static_cast<size_t>(e.order_max), heads = static_cast<size_t>(e.heads),
             width = static_cast<size_t>(e.head_width), n = x_.size(), dim = static_cast<size_t>(o_.dim);
  std::vector<Rows> z(n), normed(n);  // [stream][token][channel]
  for (size_t t = 0; t < count_; ++t) {
    Vector embedded;
    size_t offset = 0;
    for (size_t gram = 2; gram <= order; ++gram) {
      uint64_t mix = 0;
      for (size_t k = 0; k < gram; ++k) {
        const uint64_t u = t < k ? e.pad : e.token_map[static_cast<size_t>(tokens_[t - k])];
        mix ^= u * e.multipliers[table * order + k];
      }
      for (size_t head = 0; head < heads; ++head) {
        const uint64_t prime = e.primes[(gram - 2) * heads + head];
        const size_t row = offset + static_cast<size_t>(mix % prime);
        for (size_t i = 0; i < width; ++i) embedded.push_back(lw("engram.table")[row * width + i]);
        offset += static_cast<size_t>(prime);
      }
    }
    const Vector k = multiply(lw("engram.key.weight"), embedded);
    const Vector v = multiply(lw("engram.value.weight"), embedded);
    for (size_t m = 0; m < n; ++m) {
      const auto first = k.begin() + static_cast<std::ptrdiff_t>(m * dim);
      const Vector key(first, first + static_cast<std::ptrdiff_t>(dim));
      const double likeness = dot(norm(x_[m][t], &lw("engram.query_norm"), m * dim),
                                  norm(key, &lw("engram.key_norm"), m * dim));
      const double gate = sigmoid(likeness / std::sqrt(static_cast<double>(dim)));
      Vector gated = v;
      for (double& value : gated) value *= gate;
      normed[m].push_back(norm(gated, &lw("engram.conv_norm"), m * dim));
      z[m].push_back(std::move(gated));
    }
  }
  const auto& conv = lw("engram.conv");
  for (size_t m = 0; m < n; ++m) {
    for (size_t t = 0; t < count_; ++t) {
      for (size_t c = 0; c < dim; ++c) {
        double sum = 0;
        for (size_t j = 0; j < 4; ++j) {
          const size_t back = (3 - j) * order;
          if (back <= t) sum += conv[j * n * dim + m * dim + c] * normed[m][t - back][c];
        }
        x_[m][t][c] += z[m][t][c] + silu(sum);
      }
    }
  }
}

std::vector<double> Reference::run() {
  const auto dim = static_cast<size_t>(o_.dim), streams = static_cast<size_t>(o_.streams);
  const auto& table = w("token_embd.weight");
  for (const int32_t token : tokens_) {
    const auto first = table.begin() + token * o_.dim;
    embedding_.emplace_back(first, first + o_.dim);
  }
  x_.assign(streams, embedding_);
  for (layer_ = 0; layer_ < static_cast<size_t>(o_.layers); ++layer_) {
    if (has("embedding_mix")) {
      for (Rows& stream : x_) {
        for (size_t t = 0; t < count_; ++t) {
          for (size_t c = 0; c < dim; ++c) stream[t][c] += scalar("embedding_mix") * embedding_[t][c];
        }
      }
    }
    const auto& tables = m_.engram.layers;
    const auto found = std::find(tables.begin(), tables.end(), static_cast<int>(layer_));
    if (found != tables.end()) engram(static_cast<size_t>(found - tables.begin()));
    sublayer("attn", &Reference::attention);
    sublayer("ffn", &Reference::feed_forward);
  }
  std::vector<double> logits;
  for (size_t t = 0; t < count_; ++t) {
    Vector mean(dim);
    for (const Rows& stream : x_) {
      for (size_t c = 0; c < dim; ++c) mean[c] += stream[t][c] / static_cast<double>(streams);
    }
    const Vector row = multiply(m_.has("output.weight") ? w("output.weight") : table,
                                norm(mean, &w("output_norm.weight")));
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

}  // namespace

std::vector<double> reference_logits(const MnemeModelForTest& model, std::span<const int32_t> tokens) {
  return Reference(model, tokens).run();
}

}  // namespace mneme::model
