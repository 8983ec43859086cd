// Rows of every supported type to f32, one value after the other as the format defines it: the oracle for
// every kernel that multiplies packed weights. Layouts: docs/formats/gguf-quants.md.
#pragma once

#include <cstddef>
#include <span>

#include "tensor/dtype.h"

namespace mneme::tensor {

// out.size() must be a whole number of blocks and `blocks` exactly their bytes (checked: a bug otherwise).
void dequantize(DType type, std::span<const std::byte> blocks, std::span<float> out);

}  // namespace mneme::tensor
