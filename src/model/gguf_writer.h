// Builds GGUF v3 files (docs/formats/gguf.md): whole ones, and models split into parts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "model/gguf.h"
#include "tensor/dtype.h"

namespace mneme::model {

// The number of a C++ type in metadata.
template <class T>
constexpr MetaType meta_type_of() {
  if constexpr (std::is_same_v<T, bool>)
    return MetaType::kBool;
  else if constexpr (std::is_same_v<T, uint8_t>)
    return MetaType::kU8;
  else if constexpr (std::is_same_v<T, int8_t>)
    return MetaType::kI8;
  else if constexpr (std::is_same_v<T, uint16_t>)
    return MetaType::kU16;
  else if constexpr (std::is_same_v<T, int16_t>)
    return MetaType::kI16;
  else if constexpr (std::is_same_v<T, uint32_t>)
    return MetaType::kU32;
  else if constexpr (std::is_same_v<T, int32_t>)
    return MetaType::kI32;
  else if constexpr (std::is_same_v<T, uint64_t>)
    return MetaType::kU64;
  else if constexpr (std::is_same_v<T, int64_t>)
    return MetaType::kI64;
  else if constexpr (std::is_same_v<T, float>)
    return MetaType::kF32;
  else {
    static_assert(std::is_same_v<T, double>, "no metadata type for this");
    return MetaType::kF64;
  }
}

// Holds everything in memory until written. Not thread safe. Adding a key or tensor twice, or bytes that do
// not fit the dims, is a bug.
class GgufWriter {
 public:
  // The file's kind is the argument's type: add("llama.block_count", uint32_t{4}).
  template <class T>
  requires std::is_arithmetic_v<T>
  void add(std::string_view key, T value) {
    add_raw(key, meta_type_of<T>(), std::as_bytes(std::span(&value, 1)));
  }
  void add(std::string_view key, std::string_view value);
  void add(std::string_view key, const char* value) { add(key, std::string_view(value)); }

  template <class T>
  requires std::is_arithmetic_v<T>
  void add_array(std::string_view key, std::span<const T> values) {
    add_raw_array(key, meta_type_of<T>(), values.size(), std::as_bytes(values));
  }
  void add_array(std::string_view key, std::span<const std::string> values);
  void add_array(std::string_view key, std::span<const std::string_view> values);

  // dims in GGUF order, the fastest first, 1 to 4 of them.
  void add_tensor(std::string_view name, tensor::DType type, std::vector<uint64_t> dims,
                  std::vector<std::byte> bytes);

  // A power of two, 8 or more; written as general.alignment. 32 unless said, which needs no key.
  void set_alignment(uint32_t alignment);

  // The file as it would be written.
  std::vector<std::byte> to_bytes() const;

  // Written beside `path`, synced, then renamed over it: a reader sees the old file or the new one, whole.
  Result<void> write(const std::string& path) const;

  // PREFIX-00001-of-000NN.gguf and so on, `tensors_per_part` in each but the last; all metadata in the first.
  // The paths.
  Result<std::vector<std::string>> write_split(const std::string& prefix, size_t tensors_per_part) const;

 private:
  struct Tensor {
    std::string name;
    tensor::DType type;
    std::vector<uint64_t> dims;
    std::vector<std::byte> bytes;
  };

  void add_raw(std::string_view key, MetaType type, std::span<const std::byte> value);
  void add_raw_array(std::string_view key, MetaType element, uint64_t count,
                     std::span<const std::byte> values);
  std::vector<std::byte> header(std::span<const Tensor> tensors) const;
  Result<void> write_part(const std::string& path, std::span<const Tensor> tensors) const;

  std::vector<std::string> keys_;
  std::vector<std::byte> metadata_;  // the entries of keys_ as they stand in the file
  std::vector<Tensor> tensors_;
  uint32_t alignment_ = 32;
};

}  // namespace mneme::model
