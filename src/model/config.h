// The numbers that define a model, read from the metadata and checked against what the forward pass can do.
#pragma once

#include <string>

#include "core/error.h"
#include "model/gguf.h"

namespace mneme::model {

enum class Architecture { kLlama, kQwen2, kQwen3 };

enum class RopeScaling { kNone, kLinear, kYarn, kLlama3 };

struct RopeConfig {
  float base = 10000.0f;
  int dims = 0;              // rotated channels of a head, even, <= head_dim
  bool interleaved = false;  // pairs (0,1),(2,3).. (llama's GGUF order) or (i, i + dims/2) (qwen)
  RopeScaling scaling = RopeScaling::kNone;
  float factor = 1.0f;                                              // context is stretched by this
  int context_original = 0;                                         // before stretching
  float attention_factor = 1.0f;                                    // yarn: multiplies cos and sin
  float beta_fast = 32.0f, beta_slow = 1.0f;                        // yarn
  float low_frequency_factor = 1.0f, high_frequency_factor = 4.0f;  // llama3 rule
};

struct Config {
  Architecture architecture = Architecture::kLlama;
  std::string name;
  int layers = 0;
  int dim = 0;
  int ffn_dim = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int vocab_size = 0;
  int context_length = 0;  // trained context
  float norm_epsilon = 1e-5f;
  RopeConfig rope;
  bool qk_norm = false;  // qwen3

  int group() const { return heads / kv_heads; }
};

// An unknown architecture, a missing or absurd number: an error naming the key.
Result<Config> read_config(const Gguf& file);

}  // namespace mneme::model
