// The tables there are. Which of them this machine can run: select.h.
#pragma once

#include "kernels/ops.h"

namespace mneme::kernels {

const Ops& scalar_ops();
const Ops& avx2_ops();
const Ops& avx512_ops();
const Ops& amx_ops();

}  // namespace mneme::kernels
