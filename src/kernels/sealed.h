// What is made of a block of 64 tokens when it is sealed, and the tasks of the operations that make it and
// bring it back (Ops::seal_block, unseal_block); those that compute with it: sealed_tasks.h. All numbers are
// little endian; a layout never changes without a new version of the segment file.
//
// Keys are coded per channel c around a centre m[c], values per token around zero, in one of two formats
// (CopyFormat); codes of kInt8 are whole numbers in [-127, 127]:
//   k[t, c] ~= m[c] + a[c] * code          v[t, c] ~= b[t] * code          (kInt8)
//   k[t, c] ~= m[c] + 2^e[c] * E4M3        v[t, c] ~= 2^f[t] * E4M3        (kE4M3)
//   m[c]    the mean of k[., c], rounded to bf16:  q.k = q.m + q.(k - m) keeps the large part exact
//   s[c]    the deviation: sqrt(mean((k[t, c] - m[c])^2)), rounded up to 3 bits of mantissa. It is taken
//           about the rounded centre, so |k - m| <= sqrt(64) s = 8 s always
//   e[c]    the smallest with 8 s[c] <= 448 * 2^e[c]: nothing saturates, nothing is stored for it, and a
//           bf16 query times a power of two is not rounded again
//   a[c]    max|k[., c] - m[c]| / 127, rounded up to bf16, at least 2^-100
//   b[t]    max|v[t, .]| / 127, the same way
//   f[t]    the smallest with max|v[t, .]| <= 448 * 2^f[t]
// Error of a logit in nats, mean / largest, keys and queries of the default model's global layers at 14,300
// tokens: kInt8 0.0072 / 0.059 (scales in f32 0.0072 / 0.060, 3 bits of mantissa 0.0075 / 0.052, powers of
// two 0.0102 / 0.076, 8 s / 127 0.0236 / 0.17, not centred 0.0081 / 0.059); kE4M3 0.0327 / 0.25 (about as
// much with 2^e or a float by the largest |k - m|). The sketch is two bits a key and channel, four equal
// steps about the centre:
//   k[t, c] ~= m[c] + kSketchStep * s[c] * (code - 1.5)
// Mean error of a logit on the same keys: 0.402; steps of 0.8, 0.9, 1.1 s: 0.458, 0.418, 0.404; levels over
// the range of each channel 0.516; step fitted by least squares after coding 0.403; the centre alone 1.51.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mneme::kernels {

// The step of four equal levels that loses least of a Gaussian of deviation 1 (Max 1960, "Quantizing for
// minimum distortion", table II: 0.9957; mean squared error 0.1188).
inline constexpr float kSketchStep = 0.9957f;

// Head dimensions that Ops::seal_block takes: even, up to this.
inline constexpr int kSealHeadDimMax = 4096;

// Keys and values beyond +-2^56 are sealed as +-2^56 and NaN as 0, so that no sum overflows. (The originals
// keep what they hold.)
inline constexpr float kSealMax = 0x1p56f;

// What codes of the 8-bit copy are: a property of each sealed form, said by its views.
enum class CopyFormat : uint8_t { kE4M3 = 0, kInt8 = 1 };
inline constexpr CopyFormat kDefaultCopyFormat = CopyFormat::kInt8;

// The smallest scale of kInt8: no product of it is a denormal.
inline constexpr float kInt8ScaleMin = 0x1p-100f;

// Numbers of one block.
struct BlockStatistics {
  float value_norm_max = 0;     // max over tokens of |v[t, .]|, the Euclidean norm
  float value_norm_rms = 0;     // sqrt(mean over tokens of |v[t, .]|^2)
  float value_mean_scale = 0;   // a power of two
  uint32_t deviation_base = 0;  // see deviation_bits()
  uint32_t count = 0;           // tokens, 1..64
  uint32_t reserved[3] = {};
};
static_assert(sizeof(BlockStatistics) == 32);

// The part that always stays in memory: statistics and sketch, as they are read. Pointers into memory of the
// caller.
struct SealedSummary {
  const BlockStatistics* statistics = nullptr;
  const uint16_t* key_centres = nullptr;    // m, bf16 [head_dim]
  const uint8_t* key_deviations = nullptr;  // s, [head_dim], see deviation_bits()
  const uint8_t* value_means = nullptr;     // mean of v over value_mean_scale, E4M3 [head_dim]
  // [ceil(head_dim / 4), 16, 4]: byte [quad][lane][i] holds, from its lowest bits, the codes of channel
  // 4 quad + i of the tokens lane, 16 + lane, 32 + lane and 48 + lane. So 64 bytes are 4 channels of all 64
  // tokens, and shifted by 2 j and masked they are the operand of a 4-byte dot product (VPDPBUSD, or a row of
  // a tile for TDPBUSD) of 16 tokens. Channels beyond head_dim and tokens from `count` on have code 0.
  const uint8_t* sketch = nullptr;
};

// The 8-bit copy. Elements of kE4M3 lie in the order of the bf16 block (kv/kv.h), bytes in place of
// halfwords. Those of kInt8 lie in fours, so that 4 bytes are one operand of a dot product (VPDPBUSD): 4
// channels of a token's key, 4 tokens' values of a channel; a byte is the code + 128.
// Tokens from `count` on have codes and scales that say zero.
struct SealedFp8 {
  const uint8_t* keys = nullptr;             // [ceil(head_dim / 4), 64, 4], or E4M3 [head_dim / 2, 64, 2]
  const uint8_t* values = nullptr;           // [16, head_dim, 4], or E4M3 [32, head_dim, 2]
  const uint8_t* value_exponents = nullptr;  // of kE4M3, [64]: scale_bits() of it is 2^f
  const uint16_t* key_scales = nullptr;      // of kInt8: a, bf16 [head_dim]
  const uint16_t* value_scales = nullptr;    // of kInt8: b, bf16 [64]

  CopyFormat format() const { return key_scales == nullptr ? CopyFormat::kE4M3 : CopyFormat::kInt8; }
};

// Where kInt8 has channel c of token t.
constexpr size_t int8_key_at(int c, int t) { return static_cast<size_t>(c / 4 * 256 + t * 4 + c % 4); }
constexpr size_t int8_value_at(int c, int t, int head_dim) {
  return static_cast<size_t>(t / 4 * head_dim * 4 + c * 4 + t % 4);
}
constexpr int kInt8Zero = 128;

// The same, as they are written.
struct SummaryOut {
  BlockStatistics* statistics = nullptr;
  uint16_t* key_centres = nullptr;
  uint8_t* key_deviations = nullptr;
  uint8_t* value_means = nullptr;
  uint8_t* sketch = nullptr;

  operator SealedSummary() const { return {statistics, key_centres, key_deviations, value_means, sketch}; }
};
struct Fp8Out {
  uint8_t* keys = nullptr;
  uint8_t* values = nullptr;
  uint8_t* value_exponents = nullptr;
  uint16_t* key_scales = nullptr;  // null: E4M3 is written
  uint16_t* value_scales = nullptr;

  CopyFormat format() const { return SealedFp8(*this).format(); }
  operator SealedFp8() const { return {keys, values, value_exponents, key_scales, value_scales}; }
};

// A scale as the exponent field of an f32; 0 is 0. (1..254 as E8M0 of the OCP Microscaling formats v1.0.)
constexpr uint32_t scale_bits(uint32_t scale) { return scale << 23; }

// The deviation of a code: the upper 12 bits of an f32, counted from deviation_base. Codes span 31.9 octaves
// below the block's largest deviation; what is smaller counts as the smallest.
constexpr uint32_t deviation_bits(uint32_t base, uint8_t code) { return (base + code) << 20; }

// e[c] + 127, at least 1, from `level` = base + code: s = 2^E (1 + m / 8) needs 2^e >= s / 56 = s / (1.75 *
// 2^5), which is E - 5 up to m = 6.
constexpr uint32_t key_scale(uint32_t level) {
  const uint32_t octave = (level + 1) >> 3;
  return octave > 6 ? octave - 5 : 1;
}

struct SealTask {
  const uint16_t* keys = nullptr;    // bf16 [head_dim / 2, 64, 2]
  const uint16_t* values = nullptr;  // bf16 [32, head_dim, 2]
  int count = 64;                    // tokens that are written, 1..64; what the others hold is not looked at
  int head_dim = 0;                  // even, 2..kSealHeadDimMax
  SummaryOut summary;
  Fp8Out fp8;
};

struct UnsealTask {
  SealedSummary summary;  // only centres and deviations are read
  SealedFp8 fp8;
  int head_dim = 0;
  uint16_t* keys = nullptr;    // bf16 [head_dim / 2, 64, 2], written; tokens from `count` on hold the centre
  uint16_t* values = nullptr;  // bf16 [32, head_dim, 2], written
};

}  // namespace mneme::kernels
