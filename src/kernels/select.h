#pragma once

#include <string_view>
#include <vector>

#include "core/error.h"
#include "kernels/ops.h"

namespace mneme::kernels {

// The tables this CPU and kernel can run, slowest (scalar) first.
std::vector<const Ops*> available_ops();

// The fastest, or the one that the environment variable MNEME_ISA names; a name that is unknown or cannot run
// here is an error.
Result<const Ops*> select_ops();

}  // namespace mneme::kernels
