// Matrix products over the thread pool.
#pragma once

#include <span>
#include <vector>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "kernels/ops.h"

namespace mneme::kernels {

// One product of a batch: y[r, n] = sum_k w[n, k] x[r, k].
struct Product {
  const PackedMatrix* weights = nullptr;
  float* y = nullptr;  // [rows, weights->rows], y_stride floats between rows
  size_t y_stride = 0;
};

// The activation forms and per-thread scratch of one engine: reserved once for the largest product, touched
// as needed.
class MatmulScratch {
 public:
  static Result<MatmulScratch> reserve(int rows_max, int columns_max, int threads);

  // Several products with the same input x [rows, columns] (x_stride floats between rows) as one parallel
  // section, after one that prepares the activation forms they read.
  void multiply(const Ops& ops, core::ThreadPool& pool, std::span<const Product> products, const float* x,
                int rows, size_t x_stride);

 private:
  MatmulScratch() = default;
  core::Arena arena_;
  int rows_max_ = 0, columns_max_ = 0;
  Activations forms_;                          // of rows_max x columns_max
  std::vector<std::span<std::byte>> threads_;  // [thread]: matmul_scratch_bytes()
};

}  // namespace mneme::kernels
