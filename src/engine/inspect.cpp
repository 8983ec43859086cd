#include "mneme/inspect.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <type_traits>
#include <variant>

#include "core/utf8.h"
#include "model/config.h"
#include "model/gguf.h"
#include "tensor/dtype.h"

namespace mneme {

using core::pass;
using model::MetaArray;
using model::MetaType;

namespace {

constexpr size_t kStringBytesMax = 200;
constexpr uint64_t kElementsMax = 8;

std::string cut(std::string_view text) {
  if (text.size() <= kStringBytesMax) return std::string(text);
  const size_t size = core::utf8_cut_before(text, kStringBytesMax);
  return fmt::format("{}... ({} bytes in all)", text.substr(0, size), text.size());
}

template <class T>
std::string element(std::span<const std::byte> raw, uint64_t index) {
  T value;
  std::memcpy(&value, raw.data() + index * sizeof(T), sizeof(T));
  return fmt::format("{}", value);
}

std::string array_element(const MetaArray& array, uint64_t index) {
  switch (array.element) {
    case MetaType::kU8: return element<uint8_t>(array.raw, index);
    case MetaType::kI8: return element<int8_t>(array.raw, index);
    case MetaType::kU16: return element<uint16_t>(array.raw, index);
    case MetaType::kI16: return element<int16_t>(array.raw, index);
    case MetaType::kU32: return element<uint32_t>(array.raw, index);
    case MetaType::kI32: return element<int32_t>(array.raw, index);
    case MetaType::kF32: return element<float>(array.raw, index);
    case MetaType::kBool: return array.raw[index] != std::byte{0} ? "true" : "false";
    case MetaType::kU64: return element<uint64_t>(array.raw, index);
    case MetaType::kI64: return element<int64_t>(array.raw, index);
    case MetaType::kF64: return element<double>(array.raw, index);
    case MetaType::kString: return fmt::format("\"{}\"", cut(array.strings[index]));
    case MetaType::kArray: break;  // refused by the reader
  }
  return "?";
}

std::string array_text(const MetaArray& array) {
  std::string text = "[";
  const uint64_t shown = std::min(array.count, kElementsMax);
  for (uint64_t i = 0; i < shown; ++i) text += (i > 0 ? ", " : "") + array_element(array, i);
  text += "]";
  if (shown < array.count) text += fmt::format("... ({} in all)", array.count);
  return text;
}

MetadataEntry describe(std::string_view key, const model::MetaValue& value) {
  MetadataEntry entry{std::string(key), std::string(model::meta_type_name(value.type)), {}};
  std::visit(
      [&](const auto& held) {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, MetaArray>) {
          entry.type = fmt::format("{}[]", model::meta_type_name(held.element));
          entry.value = array_text(held);
        } else if constexpr (std::is_same_v<Held, std::string_view>) {
          entry.value = cut(held);
        } else {
          entry.value = fmt::format("{}", held);
        }
      },
      value.value);
  return entry;
}

void describe_tensors(const model::Gguf& file, FileDescription& out) {
  std::map<std::string, TypeTotal> totals;
  for (const model::TensorInfo& tensor : file.tensors()) {
    const std::string type(tensor::dtype_info(tensor.type).name);
    const uint64_t parameters = tensor.columns() * tensor.rows();
    out.tensors.push_back({std::string(tensor.name), type, tensor.dims, tensor.bytes.size()});
    TypeTotal& total = totals[type];
    total.type = type;
    total.tensors += 1;
    total.parameters += parameters;
    total.bytes += tensor.bytes.size();
    out.parameters += parameters;
  }
  for (const auto& [type, total] : totals) out.totals.push_back(total);
  std::stable_sort(out.totals.begin(), out.totals.end(),
                   [](const TypeTotal& a, const TypeTotal& b) { return a.bytes > b.bytes; });
}

EngramSummary summarise_engram(const model::Gguf& file, const model::Config& config) {
  EngramSummary summary;
  summary.layers = config.mneme.engram.layers;
  uint64_t bytes_all = 0;
  for (const model::TensorInfo& tensor : file.tensors()) bytes_all += tensor.bytes.size();
  for (const int layer : summary.layers) {
    const model::TensorInfo* table = file.find_tensor(fmt::format("blk.{}.engram.table", layer));
    if (table == nullptr) continue;  // opening the model says so
    summary.type = tensor::dtype_info(table->type).name;
    summary.rows += table->rows();
    summary.bytes += table->bytes.size();
  }
  if (bytes_all > 0) summary.share = static_cast<double>(summary.bytes) / static_cast<double>(bytes_all);
  return summary;
}

ModelSummary summarise(const model::Gguf& file, const model::Config& config) {
  ModelSummary summary;
  summary.architecture = std::string(*file.require_string("general.architecture"));
  summary.name = config.name;
  summary.layers = config.layers;
  summary.dim = config.dim;
  summary.ffn_dim = config.ffn_dim;
  summary.heads = config.heads;
  summary.kv_heads = config.kv_heads;
  summary.head_dim = config.head_dim;
  summary.vocab_size = config.vocab_size;
  summary.context_length = config.context_length;
  summary.kv_token_bytes = model::kv_shape(config).token_bytes();
  summary.engram = summarise_engram(file, config);
  return summary;
}

}  // namespace

Result<FileDescription> inspect(const std::string& path) {
  auto file = model::Gguf::open(path);
  if (!file) return pass(file);
  FileDescription out;
  out.path = file->path();
  out.files = static_cast<int>(file->files().size());
  out.bytes = file->bytes_total();
  for (const auto& [key, value] : file->metadata()) out.metadata.push_back(describe(key, value));
  describe_tensors(*file, out);
  auto config = model::read_config(*file);
  if (config) {
    out.model = summarise(*file, *config);
  } else {
    out.unsupported = config.error().message;
  }
  return out;
}

}  // namespace mneme
