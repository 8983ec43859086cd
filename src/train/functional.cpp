#include "train/functional.h"

#include <ATen/Parallel.h>

#include <vector>

#include "train/row_kernels.h"

namespace mneme::train {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool is_fusable(const Tensor& x) {
  return x.device().is_cpu() && (x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16);
}

namespace {

// Rows of a contiguous f32 or bf16 tensor, handed out as f32.
class Rows {
 public:
  Rows(const Tensor& tensor, int64_t width)
      : width_(static_cast<size_t>(width)),
        bf16_(tensor.scalar_type() == torch::kBFloat16),
        data_(static_cast<std::byte*>(tensor.data_ptr())) {
    TORCH_CHECK(tensor.is_contiguous(), "rows of a tensor with holes");
  }
  // The row itself, or a copy in `buffer` [width].
  const float* read(int64_t row, std::vector<float>& buffer) const {
    const size_t first = static_cast<size_t>(row) * width_;
    if (!bf16_) return reinterpret_cast<const float*>(data_) + first;
    buffer.resize(width_);
    rows::to_f32(reinterpret_cast<const uint16_t*>(data_) + first, buffer.data(), width_);
    return buffer.data();
  }
  // Where to write the row; finish() puts it into place.
  float* begin(int64_t row, std::vector<float>& buffer) const {
    if (!bf16_) return reinterpret_cast<float*>(data_) + static_cast<size_t>(row) * width_;
    buffer.resize(width_);
    return buffer.data();
  }
  void finish(int64_t row, const std::vector<float>& buffer) const {
    if (!bf16_) return;
    rows::to_bf16(buffer.data(), reinterpret_cast<uint16_t*>(data_) + static_cast<size_t>(row) * width_,
                  width_);
  }

 private:
  size_t width_;
  bool bf16_;
  std::byte* data_;
};

constexpr int64_t kRowsEach = 64;  // of a parallel stretch

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& gain, double epsilon,
                        int64_t type) {
    const int64_t count = x.size(0), width = x.size(1);
    const Tensor in = x.contiguous();
    Tensor y = torch::empty({count, width}, x.options().dtype(static_cast<torch::ScalarType>(type)));
    Tensor scale = torch::empty({count}, x.options());
    const Rows from(in, width), to(y, width);
    const float* g = gain.data_ptr<float>();
    at::parallel_for(0, count, kRowsEach, [&](int64_t first, int64_t last) {
      std::vector<float> a, b;
      for (int64_t r = first; r < last; ++r) {
        scale.data_ptr<float>()[r] = rows::rms_norm(from.read(r, a), g, to.begin(r, b),
                                                    static_cast<size_t>(width), static_cast<float>(epsilon));
        to.finish(r, b);
      }
    });
    ctx->save_for_backward({in, gain, scale});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const int64_t count = saved[0].size(0), width = saved[0].size(1);
    const Tensor dy = grads[0].contiguous();
    Tensor dx = torch::empty_like(saved[0]), dgain = torch::zeros_like(saved[1]);
    const Rows x(saved[0], width), in(dy, width), out(dx, width);
    const float *g = saved[1].data_ptr<float>(), *scale = saved[2].data_ptr<float>();
    // The gain's gradient is a sum over rows: stretches of fixed size, added in order, whatever the threads.
    const int64_t stretch = 256, stretches = (count + stretch - 1) / stretch;
    Tensor parts = torch::zeros({stretches, width}, saved[1].options());
    at::parallel_for(0, stretches, 1, [&](int64_t first, int64_t last) {
      std::vector<float> a, b;
      for (int64_t r = first * stretch; r < std::min(count, last * stretch); ++r) {
        rows::rms_norm_backward(x.read(r, a), g, in.read(r, b), scale[r], out.begin(r, a),
                                parts.data_ptr<float>() + r / stretch * width, static_cast<size_t>(width));
      }
    });
    torch::sum_out(dgain, parts, 0);
    return {dx, dgain, Tensor(), Tensor()};
  }
};

struct SiluMul : torch::autograd::Function<SiluMul> {
  static Tensor forward(AutogradContext* ctx, const Tensor& gate, const Tensor& up) {
    const Tensor a = gate.contiguous(), b = up.contiguous();
    Tensor out = torch::empty_like(a);
    const int64_t width = a.size(-1), count = a.numel() / width;
    const Rows gates(a, width), ups(b, width), outs(out, width);
    at::parallel_for(0, count, kRowsEach, [&](int64_t first, int64_t last) {
      std::vector<float> x, y, z;
      for (int64_t r = first; r < last; ++r) {
        rows::silu_mul(gates.read(r, x), ups.read(r, y), outs.begin(r, z), static_cast<size_t>(width));
        outs.finish(r, z);
      }
    });
    ctx->save_for_backward({a, b});
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor dout = grads[0].contiguous();
    Tensor dgate = torch::empty_like(saved[0]), dup = torch::empty_like(saved[1]);
    const int64_t width = dout.size(-1), count = dout.numel() / width;
    const Rows gates(saved[0], width), ups(saved[1], width), in(dout, width), dgates(dgate, width),
        dups(dup, width);
    at::parallel_for(0, count, kRowsEach, [&](int64_t first, int64_t last) {
      std::vector<float> x, y, z, p, q;
      for (int64_t r = first; r < last; ++r) {
        rows::silu_mul_backward(gates.read(r, x), ups.read(r, y), in.read(r, z), dgates.begin(r, p),
                                dups.begin(r, q), static_cast<size_t>(width));
        dgates.finish(r, p);
        dups.finish(r, q);
      }
    });
    return {dgate, dup};
  }
};

// The row of [B, K, T, G, d] that holds head h of token t of text b.
int64_t head_row(const HeadLayout& l, int64_t b, int64_t t, int64_t h) {
  return ((b * l.kv_heads + h / l.group) * l.tokens + t) * l.group + h % l.group;
}

struct UnitHeads : torch::autograd::Function<UnitHeads> {
  static HeadLayout layout_of(AutogradContext* ctx) {
    const auto sizes = ctx->saved_data["layout"].toIntVector();
    return {sizes[0], sizes[1], sizes[2], sizes[3], ctx->saved_data["epsilon"].toDouble()};
  }

  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& factor, const Tensor& table,
                        const HeadLayout& l) {
    const Tensor in = x.contiguous();
    const int64_t heads = l.kv_heads * l.group, d = in.size(1) / heads;
    Tensor y = torch::empty({l.batch, l.kv_heads, l.tokens, l.group, d}, x.options());
    Tensor scale = torch::empty({l.batch * l.tokens, heads}, x.options().dtype(torch::kFloat32));
    const Rows from(in, d), to(y, d);
    at::parallel_for(0, l.batch * l.tokens, kRowsEach, [&](int64_t first, int64_t last) {
      std::vector<float> a, b;
      for (int64_t r = first; r < last; ++r) {
        const float* angles = is_there(table) ? table.data_ptr<float>() + r % l.tokens * d : nullptr;
        for (int64_t h = 0; h < heads; ++h) {
          const int64_t row = head_row(l, r / l.tokens, r % l.tokens, h);
          const float f = is_there(factor) ? factor.data_ptr<float>()[h] : 1.0f;
          scale.data_ptr<float>()[r * heads + h] = rows::unit_rope(from.read(r * heads + h, a), angles, f,
                                                                   to.begin(row, b), static_cast<size_t>(d),
                                                                   static_cast<float>(l.epsilon));
          to.finish(row, b);
        }
      }
    });
    ctx->save_for_backward({in, factor, table, scale});
    ctx->saved_data["layout"] = std::vector<int64_t>{l.batch, l.tokens, l.kv_heads, l.group};
    ctx->saved_data["epsilon"] = l.epsilon;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &factor = saved[1], &table = saved[2], &scale = saved[3];
    const HeadLayout l = layout_of(ctx);
    const int64_t heads = l.kv_heads * l.group, d = x.size(1) / heads, count = l.batch * l.tokens;
    const Tensor dy = grads[0].contiguous();
    Tensor dx = torch::empty_like(x), dfactor = torch::empty({count, heads}, scale.options());
    const Rows from(x, d), in(dy, d), to(dx, d);
    at::parallel_for(0, count, kRowsEach, [&](int64_t first, int64_t last) {
      std::vector<float> a, b, c;
      for (int64_t r = first; r < last; ++r) {
        const float* angles = is_there(table) ? table.data_ptr<float>() + r % l.tokens * d : nullptr;
        for (int64_t h = 0; h < heads; ++h) {
          const float f = is_there(factor) ? factor.data_ptr<float>()[h] : 1.0f;
          const int64_t i = r * heads + h;
          dfactor.data_ptr<float>()[i] = rows::unit_rope_backward(
              from.read(i, a), angles, f, scale.data_ptr<float>()[i],
              in.read(head_row(l, r / l.tokens, r % l.tokens, h), b), to.begin(i, c), static_cast<size_t>(d));
          to.finish(i, c);
        }
      }
    });
    return {dx, is_there(factor) ? dfactor.sum(0) : Tensor(), Tensor(), Tensor()};
  }
};

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static constexpr int64_t kStretch = 512;  // rows whose logits exist at a time

  static Tensor forward(AutogradContext* ctx, const Tensor& h, const Tensor& w, const Tensor& targets,
                        const Tensor& weights) {
    const int64_t count = h.size(0), vocab = w.size(0);
    Tensor dh = torch::empty_like(h), dw = torch::zeros(w.sizes(), w.options().dtype(torch::kFloat32));
    std::vector<double> losses(static_cast<size_t>(count));
    const auto* wanted = targets.data_ptr<int64_t>();
    const auto* weight = weights.data_ptr<float>();
    for (int64_t row = 0; row < count; row += kStretch) {
      const int64_t n = std::min(kStretch, count - row);
      const Tensor part = h.narrow(0, row, n);
      Tensor logits = torch::mm(part, w.t()).to(torch::kFloat32);
      float* p = logits.data_ptr<float>();
      at::parallel_for(0, n, 8, [&](int64_t first, int64_t last) {
        for (int64_t r = first; r < last; ++r) {
          float* values = p + r * vocab;
          const float scale = weight[row + r];
          losses[static_cast<size_t>(row + r)] =
              double{scale} * rows::cross_entropy_row(values, static_cast<size_t>(wanted[row + r]),
                                                      static_cast<size_t>(vocab));
          values[wanted[row + r]] -= 1.0f;
          for (int64_t i = 0; i < vocab; ++i) values[i] *= scale;
        }
      });
      const Tensor dlogits = logits.to(h.scalar_type());
      dh.narrow(0, row, n).copy_(torch::mm(dlogits, w));
      dw.add_(torch::mm(dlogits.t(), part));
    }
    ctx->save_for_backward({dh, dw.to(w.scalar_type())});
    double loss = 0;
    for (const double l : losses) loss += l;
    return torch::full({}, loss, h.options().dtype(torch::kFloat32));
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto saved = ctx->get_saved_variables();
    const double factor = grads[0].item<double>();
    return {saved[0] * factor, saved[1] * factor, Tensor(), Tensor()};
  }
};

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& gain, double epsilon, torch::ScalarType type, bool fused) {
  if (!fused || !is_fusable(x)) return reference::rms_norm(x, gain, epsilon, type);
  return RmsNorm::apply(x, gain, epsilon, static_cast<int64_t>(type));
}

Tensor silu_mul(const Tensor& gate, const Tensor& up, bool fused) {
  return fused && is_fusable(gate) ? SiluMul::apply(gate, up) : reference::silu_mul(gate, up);
}

Tensor unit_heads(const Tensor& x, const Tensor& factor, const Tensor& table, const HeadLayout& layout,
                  bool fused) {
  if (!fused || !is_fusable(x)) return reference::unit_heads(x, factor, table, layout);
  return UnitHeads::apply(x, or_empty(factor), or_empty(table), layout);
}

Tensor linear_cross_entropy(const Tensor& h, const Tensor& w, const Tensor& targets, const Tensor& weights,
                            bool fused) {
  if (!fused || !is_fusable(h)) return reference::linear_cross_entropy(h, w, targets, weights);
  return LinearCrossEntropy::apply(h, w.to(h.scalar_type()), targets, weights);
}

}  // namespace mneme::train
