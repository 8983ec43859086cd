#include "kernels/avx2/simd.h"

#include "kernels/backends.h"
#include "kernels/shared/attend.inl"
#include "kernels/shared/attend_sealed.inl"
#include "kernels/shared/key_bounds.inl"
#include "kernels/shared/masses.inl"
#include "kernels/shared/matmul.inl"
#include "kernels/shared/means.inl"
#include "kernels/shared/peak.inl"
#include "kernels/shared/rows.inl"
#include "kernels/shared/seal.inl"
#include "kernels/shared/sketch.inl"
#include "kernels/shared/streams.inl"

namespace mneme::kernels {

const Ops& avx2_ops() {
  static constexpr Ops kOps{"avx2",
                            vector_forms,
                            vector_prepare,
                            vector_matmul,
                            vector_rms_norm,
                            vector_silu_mul,
                            vector_add,
                            vector_blend,
                            vector_dots,
                            vector_combine,
                            vector_mix_streams,
                            vector_attend,
                            vector_seal_block,
                            vector_unseal_block,
                            vector_sketch_scores,
                            vector_sketch_masses,
                            vector_relative_masses,
                            vector_attend_sealed,
                            vector_add_means,
                            vector_key_error_bounds,
                            vector_peak,
                            vector_read};
  return kOps;
}

}  // namespace mneme::kernels
