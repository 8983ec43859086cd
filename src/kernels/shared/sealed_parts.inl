// What attention over 8-bit copies of either format is made of, for ISA files.
#pragma once

#include "kernels/shared/attend.inl"
#include "kernels/shared/seal.inl"

namespace mneme::kernels {
namespace {

constexpr int kSealedRows = Simd::kLanes == 16 ? 8 : 4;  // as many sums as half of the registers
constexpr int kSealedHeadDimMax = 512;

// A row's score is base + unit * sum.
struct SealedRow {
  float base, unit;
};

constexpr int kBatchBlocks = 4;  // int8 blocks that go through a softmax together
constexpr int kBatchTokens = kBatchBlocks * kBlock;

// Operands of one group of rows, in the caller's scratch.
struct SealedScratch {
  float* scores;    // [rows][kBatchTokens], then weights
  float* scales;    // [head_dim]
  float* centres;   // [head_dim]
  int8_t* queries;  // [kBatchBlocks][rows][2][head_dim], or E4M3's pairs
  int8_t* weights;  // [rows][2][kBatchTokens]
  int32_t* sums;    // of the matrix unit: [4][16][16]

  SealedScratch(void* memory, int head_dim) {
    scores = static_cast<float*>(memory);
    scales = scores + 8 * kBatchTokens;
    centres = scales + head_dim;
    queries = reinterpret_cast<int8_t*>(centres + head_dim);
    weights = queries + kBatchBlocks * 16 * head_dim;
    sums = reinterpret_cast<int32_t*>(weights + 16 * kBatchTokens);
  }
};

// Where the next block's keys and values are, from this one's: in bytes, 0 behind the last.
struct SealedAhead {
  std::ptrdiff_t keys = 0, values = 0;
};

// Asks for the line of codes `ahead` bytes further, once a line: lines begin at multiples of 64 of `at`.
MNEME_ALWAYS_INLINE void ask_ahead(const uint8_t* codes, int at, std::ptrdiff_t ahead) {
  if (at % 64 == 0 && ahead != 0) Simd::prefetch(codes + ahead);
}

inline float dot_f32(const float* a, const float* b, int n) {
  Simd::F sum = Simd::zero();
  for (int i = 0; i < n; i += Simd::kLanes) sum = Simd::fma(Simd::load(a + i), Simd::load(b + i), sum);
  return Simd::sum(sum);
}

inline void load_bf16(const uint16_t* from, int n, float* to) {
  for (int i = 0; i < n; i += Simd::kLanes) Simd::store(to + i, Simd::load_bf16(from + i));
}

}  // namespace
}  // namespace mneme::kernels
