// How each quantised type becomes, for 32 columns of kLanes rows: 8 vectors of unsigned codes (one a quad)
// and, for the group or for each half of it, a scale and an offset with  value = scale * code + offset.
// Layouts: packed.h. Included by ISA files after their simd.h.
#pragma once

// Loops over the registers of a tile: accumulators live in registers only when they are unrolled whole.
#if defined(__clang__)
#define MNEME_UNROLL _Pragma("unroll")
#else
#define MNEME_UNROLL _Pragma("GCC unroll 32")
#endif

// For functions that only prefetch (Simd::prefetch).
#define MNEME_ALWAYS_INLINE __attribute__((always_inline)) inline

namespace mneme::kernels {
namespace {

using tensor::DType;

struct Group {
  Simd::I codes[8];
  Simd::F scale[2];
  Simd::F offset[2];
};

constexpr size_t kLaneBytes = Simd::kLanes * 4;  // of a quad of every row here; half a tile has half of a
                                                 // unit's vectors

// `half`: which kLanes of the 16 rows.
inline Simd::F f16_lanes(const uint8_t* p, int half) { return Simd::load_f16(p + half * Simd::kLanes * 2); }
inline Simd::I u8_lanes(const uint8_t* p, int half) { return Simd::load_u8(p + half * Simd::kLanes); }

inline void nibbles(const uint8_t* p, int half, Simd::I (&codes)[8]) {
  MNEME_UNROLL
  for (int quad = 0; quad < 4; ++quad) {
    const Simd::I both = Simd::load_i(p + quad * 64 + static_cast<size_t>(half) * kLaneBytes);
    codes[quad] = Simd::and_u8(both, 15);
    codes[quad + 4] = Simd::and_u8(Simd::shift_right<4>(both), 15);
  }
}

inline void two_bits(const uint8_t* p, int half, Simd::I (&codes)[8]) {
  MNEME_UNROLL
  for (int plane = 0; plane < 2; ++plane) {
    const Simd::I fields = Simd::load_i(p + plane * 64 + static_cast<size_t>(half) * kLaneBytes);
    codes[4 * plane] = Simd::and_u8(fields, 3);
    codes[4 * plane + 1] = Simd::and_u8(Simd::shift_right<2>(fields), 3);
    codes[4 * plane + 2] = Simd::and_u8(Simd::shift_right<4>(fields), 3);
    codes[4 * plane + 3] = Simd::and_u8(Simd::shift_right<6>(fields), 3);
  }
}

inline void or_bits(const uint8_t* p, int half, uint8_t value, Simd::I (&codes)[8]) {
  MNEME_UNROLL
  for (int quad = 0; quad < 8; ++quad)
    codes[quad] = Simd::or_where(codes[quad], p + quad * 8 + half * Simd::kLanes / 2, value);
}

template <DType kType>
struct Groups;  // kColumns and kUnitBytes of a unit; kHalves: 1 or 2 scales a group; kCodeMax; load(unit,
                // group, half, out)

template <>
struct Groups<DType::kQ8_0> {
  static constexpr int kColumns = 32, kUnitBytes = 544, kHalves = 1, kCodeMax = 255;
  static void load(const uint8_t* unit, int, int half, Group& out) {
    MNEME_UNROLL
    for (int quad = 0; quad < 8; ++quad)
      out.codes[quad] = Simd::load_i(unit + 32 + quad * 64 + static_cast<size_t>(half) * kLaneBytes);
    out.scale[0] = f16_lanes(unit, half);
    out.offset[0] = Simd::mul(out.scale[0], Simd::set1(-128.0f));
  }
};

template <>
struct Groups<DType::kQ4_0> {
  static constexpr int kColumns = 32, kUnitBytes = 288, kHalves = 1, kCodeMax = 15;
  static void load(const uint8_t* unit, int, int half, Group& out) {
    nibbles(unit + 32, half, out.codes);
    out.scale[0] = f16_lanes(unit, half);
    out.offset[0] = Simd::mul(out.scale[0], Simd::set1(-8.0f));
  }
};

template <>
struct Groups<DType::kIQ4_NL> {
  static constexpr int kColumns = 32, kUnitBytes = 288, kHalves = 1, kCodeMax = 255;
  static void load(const uint8_t* unit, int, int half, Group& out) {
    // The format's 16 values, plus 128.
    static constexpr uint8_t kTable[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                           129, 141, 153, 166, 181, 197, 217, 241};
    nibbles(unit + 32, half, out.codes);
    MNEME_UNROLL
    for (auto& codes : out.codes) codes = Simd::lookup(codes, kTable);
    out.scale[0] = f16_lanes(unit, half);
    out.offset[0] = Simd::mul(out.scale[0], Simd::set1(-128.0f));
  }
};

template <>
struct Groups<DType::kQ4_1> {
  static constexpr int kColumns = 32, kUnitBytes = 320, kHalves = 1, kCodeMax = 15;
  static void load(const uint8_t* unit, int, int half, Group& out) {
    nibbles(unit + 64, half, out.codes);
    out.scale[0] = f16_lanes(unit, half);
    out.offset[0] = f16_lanes(unit + 32, half);
  }
};

template <>
struct Groups<DType::kQ5_0> {
  static constexpr int kColumns = 32, kUnitBytes = 352, kHalves = 1, kCodeMax = 31;
  static void load(const uint8_t* unit, int, int half, Group& out) {
    nibbles(unit + 96, half, out.codes);
    or_bits(unit + 32, half, 16, out.codes);
    out.scale[0] = f16_lanes(unit, half);
    out.offset[0] = Simd::mul(out.scale[0], Simd::set1(-16.0f));
  }
};

template <>
struct Groups<DType::kQ5_1> {
  static constexpr int kColumns = 32, kUnitBytes = 384, kHalves = 1, kCodeMax = 31;
  static void load(const uint8_t* unit, int, int half, Group& out) {
    nibbles(unit + 128, half, out.codes);
    or_bits(unit + 64, half, 16, out.codes);
    out.scale[0] = f16_lanes(unit, half);
    out.offset[0] = f16_lanes(unit + 32, half);
  }
};

// d * scale and -dmin * min of sub-block `group` of Q4_K and Q5_K.
inline void k_scales(const uint8_t* unit, int group, int half, Group& out) {
  const Simd::I low = u8_lanes(unit + 64 + group * 16, half);
  Simd::I high = u8_lanes(unit + 192 + group / 2 * 16, half);
  if (group % 2 == 1) high = Simd::shift_right<4>(high);
  const Simd::I scale = Simd::or_(Simd::and_i32(low, 15), Simd::shift_left<4>(Simd::and_i32(high, 3)));
  const Simd::I min = Simd::or_(Simd::shift_right<4>(low), Simd::shift_left<2>(Simd::and_i32(high, 12)));
  out.scale[0] = Simd::mul(f16_lanes(unit, half), Simd::to_f32(scale));
  out.offset[0] = Simd::mul(f16_lanes(unit + 32, half), Simd::sub(Simd::zero(), Simd::to_f32(min)));
}

template <>
struct Groups<DType::kQ4_K> {
  static constexpr int kColumns = 256, kUnitBytes = 2304, kHalves = 1, kCodeMax = 15;
  static void load(const uint8_t* unit, int group, int half, Group& out) {
    nibbles(unit + 256 + group * 256, half, out.codes);
    k_scales(unit, group, half, out);
  }
};

template <>
struct Groups<DType::kQ5_K> {
  static constexpr int kColumns = 256, kUnitBytes = 2816, kHalves = 1, kCodeMax = 31;
  static void load(const uint8_t* unit, int group, int half, Group& out) {
    nibbles(unit + 768 + group * 256, half, out.codes);
    or_bits(unit + 256 + group * 64, half, 16, out.codes);
    k_scales(unit, group, half, out);
  }
};

template <>
struct Groups<DType::kQ6_K> {
  static constexpr int kColumns = 256, kUnitBytes = 3360, kHalves = 2, kCodeMax = 63;
  static void load(const uint8_t* unit, int group, int half, Group& out) {
    Simd::I high[8];
    nibbles(unit + 288 + group * 256, half, out.codes);
    two_bits(unit + 2336 + group * 128, half, high);
    MNEME_UNROLL
    for (int quad = 0; quad < 8; ++quad)
      out.codes[quad] = Simd::or_(out.codes[quad], Simd::shift_left<4>(high[quad]));
    const Simd::F d = f16_lanes(unit, half);
    MNEME_UNROLL
    for (int i = 0; i < 2; ++i) {
      const uint8_t* scales = unit + 32 + (2 * group + i) * 16 + half * Simd::kLanes;
      out.scale[i] = Simd::mul(d, Simd::to_f32(Simd::load_i8(scales)));
      out.offset[i] = Simd::mul(out.scale[i], Simd::set1(-32.0f));
    }
  }
};

template <>
struct Groups<DType::kQ2_K> {
  static constexpr int kColumns = 256, kUnitBytes = 1344, kHalves = 2, kCodeMax = 3;
  static void load(const uint8_t* unit, int group, int half, Group& out) {
    two_bits(unit + 320 + group * 128, half, out.codes);
    const Simd::F d = f16_lanes(unit, half), dmin = f16_lanes(unit + 32, half);
    MNEME_UNROLL
    for (int i = 0; i < 2; ++i) {
      const Simd::I scales = u8_lanes(unit + 64 + (2 * group + i) * 16, half);
      out.scale[i] = Simd::mul(d, Simd::to_f32(Simd::and_i32(scales, 15)));
      out.offset[i] = Simd::mul(dmin, Simd::sub(Simd::zero(), Simd::to_f32(Simd::shift_right<4>(scales))));
    }
  }
};

template <>
struct Groups<DType::kQ3_K> {
  static constexpr int kColumns = 256, kUnitBytes = 1760, kHalves = 2, kCodeMax = 7;
  static void load(const uint8_t* unit, int group, int half, Group& out) {
    two_bits(unit + 736 + group * 128, half, out.codes);
    or_bits(unit + 224 + group * 64, half, 4, out.codes);
    const Simd::F d = f16_lanes(unit, half);
    // Nibbles of halves 2 group and 2 group + 1 share a byte; four 2-bit fields share a byte of the high
    // part.
    const Simd::I low = u8_lanes(unit + 32 + group * 16, half);
    Simd::I high = u8_lanes(unit + 160 + group / 2 * 16, half);
    if (group % 2 == 1) high = Simd::shift_right<4>(high);
    const Simd::I first = Simd::or_(Simd::and_i32(low, 15), Simd::shift_left<4>(Simd::and_i32(high, 3)));
    const Simd::I second = Simd::or_(Simd::shift_right<4>(low), Simd::shift_left<2>(Simd::and_i32(high, 12)));
    out.scale[0] = Simd::mul(d, Simd::to_f32(Simd::sub_i32(first, 32)));
    out.scale[1] = Simd::mul(d, Simd::to_f32(Simd::sub_i32(second, 32)));
    MNEME_UNROLL
    for (int i = 0; i < 2; ++i) out.offset[i] = Simd::mul(out.scale[i], Simd::set1(-4.0f));
  }
};

}  // namespace
}  // namespace mneme::kernels
