// Vectors of floats in the compilers' own vector words, for hyper_kernels.cpp: functions here have no target
// of their own, they are inlined into functions that have one. Loops over arrays that are to stay in
// registers are unrolled by the front end (unroll), loops over memory take their last, incomplete vector
// through the same body (for_lanes).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // vectors never cross a call: every function that has one is
                                          // inlined
#endif

#define MNEME_ALWAYS_INLINE __attribute__((always_inline))
#define MNEME_HYPER_INLINE static inline MNEME_ALWAYS_INLINE

namespace mneme::train::hyper {

template <int kLanes>
struct LanesOf;
template <>
struct LanesOf<16> {
  typedef float Type __attribute__((vector_size(64)));
};
template <>
struct LanesOf<8> {
  typedef float Type __attribute__((vector_size(32)));
};
template <>
struct LanesOf<4> {
  typedef float Type __attribute__((vector_size(16)));
};
template <int kLanes>
using Lanes = typename LanesOf<kLanes>::Type;

// f(0), ..., f(kCount - 1) as compile-time constants.
template <int kCount, class F>
MNEME_HYPER_INLINE void unroll(F f) {
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) MNEME_ALWAYS_INLINE {
    (f(std::integral_constant<int, kIndex>{}), ...);
  }
  (std::make_integer_sequence<int, kCount>{});
}

template <class V>
MNEME_HYPER_INLINE V load(const float* from) {
  V v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
template <class V>
MNEME_HYPER_INLINE void store(float* to, V v) {
  std::memcpy(to, &v, sizeof v);
}

// How a body of for_lanes reads and writes: a whole vector, or the first `count` lanes with zeros in the
// others.
template <int kLanes>
struct Whole {
  using V = Lanes<kLanes>;
  MNEME_ALWAYS_INLINE V load(const float* from) const { return hyper::load<V>(from); }
  MNEME_ALWAYS_INLINE void store(float* to, V v) const { hyper::store(to, v); }
};
template <int kLanes>
struct Part {
  using V = Lanes<kLanes>;
  size_t count;
  MNEME_ALWAYS_INLINE V load(const float* from) const {
    V v{};
    std::memcpy(&v, from, count * sizeof(float));
    return v;
  }
  MNEME_ALWAYS_INLINE void store(float* to, V v) const { std::memcpy(to, &v, count * sizeof(float)); }
};

// f(access, i) for i = 0, kLanes, ... < count.
template <int kLanes, class F>
MNEME_HYPER_INLINE void for_lanes(size_t count, F f) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) f(Whole<kLanes>{}, i);
  if (i < count) f(Part<kLanes>{count - i}, i);
}

// Asks for the line that the next row has here: hardware prefetchers stop at pages, and a row of streams is
// about one. Past the end of a tensor it does nothing.
MNEME_HYPER_INLINE void prefetch(const float* row, size_t width) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(row) + width * sizeof(float)));
}

// x and y hold sums in groups of kGroup lanes; the result holds x's, then y's, in groups of half as many.
template <int kLanes, int kGroup>
MNEME_HYPER_INLINE Lanes<kLanes> fold(Lanes<kLanes> x, Lanes<kLanes> y) {
  constexpr int kHalf = kGroup / 2;
  return [&]<int... kLane>(std::integer_sequence<int, kLane...>) MNEME_ALWAYS_INLINE {
    return __builtin_shufflevector(x, y, (kLane / kHalf * kGroup + kLane % kHalf)...) +
           __builtin_shufflevector(x, y, (kLane / kHalf * kGroup + kLane % kHalf + kHalf)...);
  }
  (std::make_integer_sequence<int, kLanes>{});
}

// Lane i of the result: the sum over the lanes of parts[i].
template <int kLanes, int kGroup = kLanes>
MNEME_HYPER_INLINE Lanes<kLanes> lane_sums(const Lanes<kLanes>* parts) {
  if constexpr (kGroup == 1) {
    return parts[0];
  } else {
    Lanes<kLanes> folded[kGroup / 2];
    unroll<kGroup / 2>([&](auto i) MNEME_ALWAYS_INLINE {
      folded[i] = fold<kLanes, kGroup>(parts[2 * i], parts[2 * i + 1]);
    });
    return lane_sums<kLanes, kGroup / 2>(folded);
  }
}

}  // namespace mneme::train::hyper
