#include "kernels/avx512/simd.h"

#include "kernels/backends.h"
#include "kernels/shared/attend.inl"
#include "kernels/shared/matmul.inl"
#include "kernels/shared/peak.inl"
#include "kernels/shared/rows.inl"
#include "kernels/shared/seal.inl"
#include "kernels/shared/sketch.inl"
#include "kernels/shared/streams.inl"

namespace mneme::kernels {

const Ops& avx512_ops() {
  static constexpr Ops kOps{"avx512",
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
                            [](const SketchMassTask& t) { scalar_ops().sketch_masses(t); },
                            [](const AttendSealedTask& t) { scalar_ops().attend_sealed(t); },
                            [](const AddMeansTask& t) { scalar_ops().add_means(t); },
                            [](const KeyBoundTask& t) { scalar_ops().key_error_bounds(t); },
                            vector_peak,
                            vector_read};
  return kOps;
}

}  // namespace mneme::kernels
