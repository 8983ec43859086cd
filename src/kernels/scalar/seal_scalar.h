// The oracle's operations on sealed blocks (Ops says what they do).
#pragma once

#include "kernels/sealed_tasks.h"

namespace mneme::kernels {

// What a copy says a key and a value are; both are exact.
struct CopiedKey {
  float centre, unit, code;

  double exact() const { return double{centre} + double{unit} * double{code}; }
};
CopiedKey copied_key(const SealedSummary& summary, const SealedFp8& copy, int channel, int token);
float copied_value(const SealedFp8& copy, int head_dim, int channel, int token);

void scalar_seal_block(const SealTask& task);
void scalar_unseal_block(const UnsealTask& task);
void scalar_sketch_scores(const SketchTask& task);
void scalar_sketch_masses(const SketchMassTask& task);
void scalar_relative_masses(const RelativeMassTask& task);
void scalar_attend_sealed(const AttendSealedTask& task);
void scalar_add_means(const AddMeansTask& task);
void scalar_key_error_bounds(const KeyBoundTask& task);

}  // namespace mneme::kernels
