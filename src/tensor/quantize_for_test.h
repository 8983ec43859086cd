// f32 -> every element type by plain scaling, so that tests and fixtures can make weights of each. No search
// for better scales: real quantisers lose less. The implementation is quantize_simple.cpp (a name ending in
// _test.cpp is a test program).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "tensor/dtype.h"

namespace mneme::tensor {

// values.size() must be a whole number of blocks, the values finite.
std::vector<std::byte> quantize_for_test(DType type, std::span<const float> values);

}  // namespace mneme::tensor
