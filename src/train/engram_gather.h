// Rows of an n-gram table (docs/formats/mneme-gguf.md, "Engram") for a batch, and their gradient. A step
// touches a few thousand of a table's rows: the gradient is a sparse tensor of these rows alone, so that
// neither memory nor time grows with the table. The optimizer (train/lazy_adam.h) walks them.
#pragma once

#include <torch/types.h>

namespace mneme::train {

// Some rows of a table.
struct TableRows {
  torch::Tensor numbers;  // [n] int64, ascending, each once
  torch::Tensor values;   // [n, w] f32
};

// Sums d[i] [w] over equal numbers: [m] int64, [m, w] f32. On the CPU always in the order of i, whatever the
// number of threads.
[[nodiscard]] TableRows sum_by_row(const torch::Tensor& numbers, const torch::Tensor& d);

// A gradient [R, w] as sparse tensor, and back: of whatever sparse tensor torch makes of several.
[[nodiscard]] torch::Tensor sparse_table(const TableRows& rows, int64_t row_count);
[[nodiscard]] TableRows rows_of(const torch::Tensor& sparse);

// table: [R, w] f32; indices: [T, K] int64, 0 <= index < R. Returns [T, K w]. The table's .grad is sparse.
// fused false: torch's own embedding.
[[nodiscard]] torch::Tensor engram_gather(const torch::Tensor& table, const torch::Tensor& indices,
                                          bool fused);

}  // namespace mneme::train
