// Rows of an n-gram table (docs/formats/mneme-gguf.md, "Engram") for a batch, and their gradient. A step
// touches a few thousand of a table's rows: their gradients are collected by row, each row once, and the
// table's own .grad stays undefined, so that neither memory nor time grows with the table. The optimizer
// walks `touched`.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <vector>

namespace mneme::train {

// Gradients of the rows of one table that were touched since the last clear. Not thread-safe.
class RowGradients {
 public:
  RowGradients(int64_t rows, int64_t width);

  // Adds d[i] [width] to the gradient of row indices[i], in order: the sums do not depend on the number of
  // threads.
  void add(std::span<const int64_t> indices, std::span<const float> d);
  // Costs as much as was touched, and keeps the memory.
  void clear();

  // In the order of first touch.
  [[nodiscard]] std::span<const int64_t> touched() const { return touched_; }
  // Of row touched()[index]: [width]. Writable, so that gradients can be clipped or averaged. Valid until
  // add.
  [[nodiscard]] std::span<float> gradient(size_t index);
  [[nodiscard]] int64_t width() const { return width_; }

 private:
  int64_t width_;
  std::vector<int32_t> slot_of_row_;  // [rows]: index into touched_, or -1
  std::vector<int64_t> touched_;
  std::vector<float> values_;  // [touched, width]
};

// table: [R, w] f32, requires_grad; indices: [T, K] int64, 0 <= index < R. Returns [T, K w]. The backward
// adds to `gradients`, which has to outlive the graph.
[[nodiscard]] torch::Tensor engram_gather(const torch::Tensor& table, const torch::Tensor& indices,
                                          RowGradients& gradients);

}  // namespace mneme::train
