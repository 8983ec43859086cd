#include "engine/model_id.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "core/hash.h"
#include "core/xxh3.h"

namespace mneme::engine {

namespace {

constexpr size_t kSampleBytes = 4096;
constexpr size_t kSamples = 16;  // of a tensor
constexpr size_t kLayersMax = 4096;

void put(std::vector<std::byte>& out, const void* data, size_t size) {
  const auto* bytes = static_cast<const std::byte*>(data);
  out.insert(out.end(), bytes, bytes + size);
}

template <class T>
void put(std::vector<std::byte>& out, T value) {
  put(out, &value, sizeof(value));
}

void put_text(std::vector<std::byte>& out, std::string_view text) {
  put(out, static_cast<uint64_t>(text.size()));
  put(out, text.data(), text.size());
}

// Numbers and flags; what a model is called, who made it and how it talks changes no key.
void put_metadata(std::vector<std::byte>& out, const model::Gguf& file) {
  for (const auto& [key, value] : file.metadata()) {
    if (key.starts_with("general.") || key.starts_with("tokenizer.")) continue;
    put_text(out, key);
    if (const auto* number = std::get_if<uint64_t>(&value.value)) put(out, *number);
    if (const auto* number = std::get_if<int64_t>(&value.value)) put(out, *number);
    if (const auto* number = std::get_if<double>(&value.value)) put(out, *number);
    if (const auto* flag = std::get_if<bool>(&value.value)) put(out, static_cast<uint64_t>(*flag));
    if (const auto* text = std::get_if<std::string_view>(&value.value)) put_text(out, *text);
    if (const auto* array = std::get_if<model::MetaArray>(&value.value))
      put(out, array->raw.data(), array->raw.size());
  }
}

void put_tensor(std::vector<std::byte>& out, const model::TensorInfo& tensor) {
  put_text(out, tensor.name);
  put(out, static_cast<uint64_t>(tensor.type));
  for (const uint64_t dim : tensor.dims) put(out, dim);
  const size_t size = tensor.bytes.size(), stretch = std::min(size, kSampleBytes);
  uint64_t hash = 0;
  for (size_t i = 0; i < kSamples && stretch > 0; ++i) {
    const size_t at = (size - stretch) / (kSamples - 1) * i;
    hash = core::hash64(tensor.bytes.subspan(at, stretch), hash + i);
  }
  put(out, hash);
}

}  // namespace

kv::ModelId model_id(const model::Gguf& file) {
  std::vector<std::byte> all;
  put_metadata(all, file);
  for (const model::TensorInfo& tensor : file.tensors()) put_tensor(all, tensor);
  kv::ModelId id;
  id.bytes = core::hash128(all);
  return id;
}

kv::SegmentModel segment_model(const model::Gguf& file, const kv::KvShape& shape) {
  kv::SegmentModel model{model_id(file), {}};
  for (const int number : {shape.layers, shape.kv_heads, shape.head_dim}) put(model.shape, int32_t{number});
  for (const int window : shape.windows) put(model.shape, int32_t{window});
  for (const int width : shape.recent_widths) put(model.shape, int32_t{width});
  return model;
}

int layers_whole(const kv::SegmentModel& model) {
  std::vector<int32_t> numbers(model.shape.size() / sizeof(int32_t));
  if (!numbers.empty()) std::memcpy(numbers.data(), model.shape.data(), numbers.size() * sizeof(int32_t));
  if (numbers.size() < 3 || numbers[0] < 1) return 1;
  const auto layers = static_cast<size_t>(numbers[0]);
  constexpr ptrdiff_t kWindows = 3;  // after layers, KV heads, head_dim; none, or one for each layer
  if (numbers.size() < kWindows + layers) return static_cast<int>(std::min<size_t>(layers, kLayersMax));
  const auto windows = numbers.begin() + kWindows;
  return std::max(1, static_cast<int>(std::count(windows, windows + static_cast<ptrdiff_t>(layers), 0)));
}

}  // namespace mneme::engine
