// f32 -> every element type by plain scaling. No search for better scales: quantisers that look for them lose
// less.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "tensor/dtype.h"

namespace mneme::tensor {

// values.size() must be a whole number of blocks, the values finite.
std::vector<std::byte> quantize(DType type, std::span<const float> values);

}  // namespace mneme::tensor
