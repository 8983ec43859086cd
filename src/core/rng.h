// A seeded generator whose stream is the same on every machine and library (std::uniform_* are not).
#pragma once

#include <cstdint>

namespace mneme::core {

// PCG32 (O'Neill 2014): 64-bit state, 32-bit output.
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 0xDA3E39CB94B95BDBull) { next_u32(); }

  uint32_t next_u32() {
    const uint64_t old = state_;
    state_ = old * 6364136223846793005ull + 1442695040888963407ull;
    const auto shifted = static_cast<uint32_t>(((old >> 18) ^ old) >> 27);
    const auto turn = static_cast<uint32_t>(old >> 59);
    return (shifted >> turn) | (shifted << ((32 - turn) & 31));
  }
  // [0, 1) with 24 bits.
  float next_unit() { return static_cast<float>(next_u32() >> 8) * 0x1p-24f; }
  // [0, count), count > 0; the bias of a multiply is below 2^-32.
  uint32_t next_below(uint32_t count) {
    return static_cast<uint32_t>((static_cast<uint64_t>(next_u32()) * count) >> 32);
  }

 private:
  uint64_t state_;
};

}  // namespace mneme::core
