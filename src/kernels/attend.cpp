#include "kernels/ops.h"

namespace mneme::kernels {

// Scores f32 [rows][64], weights [rows][32] pairs and queries [rows][head_dim / 2] pairs of up to 8 bytes
// (shared/attend.inl). The matrix unit takes less (amx/attend.inl).
size_t attend_scratch_bytes(int head_dim) {
  constexpr size_t kRows = kAttendRowsMax;
  return kRows * 64 * sizeof(float) + kRows * 32 * 8 + kRows * static_cast<size_t>(head_dim) / 2 * 8;
}

}  // namespace mneme::kernels
