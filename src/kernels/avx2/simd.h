// The vector words of the shared kernels in 256-bit registers: 8 lanes of 32 bits. Needs AVX2, FMA, F16C.
#pragma once

#include <immintrin.h>

#include "kernels/ops.h"

namespace mneme::kernels {
namespace {

struct Simd {
  static constexpr int kLanes = 8;
  static constexpr bool kHasBf16Dot = false;
  using F = __m256;
  using I = __m256i;

  static F zero() { return _mm256_setzero_ps(); }
  static F set1(float x) { return _mm256_set1_ps(x); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static float sum(F a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  static float largest(F a) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
  }
  // The sums, or the largest, of the lanes of four words: about the time of one.
  static void sum_each(const F (&a)[4], float* sums) {
    const F ab = add(_mm256_unpacklo_ps(a[0], a[1]), _mm256_unpackhi_ps(a[0], a[1]));
    const F cd = add(_mm256_unpacklo_ps(a[2], a[3]), _mm256_unpackhi_ps(a[2], a[3]));
    const F all = add(pairs_low(ab, cd), pairs_high(ab, cd));
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
  }
  static void largest_each(const F (&a)[4], float* largest) {
    const F ab = max(_mm256_unpacklo_ps(a[0], a[1]), _mm256_unpackhi_ps(a[0], a[1]));
    const F cd = max(_mm256_unpacklo_ps(a[2], a[3]), _mm256_unpackhi_ps(a[2], a[3]));
    const F all = max(pairs_low(ab, cd), pairs_high(ab, cd));
    _mm_storeu_ps(largest, _mm_max_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
  }
  static F pairs_low(F a, F b) {
    return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
  }
  static F pairs_high(F a, F b) {
    return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
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

  static I izero() { return _mm256_setzero_si256(); }
  static I load_i(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static I and_u8(I a, uint8_t mask) {
    return _mm256_and_si256(a, _mm256_set1_epi8(static_cast<char>(mask)));
  }
  template <int kBits>
  static I shift_right(I a) {
    return _mm256_srli_epi32(a, kBits);
  }
  template <int kBits>
  static I shift_left(I a) {
    return _mm256_slli_epi32(a, kBits);
  }
  static I or_(I a, I b) { return _mm256_or_si256(a, b); }
  // Sets `value` in the bytes whose bit is set in the 32-bit mask at p.
  static I or_where(I a, const uint8_t* p, uint8_t value) {
    const I mask = _mm256_set1_epi32(*reinterpret_cast<const int*>(p));
    const I byte_of = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2,
                                       3, 3, 3, 3, 3, 3, 3, 3);
    const I bit_of = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ull));
    const I bits = _mm256_and_si256(_mm256_shuffle_epi8(mask, byte_of), bit_of);
    return _mm256_or_si256(a, and_u8(_mm256_cmpeq_epi8(bits, bit_of), value));
  }
  // Each byte (0..15) replaced by its entry.
  static I lookup(I index, const uint8_t (&table)[16]) {
    const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), index);
  }
  static F to_f32(I a) { return _mm256_cvtepi32_ps(a); }
  static F load_f16(const void* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  static I load_u8(const void* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
  }
  static I load_i8(const void* p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
  }
  static I and_i32(I a, int mask) { return _mm256_and_si256(a, _mm256_set1_epi32(mask)); }
  static I sub_i32(I a, int b) { return _mm256_sub_epi32(a, _mm256_set1_epi32(b)); }

  // acc + products of 4 unsigned codes a lane with the 4 signed codes at `quad`. VPMADDUBSW saturates at 16
  // bits, which two products of codes up to 63 cannot reach; larger codes are multiplied as 16-bit numbers.
  template <int kCodeMax>
  static I dot4(I acc, I codes, const int8_t* quad) {
    const I other = _mm256_set1_epi32(*reinterpret_cast<const int*>(quad));
    if constexpr (kCodeMax <= 63) {
      return _mm256_add_epi32(acc,
                              _mm256_madd_epi16(_mm256_maddubs_epi16(codes, other), _mm256_set1_epi16(1)));
    } else {
      const I even = _mm256_madd_epi16(_mm256_and_si256(codes, _mm256_set1_epi16(0xFF)),
                                       _mm256_srai_epi16(_mm256_slli_epi16(other, 8), 8));
      const I odd = _mm256_madd_epi16(_mm256_srli_epi16(codes, 8), _mm256_srai_epi16(other, 8));
      return _mm256_add_epi32(acc, _mm256_add_epi32(even, odd));
    }
  }
  // Whole numbers up to 16319 against 4 unsigned codes a lane, in two sums that join() makes one. Stored as
  // 16-bit numbers, those that meet even codes in `first` and the others in `second`.
  static void store_wide(int8_t* first, int8_t* second, I u) {
    const I swapped = _mm256_shuffle_epi32(u, 0xD8);
    const I words = _mm256_packs_epi32(swapped, swapped);
    const uint64_t low = static_cast<uint64_t>(_mm256_extract_epi64(words, 0)),
                   high = static_cast<uint64_t>(_mm256_extract_epi64(words, 2));
    const uint32_t even[2] = {static_cast<uint32_t>(low), static_cast<uint32_t>(high)},
                   odd[2] = {static_cast<uint32_t>(low >> 32), static_cast<uint32_t>(high >> 32)};
    __builtin_memcpy(first, even, sizeof(even));
    __builtin_memcpy(second, odd, sizeof(odd));
  }
  static I dot4_first(I acc, I codes, const int8_t* quad) {
    const I other = _mm256_set1_epi32(*reinterpret_cast<const int*>(quad));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_and_si256(codes, _mm256_set1_epi16(0xFF)), other));
  }
  static I dot4_second(I acc, I codes, const int8_t* quad) {
    const I other = _mm256_set1_epi32(*reinterpret_cast<const int*>(quad));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_srli_epi16(codes, 8), other));
  }
  static I join(I first, I second) { return _mm256_add_epi32(first, second); }
  // Rounds to the nearest integer and stores kLanes signed bytes; |x| <= 127.
  static I round_i8(int8_t* p, F x) {
    const I rounded = _mm256_cvtps_epi32(x);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(rounded),
                                          _mm256_extracti128_si256(rounded, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
    return rounded;
  }
  static void store_bf16(uint16_t*, F) {}  // this back-end reads f32 activations with bf16 weights
  struct Pair {
    float a, b;
  };
  static Pair make_pair(float a, float b) { return {a, b}; }
  // kLanes values as pairs of neighbours.
  static void store_pairs(Pair* p, F x) { store(reinterpret_cast<float*>(p), x); }
  // acc + the two products of a lane's bf16 pair with the pair at p.
  static F dot2(F acc, I pairs, const Pair* p) {
    const F low = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
    const F high = _mm256_castsi256_ps(
        _mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xFFFF0000u))));
    return fma(high, _mm256_broadcast_ss(&p->b), fma(low, _mm256_broadcast_ss(&p->a), acc));
  }
  static F exp2_split(F fraction, F whole) {
    const I exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127)),
                                         23);
    return mul(fraction, _mm256_castsi256_ps(exponent));
  }

  // Bits of a float and back.
  static I as_i(F x) { return _mm256_castps_si256(x); }
  static F as_f(I x) { return _mm256_castsi256_ps(x); }
  static I set1_i32(uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
  static I add_i32(I a, I b) { return _mm256_add_epi32(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F nan_to_zero(F x) { return _mm256_and_ps(x, _mm256_cmp_ps(x, x, _CMP_ORD_Q)); }
  // a < b ? yes : no
  static I select_less(F a, F b, I yes, I no) {
    return _mm256_blendv_epi8(no, yes, as_i(_mm256_cmp_ps(a, b, _CMP_LT_OQ)));
  }
  // count + (a > b)
  static I count_greater(I count, F a, F b) {
    return _mm256_sub_epi32(count, as_i(_mm256_cmp_ps(a, b, _CMP_GT_OQ)));
  }
  // bf16 [kLanes], and u16 or u8 [kLanes] of lanes that fit.
  static F load_bf16(const uint16_t* p) { return as_f(_mm256_slli_epi32(load_u16(p), 16)); }
  static I load_u16(const uint16_t* p) {
    return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static void store_i(void* p, I x) { _mm256_storeu_si256(static_cast<__m256i*>(p), x); }
  static void store_u16(void* p, I x) {
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storeu_si128(static_cast<__m128i*>(p), words);
  }
  static void store_u8(void* p, I x) {
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64(static_cast<__m128i*>(p), _mm_packus_epi16(words, words));
  }
  static I sub_i32(I a, I b) { return _mm256_sub_epi32(a, b); }
  static I to_i32(F x) { return _mm256_cvtps_epi32(x); }  // to nearest even

  // 2 kLanes int8 codes as 16-bit numbers.
  static I widen_i8(const void* p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  // 2 kLanes E4M3 codes (but NaN) as bf16, exactly: s eeee mmm is s 0 eeee mmm 0000 with 120 added to the
  // exponent, and one of eight numbers where eeee is 0.
  static I widen_e4m3(const void* p) {
    const I codes = widen_i8(p);  // the sign fills the upper half
    const I small = _mm256_broadcastsi128_si256(
        _mm_setr_epi16(0, 0x3B00, 0x3B80, 0x3BC0, 0x3C00, 0x3C20, 0x3C40, 0x3C60));
    const I moved = _mm256_and_si256(_mm256_slli_epi16(codes, 4), _mm256_set1_epi16(0x07F0));
    const I wide = _mm256_add_epi16(moved, _mm256_set1_epi16(0x3C00));
    const I octave = _mm256_and_si256(codes, _mm256_set1_epi16(0x78));
    const I is_small = _mm256_cmpeq_epi16(octave, _mm256_setzero_si256());
    // Bytes 2 m and 2 m + 1 of the table.
    const I rest = _mm256_and_si256(codes, _mm256_set1_epi16(7));
    const I index = _mm256_add_epi16(_mm256_mullo_epi16(rest, _mm256_set1_epi16(0x0202)),
                                     _mm256_set1_epi16(0x0100));
    const I value = _mm256_blendv_epi8(wide, _mm256_shuffle_epi8(small, index), is_small);
    return or_(value, _mm256_and_si256(codes, _mm256_set1_epi16(static_cast<short>(0x8000))));
  }
  // kLanes E4M3 codes (but NaN) over 256, exactly: s eeee mmm is s 0eeee mmm0000000 as f16, whose exponent is
  // less by 8.
  static F load_e4m3(const void* p) {
    const __m128i codes = _mm_cvtepi8_epi16(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
    const __m128i moved = _mm_slli_epi16(codes, 7);
    return _mm256_cvtph_ps(_mm_and_si128(moved, _mm_set1_epi16(static_cast<short>(0xBF80))));
  }
  // x - floor(x), and 2^floor(x) y, 0 where that is too small.
  static F above_floor(F x) { return sub(x, _mm256_floor_ps(x)); }
  static F scale_floor(F y, F x) { return exp2_split(y, _mm256_floor_ps(max(x, set1(-127.0f)))); }
  static F round(F x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
};

}  // namespace
}  // namespace mneme::kernels
