#include "kernels/avx2/simd.h"

#include "kernels/backends.h"
#include "kernels/shared/attend.inl"
#include "kernels/shared/matmul.inl"
#include "kernels/shared/peak.inl"
#include "kernels/shared/rows.inl"

namespace mneme::kernels {

namespace {

// Heads that do not fill whole vectors are rare: the oracle serves them.
void attend(const AttendTask& task) {
  if (task.head_dim % Simd::kLanes != 0) return scalar_ops().attend(task);
  vector_attend(task);
}

}  // namespace

const Ops& avx2_ops() {
  static constexpr Ops kOps{"avx2",          vector_forms, vector_prepare, vector_matmul, vector_rms_norm,
                            vector_silu_mul, vector_add,   attend,         vector_peak,   vector_read};
  return kOps;
}

}  // namespace mneme::kernels
