// What a model file says about itself, read without its weights.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mneme/result.h"

namespace mneme {

struct MetadataEntry {
  std::string key;
  std::string type;   // "u32", "f32", "bool", "string", "string[]", ...
  std::string value;  // as text; long strings and arrays are cut, the cut said ("... (151936 in all)")
};

struct TensorEntry {
  std::string name;
  std::string type;            // "Q8_0", "F32", ...
  std::vector<uint64_t> dims;  // the file's order: the first runs fastest
  uint64_t bytes = 0;
};

struct TypeTotal {
  std::string type;
  uint64_t tensors = 0;
  uint64_t parameters = 0;
  uint64_t bytes = 0;
};

// The n-gram tables (Engram) of a model; all 0 where it has none.
struct EngramSummary {
  std::vector<int> layers;  // that have one
  std::string type;         // of their rows: "Q8_0", "F16", "F32"
  uint64_t rows = 0;        // of all tables
  uint64_t bytes = 0;       // what EngramPlacement::kDisk saves
  double share = 0;         // of the bytes of all tensors, 0..1
};

struct ModelSummary {
  std::string architecture, name;
  int layers = 0, dim = 0, ffn_dim = 0, heads = 0, kv_heads = 0, head_dim = 0, vocab_size = 0,
      context_length = 0;
  uint64_t kv_token_bytes = 0;  // keys and values a token, all layers
  EngramSummary engram;
};

struct FileDescription {
  std::string path;
  int files = 0;  // parts of a split model
  uint64_t bytes = 0;
  uint64_t parameters = 0;
  ModelSummary model;  // empty where `unsupported` says why it cannot be run
  std::string unsupported;
  std::vector<MetadataEntry> metadata;  // in file order
  std::vector<TensorEntry> tensors;     // in file order
  std::vector<TypeTotal> totals;        // most bytes first
};

// Bytes of strings are handed on as they are in the file: they may be no valid UTF-8, and may hold control
// characters.
Result<FileDescription> inspect(const std::string& path);

}  // namespace mneme
