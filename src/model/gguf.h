// GGUF v3 model files: typed metadata and tensors by name, over memory-mapped files (docs/formats/gguf.md).
//
// Everything in a file is hostile until checked: counts against the bytes that are left, offsets against the
// file, alignment, duplicate names, nesting, overflow. Every error names the file and the key or tensor.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "tensor/dtype.h"

namespace mneme::model {

// The value kinds of the format; numbers as in the file.
enum class MetaType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

std::string_view meta_type_name(MetaType type);  // "u8", ..., "string", "array"

// An array of scalars or strings. (Arrays of arrays are refused: no supported model has them.)
struct MetaArray {
  MetaType element = MetaType::kU8;
  uint64_t count = 0;
  std::span<const std::byte> raw;         // scalars: count packed little-endian elements, unaligned
  std::vector<std::string_view> strings;  // strings: into the mapping
};

struct MetaValue {
  MetaType type = MetaType::kU8;
  // Integers of every width arrive widened: unsigned as uint64_t, signed as int64_t; f32 and f64 as double.
  std::variant<uint64_t, int64_t, double, bool, std::string_view, MetaArray> value;
};

struct TensorInfo {
  std::string_view name;
  tensor::DType type = tensor::DType::kF32;
  std::vector<uint64_t> dims;        // GGUF order: dims[0] runs fastest; 1 to 4 of them
  std::span<const std::byte> bytes;  // in the mapping
  int file = 0;                      // which part of a split model
  uint64_t file_offset = 0;          // of bytes, in that part

  uint64_t columns() const { return dims[0]; }
  uint64_t rows() const;  // product of the other dims
};

// Thread safe once open. Views live as long as the Gguf; moving it keeps them valid.
class Gguf {
 public:
  // `path` is a whole model, or the first of name-00001-of-000NN.gguf (the others are opened beside it).
  static Result<Gguf> open(const std::string& path);

  const std::string& path() const { return files_.front().path(); }
  const std::vector<core::Mapping>& files() const { return files_; }
  uint64_t bytes_total() const;  // of all parts

  // Metadata, in file order and by key.
  const std::vector<std::pair<std::string_view, MetaValue>>& metadata() const { return metadata_; }
  const MetaValue* find(std::string_view key) const;
  // Absent -> nullopt; present with another type -> an error that names the key.
  Result<std::optional<uint64_t>> get_uint(std::string_view key) const;  // any integer type, not negative
  Result<std::optional<double>> get_float(std::string_view key) const;   // any number
  Result<std::optional<bool>> get_bool(std::string_view key) const;
  Result<std::optional<std::string_view>> get_string(std::string_view key) const;
  Result<const MetaArray*> get_array(std::string_view key, MetaType element) const;  // nullptr when absent
  // The same, absent being an error too.
  Result<uint64_t> require_uint(std::string_view key) const;
  Result<std::string_view> require_string(std::string_view key) const;
  Result<const MetaArray*> require_array(std::string_view key, MetaType element) const;

  // Tensors, in file order and by name.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo* find_tensor(std::string_view name) const;
  // Missing, or with other dims (GGUF order, trailing ones may be left out): an error that names it and both
  // shapes.
  Result<const TensorInfo*> require_tensor(std::string_view name, std::span<const uint64_t> dims) const;

 private:
  Gguf() = default;
  std::vector<core::Mapping> files_;
  std::vector<std::pair<std::string_view, MetaValue>> metadata_;
  std::unordered_map<std::string_view, size_t> metadata_index_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string_view, size_t> tensor_index_;
};

}  // namespace mneme::model
