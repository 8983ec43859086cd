// One GGUF file, parsed and checked; gguf.cpp joins the parts of a split model.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/error.h"
#include "model/gguf.h"

namespace mneme::model {

struct GgufPart {
  std::vector<std::pair<std::string_view, MetaValue>> metadata;  // in file order
  std::unordered_map<std::string_view, size_t> metadata_index;
  std::vector<TensorInfo> tensors;  // in file order, names unique

  const MetaValue* find(std::string_view key) const;
};

// Everything returned points into `bytes`. `path` is named in errors; `file` goes into TensorInfo::file.
// Reads headers, metadata and tensor descriptions only, never tensor data.
Result<GgufPart> parse_gguf(std::span<const std::byte> bytes, const std::string& path, int file);

// Absent (null) -> nullopt; an integer that is not negative -> it; anything else -> an error naming file and
// key.
Result<std::optional<uint64_t>> meta_uint(const std::string& path, std::string_view key,
                                          const MetaValue* value);

// Text of a file as it may stand in a one-line message: control and non-ASCII bytes replaced, long ones cut.
std::string printable(std::string_view text);

}  // namespace mneme::model
