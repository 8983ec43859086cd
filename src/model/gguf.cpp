#include "model/gguf.h"

#include <algorithm>
#include <charconv>

#include "model/gguf_parse.h"

namespace mneme::model {

using core::fail;
using core::pass;

namespace {

// What a part says about the model it belongs to. A whole model has count 0 or 1.
struct Split {
  uint64_t part = 0;  // from 0
  uint64_t count = 0;
  uint64_t tensors = 0;  // of all parts together
};

Result<Split> read_split(const GgufPart& part, const std::string& path) {
  Split split;
  constexpr std::string_view kKeys[] = {"split.no", "split.count", "split.tensors.count"};
  uint64_t* const values[] = {&split.part, &split.count, &split.tensors};
  for (size_t i = 0; i < 3; ++i) {
    auto value = meta_uint(path, kKeys[i], part.find(kKeys[i]));
    if (!value) return pass(value);
    *values[i] = value->value_or(0);
  }
  if (split.count > 1 && split.part >= split.count) {
    return fail("{}: split.no is {}, but split.count is {}", path, split.part, split.count);
  }
  return split;
}

// `part` from 0; the names count from 1.
std::string part_path(std::string_view prefix, uint64_t part, uint64_t count) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", prefix, part + 1, count);
}

// The path without "-00001-of-000NN.gguf" for this part; nothing where the name does not say so.
std::optional<std::string> split_prefix(const std::string& path, const Split& split) {
  const std::string ending = part_path("", split.part, split.count);
  if (!path.ends_with(ending)) return std::nullopt;
  return path.substr(0, path.size() - ending.size());
}

// The first of a split model, and named so that the others can be found.
Result<std::string> prefix_of_first(const std::string& path, const Split& split) {
  const std::optional<std::string> prefix = split_prefix(path, split);
  if (split.part != 0) {
    const std::string first = part_path(prefix.value_or("..."), 0, split.count);
    return fail("{}: part {} of {} of a split model; open its first part, {}", path, split.part + 1,
                split.count, first);
  }
  if (!prefix) {
    return fail(
        "{}: part 1 of {} of a split model, but its name does not end in {}, so the others cannot be found",
        path, split.count, part_path("", 0, split.count));
  }
  return *prefix;
}

// Part `number` of the model whose first part says `first`.
Result<core::Mapping> open_part(const std::string& path, uint64_t number, const Split& first,
                                std::vector<TensorInfo>& tensors) {
  auto mapping = core::Mapping::open(path);
  if (!mapping)
    return fail("part {} of {} of a split model: {}", number + 1, first.count, mapping.error().message);
  auto part = parse_gguf(mapping->bytes(), path, static_cast<int>(number));
  if (!part) return pass(part);
  auto split = read_split(*part, path);
  if (!split) return pass(split);
  if (split->part != number || split->count != first.count || split->tensors != first.tensors) {
    return fail(
        "{}: belongs elsewhere: it says part {} of {} with {} tensors in all, but part {} of {} with {} is "
        "needed",
        path, split->part + 1, split->count, split->tensors, number + 1, first.count, first.tensors);
  }
  std::move(part->tensors.begin(), part->tensors.end(), std::back_inserter(tensors));
  return mapping;
}

std::string shape_text(std::span<const uint64_t> dims) { return fmt::format("[{}]", fmt::join(dims, ", ")); }

std::span<const uint64_t> without_trailing_ones(std::span<const uint64_t> dims) {
  while (dims.size() > 1 && dims.back() == 1) dims = dims.first(dims.size() - 1);
  return dims;
}

}  // namespace

uint64_t TensorInfo::rows() const {
  uint64_t rows = 1;
  for (size_t i = 1; i < dims.size(); ++i) rows *= dims[i];
  return rows;
}

Result<Gguf> Gguf::open(const std::string& path) {
  Gguf gguf;
  auto mapping = core::Mapping::open(path);
  if (!mapping) return pass(mapping);
  auto first = parse_gguf(mapping->bytes(), path, 0);
  if (!first) return pass(first);
  gguf.files_.push_back(std::move(*mapping));
  auto split = read_split(*first, path);
  if (!split) return pass(split);
  gguf.metadata_ = std::move(first->metadata);
  gguf.metadata_index_ = std::move(first->metadata_index);
  gguf.tensors_ = std::move(first->tensors);
  if (split->count > 1) {
    auto prefix = prefix_of_first(path, *split);
    if (!prefix) return pass(prefix);
    for (uint64_t number = 1; number < split->count; ++number) {
      auto part = open_part(part_path(*prefix, number, split->count), number, *split, gguf.tensors_);
      if (!part) return pass(part);
      gguf.files_.push_back(std::move(*part));
    }
    if (gguf.tensors_.size() != split->tensors) {
      return fail("{}: split.tensors.count is {}, but its {} parts have {} tensors", path, split->tensors,
                  split->count, gguf.tensors_.size());
    }
  }
  for (size_t i = 0; i < gguf.tensors_.size(); ++i) {
    const TensorInfo& tensor = gguf.tensors_[i];
    if (!gguf.tensor_index_.emplace(tensor.name, i).second) {
      return fail("{}: tensor '{}' is also in an earlier part",
                  gguf.files_[static_cast<size_t>(tensor.file)].path(), printable(tensor.name));
    }
  }
  return gguf;
}

uint64_t Gguf::bytes_total() const {
  uint64_t total = 0;
  for (const core::Mapping& file : files_) total += file.bytes().size();
  return total;
}

const MetaValue* Gguf::find(std::string_view key) const {
  const auto at = metadata_index_.find(key);
  return at == metadata_index_.end() ? nullptr : &metadata_[at->second].second;
}

Result<std::optional<uint64_t>> Gguf::get_uint(std::string_view key) const {
  return meta_uint(path(), key, find(key));
}

Result<std::optional<double>> Gguf::get_float(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<double>(&value->value)) return *number;
  if (const auto* number = std::get_if<uint64_t>(&value->value)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<int64_t>(&value->value)) return static_cast<double>(*number);
  return fail("{}: '{}' has type {}; a number is needed", path(), printable(key),
              meta_type_name(value->type));
}

Result<std::optional<bool>> Gguf::get_bool(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* flag = std::get_if<bool>(&value->value)) return *flag;
  return fail("{}: '{}' has type {}; a bool is needed", path(), printable(key), meta_type_name(value->type));
}

Result<std::optional<std::string_view>> Gguf::get_string(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* text = std::get_if<std::string_view>(&value->value)) return *text;
  return fail("{}: '{}' has type {}; a string is needed", path(), printable(key),
              meta_type_name(value->type));
}

Result<const MetaArray*> Gguf::get_array(std::string_view key, MetaType element) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return nullptr;
  const auto* array = std::get_if<MetaArray>(&value->value);
  if (array == nullptr) {
    return fail("{}: '{}' has type {}; an array of {} is needed", path(), printable(key),
                meta_type_name(value->type), meta_type_name(element));
  }
  if (array->element != element) {
    return fail("{}: '{}' is an array of {}; one of {} is needed", path(), printable(key),
                meta_type_name(array->element), meta_type_name(element));
  }
  return array;
}

Result<uint64_t> Gguf::require_uint(std::string_view key) const {
  auto value = get_uint(key);
  if (!value) return pass(value);
  if (!*value) return fail("{}: '{}' is missing", path(), printable(key));
  return **value;
}

Result<std::string_view> Gguf::require_string(std::string_view key) const {
  auto value = get_string(key);
  if (!value) return pass(value);
  if (!*value) return fail("{}: '{}' is missing", path(), printable(key));
  return **value;
}

Result<const MetaArray*> Gguf::require_array(std::string_view key, MetaType element) const {
  auto array = get_array(key, element);
  if (!array) return pass(array);
  if (*array == nullptr) return fail("{}: '{}' is missing", path(), printable(key));
  return *array;
}

const TensorInfo* Gguf::find_tensor(std::string_view name) const {
  const auto at = tensor_index_.find(name);
  return at == tensor_index_.end() ? nullptr : &tensors_[at->second];
}

Result<const TensorInfo*> Gguf::require_tensor(std::string_view name, std::span<const uint64_t> dims) const {
  const TensorInfo* tensor = find_tensor(name);
  if (tensor == nullptr)
    return fail("{}: tensor '{}' {} is missing", path(), printable(name), shape_text(dims));
  if (!std::ranges::equal(without_trailing_ones(tensor->dims), without_trailing_ones(dims))) {
    return fail("{}: tensor '{}' has shape {}; {} is needed", path(), printable(name),
                shape_text(tensor->dims), shape_text(dims));
  }
  return tensor;
}

}  // namespace mneme::model
