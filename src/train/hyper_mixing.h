// How n residual streams are mixed around a sublayer (hyper_connection.h).
#pragma once

namespace mneme::train {

// In brackets the name in model files (docs/formats/mneme-gguf.md, "Residual connections").
enum class Mixing {
  kFree,          // [hc] every coefficient scale * tanh(c) + bias, unconstrained
  kSinkhorn,      // [mhc] doubly stochastic by Sinkhorn iterations
  kPermutations,  // [mhc-lite] a convex sum of all n! permutations
  kIdentity,      // [mhc-identity] no mixing
};

inline constexpr int kSinkhornIterations = 20;
inline constexpr int kHyperStreamsMax = 8;

// r: coefficients that make the mixing matrix.
[[nodiscard]] int coefficient_rows(Mixing mixing, int streams);

}  // namespace mneme::train
