#include "train/engram_gather.h"

#include <ATen/Parallel.h>
#include <torch/autograd.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace mneme::train {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kRowsEach = 256;  // of one piece of work

Tensor gather(const Tensor& table, const Tensor& flat) {
  if (!table.is_cpu()) return table.index_select(0, flat);
  const Tensor numbers = flat.contiguous(), from = table.contiguous();
  const int64_t width = from.size(1), rows = from.size(0);
  Tensor out = torch::empty({numbers.numel(), width}, from.options());
  const int64_t* number = numbers.data_ptr<int64_t>();
  at::parallel_for(0, numbers.numel(), kRowsEach, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      TORCH_CHECK(number[i] >= 0 && number[i] < rows, "row ", number[i], " of ", rows);
      std::memcpy(out.data_ptr<float>() + i * width, from.data_ptr<float>() + number[i] * width,
                  static_cast<size_t>(width) * sizeof(float));
    }
  });
  return out;
}

struct GatherFunction : torch::autograd::Function<GatherFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& table, const Tensor& indices) {
    context->set_materialize_grads(false);
    context->save_for_backward({indices});
    context->saved_data["rows"] = table.size(0);
    context->saved_data["width"] = table.size(1);
    return gather(table, indices.flatten()).view({indices.size(0), -1});
  }

  static variable_list backward(AutogradContext* context, variable_list d) {
    if (!d[0].defined()) return {{}, {}};
    const Tensor indices = context->get_saved_variables()[0];
    const Tensor rows = d[0].to(torch::kFloat32).reshape({-1, context->saved_data["width"].toInt()});
    return {sparse_table(sum_by_row(indices.flatten(), rows), context->saved_data["rows"].toInt()), {}};
  }
};

bool ascending(const Tensor& numbers) {
  const int64_t count = numbers.numel();
  return count < 2 || (numbers.narrow(0, 1, count - 1) > numbers.narrow(0, 0, count - 1)).all().item<bool>();
}

// Where runs of equal numbers begin, and the end.
std::vector<int64_t> runs_of(const Tensor& sorted) {
  const int64_t* number = sorted.data_ptr<int64_t>();
  std::vector<int64_t> begins;
  for (int64_t i = 0; i < sorted.numel(); ++i) {
    if (i == 0 || number[i] != number[i - 1]) begins.push_back(i);
  }
  begins.push_back(sorted.numel());
  return begins;
}

}  // namespace

TableRows sum_by_row(const Tensor& numbers, const Tensor& d) {
  TORCH_CHECK(numbers.dim() == 1 && d.dim() == 2 && d.size(0) == numbers.numel(), numbers.sizes(), " rows, ",
              d.sizes(), " values");
  const auto [sorted, order] = torch::sort(numbers, /*stable=*/true, /*dim=*/0, /*descending=*/false);
  if (!d.is_cpu()) {
    auto [rows, of_each, counts] = torch::unique_consecutive(sorted, /*return_inverse=*/true);
    Tensor sums = torch::zeros({rows.numel(), d.size(1)}, d.options());
    sums.index_add_(0, of_each, d.index_select(0, order));
    return {rows, sums};
  }
  const std::vector<int64_t> begins = runs_of(sorted);
  const auto count = static_cast<int64_t>(begins.size()) - 1, width = d.size(1);
  const Tensor from = d.contiguous();
  TableRows out{torch::empty({count}, torch::kInt64), torch::empty({count, width}, d.options())};
  at::parallel_for(0, count, kRowsEach, [&](int64_t first, int64_t last) {
    for (int64_t run = first; run < last; ++run) {
      const auto at = begins[static_cast<size_t>(run)], end = begins[static_cast<size_t>(run) + 1];
      out.numbers.data_ptr<int64_t>()[run] = sorted.data_ptr<int64_t>()[at];
      float* to = out.values.data_ptr<float>() + run * width;
      for (int64_t i = at; i < end; ++i) {
        const float* one = from.data_ptr<float>() + order.data_ptr<int64_t>()[i] * width;
        for (int64_t k = 0; k < width; ++k) to[k] = i == at ? one[k] : to[k] + one[k];
      }
    }
  });
  return out;
}

Tensor sparse_table(const TableRows& rows, int64_t row_count) {
  return torch::_sparse_coo_tensor_unsafe(rows.numbers.unsqueeze(0), rows.values,
                                          {row_count, rows.values.size(1)},
                                          rows.values.options().layout(torch::kSparse));
}

TableRows rows_of(const Tensor& sparse) {
  // Torch does not remember what was said of the order of a gradient.
  const Tensor numbers = sparse._indices().select(0, 0);
  if (ascending(numbers)) return {numbers, sparse._values()};
  return sum_by_row(numbers, sparse._values());
}

Tensor engram_gather(const Tensor& table, const Tensor& indices, bool fused) {
  TORCH_CHECK(table.dim() == 2 && indices.dim() == 2, "rows ", indices.sizes(), " of a table ",
              table.sizes());
  if (fused) return GatherFunction::apply(table, indices);
  return torch::embedding(table, indices, /*padding_idx=*/-1, /*scale_grad_by_freq=*/false, /*sparse=*/true)
      .view({indices.size(0), -1});
}

}  // namespace mneme::train
