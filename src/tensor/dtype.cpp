#include "tensor/dtype.h"

#include <array>
#include <limits>

#include "core/error.h"

namespace mneme::tensor {

namespace {

constexpr std::array<DTypeInfo, 14> kTypes = {{
    {DType::kF32, "F32", 1, 4},
    {DType::kF16, "F16", 1, 2},
    {DType::kQ4_0, "Q4_0", 32, 18},
    {DType::kQ4_1, "Q4_1", 32, 20},
    {DType::kQ5_0, "Q5_0", 32, 22},
    {DType::kQ5_1, "Q5_1", 32, 24},
    {DType::kQ8_0, "Q8_0", 32, 34},
    {DType::kQ2_K, "Q2_K", 256, 84},
    {DType::kQ3_K, "Q3_K", 256, 110},
    {DType::kQ4_K, "Q4_K", 256, 144},
    {DType::kQ5_K, "Q5_K", 256, 176},
    {DType::kQ6_K, "Q6_K", 256, 210},
    {DType::kIQ4_NL, "IQ4_NL", 32, 18},
    {DType::kBF16, "BF16", 1, 2},
}};

}  // namespace

const DTypeInfo* find_dtype(uint32_t gguf_number) {
  for (const DTypeInfo& info : kTypes) {
    if (static_cast<uint32_t>(info.type) == gguf_number) return &info;
  }
  return nullptr;
}

const DTypeInfo& dtype_info(DType type) {
  const DTypeInfo* info = find_dtype(static_cast<uint32_t>(type));
  MNEME_CHECK(info != nullptr, "dtype {}", static_cast<uint32_t>(type));
  return *info;
}

std::optional<uint64_t> row_bytes(DType type, uint64_t columns) {
  const DTypeInfo& info = dtype_info(type);
  if (columns % info.block_elements != 0) return std::nullopt;
  const uint64_t blocks = columns / info.block_elements;
  if (blocks > std::numeric_limits<uint64_t>::max() / info.block_bytes) return std::nullopt;
  return blocks * info.block_bytes;
}

}  // namespace mneme::tensor
