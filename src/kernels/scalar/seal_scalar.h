// The oracle's operations on sealed blocks (Ops says what they do).
#pragma once

#include "kernels/sealed_tasks.h"

namespace mneme::kernels {

void scalar_seal_block(const SealTask& task);
void scalar_unseal_block(const UnsealTask& task);
void scalar_sketch_scores(const SketchTask& task);
void scalar_sketch_masses(const SketchMassTask& task);
void scalar_attend_sealed(const AttendSealedTask& task);
void scalar_add_means(const AddMeansTask& task);
void scalar_key_error_bounds(const KeyBoundTask& task);

}  // namespace mneme::kernels
