// Element types. The numbers are GGUF's and never change; a type stores `block_elements` values in
// `block_bytes` bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mneme::tensor {

enum class DType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kBF16 = 30,
};

struct DTypeInfo {
  DType type;
  std::string_view name;  // as GGUF tools print it, e.g. "Q4_K"
  uint32_t block_elements;
  uint32_t block_bytes;
};

// Nothing for a number that is no supported type.
const DTypeInfo* find_dtype(uint32_t gguf_number);
const DTypeInfo& dtype_info(DType type);

// Bytes of one row of `columns` values; nothing when columns is not a whole number of blocks (or the product
// overflows).
std::optional<uint64_t> row_bytes(DType type, uint64_t columns);

}  // namespace mneme::tensor
