#include "model/gguf_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "core/pending_file.h"

namespace mneme::model {

using core::fail;
using core::pass;

static_assert(std::endian::native == std::endian::little, "values are written as they lie in memory");

namespace {

void put_bytes(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const size_t at = out.size();
  out.resize(at + bytes.size());
  std::memcpy(out.data() + at, bytes.data(), bytes.size());
}

template <class T>
void put(std::vector<std::byte>& out, T value) {
  put_bytes(out, std::as_bytes(std::span(&value, 1)));
}

void put_string(std::vector<std::byte>& out, std::string_view text) {
  put(out, static_cast<uint64_t>(text.size()));
  put_bytes(out, std::as_bytes(std::span(text)));
}

uint64_t padded(uint64_t size, uint64_t alignment) { return (size + alignment - 1) / alignment * alignment; }

template <class Text>
std::vector<std::byte> packed_strings(std::span<const Text> values) {
  std::vector<std::byte> out;
  for (const Text& value : values) put_string(out, value);
  return out;
}

}  // namespace

void GgufWriter::add(std::string_view key, std::string_view value) {
  std::vector<std::byte> packed;
  put_string(packed, value);
  add_raw(key, MetaType::kString, packed);
}

void GgufWriter::add_array(std::string_view key, std::span<const std::string> values) {
  add_raw_array(key, MetaType::kString, values.size(), packed_strings(values));
}

void GgufWriter::add_array(std::string_view key, std::span<const std::string_view> values) {
  add_raw_array(key, MetaType::kString, values.size(), packed_strings(values));
}

void GgufWriter::add_raw(std::string_view key, MetaType type, std::span<const std::byte> value) {
  MNEME_CHECK(std::ranges::find(keys_, key) == keys_.end(), "key {} twice", key);
  keys_.emplace_back(key);
  put_string(metadata_, key);
  put(metadata_, static_cast<uint32_t>(type));
  put_bytes(metadata_, value);
}

void GgufWriter::add_raw_array(std::string_view key, MetaType element, uint64_t count,
                               std::span<const std::byte> values) {
  std::vector<std::byte> packed;
  packed.reserve(values.size() + 12);
  put(packed, static_cast<uint32_t>(element));
  put(packed, count);
  put_bytes(packed, values);
  add_raw(key, MetaType::kArray, packed);
}

void GgufWriter::add_tensor(std::string_view name, tensor::DType type, std::vector<uint64_t> dims,
                            std::vector<std::byte> bytes) {
  MNEME_CHECK(!dims.empty() && dims.size() <= 4, "{}: {} dims", name, dims.size());
  for (const Tensor& tensor : tensors_) MNEME_CHECK(tensor.name != name, "tensor {} twice", name);
  std::optional<uint64_t> size = tensor::row_bytes(type, dims[0]);
  MNEME_CHECK(size.has_value(), "{}: {} columns of {}", name, dims[0], tensor::dtype_info(type).name);
  for (size_t i = 1; i < dims.size(); ++i) *size *= dims[i];
  MNEME_CHECK(*size == bytes.size(), "{}: {} bytes for {}", name, bytes.size(), *size);
  tensors_.push_back({std::string(name), type, std::move(dims), std::move(bytes)});
}

void GgufWriter::set_alignment(uint32_t alignment) {
  MNEME_CHECK(std::has_single_bit(alignment) && alignment >= 8, "{}", alignment);
  alignment_ = alignment;
  add("general.alignment", alignment);
}

// Everything before the tensor data, padded.
std::vector<std::byte> GgufWriter::header(std::span<const Tensor> tensors) const {
  std::vector<std::byte> out;
  put_bytes(out, std::as_bytes(std::span("GGUF", 4)));
  put(out, uint32_t{3});
  put(out, static_cast<uint64_t>(tensors.size()));
  put(out, static_cast<uint64_t>(keys_.size()));
  put_bytes(out, metadata_);
  uint64_t offset = 0;
  for (const Tensor& tensor : tensors) {
    put_string(out, tensor.name);
    put(out, static_cast<uint32_t>(tensor.dims.size()));
    for (const uint64_t dim : tensor.dims) put(out, dim);
    put(out, static_cast<uint32_t>(tensor.type));
    put(out, offset);
    offset += padded(tensor.bytes.size(), alignment_);
  }
  out.resize(padded(out.size(), alignment_));
  return out;
}

std::vector<std::byte> GgufWriter::to_bytes() const {
  std::vector<std::byte> out = header(tensors_);
  for (const Tensor& tensor : tensors_) {
    put_bytes(out, tensor.bytes);
    out.resize(padded(out.size(), alignment_));
  }
  return out;
}

Result<void> GgufWriter::write(const std::string& path) const { return write_part(path, tensors_); }

Result<void> GgufWriter::write_part(const std::string& path, std::span<const Tensor> tensors) const {
  auto file = core::PendingFile::create(path);
  if (!file) return pass(file);
  if (auto done = file->append(header(tensors)); !done) return done;
  const std::vector<std::byte> zeros(alignment_);
  for (const Tensor& tensor : tensors) {
    const uint64_t gap = padded(tensor.bytes.size(), alignment_) - tensor.bytes.size();
    if (auto done = file->append(tensor.bytes); !done) return done;
    if (auto done = file->append(std::span(zeros).first(gap)); !done) return done;
  }
  return file->commit();
}

Result<std::vector<std::string>> GgufWriter::write_split(const std::string& prefix,
                                                         size_t tensors_per_part) const {
  MNEME_CHECK(tensors_per_part > 0 && !tensors_.empty());
  const size_t count = (tensors_.size() + tensors_per_part - 1) / tensors_per_part;
  MNEME_CHECK(count <= UINT16_MAX, "{} parts", count);
  std::vector<std::string> paths;
  for (size_t number = 0; number < count; ++number) {
    GgufWriter part;
    part.alignment_ = alignment_;
    if (number == 0) {
      part.keys_ = keys_;
      part.metadata_ = metadata_;
    } else if (alignment_ != 32) {
      part.set_alignment(alignment_);
    }
    part.add("split.no", static_cast<uint16_t>(number));
    part.add("split.count", static_cast<uint16_t>(count));
    part.add("split.tensors.count", static_cast<int32_t>(tensors_.size()));
    const size_t first = number * tensors_per_part;
    const size_t size = std::min(tensors_per_part, tensors_.size() - first);
    paths.push_back(fmt::format("{}-{:05}-of-{:05}.gguf", prefix, number + 1, count));
    if (auto done = part.write_part(paths.back(), std::span(tensors_).subspan(first, size)); !done)
      return pass(done);
  }
  return paths;
}

}  // namespace mneme::model
