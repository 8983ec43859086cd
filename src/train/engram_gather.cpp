#include "train/engram_gather.h"

#include <torch/autograd.h>
#include <torch/torch.h>

#include <algorithm>

#include "core/error.h"

namespace mneme::train {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct GatherFunction : torch::autograd::Function<GatherFunction> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& table,
                               const torch::Tensor& indices, RowGradients* gradients) {
    context->set_materialize_grads(false);
    context->save_for_backward({indices});
    context->saved_data["gradients"] = static_cast<int64_t>(reinterpret_cast<intptr_t>(gradients));
    return table.index_select(0, indices.flatten()).view({indices.size(0), -1});
  }

  static variable_list backward(AutogradContext* context, variable_list d) {
    if (d[0].defined()) {
      const auto rows = context->get_saved_variables()[0].to(torch::kCPU).contiguous();
      const auto values = d[0].to(torch::kCPU, torch::kFloat).contiguous();
      auto* gradients = reinterpret_cast<RowGradients*>(
          static_cast<intptr_t>(context->saved_data["gradients"].toInt()));
      gradients->add({rows.data_ptr<int64_t>(), static_cast<size_t>(rows.numel())},
                     {values.data_ptr<float>(), static_cast<size_t>(values.numel())});
    }
    return {{}, {}, {}};
  }
};

}  // namespace

RowGradients::RowGradients(int64_t rows, int64_t width)
    : width_(width), slot_of_row_(static_cast<size_t>(rows), -1) {}

void RowGradients::add(std::span<const int64_t> indices, std::span<const float> d) {
  const auto width = static_cast<size_t>(width_);
  MNEME_CHECK(d.size() == indices.size() * width, "{} values for {} rows of {}", d.size(), indices.size(),
              width);
  for (size_t i = 0; i < indices.size(); ++i) {
    const auto row = static_cast<size_t>(indices[i]);
    MNEME_CHECK(row < slot_of_row_.size(), "row {} of {}", indices[i], slot_of_row_.size());
    const float* from = d.data() + i * width;
    if (slot_of_row_[row] < 0) {
      slot_of_row_[row] = static_cast<int32_t>(touched_.size());
      touched_.push_back(indices[i]);
      values_.insert(values_.end(), from, from + width);
      continue;
    }
    float* to = values_.data() + static_cast<size_t>(slot_of_row_[row]) * width;
    for (size_t k = 0; k < width; ++k) to[k] += from[k];
  }
}

void RowGradients::clear() {
  for (const int64_t row : touched_) slot_of_row_[static_cast<size_t>(row)] = -1;
  touched_.clear();
  values_.clear();
}

std::span<float> RowGradients::gradient(size_t index) {
  MNEME_CHECK(index < touched_.size(), "{} of {} touched rows", index, touched_.size());
  return std::span(values_).subspan(index * static_cast<size_t>(width_), static_cast<size_t>(width_));
}

torch::Tensor engram_gather(const torch::Tensor& table, const torch::Tensor& indices,
                            RowGradients& gradients) {
  MNEME_CHECK(table.dim() == 2 && table.size(1) == gradients.width(), "table is not [rows, {}]",
              gradients.width());
  MNEME_CHECK(indices.dim() == 2, "indices are [rows, heads]; {} dimensions", indices.dim());
  return GatherFunction::apply(table, indices, &gradients);
}

}  // namespace mneme::train
