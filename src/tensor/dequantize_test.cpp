// Blocks written byte by byte from docs/formats/gguf-quants.md, with values worked out by hand; nothing here
// uses blocks.h.
#include "tensor/dequantize.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace mneme::tensor {
namespace {

constexpr uint16_t kOne = 0x3C00;       // f16 1
constexpr uint16_t kHalf = 0x3800;      // f16 0.5
constexpr uint16_t kTwo = 0x4000;       // f16 2
constexpr uint16_t kSmallest = 0x0001;  // f16 2^-24
constexpr uint16_t kLargest = 0x7BFF;   // f16 65504

// One block, all zero until set.
class Bytes {
 public:
  explicit Bytes(DType type) : type_(type), bytes_(dtype_info(type).block_bytes) {}
  Bytes& u8(size_t at, int value) {
    bytes_.at(at) = static_cast<std::byte>(value);
    return *this;
  }
  Bytes& u16(size_t at, uint16_t value) { return u8(at, value & 255).u8(at + 1, value >> 8); }
  Bytes& fill(size_t at, size_t count, int value) {
    for (size_t i = 0; i < count; ++i) u8(at + i, value);
    return *this;
  }
  std::vector<float> values() const {
    std::vector<float> out(dtype_info(type_).block_elements);
    dequantize(type_, bytes_, out);
    return out;
  }

 private:
  DType type_;
  std::vector<std::byte> bytes_;
};

TEST(Dequantize, PlainTypes) {
  const std::array<uint16_t, 3> halves = {kOne, 0xC000, kSmallest};
  std::array<float, 3> out{};
  dequantize(DType::kF16, std::as_bytes(std::span(halves)), out);
  EXPECT_EQ(out, (std::array<float, 3>{1, -2, 0x1p-24f}));
  const std::array<uint16_t, 3> brains = {0x3F80, 0xC000, 0x0001};
  dequantize(DType::kBF16, std::as_bytes(std::span(brains)), out);
  EXPECT_EQ(out, (std::array<float, 3>{1, -2, 0x1p-133f}));
  const std::array<float, 3> floats = {1.5f, -0.0f, 3e38f};
  dequantize(DType::kF32, std::as_bytes(std::span(floats)), out);
  EXPECT_EQ(out, floats);
  dequantize(DType::kQ4_K, {}, {});
}

TEST(Dequantize, Q4_0) {
  const auto x = Bytes(DType::kQ4_0).u16(0, kHalf).u8(2, 0xF0).u8(3, 0x29).u8(17, 0x8A).values();
  EXPECT_EQ(x[0], -4.0f);   // (0 - 8) / 2
  EXPECT_EQ(x[16], 3.5f);   // (15 - 8) / 2
  EXPECT_EQ(x[1], 0.5f);    // (9 - 8) / 2
  EXPECT_EQ(x[17], -3.0f);  // (2 - 8) / 2
  EXPECT_EQ(x[15], 1.0f);
  EXPECT_EQ(x[31], 0.0f);
}

TEST(Dequantize, Q4_1) {
  const auto x = Bytes(DType::kQ4_1).u16(0, kTwo).u16(2, 0xBC00).u8(4, 0x31).u8(19, 0xF0).values();
  EXPECT_EQ(x[0], 1.0f);   // 2 * 1 - 1
  EXPECT_EQ(x[16], 5.0f);  // 2 * 3 - 1
  EXPECT_EQ(x[15], -1.0f);
  EXPECT_EQ(x[31], 29.0f);  // 2 * 15 - 1
}

TEST(Dequantize, Q5_0) {
  // high bits of values 0, 10, 16 and 31
  const auto x = Bytes(DType::kQ5_0)
                     .u16(0, kOne)
                     .u8(2, 0x01)
                     .u8(3, 0x04)
                     .u8(4, 0x01)
                     .u8(5, 0x80)
                     .u8(6, 0x21)
                     .u8(16, 0x0F)
                     .u8(21, 0xF3)
                     .values();
  EXPECT_EQ(x[0], 1.0f);     // 16 + 1 - 16
  EXPECT_EQ(x[16], 2.0f);    // 16 + 2 - 16
  EXPECT_EQ(x[10], 15.0f);   // 16 + 15 - 16
  EXPECT_EQ(x[26], -16.0f);  // 0 - 16
  EXPECT_EQ(x[15], -13.0f);  // 3 - 16
  EXPECT_EQ(x[31], 15.0f);   // 16 + 15 - 16
}

TEST(Dequantize, Q5_1) {
  const auto x = Bytes(DType::kQ5_1).u16(0, kHalf).u16(2, kTwo).u8(4, 0x02).u8(6, 0x02).u8(9, 0xF4).values();
  EXPECT_EQ(x[1], 12.0f);   // (16 + 4) / 2 + 2
  EXPECT_EQ(x[17], 17.5f);  // (16 + 15) / 2 + 2
  EXPECT_EQ(x[0], 2.0f);
}

TEST(Dequantize, Q8_0) {
  const auto x = Bytes(DType::kQ8_0).u16(0, kHalf).u8(2, 127).u8(3, 0x80).u8(33, 0xFF).values();
  EXPECT_EQ(x[0], 63.5f);
  EXPECT_EQ(x[1], -64.0f);
  EXPECT_EQ(x[31], -0.5f);
  EXPECT_EQ(x[2], 0.0f);
}

TEST(Dequantize, IQ4_NL) {
  const auto x = Bytes(DType::kIQ4_NL).u16(0, kTwo).u8(2, 0xF0).u8(3, 0x78).values();
  EXPECT_EQ(x[0], -254.0f);  // level 0: -127
  EXPECT_EQ(x[16], 226.0f);  // level 15: 113
  EXPECT_EQ(x[1], 2.0f);     // level 8: 1
  EXPECT_EQ(x[17], -20.0f);  // level 7: -10
}

TEST(Dequantize, Q2_K) {
  // scales 0-15, quants 16-79, scale 80, min 82. Sub-block 0: scale 3, min 1; 9 (values 144-159): scale 15,
  // min 15.
  const auto x = Bytes(DType::kQ2_K)
                     .u16(80, kOne)
                     .u16(82, kHalf)
                     .u8(0, 0x13)
                     .u8(9, 0xFF)
                     .u8(16, 0x02)       // value 0: 2
                     .u8(16 + 48, 0x03)  // half 1, group 0, value 128 + 16: 3
                     .u8(16 + 5, 0xC0)
                     .u8(6, 0x02)  // value 96 + 5: 3; its sub-block 6: scale 2, min 0
                     .values();
  EXPECT_EQ(x[0], 5.5f);  // 3 * 2 - 0.5 * 1
  EXPECT_EQ(x[1], -0.5f);
  EXPECT_EQ(x[144], 37.5f);  // 15 * 3 - 0.5 * 15
  EXPECT_EQ(x[145], -7.5f);
  EXPECT_EQ(x[101], 6.0f);  // 2 * 3
  EXPECT_EQ(x[16], 0.0f);
}

TEST(Dequantize, Q3_K) {
  // high bits 0-31, quants 32-95, scales 96-107, scale 108.
  // Sub-block 0: low 1, high 2 -> 33 - 32 = 1. Sub-block 13: low 15 (high half of byte 5), high 3 (byte 9,
  // pair 3): 31.
  const auto x = Bytes(DType::kQ3_K)
                     .u16(108, kHalf)
                     .u8(96, 0x01)
                     .u8(96 + 5, 0xF0)
                     .u8(96 + 8, 0x02)
                     .u8(96 + 9, 0xC0)
                     .u8(0, 0x01)
                     .u8(32, 0x03)  // value 0: 4 + 3 - 4 = 3
                     .u8(17, 0x40)
                     .u8(32 + 32 + 17, 0x20)  // value 208 + 1 = 192 + 17: group 6, pair 2: 4 + 2 - 4 = 2
                     .values();
  EXPECT_EQ(x[0], 1.5f);     // 0.5 * 1 * 3
  EXPECT_EQ(x[1], -2.0f);    // 0.5 * 1 * -4
  EXPECT_EQ(x[209], 31.0f);  // 0.5 * 31 * 2
  EXPECT_EQ(x[210], -62.0f);
  EXPECT_EQ(x[32], 64.0f);  // sub-block 2: 0 - 32; 0.5 * -32 * -4
}

TEST(Dequantize, Q4_K) {
  // scale 0, min 2, scales 4-15, quants 16-143.
  // Sub-block 1: scale 3, min 5. Sub-block 6: scale 35 = 2 * 16 + 3, min 49 = 3 * 16 + 1: nibbles 1|3 in byte
  // 10, tops of 2, 6.
  const auto x = Bytes(DType::kQ4_K)
                     .u16(0, kOne)
                     .u16(2, kHalf)
                     .u8(4 + 1, 3)
                     .u8(4 + 5, 5)
                     .u8(4 + 10, 0x13)
                     .u8(4 + 2, 0x80)
                     .u8(4 + 6, 0xC0)
                     .u8(16 + 7, 0xA4)
                     .u8(16 + 96 + 31, 0x4B)
                     .values();
  EXPECT_EQ(x[32 + 7], 27.5f);     // 3 * 10 - 0.5 * 5
  EXPECT_EQ(x[7], 0.0f);           // sub-block 0: scale 0, min 0
  EXPECT_EQ(x[192 + 31], 360.5f);  // 35 * 11 - 0.5 * 49
  EXPECT_EQ(x[192 + 30], -24.5f);
  EXPECT_EQ(x[224 + 31], 0.0f);
}

TEST(Dequantize, Q5_K) {
  // scale 0, min 2, scales 4-15, high bits 16-47, quants 48-175.
  const auto x = Bytes(DType::kQ5_K)
                     .u16(0, kHalf)
                     .u16(2, kOne)
                     .u8(4, 2)
                     .u8(4 + 4, 1)
                     .u8(4 + 11, 0x52)
                     .u8(16 + 3, 0x81)
                     .u8(48 + 3, 0x0F)
                     .u8(48 + 96 + 3, 0x70)
                     .values();
  EXPECT_EQ(x[3], 30.0f);  // 0.5 * 2 * (16 + 15) - 1
  EXPECT_EQ(x[4], -1.0f);
  EXPECT_EQ(x[224 + 3], 18.0f);  // sub-block 7: 0.5 * 2 * (16 + 7) - 5
  EXPECT_EQ(x[224 + 4], -5.0f);
}

TEST(Dequantize, Q6_K) {
  // low bits 0-127, high bits 128-191, scales 192-207, scale 208.
  const auto x = Bytes(DType::kQ6_K)
                     .u16(208, kHalf)
                     .fill(192, 16, 1)
                     .u8(192 + 15, 0x80)
                     .u8(192 + 9, 127)
                     .u8(5, 0x7F)
                     .u8(128 + 5, 0x93)  // values 5: 15 + 3 * 16 - 32 = 31; 64 + 5: 7 + 16 - 32 = -9
                     .u8(64 + 17, 0x02)
                     .u8(128 + 32 + 17, 0x02)  // value 128 + 17: 2 + 2 * 16 - 32 = 2
                     .values();
  EXPECT_EQ(x[5], 15.5f);
  EXPECT_EQ(x[32 + 5], -16.0f);  // group 1: pair 1 of 0x93 is 0
  EXPECT_EQ(x[64 + 5], -4.5f);
  EXPECT_EQ(x[96 + 5], 0.0f);  // 0 + 2 * 16 - 32
  EXPECT_EQ(x[145], 127.0f);   // 0.5 * 127 * 2
  EXPECT_EQ(x[255], 2048.0f);  // 0.5 * -128 * -32
}

TEST(Dequantize, ScalesAtTheEndsOfF16) {
  const auto small = Bytes(DType::kQ4_K).u16(0, kSmallest).u8(4, 1).fill(16, 128, 0xFF).values();
  EXPECT_EQ(small[0], 15 * 0x1p-24f);
  const auto large = Bytes(DType::kQ6_K).u16(208, kLargest).fill(192, 16, 0x80).values();
  EXPECT_EQ(large[0], 65504.0f * 4096.0f);
  const auto infinite = Bytes(DType::kQ8_0).u16(0, 0x7C00).u8(2, 1).values();
  EXPECT_TRUE(std::isinf(infinite[0]));
  EXPECT_TRUE(std::isnan(infinite[1]));  // inf * 0: what the format says, for the reader to judge
}

TEST(Dequantize, ManyBlocksAtAnOddAddress) {
  std::vector<std::byte> bytes(1 + 3 * 34);
  const auto one = static_cast<std::byte>(kOne >> 8);
  for (size_t b = 0; b < 3; ++b) {
    bytes[1 + b * 34 + 1] = one;
    bytes[1 + b * 34 + 2] = static_cast<std::byte>(b + 1);
  }
  std::vector<float> out(96);
  dequantize(DType::kQ8_0, std::span(bytes).subspan(1), out);
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[32], 2.0f);
  EXPECT_EQ(out[64], 3.0f);
}

TEST(DequantizeDeathTest, SizesThatDisagreeAreABug) {
  std::vector<std::byte> bytes(34);
  std::vector<float> out(64);
  EXPECT_DEATH(dequantize(DType::kQ8_0, bytes, out), "Q8_0");
}

}  // namespace
}  // namespace mneme::tensor
