#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/torch.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "train/hyper_fused.h"
#include "train/hyper_kernels.h"

namespace mneme::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Gradients of the weights are added up in at most this many parts, whatever the number of threads.
constexpr size_t kParts = 16;

const float* data_or_null(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.data_ptr<float>() : nullptr;
}

// Undefined stays undefined: a gradient that is zero.
torch::Tensor plain(const torch::Tensor& tensor) {
  return tensor.defined() ? tensor.to(torch::kFloat).contiguous() : tensor;
}

struct Sizes {
  int64_t rows, streams, channels;
  explicit Sizes(const torch::Tensor& x) : rows(x.size(0)), streams(x.size(1)), channels(x.size(2)) {}
  [[nodiscard]] size_t blocks() const {
    return (static_cast<size_t>(rows) + hyper::kBlockRows - 1) / hyper::kBlockRows;
  }
};

// A read's rule with the tensors that its pointers point into.
struct BoundRule {
  torch::Tensor weight, bias, scale, packed;
  hyper::Rule rule;

  BoundRule(const Sizes& sizes, const HyperWeights& weights, Mixing mixing, float epsilon)
      : weight(plain(weights.weight)),
        bias(plain(weights.bias)),
        scale(plain(weights.scale)),
        rule{mixing,
             static_cast<int>(sizes.streams),
             static_cast<size_t>(sizes.channels),
             epsilon,
             weight.data_ptr<float>(),
             bias.data_ptr<float>(),
             scale.data_ptr<float>(),
             nullptr} {}

  void pack() {
    packed = torch::empty({static_cast<int64_t>(hyper::kernels().packed_size(rule))}, torch::kFloat);
    hyper::kernels().pack_weight(rule, packed.data_ptr<float>());
    rule.packed = packed.data_ptr<float>();
  }
};

hyper::Rule sizes_only(const Sizes& sizes) {
  return {Mixing::kIdentity,
          static_cast<int>(sizes.streams),
          static_cast<size_t>(sizes.channels),
          0,
          nullptr,
          nullptr,
          nullptr,
          nullptr};
}

// work(extent, part) for consecutive runs of blocks, in parallel.
template <class Work>
void for_blocks(const Sizes& sizes, const hyper::Rule& rule, size_t parts, Work work) {
  const size_t blocks = sizes.blocks();
  at::parallel_for(0, static_cast<int64_t>(parts), 1, [&](int64_t first, int64_t last) {
    std::vector<float> scratch(hyper::scratch_size(rule));
    for (auto part = static_cast<size_t>(first); part < static_cast<size_t>(last); ++part) {
      work(hyper::Extent{static_cast<size_t>(sizes.rows), blocks * part / parts, blocks * (part + 1) / parts,
                         scratch.data()},
           part);
    }
  });
}

// What a read returns and what it keeps.
struct ReadTensors {
  torch::Tensor input, post, mix, coefficients, inverse_rms;

  ReadTensors(const Sizes& sizes, Mixing mixing) {
    const int64_t n = sizes.streams, blocks = static_cast<int64_t>(sizes.blocks());
    const int64_t count = 2 * n + coefficient_rows(mixing, static_cast<int>(n));
    constexpr auto kRows = static_cast<int64_t>(hyper::kBlockRows);
    input = torch::empty({sizes.rows, sizes.channels}, torch::kFloat);
    post = torch::empty({sizes.rows, n}, torch::kFloat);
    if (mixing != Mixing::kIdentity) mix = torch::empty({sizes.rows, n, n}, torch::kFloat);
    coefficients = torch::empty({blocks, count, kRows}, torch::kFloat);
    inverse_rms = torch::empty({blocks, kRows}, torch::kFloat);
  }
  [[nodiscard]] hyper::Saved saved() const {
    return {coefficients.data_ptr<float>(), inverse_rms.data_ptr<float>()};
  }
  [[nodiscard]] hyper::ReadResult result() const {
    return {input.data_ptr<float>(), post.data_ptr<float>(), mix.defined() ? mix.data_ptr<float>() : nullptr,
            saved()};
  }
};

struct ReadGradients {
  torch::Tensor input, post, mix;
  ReadGradients(const torch::Tensor& d_input, const torch::Tensor& d_post, const torch::Tensor& d_mix)
      : input(plain(d_input)), post(plain(d_post)), mix(plain(d_mix)) {}
  [[nodiscard]] hyper::ReadGradient view() const {
    return {data_or_null(input), data_or_null(post), data_or_null(mix)};
  }
};

// Gradients of the weights, one part at a time.
class WeightGradients {
 public:
  WeightGradients(const hyper::Rule& rule, size_t parts)
      : packed_(
            torch::zeros({static_cast<int64_t>(parts * hyper::kernels().packed_size(rule))}, torch::kFloat)),
        parts_(parts) {
    float* at = packed_.data_ptr<float>();
    for (auto& part : parts_) {
      part = hyper::WeightGradient{at, {}, {}};
      at += hyper::kernels().packed_size(rule);
    }
  }
  hyper::WeightGradient* part(size_t index) { return &parts_[index]; }

  // Added up in the order of the parts.
  [[nodiscard]] HyperWeights sum(const BoundRule& bound) const {
    HyperWeights total{torch::zeros_like(bound.weight), torch::zeros_like(bound.bias),
                       torch::zeros_like(bound.scale)};
    const auto packed = packed_.view({static_cast<int64_t>(parts_.size()), -1}).sum(0);
    hyper::kernels().add_unpacked(bound.rule, packed.data_ptr<float>(), total.weight.data_ptr<float>());
    for (const auto& part : parts_) {
      for (int64_t k = 0; k < bound.bias.numel(); ++k) total.bias.data_ptr<float>()[k] += part.bias[k];
      for (int64_t k = 0; k < 3; ++k) total.scale.data_ptr<float>()[k] += part.scale[k];
    }
    return total;
  }

 private:
  torch::Tensor packed_;
  std::vector<hyper::WeightGradient> parts_;
};

// A write's inputs, contiguous, and their gradients.
struct WriteTensors {
  torch::Tensor streams, mix, post, output;

  WriteTensors(const torch::Tensor& x, const torch::Tensor& mixing, const torch::Tensor& gain,
               const torch::Tensor& out)
      : streams(plain(x)),
        mix(mixing.defined() && mixing.numel() > 0 ? plain(mixing) : torch::Tensor()),
        post(plain(gain)),
        output(out.scalar_type() == torch::kBFloat16 ? out.contiguous() : plain(out)) {}
  [[nodiscard]] bool is_bf16() const { return output.scalar_type() == torch::kBFloat16; }
  [[nodiscard]] hyper::WriteInput view() const {
    return {streams.data_ptr<float>(), data_or_null(mix), post.data_ptr<float>(), output.data_ptr(),
            is_bf16()};
  }
  [[nodiscard]] WriteTensors empty_gradient() const {
    return {torch::empty_like(streams), mix.defined() ? torch::empty_like(mix) : mix, torch::empty_like(post),
            torch::empty_like(output)};
  }
  [[nodiscard]] hyper::WriteGradient gradient_view() const {
    return {streams.data_ptr<float>(), mix.defined() ? mix.data_ptr<float>() : nullptr,
            post.data_ptr<float>(), output.data_ptr()};
  }
};

size_t gradient_parts(const Sizes& sizes) { return std::min(kParts, sizes.blocks()); }

void keep_rule(AutogradContext* context, int64_t mixing, double epsilon) {
  context->set_materialize_grads(false);
  context->saved_data["mixing"] = mixing;
  context->saved_data["epsilon"] = epsilon;
}
Mixing kept_mixing(AutogradContext* context) {
  return static_cast<Mixing>(context->saved_data["mixing"].toInt());
}
float kept_epsilon(AutogradContext* context) {
  return static_cast<float>(context->saved_data["epsilon"].toDouble());
}

// (streams, weight, bias, scale) -> (input, post, mix unless identity).
struct ReadFunction : torch::autograd::Function<ReadFunction> {
  static variable_list forward(AutogradContext* context, const torch::Tensor& streams,
                               const torch::Tensor& weight, const torch::Tensor& bias,
                               const torch::Tensor& scale, int64_t mixing, double epsilon) {
    keep_rule(context, mixing, epsilon);
    const auto x = plain(streams);
    const Sizes sizes(x);
    const BoundRule bound(sizes, {weight, bias, scale}, kept_mixing(context), kept_epsilon(context));
    const ReadTensors out(sizes, bound.rule.mixing);
    for_blocks(sizes, bound.rule, sizes.blocks(), [&](const hyper::Extent& extent, size_t) {
      hyper::kernels().read(bound.rule, x.data_ptr<float>(), extent, out.result());
    });
    context->save_for_backward({x, weight, bias, scale, out.coefficients, out.inverse_rms});
    variable_list results{out.input, out.post};
    if (out.mix.defined()) results.push_back(out.mix);
    return results;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Sizes sizes(saved[0]);
    BoundRule bound(sizes, {saved[1], saved[2], saved[3]}, kept_mixing(context), kept_epsilon(context));
    bound.pack();
    const hyper::Saved kept{saved[4].data_ptr<float>(), saved[5].data_ptr<float>()};
    const ReadGradients d(gradients[0], gradients[1], gradients.size() > 2 ? gradients[2] : torch::Tensor());
    const auto d_streams = torch::empty_like(saved[0]);
    WeightGradients d_weights(bound.rule, gradient_parts(sizes));
    for_blocks(sizes, bound.rule, gradient_parts(sizes), [&](const hyper::Extent& extent, size_t part) {
      hyper::kernels().read_backward(bound.rule, saved[0].data_ptr<float>(), kept, d.view(), extent,
                                     d_streams.data_ptr<float>(), d_weights.part(part));
    });
    const HyperWeights sum = d_weights.sum(bound);
    return {d_streams, sum.weight, sum.bias, sum.scale, {}, {}};
  }
};

// (streams, mix or empty, post, output) -> written.
struct WriteFunction : torch::autograd::Function<WriteFunction> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& streams,
                               const torch::Tensor& mix, const torch::Tensor& post,
                               const torch::Tensor& output) {
    context->set_materialize_grads(false);
    const WriteTensors in(streams, mix, post, output);
    const Sizes sizes(in.streams);
    const auto rule = sizes_only(sizes);
    auto written = torch::empty_like(in.streams);
    for_blocks(sizes, rule, sizes.blocks(), [&](const hyper::Extent& extent, size_t) {
      hyper::kernels().write(rule, in.view(), extent, written.data_ptr<float>());
    });
    context->save_for_backward({in.streams, in.mix, in.post, in.output});
    return written;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    if (!gradients[0].defined()) return {{}, {}, {}, {}};
    const auto saved = context->get_saved_variables();
    const WriteTensors in(saved[0], saved[1], saved[2], saved[3]);
    const WriteTensors d = in.empty_gradient();
    const Sizes sizes(in.streams);
    const auto rule = sizes_only(sizes);
    const auto d_written = plain(gradients[0]);
    for_blocks(sizes, rule, sizes.blocks(), [&](const hyper::Extent& extent, size_t) {
      hyper::kernels().write_backward(rule, in.view(), d_written.data_ptr<float>(), extent,
                                      d.gradient_view());
    });
    return {d.streams, d.mix, d.post, d.output};
  }
};

// (streams, mix or empty, post, output, weight, bias, scale) -> (written, input, post, mix unless
// identity).
struct WriteReadFunction : torch::autograd::Function<WriteReadFunction> {
  static variable_list forward(AutogradContext* context, const torch::Tensor& streams,
                               const torch::Tensor& mix, const torch::Tensor& post,
                               const torch::Tensor& output, const torch::Tensor& weight,
                               const torch::Tensor& bias, const torch::Tensor& scale, int64_t mixing,
                               double epsilon) {
    keep_rule(context, mixing, epsilon);
    const WriteTensors in(streams, mix, post, output);
    const Sizes sizes(in.streams);
    const BoundRule bound(sizes, {weight, bias, scale}, kept_mixing(context), kept_epsilon(context));
    const ReadTensors out(sizes, bound.rule.mixing);
    auto written = torch::empty_like(in.streams);
    for_blocks(sizes, bound.rule, sizes.blocks(), [&](const hyper::Extent& extent, size_t) {
      hyper::kernels().write_read(bound.rule, in.view(), extent, written.data_ptr<float>(), out.result());
    });
    context->save_for_backward({in.streams, in.mix, in.post, in.output, written, weight, bias, scale,
                                out.coefficients, out.inverse_rms});
    variable_list results{written, out.input, out.post};
    if (out.mix.defined()) results.push_back(out.mix);
    return results;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const WriteTensors in(saved[0], saved[1], saved[2], saved[3]);
    const WriteTensors d = in.empty_gradient();
    const Sizes sizes(in.streams);
    BoundRule bound(sizes, {saved[5], saved[6], saved[7]}, kept_mixing(context), kept_epsilon(context));
    bound.pack();
    const hyper::Saved kept{saved[8].data_ptr<float>(), saved[9].data_ptr<float>()};
    const auto d_written = plain(gradients[0]);
    const ReadGradients d_read(gradients[1], gradients[2],
                               gradients.size() > 3 ? gradients[3] : torch::Tensor());
    WeightGradients d_weights(bound.rule, gradient_parts(sizes));
    for_blocks(sizes, bound.rule, gradient_parts(sizes), [&](const hyper::Extent& extent, size_t part) {
      hyper::kernels().write_read_backward(bound.rule, in.view(), saved[4].data_ptr<float>(), kept,
                                           d_read.view(), data_or_null(d_written), extent, d.gradient_view(),
                                           d_weights.part(part));
    });
    const HyperWeights sum = d_weights.sum(bound);
    return {d.streams, d.mix, d.post, d.output, sum.weight, sum.bias, sum.scale, {}, {}};
  }
};

// torch 1.13's functions take no undefined tensors.
torch::Tensor mix_or_empty(const HyperRead& read) {
  return read.mix.defined() ? read.mix : torch::empty({0}, read.post.options().requires_grad(false));
}

}  // namespace

bool can_fuse(const torch::Tensor& streams) {
  return streams.device().is_cpu() && streams.scalar_type() == torch::kFloat && streams.size(1) >= 2 &&
         streams.size(1) <= hyper::kStreamsFused && streams.numel() > 0;
}

HyperRead fused_read(const torch::Tensor& streams, const HyperWeights& weights, Mixing mixing,
                     float epsilon) {
  const auto results = ReadFunction::apply(streams, weights.weight, weights.bias, weights.scale,
                                           static_cast<int64_t>(mixing), static_cast<double>(epsilon));
  return {results[0], results[1], results.size() > 2 ? results[2] : torch::Tensor()};
}

torch::Tensor fused_write(const torch::Tensor& streams, const HyperRead& read, const torch::Tensor& output) {
  return WriteFunction::apply(streams, mix_or_empty(read), read.post, output);
}

HyperWritten fused_write_read(const torch::Tensor& streams, const HyperRead& read,
                              const torch::Tensor& output, const HyperConnection& next) {
  const auto results = WriteReadFunction::apply(
      streams, mix_or_empty(read), read.post, output, next.weights.weight, next.weights.bias,
      next.weights.scale, static_cast<int64_t>(next.mixing), static_cast<double>(next.epsilon));
  return {results[0], {results[1], results[2], results.size() > 3 ? results[3] : torch::Tensor()}};
}

}  // namespace mneme::train
