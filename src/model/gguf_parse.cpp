#include "model/gguf_parse.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace mneme::model {

using core::fail;
using core::pass;

static_assert(std::endian::native == std::endian::little, "GGUF values are read as they lie in the file");

namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kAlignmentDefault = 32;
constexpr uint64_t kAlignmentMin = 8;  // the specification asks for a multiple of 8; f32 data relies on it
constexpr uint64_t kAlignmentMax = 1 << 20;  // none in use is above a few KiB
constexpr uint64_t kNameBytesMax = 65535;    // keys by the specification; tensor names far below
// Reserved at once at the most; beyond, vectors grow with bytes that are really there.
constexpr uint64_t kReserveMax = 4096;
// The least a metadata entry (length, 1-byte key, type, 1-byte value) and a tensor (length, 1-byte name, dims
// count, one dim, type, offset) can take.
constexpr uint64_t kMetadataBytesMin = 8 + 1 + 4 + 1;
constexpr uint64_t kTensorBytesMin = 8 + 1 + 4 + 8 + 4 + 8;

// Bytes of one element; 0 for strings, arrays and unknown numbers.
uint64_t scalar_bytes(MetaType type) {
  switch (type) {
    case MetaType::kU8:
    case MetaType::kI8:
    case MetaType::kBool: return 1;
    case MetaType::kU16:
    case MetaType::kI16: return 2;
    case MetaType::kU32:
    case MetaType::kI32:
    case MetaType::kF32: return 4;
    case MetaType::kU64:
    case MetaType::kI64:
    case MetaType::kF64: return 8;
    case MetaType::kString:
    case MetaType::kArray: return 0;
  }
  return 0;
}

// Walks bytes front to back; every read says whether the bytes were there and moves only if they were.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  uint64_t position() const { return position_; }
  uint64_t left() const { return bytes_.size() - position_; }

  template <class T>
  bool read(T& out) {
    if (left() < sizeof(T)) return false;
    std::memcpy(&out, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return true;
  }

  bool take(uint64_t count, std::span<const std::byte>& out) {
    if (left() < count) return false;
    out = bytes_.subspan(position_, count);
    position_ += count;
    return true;
  }

  bool read_string(std::string_view& out) {
    const uint64_t start = position_;
    uint64_t size = 0;
    std::span<const std::byte> text;
    if (!read(size) || !take(size, text)) {
      position_ = start;
      return false;
    }
    out = {reinterpret_cast<const char*>(text.data()), text.size()};
    return true;
  }

 private:
  std::span<const std::byte> bytes_;
  uint64_t position_ = 0;
};

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& path, int file)
      : bytes_(bytes), path_(path), file_(file), reader_(bytes) {}

  Result<GgufPart> parse();

 private:
  Result<void> parse_header();
  Result<void> parse_metadata();
  Result<MetaValue> parse_value(std::string_view key);
  Result<MetaArray> parse_array(std::string_view key);
  template <class Stored, class Wide>
  Result<MetaValue> scalar(std::string_view key, MetaType type);
  Result<uint64_t> parse_alignment() const;
  Result<void> parse_tensors();
  Result<TensorInfo> parse_tensor(uint64_t index);
  Result<void> place_tensor(TensorInfo& tensor, uint64_t data_start, uint64_t alignment) const;

  std::span<const std::byte> bytes_;
  const std::string& path_;
  int file_;
  ByteReader reader_;
  uint64_t metadata_count_ = 0;
  uint64_t tensor_count_ = 0;
  GgufPart part_;
};

Result<GgufPart> Parser::parse() {
  if (auto done = parse_header(); !done) return pass(done);
  if (auto done = parse_metadata(); !done) return pass(done);
  if (auto done = parse_tensors(); !done) return pass(done);
  auto alignment = parse_alignment();
  if (!alignment) return pass(alignment);
  const uint64_t data_start = (reader_.position() + *alignment - 1) / *alignment * *alignment;
  for (TensorInfo& tensor : part_.tensors) {
    if (auto done = place_tensor(tensor, data_start, *alignment); !done) return pass(done);
  }
  return std::move(part_);
}

Result<void> Parser::parse_header() {
  uint32_t magic = 0;
  uint32_t version = 0;
  if (!reader_.read(magic) || magic != kMagic) {
    return fail("{}: not a GGUF file (it does not begin with \"GGUF\")", path_);
  }
  if (!reader_.read(version)) return fail("{}: truncated in the header", path_);
  if (version != 0 && (version & 0xFFFF) == 0) {
    return fail("{}: a big-endian GGUF file; only little-endian files are supported", path_);
  }
  // Version 2 has the layout of version 3, which only added the big-endian variant.
  if (version != 2 && version != 3) {
    return fail("{}: GGUF version {}; versions 2 and 3 are supported", path_, version);
  }
  if (!reader_.read(tensor_count_) || !reader_.read(metadata_count_)) {
    return fail("{}: truncated in the header", path_);
  }
  if (metadata_count_ > reader_.left() / kMetadataBytesMin) {
    return fail("{}: claims {} metadata entries, more than its {} bytes can hold", path_, metadata_count_,
                bytes_.size());
  }
  if (tensor_count_ > reader_.left() / kTensorBytesMin) {
    return fail("{}: claims {} tensors, more than its {} bytes can hold", path_, tensor_count_,
                bytes_.size());
  }
  return {};
}

Result<void> Parser::parse_metadata() {
  part_.metadata.reserve(std::min(metadata_count_, kReserveMax));
  for (uint64_t i = 0; i < metadata_count_; ++i) {
    std::string_view key;
    if (!reader_.read_string(key)) {
      return fail("{}: truncated, or a bad length, in the key of metadata entry {} of {}", path_, i,
                  metadata_count_);
    }
    if (key.empty() || key.size() > kNameBytesMax) {
      return fail("{}: metadata entry {} has a key of {} bytes; 1 to {} are allowed", path_, i, key.size(),
                  kNameBytesMax);
    }
    if (!part_.metadata_index.emplace(key, i).second) {
      return fail("{}: metadata key '{}' occurs twice", path_, printable(key));
    }
    auto value = parse_value(key);
    if (!value) return pass(value);
    part_.metadata.emplace_back(key, std::move(*value));
  }
  return {};
}

template <class Stored, class Wide>
Result<MetaValue> Parser::scalar(std::string_view key, MetaType type) {
  Stored stored{};
  if (!reader_.read(stored)) return fail("{}: truncated in the value of '{}'", path_, printable(key));
  MetaValue value;
  value.type = type;
  value.value.emplace<Wide>(static_cast<Wide>(stored));
  return value;
}

Result<MetaValue> Parser::parse_value(std::string_view key) {
  uint32_t number = 0;
  if (!reader_.read(number)) return fail("{}: truncated in the type of '{}'", path_, printable(key));
  const auto type = static_cast<MetaType>(number);
  switch (type) {
    case MetaType::kU8: return scalar<uint8_t, uint64_t>(key, type);
    case MetaType::kI8: return scalar<int8_t, int64_t>(key, type);
    case MetaType::kU16: return scalar<uint16_t, uint64_t>(key, type);
    case MetaType::kI16: return scalar<int16_t, int64_t>(key, type);
    case MetaType::kU32: return scalar<uint32_t, uint64_t>(key, type);
    case MetaType::kI32: return scalar<int32_t, int64_t>(key, type);
    case MetaType::kF32: return scalar<float, double>(key, type);
    case MetaType::kBool: return scalar<uint8_t, bool>(key, type);  // any byte but 0 is true
    case MetaType::kU64: return scalar<uint64_t, uint64_t>(key, type);
    case MetaType::kI64: return scalar<int64_t, int64_t>(key, type);
    case MetaType::kF64: return scalar<double, double>(key, type);
    case MetaType::kString: {
      std::string_view text;
      if (!reader_.read_string(text)) {
        return fail("{}: the string value of '{}' goes past the end of the file", path_, printable(key));
      }
      return MetaValue{type, text};
    }
    case MetaType::kArray: {
      auto array = parse_array(key);
      if (!array) return pass(array);
      return MetaValue{type, std::move(*array)};
    }
  }
  return fail("{}: '{}' has the unknown value type {}", path_, printable(key), number);
}

Result<MetaArray> Parser::parse_array(std::string_view key) {
  uint32_t number = 0;
  MetaArray array;
  if (!reader_.read(number) || !reader_.read(array.count)) {
    return fail("{}: truncated in the array '{}'", path_, printable(key));
  }
  array.element = static_cast<MetaType>(number);
  if (array.element == MetaType::kArray) {
    return fail("{}: '{}' is an array of arrays, which is not supported", path_, printable(key));
  }
  const bool of_strings = array.element == MetaType::kString;
  const uint64_t element_bytes = of_strings ? sizeof(uint64_t) : scalar_bytes(array.element);
  if (element_bytes == 0) {
    return fail("{}: the array '{}' has the unknown element type {}", path_, printable(key), number);
  }
  if (array.count > reader_.left() / element_bytes) {
    return fail("{}: the array '{}' claims {} elements, more than the {} bytes left can hold", path_,
                printable(key), array.count, reader_.left());
  }
  if (!of_strings) {
    MNEME_CHECK(reader_.take(array.count * element_bytes, array.raw));
    return array;
  }
  array.strings.resize(array.count);
  for (uint64_t i = 0; i < array.count; ++i) {
    if (!reader_.read_string(array.strings[i])) {
      return fail("{}: string {} of the array '{}' goes past the end of the file", path_, i, printable(key));
    }
  }
  return array;
}

Result<uint64_t> Parser::parse_alignment() const {
  constexpr std::string_view kKey = "general.alignment";
  auto stated = meta_uint(path_, kKey, part_.find(kKey));
  if (!stated) return pass(stated);
  const uint64_t alignment = stated->value_or(kAlignmentDefault);
  if (!std::has_single_bit(alignment) || alignment < kAlignmentMin || alignment > kAlignmentMax) {
    return fail("{}: general.alignment is {}; a power of two from {} to {} is needed", path_, alignment,
                kAlignmentMin, kAlignmentMax);
  }
  return alignment;
}

Result<void> Parser::parse_tensors() {
  std::unordered_map<std::string_view, size_t> seen;
  part_.tensors.reserve(std::min(tensor_count_, kReserveMax));
  for (uint64_t i = 0; i < tensor_count_; ++i) {
    auto tensor = parse_tensor(i);
    if (!tensor) return pass(tensor);
    if (!seen.emplace(tensor->name, i).second) {
      return fail("{}: tensor '{}' occurs twice", path_, printable(tensor->name));
    }
    part_.tensors.push_back(std::move(*tensor));
  }
  return {};
}

// Leaves the offset as the file has it, relative to the data; place_tensor() makes it absolute.
Result<TensorInfo> Parser::parse_tensor(uint64_t index) {
  TensorInfo tensor;
  tensor.file = file_;
  if (!reader_.read_string(tensor.name)) {
    return fail("{}: truncated, or a bad length, in the name of tensor {} of {}", path_, index,
                tensor_count_);
  }
  if (tensor.name.empty() || tensor.name.size() > kNameBytesMax) {
    return fail("{}: tensor {} has a name of {} bytes; 1 to {} are allowed", path_, index, tensor.name.size(),
                kNameBytesMax);
  }
  uint32_t dims_count = 0;
  if (!reader_.read(dims_count)) return fail("{}: truncated in tensor '{}'", path_, printable(tensor.name));
  if (dims_count < 1 || dims_count > 4) {
    return fail("{}: tensor '{}' has {} dimensions; 1 to 4 are allowed", path_, printable(tensor.name),
                dims_count);
  }
  tensor.dims.resize(dims_count);
  uint32_t type = 0;
  bool whole = true;
  for (uint64_t& dim : tensor.dims) whole = whole && reader_.read(dim);
  whole = whole && reader_.read(type) && reader_.read(tensor.file_offset);
  if (!whole) return fail("{}: truncated in tensor '{}'", path_, printable(tensor.name));
  const tensor::DTypeInfo* info = tensor::find_dtype(type);
  if (info == nullptr) {
    return fail("{}: tensor '{}' has the unknown or unsupported type {}", path_, printable(tensor.name),
                type);
  }
  tensor.type = info->type;
  return tensor;
}

Result<void> Parser::place_tensor(TensorInfo& tensor, uint64_t data_start, uint64_t alignment) const {
  const tensor::DTypeInfo& info = tensor::dtype_info(tensor.type);
  const std::string name = printable(tensor.name);
  // Elements and bytes stay below 2^63, so that products with signed indices are safe everywhere.
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  uint64_t elements = 1;
  for (const uint64_t dim : tensor.dims) {
    if (dim == 0) return fail("{}: tensor '{}' has a dimension of 0", path_, name);
    if (elements > kMax / dim)
      return fail("{}: tensor '{}': the product of its dimensions overflows", path_, name);
    elements *= dim;
  }
  if (tensor.columns() % info.block_elements != 0) {
    return fail("{}: tensor '{}': {} columns are not a whole number of {} blocks of {}", path_, name,
                tensor.columns(), info.name, info.block_elements);
  }
  const uint64_t blocks = elements / info.block_elements;
  if (blocks > kMax / info.block_bytes) return fail("{}: tensor '{}': its size overflows", path_, name);
  const uint64_t size = blocks * info.block_bytes;
  if (tensor.file_offset % alignment != 0) {
    return fail("{}: tensor '{}': offset {} is not a multiple of the alignment {}", path_, name,
                tensor.file_offset, alignment);
  }
  if (data_start > bytes_.size() || tensor.file_offset > bytes_.size() - data_start ||
      size > bytes_.size() - data_start - tensor.file_offset) {
    return fail(
        "{}: tensor '{}' ({} bytes at offset {} of the data) goes past the end of the file; is it truncated?",
        path_, name, size, tensor.file_offset);
  }
  tensor.file_offset += data_start;
  tensor.bytes = bytes_.subspan(tensor.file_offset, size);
  return {};
}

}  // namespace

Result<GgufPart> parse_gguf(std::span<const std::byte> bytes, const std::string& path, int file) {
  return Parser(bytes, path, file).parse();
}

const MetaValue* GgufPart::find(std::string_view key) const {
  const auto at = metadata_index.find(key);
  return at == metadata_index.end() ? nullptr : &metadata[at->second].second;
}

Result<std::optional<uint64_t>> meta_uint(const std::string& path, std::string_view key,
                                          const MetaValue* value) {
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<uint64_t>(&value->value)) return *number;
  if (const auto* number = std::get_if<int64_t>(&value->value)) {
    if (*number >= 0) return static_cast<uint64_t>(*number);
    return fail("{}: '{}' is {}; it must not be negative", path, printable(key), *number);
  }
  return fail("{}: '{}' has type {}; an integer is needed", path, printable(key),
              meta_type_name(value->type));
}

std::string_view meta_type_name(MetaType type) {
  switch (type) {
    case MetaType::kU8: return "u8";
    case MetaType::kI8: return "i8";
    case MetaType::kU16: return "u16";
    case MetaType::kI16: return "i16";
    case MetaType::kU32: return "u32";
    case MetaType::kI32: return "i32";
    case MetaType::kF32: return "f32";
    case MetaType::kBool: return "bool";
    case MetaType::kString: return "string";
    case MetaType::kArray: return "array";
    case MetaType::kU64: return "u64";
    case MetaType::kI64: return "i64";
    case MetaType::kF64: return "f64";
  }
  return "unknown";
}

std::string printable(std::string_view text) {
  constexpr size_t kShown = 80;
  std::string out(text.substr(0, kShown));
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  if (text.size() > kShown) out += "...";
  return out;
}

}  // namespace mneme::model
