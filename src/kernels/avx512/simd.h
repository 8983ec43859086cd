// The vector words of the shared kernels in 512-bit registers: 16 lanes of 32 bits. Needs AVX-512 F/BW/VL/DQ,
// VNNI, BF16, VBMI.
#pragma once

#include <immintrin.h>

#include "kernels/ops.h"

namespace mneme::kernels {
namespace {

struct Simd {
  static constexpr int kLanes = 16;
  static constexpr bool kHasBf16Dot = true;
  using F = __m512;
  using I = __m512i;

  static F zero() { return _mm512_setzero_ps(); }
  static F set1(float x) { return _mm512_set1_ps(x); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F abs(F a) { return _mm512_abs_ps(a); }
  static float sum(F a) { return _mm512_reduce_add_ps(a); }
  static float largest(F a) { return _mm512_reduce_max_ps(a); }
  // The sums, or the largest, of the lanes of four words: about the time of one.
  static void sum_each(const F (&a)[4], float* sums) {
    const F ab = add(_mm512_unpacklo_ps(a[0], a[1]), _mm512_unpackhi_ps(a[0], a[1]));
    const F cd = add(_mm512_unpacklo_ps(a[2], a[3]), _mm512_unpackhi_ps(a[2], a[3]));
    const F all = add(pairs_low(ab, cd), pairs_high(ab, cd));
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
  }
  static void largest_each(const F (&a)[4], float* largest) {
    const F ab = max(_mm512_unpacklo_ps(a[0], a[1]), _mm512_unpackhi_ps(a[0], a[1]));
    const F cd = max(_mm512_unpacklo_ps(a[2], a[3]), _mm512_unpackhi_ps(a[2], a[3]));
    const F all = max(pairs_low(ab, cd), pairs_high(ab, cd));
    const __m256 half = _mm256_max_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    _mm_storeu_ps(largest, _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
  }
  static F pairs_low(F a, F b) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  }
  static F pairs_high(F a, F b) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  }

  // Into the second-level cache. In assembly: gcc takes a function that only prefetches for one without
  // effect, and drops the calls.
  static void prefetch(const void* p) {
    __asm__ volatile("prefetcht1 %0" : : "m"(*static_cast<const char*>(p)));
  }
  // Into the first-level cache, for what is read next.
  static void prefetch_near(const void* p) {
    __asm__ volatile("prefetcht0 %0" : : "m"(*static_cast<const char*>(p)));
  }

  static I izero() { return _mm512_setzero_si512(); }
  static I load_i(const void* p) { return _mm512_loadu_si512(p); }
  static I and_u8(I a, uint8_t mask) {
    return _mm512_and_si512(a, _mm512_set1_epi8(static_cast<char>(mask)));
  }
  template <int kBits>
  static I shift_right(I a) {
    return _mm512_srli_epi32(a, kBits);
  }
  template <int kBits>
  static I shift_left(I a) {
    return _mm512_slli_epi32(a, kBits);
  }
  static I or_(I a, I b) { return _mm512_or_si512(a, b); }
  // Sets `value` in the bytes whose bit is set in the 64-bit mask at p.
  static I or_where(I a, const uint8_t* p, uint8_t value) {
    const __mmask64 mask = *reinterpret_cast<const uint64_t*>(p);
    return _mm512_or_si512(a, _mm512_maskz_mov_epi8(mask, _mm512_set1_epi8(static_cast<char>(value))));
  }
  // Each byte (0..15) replaced by its entry.
  static I lookup(I index, const uint8_t (&table)[16]) {
    const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), index);
  }
  static F to_f32(I a) { return _mm512_cvtepi32_ps(a); }
  static F load_f16(const void* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  }
  static I load_u8(const void* p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  static I load_i8(const void* p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  static I and_i32(I a, int mask) { return _mm512_and_si512(a, _mm512_set1_epi32(mask)); }
  static I sub_i32(I a, int b) { return _mm512_sub_epi32(a, _mm512_set1_epi32(b)); }

  // acc + products of 4 unsigned codes a lane with the 4 signed codes at `quad`.
  template <int kCodeMax>
  static I dot4(I acc, I codes, const int8_t* quad) {
    return _mm512_dpbusd_epi32(acc, codes, _mm512_set1_epi32(*reinterpret_cast<const int*>(quad)));
  }
  // Whole numbers up to 16319 against 4 unsigned codes a lane, in two sums that join() makes one. Stored as
  // two digits of 7 bits, u = 128 first + second, so that each is one instruction.
  static void store_wide(int8_t* first, int8_t* second, I u) {
    const I high = _mm512_srai_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(64)), 7);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(first), _mm512_cvtepi32_epi8(high));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(second),
                     _mm512_cvtepi32_epi8(_mm512_sub_epi32(u, _mm512_slli_epi32(high, 7))));
  }
  static I dot4_first(I acc, I codes, const int8_t* quad) { return dot4<255>(acc, codes, quad); }
  static I dot4_second(I acc, I codes, const int8_t* quad) { return dot4<255>(acc, codes, quad); }
  static I join(I first, I second) { return _mm512_add_epi32(_mm512_slli_epi32(first, 7), second); }
  // Rounds to the nearest integer and stores kLanes signed bytes; |x| <= 127.
  static I round_i8(int8_t* p, F x) {
    const I rounded = _mm512_cvtps_epi32(x);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(rounded));
    return rounded;
  }
  static void store_bf16(uint16_t* p, F x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
  }
  using Pair = uint32_t;  // bf16 [2]
  static Pair make_pair(float a, float b) {
    const __m128 ab = _mm_setr_ps(a, b, 0, 0);
    return static_cast<uint32_t>(_mm_cvtsi128_si32(reinterpret_cast<__m128i>(_mm_cvtneps_pbh(ab))));
  }
  // kLanes values as pairs of neighbours.
  static void store_pairs(Pair* p, F x) { store_bf16(reinterpret_cast<uint16_t*>(p), x); }
  // acc + the two products of a lane's bf16 pair with the pair at p.
  static F dot2(F acc, I pairs, const Pair* p) {
    return _mm512_dpbf16_ps(acc, reinterpret_cast<__m512bh>(pairs),
                            reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<int>(*p))));
  }
  // 2^x for the exp below.
  static F exp2_split(F fraction, F whole) { return _mm512_scalef_ps(fraction, whole); }

  // Bits of a float and back.
  static I as_i(F x) { return _mm512_castps_si512(x); }
  static F as_f(I x) { return _mm512_castsi512_ps(x); }
  static I set1_i32(uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
  static I add_i32(I a, I b) { return _mm512_add_epi32(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F nan_to_zero(F x) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), x); }
  // a < b ? yes : no
  static I select_less(F a, F b, I yes, I no) {
    return _mm512_mask_mov_epi32(no, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), yes);
  }
  // count + (a > b)
  static I count_greater(I count, F a, F b) {
    return _mm512_mask_add_epi32(count, _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), count, _mm512_set1_epi32(1));
  }
  // bf16 [kLanes], and u16 or u8 [kLanes] of lanes that fit.
  static F load_bf16(const uint16_t* p) { return as_f(_mm512_slli_epi32(load_u16(p), 16)); }
  static I load_u16(const uint16_t* p) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static void store_i(void* p, I x) { _mm512_storeu_si512(p, x); }
  static void store_u16(void* p, I x) {
    _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtepi32_epi16(x));
  }
  static void store_u8(void* p, I x) { _mm_storeu_si128(static_cast<__m128i*>(p), _mm512_cvtepi32_epi8(x)); }
  static I sub_i32(I a, I b) { return _mm512_sub_epi32(a, b); }
  static I to_i32(F x) { return _mm512_cvtps_epi32(x); }  // to nearest even

  // 2 kLanes int8 codes as 16-bit numbers.
  static I widen_i8(const void* p) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  }
  // 2 kLanes E4M3 codes (but NaN) as bf16, exactly: s eeee mmm is s 0 eeee mmm 0000 with 120 added to the
  // exponent, and one of eight numbers where eeee is 0.
  static I widen_e4m3(const void* p) {
    const I codes = widen_i8(p);  // the sign fills the upper half
    const I small = _mm512_broadcast_i32x4(
        _mm_setr_epi16(0, 0x3B00, 0x3B80, 0x3BC0, 0x3C00, 0x3C20, 0x3C40, 0x3C60));
    const I moved = _mm512_and_si512(_mm512_slli_epi16(codes, 4), _mm512_set1_epi16(0x07F0));
    I wide = _mm512_add_epi16(moved, _mm512_set1_epi16(0x3C00));
    const __mmask32 is_small = _mm512_testn_epi16_mask(codes, _mm512_set1_epi16(0x78));
    wide = _mm512_mask_permutexvar_epi16(wide, is_small, codes, small);
    return _mm512_ternarylogic_epi32(wide, codes, _mm512_set1_epi16(static_cast<short>(0x8000)), 0xF8);
  }
  // kLanes E4M3 codes (but NaN) over 256, exactly: s eeee mmm is s 0eeee mmm0000000 as f16, whose exponent is
  // less by 8.
  static F load_e4m3(const void* p) {
    const __m256i codes = _mm256_cvtepi8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)));
    const __m256i moved = _mm256_slli_epi16(codes, 7);
    return _mm512_cvtph_ps(_mm256_and_si256(moved, _mm256_set1_epi16(static_cast<short>(0xBF80))));
  }
  // x - floor(x), and 2^floor(x) y, 0 where that is too small.
  static F above_floor(F x) { return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  static F scale_floor(F y, F x) { return _mm512_scalef_ps(y, x); }
  static F round(F x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
};

}  // namespace
}  // namespace mneme::kernels
