// The fused forms of hyper_connection.h: torch on the outside, the loops of hyper_kernels.h inside.
#pragma once

#include <torch/types.h>

#include "train/hyper_connection.h"

namespace mneme::train {

// Whether the fused functions take these streams; shapes of the rest have been checked by the caller.
[[nodiscard]] bool can_fuse(const torch::Tensor& streams);

[[nodiscard]] HyperRead fused_read(const torch::Tensor& streams, const HyperWeights& weights, Mixing mixing,
                                   float epsilon);
[[nodiscard]] torch::Tensor fused_write(const torch::Tensor& streams, const HyperRead& read,
                                        const torch::Tensor& output);
[[nodiscard]] HyperWritten fused_write_read(const torch::Tensor& streams, const HyperRead& read,
                                            const torch::Tensor& output, const HyperConnection& next);

}  // namespace mneme::train
