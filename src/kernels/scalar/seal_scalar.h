// The oracle's operations on sealed blocks (Ops says what they do).
#pragma once

#include "kernels/sealed.h"

namespace mneme::kernels {

void scalar_seal_block(const SealTask& task);
void scalar_unseal_block(const UnsealTask& task);
void scalar_sketch_scores(const SketchTask& task);

}  // namespace mneme::kernels
