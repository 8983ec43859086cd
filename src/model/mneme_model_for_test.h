// Random models of the mneme architecture (docs/formats/mneme-gguf.md), for tests and tools. The
// implementation is mneme_random_model.cpp (a name ending in _test.cpp is a test program).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "model/config.h"
#include "model/gguf_writer.h"
#include "tensor/dtype.h"

namespace mneme::model {

struct MnemeOptionsForTest {
  int layers = 3, dim = 32, ffn_dim = 64, heads = 4, kv_heads = 2, head_dim = 32, vocab_size = 96;
  int context_length = 128;
  int window = 64;
  std::vector<uint32_t> global_layers = {1};
  int look_ahead = 0;
  int log_length_train = 0;
  float log_length_slope = 0.5f;
  int rope_dims = 0;  // 0: head_dim
  std::string residual = "plain";
  int streams = 1;
  bool sinks = true, value_mix = true, embedding_mix = true, tied = true;
  std::vector<uint32_t> engram_layers = {};
  int engram_order_max = 3, engram_heads = 2, engram_head_width = 32;
  tensor::DType engram_type = tensor::DType::kF32;
  int indexer_heads = 0, indexer_key_dim = 32, indexer_top_k = 64;
  tensor::DType matrix_type = tensor::DType::kF32;  // of what is a matrix and no vector
  bool byte_tokenizer = false;                      // a tokenizer of bytes and three special tokens
};

struct MnemeTensorForTest {
  tensor::DType type;
  std::vector<uint64_t> dims;  // GGUF order
  std::vector<float> values;   // as the file's type keeps them
  std::vector<std::byte> bytes;
};

struct MnemeModelForTest {
  MnemeOptionsForTest options;
  EngramConfig engram;
  std::map<std::string, MnemeTensorForTest> tensors;

  const std::vector<float>& values(const std::string& name) const { return tensors.at(name).values; }
  bool has(const std::string& name) const { return tensors.contains(name); }
  GgufWriter writer() const;
  Result<void> write(const std::string& path) const { return writer().write(path); }
};

// The same model for the same options and seed on every machine. Weights are spread so that activations stay
// near one, and logits a few nats apart; every optional part has values that matter.
MnemeModelForTest random_mneme_model(const MnemeOptionsForTest& options, uint64_t seed);

}  // namespace mneme::model
