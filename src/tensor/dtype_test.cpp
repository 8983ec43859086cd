#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <limits>

namespace mneme::tensor {
namespace {

TEST(DType, NumbersAndNames) {
  EXPECT_EQ(find_dtype(12)->name, "Q4_K");
  EXPECT_EQ(find_dtype(30)->type, DType::kBF16);
  EXPECT_EQ(find_dtype(4), nullptr);  // Q4_2, withdrawn
  EXPECT_EQ(find_dtype(9), nullptr);  // Q8_1, never in files
  EXPECT_EQ(find_dtype(31), nullptr);
  EXPECT_EQ(find_dtype(0xFFFFFFFF), nullptr);
  EXPECT_EQ(dtype_info(DType::kQ6_K).block_bytes, 210u);
}

TEST(DType, RowBytes) {
  EXPECT_EQ(row_bytes(DType::kF32, 3), 12u);
  EXPECT_EQ(row_bytes(DType::kQ8_0, 64), 68u);
  EXPECT_EQ(row_bytes(DType::kQ8_0, 0), 0u);
  EXPECT_EQ(row_bytes(DType::kQ8_0, 33), std::nullopt);
  EXPECT_EQ(row_bytes(DType::kQ4_K, 128), std::nullopt);
  EXPECT_EQ(row_bytes(DType::kF32, std::numeric_limits<uint64_t>::max()), std::nullopt);
  EXPECT_EQ(row_bytes(DType::kQ8_0, std::numeric_limits<uint64_t>::max() - 31), std::nullopt);
}

}  // namespace
}  // namespace mneme::tensor
