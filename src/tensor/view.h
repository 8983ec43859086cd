#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace mneme::tensor {

// A row-major matrix of quantised or plain values in somebody else's memory (a mapped file, usually). A GGUF
// matrix that multiplies a vector of `columns` values into one of `rows` values is stored exactly so.
struct MatrixView {
  DType type = DType::kF32;
  uint64_t rows = 0;
  uint64_t columns = 0;
  std::span<const std::byte> bytes;  // [rows, row_bytes(type, columns)]
};

}  // namespace mneme::tensor
